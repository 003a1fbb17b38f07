"""A bundle from its path to what may be used: who signed it, whether it is newer, and that every byte is right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, OperationError, RefusedError
from deployer.values.bundle import Bundle, Loaded, Signer
from deployer.weights.bundles.archive import TarReader, Volumes, parts_of
from deployer.weights.bundles.index import MOST, digest_of_index, parse_index
from deployer.weights.bundles.reading import FolderReader, Reader, unreadable
from deployer.weights.bundles.signing import judge


@dataclass(frozen=True, slots=True)
class Allowed:
    """Who may sign, and what the user allows in spite of it."""

    signers: tuple[Path, ...]
    unsigned: bool = False
    unknown_signer: bool = False
    older: bool = False

    @classmethod
    def of(cls, named: str | None, environment: Mapping[str, str], *permits: str) -> Allowed:
        """`named`: a file of allowed signers on the command line, instead of the usual ones. `permits`: its flags."""
        home = Path(environment.get("HOME") or "~").expanduser()
        config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
        usual = (config / "deployer/allowed_signers", home / ".ssh/allowed_signers")
        return cls((Path(named),) if named is not None else usual, **dict.fromkeys(permits, True))


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle whose index was read and judged; of its files nothing is known but that they are there."""

    bundle: Bundle
    reader: Reader
    digest: str  # of the index
    signer: Signer


def open_bundle(path: str, allowed: Allowed) -> Opened:
    """OperationError for what is no bundle, RefusedError for a signature that does not hold."""
    reader = _reader(Path(path))
    signer = judge(reader.index, reader.signature, allowed.signers, reader.name)
    bundle = parse_index(reader.index, reader.name)
    reader.check(bundle)
    return Opened(bundle, reader, digest_of_index(reader.index), signer)


@dataclass(frozen=True, slots=True)
class Old:
    """An older bundle, of which only the index matters."""

    bundle: Bundle
    digest: str


def read_old(path: str) -> Old:
    """`path` may be the index alone, or a tar of which only the first part is there. OperationError."""
    place = Path(path)
    if place.suffix == ".json":
        try:
            with place.open("rb") as file:
                text = file.read(MOST + 1)
        except OSError as error:
            raise unreadable(path, error) from None
    else:
        text = _reader(place, is_whole=False).index
    return Old(parse_index(text, path), digest_of_index(text))


def _reader(path: Path, *, is_whole: bool = True) -> Reader:
    if path.is_dir():
        return FolderReader(path)
    parts = parts_of(path, is_whole=is_whole)
    if not parts:
        hint = "name the folder, the tar or one of its parts; `deployer bundle create -o` makes them"
        raise OperationError(Diagnostic("no-such-bundle", f"there is no bundle at `{path}`", hint=hint))
    return TarReader(path, Volumes.of(parts))


def refuse_untrusted(opened: Opened, allowed: Allowed) -> None:
    """RefusedError naming the flag that allows it."""
    signer, name = opened.signer, opened.reader.name
    if signer.trust == "unsigned" and not allowed.unsigned:
        hint = "sign it where it is made (`--key`), or give `--allow-unsigned` if nobody else can have touched it"
        raise RefusedError(Diagnostic("bundle-unsigned", f"nobody signed the bundle `{name}`", hint=hint))
    if signer.trust == "unknown" and not allowed.unknown_signer:
        files = " or ".join(f"`{path}`" for path in allowed.signers)
        message = f"the bundle `{name}` is signed by a key that is not among the allowed signers"
        hint = (
            f"add `NAME ssh-ed25519 ...` with that key to {files}, or give `--allow-unknown-signer` if you know the key"
        )
        raise RefusedError(Diagnostic("unknown-signer", message, evidence=(signer.key,), hint=hint))


def refuse_older(opened: Opened, last: Loaded | None, allowed: Allowed, *, to_keep: bool = False) -> None:
    """RefusedError where one that is newer, or another one of the same number, was used here. `to_keep`: it is kept and
    not applied, as what the newest one was made since may be at any time."""
    bundle = opened.bundle
    if last is None or allowed.older or opened.digest == last.digest or (to_keep and opened.digest == last.parent):
        return
    if bundle.sequence <= last.sequence:
        what = "is older than" if bundle.sequence < last.sequence else "is another one than"
        message = f"bundle {bundle.sequence} of project `{bundle.project}` {what} the newest one used here"
        evidence = (f"that one is {last.sequence}",)
        hint = "take the newest one, or give `--allow-older` if you mean to go back"
        raise RefusedError(Diagnostic("bundle-older", message, evidence=evidence, hint=hint))
