"""What the system's ssh complains of, as one of our errors. Pure."""

from __future__ import annotations

import re

from deployer.errors import AuthenticationError, Diagnostic, HostError, HostKeyError
from deployer.transport.failures import tail, unreachable

BEHIND = re.compile(r"stdio forwarding (?:request )?failed", re.IGNORECASE)  # of ssh -W
DROPPED = re.compile(r"kex_exchange_identification|Exceeded MaxStartups|Connection (?:closed|reset) by")


def is_dropped(words: bytes) -> bool:
    """sshd's MaxStartups closes, or resets, before it says who it is; so looks a jump host that gets no further."""
    text = words.decode("utf-8", "replace")
    return DROPPED.search(text) is not None and BEHIND.search(text) is None


def failure(name: str, address: str, words: bytes) -> HostError:
    """ssh's complaint as one of our errors, with its own words as evidence."""
    text, evidence = words.decode("utf-8", "replace"), tail(words)

    def diagnostic(code: str, message: str, hint: str) -> Diagnostic:
        return Diagnostic(code, message, evidence=evidence, host=name, hint=hint)

    if "revoked" in text and "key" in text:
        hint = "give the host a new key; a revoked one may be in other hands"
        return HostKeyError(diagnostic("host-key-revoked", f"the key of host `{name}` ({address}) is revoked", hint))
    if "IDENTIFICATION HAS CHANGED" in text:
        hint = "if the host was set up anew, compare the fingerprint on its console, remove the old key and add the new"
        message = f"the key of host `{name}` ({address}) is not the known one"
        return HostKeyError(diagnostic("host-key-changed", message, hint))
    if "host key is known" in text or "Host key verification failed" in text:
        hint = f"compare the fingerprint on the host's console, then `ssh {address} true` once by hand"
        message = f"the key of host `{name}` ({address}) is in no known_hosts file"
        return HostKeyError(diagnostic("host-key-unknown", message, hint))
    if "Permission denied" in text or "Too many authentication failures" in text:
        hint = "add a public key to the user's authorized_keys on the host, or set `user` and `key`"
        message = f"host `{name}` ({address}) lets us in with no key at hand"
        return AuthenticationError(diagnostic("auth-refused", message, hint))
    if BEHIND.search(text):
        return unreachable(name, address, "its jump host gets no connection to it")
    last = evidence[-1].rpartition(": ")[2] if evidence else "ssh did not get through in time"
    return unreachable(name, address, last[:1].lower() + last[1:])
