"""deployer: Terraform for LLM boxes."""

__version__ = "0.1.0"
