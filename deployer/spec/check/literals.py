"""Secrets written out in a spec. They are named by their place, never shown."""

from __future__ import annotations

from deployer.dataclass import replace
from deployer.errors import Diagnostic, Problems
from deployer.spec.masking import LIKE_A_SECRET, mask_secrets
from deployer.spec.nodes import KeyPath, Node, render_path


def check_literals(root: Node, problems: Problems) -> None:
    """Every value and key of a tree that looks like a token."""
    for node in root.every():
        if isinstance(node.value, str) and LIKE_A_SECRET.search(node.value):
            _report(node, node.path, problems)
        for key, child in node.map.items():
            if LIKE_A_SECRET.search(key):
                _report(child, child.path, problems)


def _report(node: Node, path: KeyPath, problems: Problems) -> None:
    where = replace(node.where, key=mask_secrets(node.where.key))
    message = f"`{mask_secrets(render_path(path))}` holds what looks like a secret"
    hint = "put it under `secrets` and write `{secret: NAME}` here; if the file was shared, revoke the token"
    problems.add(Diagnostic("literal-secret", message, where, hint=hint))
