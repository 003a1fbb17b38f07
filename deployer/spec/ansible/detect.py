"""What an inventory file is written as, told from its text and name. Parses nothing."""

from __future__ import annotations

import posixpath
import re
from enum import Enum

from deployer.spec.nodes import Node

TOP_KEY = re.compile(
    r"""^(?P<quote>["']?)(?P<key>[^\s"'#:{\[][^"'#:]*?)(?P=quote)[ \t]*:(?=[ \t\r\n]|$)""", re.MULTILINE
)
OWN_KEYS = frozenset({"version", "hosts", "groups"})
GROUP_PARTS = frozenset({"hosts", "children", "vars"})
ANSIBLE_KEYS = frozenset({"all", "ungrouped", "_meta"})
SECTION = re.compile(r"\[[^\]\s]+\]\s*(?:#.*)?\Z")
ASSIGNMENT = re.compile(r"[^\s=:]+(?::\d+)?\s+\w+=")
YAML_START = re.compile(r"""---|%YAML|[{!&?"']|-\s|[^\s=\[]+\s*:(?:\s|\Z)""")
YAML_ENDINGS = (".yaml", ".yml", ".json")
LOOKED_AT = 65536  # characters


class Written(Enum):
    OWN = "an inventory of deployer's"
    ANSIBLE_YAML = "a YAML inventory of Ansible's, or what may be one"
    ANSIBLE_INI = "an INI inventory of Ansible's"
    SCRIPT = "a program that prints an inventory"
    TOML = "a TOML inventory of Ansible's"


def written_as(data: bytes, path: str) -> Written:
    """How a file must be read. `ANSIBLE_YAML` is a guess until its tree is known: see `is_ansible`."""
    if data.startswith(b"#!"):
        return Written.SCRIPT
    if path.endswith(".toml"):
        return Written.TOML
    text = data.decode("utf-8-sig", "replace")
    if _is_ini(text[:LOOKED_AT], path):
        return Written.ANSIBLE_INI
    keys = {match["key"] for match in TOP_KEY.finditer(text)}
    return Written.OWN if keys & OWN_KEYS or not (keys or _is_flow(text)) else Written.ANSIBLE_YAML


def _is_flow(text: str) -> bool:
    """Whether it starts as JSON does, so that its keys are known only once it is parsed."""
    return text.lstrip().startswith("{") and not re.match(r"""\s*\{\s*["']?(?:version|hosts|groups)["']?\s*:""", text)


def _is_ini(text: str, path: str) -> bool:
    for line in map(str.strip, text.splitlines()):
        if not line or line[0] in "#;":
            continue
        if SECTION.match(line) or ASSIGNMENT.match(line):
            return True
        return not YAML_START.match(line) and posixpath.splitext(path)[1] not in YAML_ENDINGS
    return False


def is_ansible(document: Node) -> bool:
    """Whether the keys of a document are groups, and not those of the language."""
    keys = document.map.keys()
    if keys & OWN_KEYS:
        return False
    return bool(keys & ANSIBLE_KEYS) or any(group.map.keys() & GROUP_PARTS for group in document.map.values())
