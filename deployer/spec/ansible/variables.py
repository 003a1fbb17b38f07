"""`group_vars` and `host_vars` beside an inventory, read by name as Ansible finds them."""

from __future__ import annotations

import posixpath
import re
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, warning
from deployer.spec.ansible.groups import Variables
from deployer.spec.ansible.needed import VAULT
from deployer.spec.ansible.source import AnsibleSource
from deployer.spec.ansible.yaml import parse_yaml
from deployer.spec.files import Files

ENDINGS = ("", ".yml", ".yaml", ".json")  # the first that is there
FILE_NAME = re.compile(r"[^/\x00-\x1f.][^/\x00-\x1f]*\Z")
MOST_LEVELS = 8  # of folders in folders
WHAT = "the variables"


@dataclass(slots=True)
class VariableFiles:
    """The variables in files of one folder of an inventory."""

    files: Files
    folder: str
    listings: dict[str, frozenset[str]] = field(default_factory=dict)

    def variables(self, kind: str, name: str) -> Variables:
        """What the files of a group (`kind` is `group_vars`) or host (`host_vars`) set."""
        if not FILE_NAME.match(name):
            return {}
        base = posixpath.join(self.folder, kind)
        listing = self._listing(base)
        for ending in ENDINGS:
            if listing and name + ending not in listing:
                continue
            path = posixpath.join(base, name + ending)
            found = self._folder(path, 0) if not ending else None
            if found is None:
                data = self.files.optional(path, WHAT)
                found = self._parsed(data, path, alone=True) if data is not None else None
            if found is not None:
                return found
        return {}

    def _listing(self, base: str) -> frozenset[str]:
        """The names in `group_vars` or `host_vars`; empty where they cannot be told, so that each must be tried."""
        if base not in self.listings:
            self.listings[base] = frozenset(self.files.names_in(base, WHAT) or ())
        return self.listings[base]

    def _folder(self, path: str, level: int) -> Variables | None:
        """All files of a folder, later names on top; None where it is no folder."""
        names = self.files.names_in(path, WHAT) if level < MOST_LEVELS else ()
        if names is None:
            return None
        merged: Variables = {}
        for name in names:
            stem, ending = posixpath.splitext(name)
            inner = posixpath.join(path, name)
            if not stem or name.startswith(".") or name.endswith("~") or ending not in ENDINGS:
                continue
            below = self._folder(inner, level + 1) if not ending else None
            if below is None:
                data = self.files.optional(inner, WHAT)
                below = self._parsed(data, inner, alone=False) if data is not None else {}
            merged.update(below)
        return merged

    def _parsed(self, data: bytes, path: str, *, alone: bool) -> Variables:
        if data.startswith(VAULT.encode()):
            where = AnsibleSource(path, "").where(1, 1)
            message = f"`{path}` is encrypted with Ansible Vault"
            if alone:
                hint = f"move what is no secret to `{posixpath.splitext(path)[0]}/vars.yml` and the rest beside it"
                self.files.problems.add(Diagnostic("ansible-vault", message, where, hint=hint))
            else:
                hint = "keep what connections need in the readable files beside it"
                self.files.problems.add(warning("ansible-vault", f"{message}, and left out", where, hint))
            return {}
        node = parse_yaml(data, path, self.files.problems)
        return node.map if node is not None else {}
