"""Helpers without state."""
