"""Files on disk: how they are written, described, found and refused, and one format each."""
