"""Weights: where they come from, and how they get into a host's cache. Decides nothing about hosts or replicas."""
