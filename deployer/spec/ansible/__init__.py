"""Ansible inventories as they are: read, resolved as Ansible would, and turned into the language's hosts and groups."""
