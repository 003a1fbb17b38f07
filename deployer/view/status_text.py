"""What runs, service by service, for people; and how to ask it."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.dataclass import replace
from deployer.planning.holds import said_of
from deployer.spec.language import DeploySpec
from deployer.view.curl import Example, Running, example_of
from deployer.view.gpus import render_gpus
from deployer.view.measured import render_use
from deployer.view.page import Page, Span, Style
from deployer.view.status import ReplicaStatus, ServiceStatus, Status


def render_status(status: Status, examples: Mapping[str, Example] | None = None) -> Page:
    """`examples`: how to ask a service, by its name."""
    page = Page()
    page.line(Span(f"Project `{status.project}`", Style.BOLD))
    for name, service in sorted(status.services.items()):
        page.blank()
        page.extend(_render_service(name, service))
        if examples and name in examples:
            page.extend(_render_example(examples[name]))
    if not status.services:
        page.line("  no services")
    return page


def _render_service(name: str, service: ServiceStatus) -> Page:
    page = Page()
    style = Style.ADDED if service.ready >= service.desired else Style.ERROR
    model = "  " + " on ".join(part for part in (service.model, service.backend) if part)
    page.line(Span(name, Style.BOLD), "  ", Span(f"{service.ready} of {service.desired} ready", style), model)
    if service.held is not None:
        page.line("  ", Span(said_of(service.held), Style.WARNING))
    for replica in service.replicas:
        page.line(f"  {name}-{replica.replica}  ", "  ".join(_cells(replica)))
        if replica.pending:
            alone = replica.drift is not None and replica.pending.endswith(f": {replica.drift}")
            word = "drift" if alone else "pending"
            page.line("      ", Span(f"{word}: {replica.pending}", Style.CHANGED))
    return page


def examples_of(spec: DeploySpec, status: Status, ssh_config: str | None = None) -> dict[str, Example]:
    """For each service that has a replica to ask, the first ready one before others that run."""
    found: dict[str, Example] = {}
    for name, service in status.services.items():
        up = [r for r in service.replicas if r.url and r.host and r.backend]
        for replica in sorted(up, key=lambda r: not r.is_ready)[:1]:
            running = Running(name, replica.host or "", replica.url or "", replica.backend or "")
            running = replace(running, category=replica.category, completes=replica.answers == "completion")
            example = example_of(spec, running, ssh_config)
            found |= {name: example} if example is not None else {}
    return found


def _render_example(example: Example) -> Page:
    page = Page()
    key = f", with secret `{example.key}` in $API_KEY" if example.key else ""
    if example.tunnel:
        page.line("  ", Span("# it listens on its host only; leave this running beside:", Style.DIM))
        page.line("  ", Span(example.tunnel, limit=None))
    page.line("  ", Span(f"# ask it{key}:", Style.DIM))
    page.line("  ", Span(example.command, limit=None))
    return page


def _cells(replica: ReplicaStatus) -> list[str]:
    health = f"{replica.state}, {replica.health}" if replica.health else replica.state
    restarts = f"{replica.restarts} restarts" if replica.restarts else ""
    since = f"since {replica.since[:19]}Z" if replica.since else ""
    gpus = f"GPUs {render_gpus(replica.gpus)}" if replica.gpus else ""
    answers = f"{replica.answers} only" if replica.answers else ""
    memory = render_use(replica.gpu_memory)
    cells = (replica.host or "no host", health, replica.url or "", gpus, memory, answers, restarts, since)
    return [cell for cell in cells if cell]
