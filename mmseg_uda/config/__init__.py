"""Configs of datasets and their pipelines, read and changed in one room."""
