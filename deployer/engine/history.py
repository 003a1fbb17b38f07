"""Reads the journals that `journal` writes, and puts the parts of each apply together. Changes nothing.

A journal is what anybody who may write there says: bounded, and only ever shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from deployer.engine.context import Transports
from deployer.engine.fanout import on_each
from deployer.engine.redaction import clean
from deployer.errors import DeployerError, Diagnostic
from deployer.formats.text import one_line
from deployer.values.codec import parse_json
from deployer.values.history import Applied, Part
from deployer.values.names import STATE_DIR

RUN_TIMEOUT = 20.0
MAX_READ = 1 << 20  # bytes from the end of one host's journal: two hundred entries at least
MAX_ENTRY = 4096
SCRIPT = f'[ ! -e "$1/journal" ] || tail -c {MAX_READ} -- "$1/journal"'


def read_history(
    transports: Transports, hosts: Iterable[str], project: str, state_dir: str = STATE_DIR
) -> tuple[tuple[Applied, ...], tuple[Diagnostic, ...]]:
    """The applies, the last one first; and what is wrong with each host whose journal could not be read."""
    tried = on_each(hosts, lambda host: parse_journal(_journal(transports, host, f"{state_dir}/{project}")))
    problems = [d for error in tried.values() if isinstance(error, DeployerError) for d in error.diagnostics]
    entries = {host: found for host, found in tried.items() if not isinstance(found, DeployerError)}
    return put_together(entries), tuple(problems)


def _journal(transports: Transports, host: str, directory: str) -> bytes:
    done = transports[host].run(["sh", "-c", SCRIPT, "deployer-history", directory], timeout=RUN_TIMEOUT)
    if done.exit_code != 0:
        words = clean(done.stderr[-500:].decode("utf-8", "replace")) or f"exit code {done.exit_code}"
        message = f"host `{host}`: the journal `{directory}/journal` cannot be read"
        hint = "see that the user may read it, or set `become: sudo`"
        raise DeployerError(Diagnostic("journal-unreadable", message, evidence=(words,), hint=hint, host=host))
    return done.stdout


def parse_journal(data: bytes) -> tuple[Mapping[str, Any], ...]:
    """The entries in the order they were written; lines that are none are left out."""
    found = []
    for line in data.split(b"\n"):
        try:
            entry = parse_json(line, MAX_ENTRY) if line else None
        except ValueError:  # cut by the read, or by a host that went down
            continue
        if isinstance(entry, dict) and _word(entry, "apply"):
            found.append(entry)
    return tuple(found)


def put_together(entries: Mapping[str, Iterable[Mapping[str, Any]]]) -> tuple[Applied, ...]:
    """The entries of each apply as one, the last apply first. An apply has one entry a host; a second one is not it."""
    parts: dict[str, dict[str, Part]] = {}
    first: dict[str, Mapping[str, Any]] = {}
    for host, found in entries.items():
        for entry in found:
            apply = _word(entry, "apply")
            first.setdefault(apply, entry)
            parts.setdefault(apply, {}).setdefault(host, part_of(entry))
    applied = [_applied(apply, first[apply], hosts) for apply, hosts in parts.items()]
    return tuple(sorted(applied, key=lambda a: (a.time, a.apply), reverse=True))


def part_of(entry: Mapping[str, Any]) -> Part:
    changes = entry.get("changes")
    texts = [one_line(text) for text in changes[:50] if isinstance(text, str)] if isinstance(changes, list) else []
    more = entry.get("more")
    return Part(
        _word(entry, "time"),
        _word(entry, "result"),
        tuple(texts),
        more if isinstance(more, int) and not isinstance(more, bool) and 0 < more < 1_000_000 else 0,
    )


def _applied(apply: str, entry: Mapping[str, Any], hosts: Mapping[str, Part]) -> Applied:
    return Applied(
        apply=apply,
        verb=_word(entry, "verb"),
        who=_word(entry, "who"),
        hosts=hosts,
        commit=_word(entry, "commit") or None,
        plan=_word(entry, "plan"),
        summary=_word(entry, "summary"),
        deployer=_word(entry, "deployer"),
    )


def _word(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return one_line(value) if isinstance(value, str) else ""
