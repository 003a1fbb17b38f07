"""What a valid spec can still get wrong: names, references, keys not built yet, and habits worth a warning."""

from __future__ import annotations

from deployer.spec.check.context import Checked
from deployer.spec.check.names import check_names
from deployer.spec.check.policy import check_policy
from deployer.spec.check.ports import check_ports
from deployer.spec.check.references import check_references
from deployer.spec.check.requires import check_requires
from deployer.spec.check.selection import check_hosts
from deployer.spec.check.support import check_support

__all__ = ["Checked", "check_all"]

CHECKS = (
    check_requires, check_names, check_references, check_hosts, check_support, check_ports, check_policy,
)  # fmt: skip


def check_all(checked: Checked) -> None:
    """Adds to `checked.problems` whatever is wrong or worth a warning."""
    for check in CHECKS:
        check(checked)
