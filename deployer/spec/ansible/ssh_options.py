"""Options of the ssh command line in words of the language: jump hosts, user, port, key, known_hosts. man ssh."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import field

from deployer.dataclass import dataclass

SILENT = frozenset("AaCKkMqTtvnXxY")  # flags that change neither where a connection leads nor who is let in
WITH_VALUE = frozenset("BbcDEeFIiJLlmOopQRSWw")
KEYWORDS = {"i": "identityfile", "J": "proxyjump", "l": "user", "p": "port", "S": "controlpath"}
SILENT_KEYWORDS = frozenset({
    "addkeystoagent", "batchmode", "canonicalizehostname", "checkhostip", "compression", "connectionattempts",
    "connecttimeout", "controlmaster", "controlpath", "controlpersist", "forwardagent", "forwardx11",
    "gssapiauthentication", "gssapidelegatecredentials", "hashknownhosts", "identitiesonly", "ipqos",
    "kbdinteractiveauthentication", "challengeresponseauthentication", "loglevel", "numberofpasswordprompts",
    "passwordauthentication", "preferredauthentications", "pubkeyauthentication", "requesttty", "serveralivecountmax",
    "serveraliveinterval", "setenv", "sendenv", "tcpkeepalive", "updatehostkeys", "visualhostkey",
})  # fmt: skip
OPTION = re.compile(r"\s*([A-Za-z]\w*)(?:\s*=\s*|\s+)(.*)\Z", re.DOTALL)
FORWARD = frozenset({"%h:%p", "[%h]:%p"})
NETCAT = re.compile(r"(?:\S*/)?(?:nc|ncat|netcat)(?:\s+-\S+(?:\s+\d+\w*)?)*\s+\[?%h\]?\s+%p\Z")
NO_HOST = re.compile(r"\A-|[\s'\"`;|&<>$(){}\\]|%(?!r@)")
MOST_JUMPS = 8


@dataclass(slots=True)
class SshOptions:
    """What options say, the first of each kind, as for ssh. `unverified`: they turn off the check of host keys.
    `refused`: those that say something else, as they are written. `words`: what is no option."""

    user: str | None = None
    port: str | None = None
    key: str | None = None
    jump: str | None = None  # `-J`'s value; empty: none at all
    known_hosts: str | None = None
    forward: str | None = None  # `-W`
    unverified: bool = False
    refused: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    inner_key: str | None = None  # that of a jump host


def parse_ssh_options(text: str, level: int = 0) -> SshOptions:
    """Reads a command line's options; `level` counts commands inside commands."""
    found = SshOptions()
    try:
        words = iter(shlex.split(text))
    except ValueError:
        found.refused.append(text)
        return found
    for word in words:
        if found.words or not word.startswith("-") or word == "-":
            found.words.append(word)
        else:
            _take_flags(word, words, found, level)
    return found


def _take_flags(word: str, words: Iterator[str], found: SshOptions, level: int) -> None:
    for index, flag in enumerate(word[1:], start=1):
        if flag in WITH_VALUE:
            value = word[index + 1 :] or next(words, None)
            if value is None:
                found.refused.append(word)
            else:
                _take_value(flag, value, found, level)
            return
        if flag not in SILENT:
            found.refused.append(f"-{flag}")


def _take_value(flag: str, value: str, found: SshOptions, level: int) -> None:
    if flag == "W":
        found.forward = value
    elif flag == "o":
        match = OPTION.match(value)
        if match is None:
            found.refused.append(f"-o {value}")
        else:
            _take_keyword(match[1], match[2].strip().strip('"'), found, level)
    elif flag in KEYWORDS:
        _take_keyword(KEYWORDS[flag], value, found, level, written=f"-{flag}")
    else:
        found.refused.append(f"-{flag} {value}")


def _take_keyword(keyword: str, value: str, found: SshOptions, level: int, written: str = "") -> None:
    written = f"{written} {value}" if written else f"-o {keyword}={value}"
    match keyword.lower():
        case "user":
            found.user = found.user or value
        case "port":
            found.port = found.port or value
        case "identityfile" | "userknownhostsfile" | "globalknownhostsfile":
            _take_file(keyword.lower(), value, written, found)
        case "proxyjump" | "proxycommand" if found.jump is not None:
            pass
        case "proxyjump":
            _take_jump("" if value.lower() == "none" else value, written, found)
        case "proxycommand":
            _take_proxy(value, found, level)
        case "stricthostkeychecking":
            found.unverified |= value.lower() in ("no", "off", "accept-new")
        case silent if silent in SILENT_KEYWORDS:
            pass
        case _:
            found.refused.append(written)


def _take_file(keyword: str, value: str, written: str, found: SshOptions) -> None:
    if keyword == "identityfile":
        if found.key not in (None, value):
            found.refused.append(written)
        found.key = found.key or value
    elif value.lower() in ("/dev/null", "none"):
        found.unverified |= keyword == "userknownhostsfile"
    elif keyword == "globalknownhostsfile" or len(value.split()) > 1 or "%" in value:
        found.refused.append(written)
    else:
        found.known_hosts = found.known_hosts or value


def _take_jump(value: str, written: str, found: SshOptions) -> None:
    hops = value.split(",") if value else []
    if len(hops) > MOST_JUMPS or any(not hop or NO_HOST.search(hop) for hop in hops):
        found.refused.append(written)
    else:
        found.jump = value


def _take_proxy(command: str, found: SshOptions, level: int) -> None:
    """`ssh -W %h:%p [user@]jump`, also as `ssh jump nc %h %p`; no other command is run."""
    if command.lower() == "none":
        found.jump = ""
        return
    program, _, rest = command.strip().removeprefix("exec ").strip().partition(" ")
    inner = parse_ssh_options(rest, level + 1) if level < MOST_JUMPS else SshOptions(refused=[command])
    destination = _destination(inner) if program.rpartition("/")[2] == "ssh" and not inner.refused else None
    if destination is None:
        found.refused.append(f"-o ProxyCommand={program} ...")  # a password may follow
        return
    found.unverified |= inner.unverified
    found.inner_key = inner.inner_key or inner.key
    found.known_hosts = found.known_hosts or inner.known_hosts
    hops = f"{inner.jump},{destination}" if inner.jump else destination
    _take_jump(hops, f"-o ProxyCommand={program} ...", found)


def _destination(options: SshOptions) -> str | None:
    """Where a proxy's own ssh connects to, as a hop of `-J`; None where it does something else there."""
    if not options.words:
        return None
    host, *after = options.words
    trailing = parse_ssh_options(shlex.join(after), MOST_JUMPS) if after[:1] and after[0].startswith("-") else None
    if trailing is not None:  # `ssh jump -W %h:%p`: options may follow the host
        if trailing.refused or trailing.words or trailing.forward is None:
            return None
        options.forward, options.key = trailing.forward, options.key or trailing.key
        options.user, options.port = options.user or trailing.user, options.port or trailing.port
        options.unverified |= trailing.unverified
    elif options.forward is None and not NETCAT.match(" ".join(after)):
        return None
    if options.forward is not None and (options.forward not in FORWARD or (after and trailing is None)):
        return None
    return _hop(host.removeprefix("ssh://"), options)


def _hop(host: str, options: SshOptions) -> str:
    user, separator, address = host.rpartition("@")
    user = user if separator else options.user or ""
    if options.port and address.count(":") > 1 and not address.startswith("["):
        address = f"[{address}]"
    return (f"{user}@" if user else "") + address + (f":{options.port}" if options.port else "")
