"""What a plan will need whatever the hosts say, made while they are looked at. Without it a plan is the same."""

from __future__ import annotations

from deployer.backends import find
from deployer.planning.choice import base_backend
from deployer.planning.render_template import builtin_template, compiled
from deployer.spec.language import DeploySpec


def prepare(spec: DeploySpec) -> None:
    """Compiles the templates of the backends that services name: that takes longer than rendering them."""
    for name in sorted({service.backend for service in spec.services.values() if service.backend is not None}):
        backend = find(base_backend(spec, name))
        if backend is not None:
            compiled(backend.template, builtin_template(backend.template))
