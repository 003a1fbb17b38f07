"""Which projects are on a host, as the labels of containers say, whoever owns them."""

from __future__ import annotations

from collections import Counter

from deployer.values.checks import ProjectSeen
from deployer.values.facts import HostFacts


def projects_on(host: HostFacts) -> tuple[ProjectSeen, ...]:
    """By name and id; `id` is None where the containers carry none."""
    labelled = [(c.labelled_project, c.labelled_id or None) for c in host.containers if c.labelled_project is not None]
    counts = sorted(Counter(labelled).items(), key=lambda item: (item[0][0], item[0][1] or ""))
    return tuple(ProjectSeen(project, id, count) for (project, id), count in counts)
