"""Who holds a port of a host, for an error message: best effort, never an error of its own."""

from __future__ import annotations

import re

from deployer.docker.calls import Refusal, engine_calls
from deployer.engine.context import Site
from deployer.errors import DeployerError

PROCESS = re.compile(r'users:\(\("(?P<name>[^"]*)",pid=(?P<pid>\d+)')


def port_owner(site: Site, port: int) -> str | None:
    """`container NAME`, `process NAME (pid N)` or, of a proxy whose container is gone, `leftover docker-proxy`."""
    try:
        return _container(site, port) or _process(site, port)
    except (DeployerError, Refusal):
        return None


def _container(site: Site, port: int) -> str | None:
    with engine_calls(site.host):
        found = site.transport.docker().containers(filters={"publish": f"{port}"})
    names = [str(name) for container in found for name in container.get("Names") or ()]
    return f"container `{site.words(names[0].removeprefix('/'))}`" if names else None


def _process(site: Site, port: int) -> str | None:
    listing = site.transport.run(["ss", "-Hltnp", f"sport = :{port}"], timeout=10.0)
    found = PROCESS.search(listing.stdout.decode("utf-8", "replace"))
    if found is None:
        return "a process that this user cannot see" if listing.stdout.strip() else None
    kind = "leftover" if found["name"] == "docker-proxy" else "process"
    return f"{kind} `{site.words(found['name'])}` (pid {found['pid']})"
