"""Lines people wrote, fit to be shown: without what looks like a token, or stands where a secret should."""

from __future__ import annotations

import re
from collections.abc import Sequence

LIKE_A_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:(?P<hf>hf_)[A-Za-z0-9]{20,}|(?P<nv>nvapi-)[A-Za-z0-9_-]{20,}"
    r"|(?P<sk>sk-)(?:[A-Za-z0-9]+-){0,3}[A-Za-z0-9_-]*[A-Za-z0-9_]{16,}[A-Za-z0-9_-]*)"
)
MASK = "***"
LIKE_ITS_KEY = re.compile(r"(?i)(?:^|[^a-z0-9])(?:api[_-]?keys?|(?:auth|access|hf|hub|bearer)?[_-]?token|passw(?:or)?d"
                          r"|passphrase|credentials?|private[_-]?key|secret|secret[_-]?key)\Z")  # fmt: skip
KEY = re.compile(r"""(?P<key>"[^"\n]{1,80}"|'[^'\n]{1,80}'|[A-Za-z0-9_.-]{1,80})[ \t]*[:=](?=[\s"']|\Z)[ \t]*""")
FLAG = re.compile(r"""--[a-z-]*(?:api-key|token|password)["']?[ \t]*[,= ][ \t]*(?=\S)""")
REFERENCE = re.compile(r"\[?[ \t]*\{[ \t]*secret[ \t]*:|[|>&*]|\Z|#")
NAME = re.compile(r"""["']?[A-Za-z0-9][A-Za-z0-9_.-]{0,40}["']?[ \t]*(?=[,}\]#]|\Z)""")
SOURCE = re.compile(r"\{[ \t]*(?:env|file|command|hosts)[ \t]*:")
SOURCE_KEYS = ("env", "file", "command", "hosts", "secrets")


def mask_secrets(text: str) -> str:
    """The text with everything that looks like a token cut to its first letters."""
    return LIKE_A_SECRET.sub(lambda match: f"{match['hf'] or match['nv'] or match['sk']}{MASK}", text)


def is_for_a_secret(path: Sequence[str | int]) -> bool:
    """A value under these keys may be one that somebody wrote by mistake."""
    names = [key for key in path if isinstance(key, str)]
    is_source = len(names) > 2 and names[2] in SOURCE_KEYS
    return bool(names) and (bool(LIKE_ITS_KEY.search(names[-1])) or (names[0] == "secrets" and not is_source))


def mask_line(line: str, path: Sequence[str | int]) -> str:
    """A line of a spec or inventory, cut where a value begins that may be a secret."""
    flag = FLAG.search(line)
    line = line[: flag.end()] + MASK if flag else line
    in_secrets = path[:1] == ("secrets",) or line.lstrip().startswith("secrets:")
    for match in KEY.finditer(line):
        name, value = match["key"].strip("\"'"), line[match.end() :]
        if in_secrets and name == "secrets":
            hidden = bool(value) and value[0] not in "{#&*"
        elif in_secrets and name not in SOURCE_KEYS:
            hidden = not (SOURCE.match(value) or not value.strip() or value.startswith("#"))
        elif name == "secret":
            hidden = bool(value) and not NAME.match(value)
        else:
            hidden = bool(LIKE_ITS_KEY.search(name)) and not REFERENCE.match(value)
        if hidden:
            return mask_secrets(line[: match.end()]) + MASK
    return mask_secrets(line)
