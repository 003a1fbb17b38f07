"""JSON for machines, written so that a terminal that shows it is safe too."""

from __future__ import annotations

import json
import re
from typing import Any

from deployer.view.page import CI_MARKER, UNSAFE

FORMAT_VERSION = 1


def render_json(data: Any, *, indent: int | None = 2) -> str:
    """UTF-8 as it is; what a terminal would obey is written as \\uXXXX. Ends with a newline."""
    text = json.dumps(data, ensure_ascii=False, indent=indent, separators=None if indent else (",", ":"))
    return "\n".join(CI_MARKER.sub("#\\\\u0023", UNSAFE.sub(_escape, line)) for line in text.split("\n")) + "\n"


def _escape(match: re.Match[str]) -> str:
    return json.dumps(match.group())[1:-1] if match.group() != "\x7f" else "\\u007f"
