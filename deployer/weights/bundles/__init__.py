"""Bundles on a disk: as a folder, a tar or parts of one; signed, hashed, and trusted for nothing until both hold."""
