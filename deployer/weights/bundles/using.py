"""A bundle that was judged and is used: where each of its contents is on this disk, and the spec that it brings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import field
from errno import ENOENT
from pathlib import Path

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic, OperationError
from deployer.values.bundle import Bundle
from deployer.values.weights import Listing
from deployer.weights.bundles.index import bad_bundle

Read = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class InUse:
    """`find`: a content by its SHA-256; None where it is neither in the bundle nor in the store of the controller.
    `brings_spec`: the spec in it counts, and not one at hand."""

    bundle: Bundle
    find: Callable[[str], Path | None] = field(compare=False)
    brings_spec: bool = True

    def listings(self) -> dict[str, Listing]:
        """By reference, each file with its path on this disk; what is not here has no URL."""
        return {name: self._located(listing) for name, listing in self.bundle.listings.items()}

    def _located(self, listing: Listing) -> Listing:
        files = tuple(replace(file, url=self._path(file.sha256)) for file in listing.files)
        return replace(listing, files=files, pinned=True)

    def _path(self, sha256: str | None) -> str:
        found = self.find(sha256) if sha256 is not None else None
        return str(found.absolute()) if found is not None else ""

    def reader(self, home: str, beside: Read, given: Mapping[str, str]) -> Read:
        """Reads the texts that the spec was loaded from when the bundle was made. `home`: the user's own here, in whose
        place the maker's was there. Inventories that are `given` here, and what lies beside them, are read `beside`."""

        def read(path: str) -> bytes:
            known = self.bundle.spec.sources
            there = self.bundle.spec.home + path.removeprefix(home) if path.startswith(f"{home}/") else path
            if (sha256 := known.get(path) or known.get(there)) is not None:
                return self._text(sha256)
            if any(path == one or path.startswith(folder) for one, folder in given.items()):
                return beside(path)
            raise FileNotFoundError(ENOENT, "it is not in the bundle", path)

        return read

    def _text(self, sha256: str) -> bytes:
        path = self.find(sha256)
        if path is None:
            message = f"a text of the spec is neither in bundle {self.bundle.sequence} nor in what was loaded before"
            hint = "run `deployer bundle load PATH` for the bundle that has it, then do this again"
            raise OperationError(Diagnostic("bundle-lacks", message, evidence=(sha256,), hint=hint))
        text = path.read_bytes()
        if hashlib.sha256(text).hexdigest() != sha256:
            raise bad_bundle(str(path), "it changed while it was used")
        return text
