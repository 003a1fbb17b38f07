"""The text of an Ansible inventory: what stands behind a password's key is never shown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from deployer.dataclass import replace
from deployer.errors import Where
from deployer.spec.nodes import Source

PASSWORD = re.compile(
    r"""(?P<key>[\w-]*(?:pass|secret|token|api_?key|private_key(?!_file))[\w-]*["']?\s*[=:]\s*|sshpass\s+-p\s*)\S.*""",
    re.IGNORECASE,
)


class AnsibleSource(Source):
    """As any text, with the lines of its diagnostics cut where a password begins."""

    def where(self, line: int, column: int, path: Sequence[str | int] = ()) -> Where:
        found = super().where(line, column, path)
        return replace(found, text=PASSWORD.sub(lambda match: match["key"] + "***", found.text))
