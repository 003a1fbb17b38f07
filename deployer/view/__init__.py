"""Values to text, JSON and progress; asks nothing, does nothing, and nothing else prints."""
