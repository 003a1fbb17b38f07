"""`pattern` compiles a regular expression when it is first used: all those of a plan take a tenth of its time at
import, and most are for what is not there. Checkers see `re.compile`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any


class LatePattern:
    """Becomes the compiled pattern, whose methods it has from then on."""

    def __init__(self, text: str, flags: int = 0) -> None:
        self._text, self._flags = text, flags

    def __getattr__(self, name: str) -> Any:
        method = getattr(re.compile(self._text, self._flags), name)
        self.__dict__[name] = method
        return method


if TYPE_CHECKING:
    pattern = re.compile
else:
    pattern = LatePattern
