"""The backends, one module each, found by name; they know nothing of each other."""
