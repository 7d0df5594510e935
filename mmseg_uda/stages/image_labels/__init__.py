"""Labels of whole images, predicted from the source's (PIT)."""
