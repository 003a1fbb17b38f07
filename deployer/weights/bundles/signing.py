"""Signatures of bundles by the SSH keys that people have: `ssh-keygen -Y` of the system makes and judges them.

Form and namespaces: OpenSSH PROTOCOL.sshsig; `allowed_signers`: ssh-keygen(1).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from deployer.errors import Diagnostic, OperationError, RefusedError
from deployer.formats.text import decoded, one_line
from deployer.transport import process
from deployer.transport.base import Completed
from deployer.values.bundle import SIGNATURE, Signer

NAMESPACE = "deployer-bundle"
TIMEOUT = 60.0  # seconds: a key on a token waits for a touch
GOOD = f'Good "{NAMESPACE}" signature'


def sign(text: bytes, key: Path) -> bytes:
    """`key`: a private key, or the public one of a key that an agent holds. OperationError."""
    done = _keygen(["-Y", "sign", "-f", str(key), "-n", NAMESPACE], text)
    if done.exit_code == 0 and done.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        return done.stdout
    hint = f"load it with `ssh-add {key}`, and name its public half with `--key {key}.pub`; or make it with ssh-keygen"
    raise OperationError(Diagnostic("cannot-sign", f"`{key}` cannot sign the bundle", evidence=_words(done), hint=hint))


def judge(text: bytes, signature: bytes | None, allowed: Iterable[Path], place: str) -> Signer:
    """Who signed; RefusedError `bad-signature` where that does not hold, whoever it says it was."""
    if signature is None:
        return Signer("unsigned")
    with tempfile.TemporaryDirectory(prefix="deployer-") as folder:
        file = Path(folder, SIGNATURE)
        file.write_bytes(signature)
        said = _keygen(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(file)], text)
        words = one_line(decoded(said.stdout), 300)
        if said.exit_code != 0 or not words.startswith(GOOD):
            message = f"the signature of `{place}` is not one of its index: it was changed after it was signed"
            hint = "take the bundle from where it was made; no flag allows this one"
            raise RefusedError(Diagnostic("bad-signature", message, evidence=_words(said), hint=hint))
        key = words.removeprefix(GOOD).removeprefix(" with ").replace(" key ", " ", 1)
        name = next((found for path in allowed if (found := _known(text, file, path)) is not None), None)
    return Signer("unknown", key=key) if name is None else Signer("trusted", name, key)


def _known(text: bytes, signature: Path, allowed: Path) -> str | None:
    """The principal under which a file of allowed signers has the key, for this namespace and today."""
    if not allowed.is_file():
        return None
    files = ["-s", str(signature), "-f", str(allowed)]
    named = decoded(_keygen(["-Y", "find-principals", *files], text).stdout).splitlines()
    for name in named[:10]:
        done = _keygen(["-Y", "verify", "-n", NAMESPACE, "-I", name, *files], text)
        if done.exit_code == 0 and decoded(done.stdout).startswith(f"{GOOD} for "):
            return one_line(name, 100)
    return None


def _keygen(argv: list[str], text: bytes) -> Completed:
    try:
        return process.run(["ssh-keygen", *argv], text, TIMEOUT)
    except process.Overdue:
        why, hint = f"did not end within {TIMEOUT:g} s", "see whether the key waits for a touch"
    except OSError:
        why, hint = "cannot be started", "install OpenSSH's client here"
    raise OperationError(Diagnostic("no-ssh-keygen", f"`ssh-keygen` {why}, which signs and checks bundles", hint=hint))


def _words(done: Completed) -> tuple[str, ...]:
    lines = decoded(done.stderr[-2000:]).splitlines()
    return tuple(one_line(line) for line in lines if line.strip() and not line.startswith("Signing data"))[-3:]
