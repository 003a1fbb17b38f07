"""That a spec is valid, and what it holds."""

from __future__ import annotations

from typing import Any

from deployer.spec.project import Project
from deployer.view.diagnostics import diagnostic_json
from deployer.view.json_text import FORMAT_VERSION
from deployer.view.measures import counted
from deployer.view.page import Page


def render_valid(project: Project) -> Page:
    spec = project.spec
    holds = ", ".join(
        counted(len(things), thing)
        for things, thing in ((spec.services, "service"), (spec.models, "model"), (spec.hosts, "host"))
    )
    page = Page()
    page.line(f"{project.path} is valid: project `{spec.project}` with {holds}")
    return page


def valid_json(project: Project) -> dict[str, Any]:
    """The same shape as that of a spec with errors, which has no `project`."""
    return {
        "format_version": FORMAT_VERSION,
        "project": project.spec.project,
        "services": sorted(project.spec.services),
        "hosts": sorted(project.spec.hosts),
        "problems": [diagnostic_json(w) for w in project.warnings],
    }
