"""Names of hosts, services, models and the rest: what may stand in a name, and what it must not collide with."""

from __future__ import annotations

import re

from deployer.spec.check.context import Checked
from deployer.spec.nodes import shown
from deployer.values.names import NAME

HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
LONGEST = 63
STRICT = {"services": "service", "models": "model"}
LAX = {"hosts": "host", "groups": "group", "profiles": "profile", "secrets": "secret", "backends": "backend"}


def check_names(checked: Checked) -> None:
    for section, what in STRICT.items():
        _check_section(checked, section, what, NAME, "lower-case letters, digits and `-`")
    for section, what in LAX.items():
        _check_section(checked, section, what, HOST_NAME, "letters, digits, `.`, `_` and `-`")
    hosts = set(checked.names("hosts"))
    for group in checked.names("groups"):
        if group in hosts:
            message = f"`{group}` is the name of a group and of a host"
            checked.error("name-taken", message, ("groups", group), "rename the group")


def _check_section(checked: Checked, section: str, what: str, pattern: re.Pattern[str], allowed: str) -> None:
    for name in checked.names(section):
        if not pattern.match(name):
            message = f"`{shown(name)}` cannot be the name of a {what}"
            checked.error("bad-name", message, (section, name), f"use {allowed}, beginning with a letter or digit")
        elif len(name) > LONGEST:
            message = f"the name of a {what} has {len(name)} characters, and {LONGEST} are allowed"
            checked.error("bad-name", message, (section, name), "shorten it")
