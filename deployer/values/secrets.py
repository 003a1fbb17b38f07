"""Secrets: references that may be written anywhere, and values that cannot be formatted by accident."""

from __future__ import annotations

import hashlib
from typing import NoReturn

from deployer.dataclass import dataclass


@dataclass(frozen=True, slots=True, order=True)
class SecretRef:
    """Names a secret of the spec's `secrets:`; holds no value."""

    secret: str

    def __str__(self) -> str:
        return f"(secret {self.secret})"


class Secret:
    """A secret's value. Not a `str` subclass: `shlex.quote` and `+` would lose that."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


def fingerprint(value: Secret, project: str, identity: str, name: str) -> str:
    """A salted scrypt fingerprint (about 40 ms): equal values of one project's secret give equal text.

    The salt is made of project, id and the secret's name, so that fingerprints can be compared without
    asking a host for its salt first, and equal secrets of two projects look different.
    """
    salt = hashlib.sha256(f"deployer\0{project}\0{identity}\0{name}".encode()).digest()[:16]
    data = value.reveal().encode("utf-8", "surrogateescape")
    return "scrypt:" + hashlib.scrypt(data, salt=salt, n=2**14, r=8, p=1, dklen=16).hex()
