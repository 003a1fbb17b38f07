"""The rules of the spec's policy that only a rendered container can be judged by."""

from __future__ import annotations

from collections.abc import Iterable

from deployer.errors import Diagnostic, Severity
from deployer.planning.desired import DesiredReplica
from deployer.spec.check.policy import PIN, is_latest, latest_words
from deployer.spec.project import Project


def breaches(project: Project, desired: Iterable[DesiredReplica]) -> tuple[Diagnostic, ...]:
    """One for each service and image, also of images that nobody wrote."""
    rule, policy = "latest-tag", project.spec.policy
    if rule not in (*policy.deny, *policy.warn):
        return ()
    found = sorted({(r.key.service, r.container.image) for r in desired if is_latest(r.container.image)})
    is_denied = rule in policy.deny
    return tuple(
        Diagnostic(
            rule,
            f"service `{service}` runs {latest_words(image)}" + (", which the policy denies" if is_denied else ""),
            project.where("services", service, "image"),
            hint=PIN,
            severity=Severity.ERROR if is_denied else Severity.WARNING,
        )
        for service, image in found
    )
