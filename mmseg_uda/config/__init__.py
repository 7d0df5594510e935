"""Configs: checked before anything is built; their datasets, pipelines and tables of ablations."""
