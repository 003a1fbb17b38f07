"""Facts as package data, and their loaders; knows nothing of plans or hosts."""
