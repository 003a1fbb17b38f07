"""deploy.yaml and inventories: text to values with positions, or all diagnostics at once."""
