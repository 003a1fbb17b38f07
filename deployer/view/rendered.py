"""What `render` prints: the `docker run` of each replica, or where each value of a service comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deployer.dataclass import dataclass
from deployer.docker.commandline import render_docker_run
from deployer.spec.project import Origin, Project
from deployer.values.codec import to_data
from deployer.values.names import ReplicaKey
from deployer.values.operations import AwaitReady, CreateContainer, EnsureSetup
from deployer.values.plan import Plan
from deployer.view.diagnostics import diagnostic_json
from deployer.view.field_diff import render_value
from deployer.view.json_text import FORMAT_VERSION
from deployer.view.page import Page, Span, Style
from deployer.view.setup_text import setup_text


@dataclass(frozen=True, slots=True)
class Rendered:
    """One replica's container as a command line, and what its server must be told after that."""

    key: ReplicaKey
    host: str
    container: str
    command: str


def rendered_replicas(plan: Plan, *, labels: bool) -> list[Rendered]:
    """Of every container that the plan creates."""
    return [
        Rendered(
            step.key,
            step.host,
            operation.name,
            render_docker_run(operation.spec, operation.name, operation.labels if labels else None)
            + _setup(plan, operation.name),
        )
        for step in plan.steps
        if isinstance(operation := step.operation, CreateContainer) and step.key is not None
    ]


def _setup(plan: Plan, container: str) -> str:
    operations = [step.operation for step in plan.steps if getattr(step.operation, "name", None) == container]
    ready = next((o for o in operations if isinstance(o, AwaitReady)), None)
    tasks = [o for o in operations if isinstance(o, EnsureSetup)]
    return setup_text(ready, tasks) if ready is not None and tasks else ""


def render_commands(replicas: Sequence[Rendered]) -> Page:
    """Runnable as it stands: all else is a comment."""
    page = Page()
    for replica in replicas:
        page.blank()
        page.line(Span(f"# {replica.key} on {replica.host}", Style.DIM))
        for line in replica.command.rstrip("\n").split("\n"):
            page.line(Span(line, limit=None))
    return page


def commands_json(plan: Plan, replicas: Sequence[Rendered]) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "replicas": [
            {
                "service": replica.key.service,
                "replica": replica.key.index,
                "host": replica.host,
                "container": replica.container,
                "docker_run": replica.command,
            }
            for replica in replicas
        ],
        "problems": [diagnostic_json(problem) for problem in plan.problems],
    }


def render_origins(project: Project) -> Page:
    """Each written or merged value of each service, and the layer and line it comes from."""
    page = Page()
    for service in sorted(project.spec.services):
        page.blank()
        page.line(Span(service, Style.BOLD))
        rows = _origins(project, service)
        width = min(max((len(path) for path, _, _ in rows), default=0), 40)
        for path, value, origin in rows:
            page.line(f"  {path:<{width}}  {value}  ", Span(f"# {render_origin(origin)}", Style.DIM))
    return page


def render_origin(origin: Origin) -> str:
    """The layer and place of a value, then those that it overrode."""
    layers = (origin, *origin.over)
    return ", over ".join(f"{o.layer} ({o.where})" if o.where else o.layer for o in layers)


def _origins(project: Project, service: str) -> list[tuple[str, str, Origin]]:
    prefix = ("services", service)
    data = to_data(project.spec.model_dump(mode="json")["services"][service])
    found = [(path[2:], origin) for path, origin in project.origins.items() if path[:2] == prefix]
    return [
        (".".join(map(str, path)), render_value(_value_at(data, path)), origin)
        for path, origin in sorted(found, key=lambda item: [str(part) for part in item[0]])
    ]


def _value_at(data: Any, path: Sequence[str | int]) -> Any:
    for part in path:
        if isinstance(data, Mapping):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def origins_json(project: Project) -> dict[str, Any]:
    services: dict[str, Any] = {}
    spec = project.spec.model_dump(mode="json")["services"]
    for path, origin in sorted(project.origins.items(), key=lambda item: [str(part) for part in item[0]]):
        if path[0] == "services" and len(path) > 2:
            where = str(origin.where) if origin.where else None
            entry = {"value": _value_at(spec, path[1:]), "layer": origin.layer, "where": where}
            services.setdefault(str(path[1]), {})[".".join(map(str, path[2:]))] = entry
    return {"format_version": FORMAT_VERSION, "services": services}
