"""Offline jobs, one file each."""
