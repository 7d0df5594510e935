"""Files on disk: written whole, described by what made them, found by name; one format a module."""
