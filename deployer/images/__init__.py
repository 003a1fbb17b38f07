"""Images on the controller: read from registries and archives, kept as an OCI layout, sent to a host's Docker."""
