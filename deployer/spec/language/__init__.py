"""The spec language: pydantic models of deploy.yaml and inventories, one module a section.

A model is the single definition of its keys: validation, the JSON Schema and everything that plans read from it.
"""

from deployer.spec.language.backends import BackendPin
from deployer.spec.language.container import Container
from deployer.spec.language.hosts import GpuSelection, Group, Host, Inventory
from deployer.spec.language.models import Model
from deployer.spec.language.options import Options
from deployer.spec.language.project import DeploySpec, Hub, Hubs, Policy, Registry, Rule, SecretSource
from deployer.spec.language.services import Health, Image, Placement, Port, Rollout, Service

__all__ = [
    "BackendPin", "Container", "DeploySpec", "GpuSelection", "Group", "Health", "Host", "Hub", "Hubs", "Image",
    "Inventory", "Model", "Options", "Placement", "Policy", "Port", "Registry", "Rollout", "Rule", "SecretSource",
    "Service",
]  # fmt: skip
