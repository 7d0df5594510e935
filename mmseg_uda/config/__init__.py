"""Configs: datasets and their pipelines, and tables of ablations, read in one room."""
