"""The options by which a user says whose bundles may be used, and what is allowed in spite of that."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from deployer.dataclass import dataclass

if TYPE_CHECKING:
    from deployer.weights.bundles.opening import Allowed

ALLOWED = click.option(
    "--allowed-signers",
    metavar="FILE",
    help="Whose bundles are used.  [default: ~/.config/deployer/allowed_signers, ~/.ssh/allowed_signers]",
)
PERMITS = (
    ALLOWED,
    click.option("--allow-unsigned", is_flag=True, help="Use a bundle that nobody signed."),
    click.option("--allow-unknown-signer", is_flag=True, help="Use one that is signed by any key."),
    click.option("--allow-older", is_flag=True, help="Use one that is older than the last one that was used."),
)


@dataclass(frozen=True, slots=True)
class Permits:
    allowed_signers: str | None
    allow_unsigned: bool
    allow_unknown_signer: bool
    allow_older: bool

    def allowed(self, environment: Mapping[str, str]) -> Allowed:
        from deployer.weights.bundles.opening import Allowed

        flags = {"unsigned": self.allow_unsigned, "unknown_signer": self.allow_unknown_signer,
                 "older": self.allow_older}  # fmt: skip
        return Allowed.of(self.allowed_signers, environment, *(name for name, given in flags.items() if given))


def permits(function: Callable[..., int]) -> Callable[..., int]:
    """Folds these options into one value, `given`."""

    def called(*shared: object, **options: Any) -> int:
        given = Permits(**{name: options.pop(name) for name in Permits.__slots__})
        return function(*shared, given=given, **options)

    command: Callable[..., int] = functools.update_wrapper(called, function)
    for option in reversed(PERMITS):
        command = option(command)
    return command
