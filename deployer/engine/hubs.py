"""The hubs of a project: each asked as the spec says, with the spec's token and no other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from deployer.dataclass import dataclass
from deployer.engine.secrets import SecretStore
from deployer.errors import Diagnostic, OperationError
from deployer.planning.choice import NOT_ASKED
from deployer.spec.language import DeploySpec, Model
from deployer.values.resolved import Unresolved
from deployer.values.secrets import Secret, SecretRef
from deployer.values.weights import Listing, Manifest, Place
from deployer.weights.access import ENDPOINTS, Access, endpoint_of
from deployer.weights.authorities import read_authority


def token_of(hubs: object, hub: str) -> SecretRef | None:
    """The secret that a hub's token is."""
    found = getattr(getattr(hubs, hub, None), "token", None)
    return found if isinstance(found, SecretRef) else None


def tokens_for(
    hubs: object, store: SecretStore, host: str | None, wanted: Iterable[str] = tuple(ENDPOINTS)
) -> dict[str, Secret]:
    """The tokens of these hubs, for a host to be given them (None: they stay on the controller). OperationError."""
    named = {hub: token_of(hubs, hub) for hub in wanted}
    return {hub: store.value(token.secret, host) for hub, token in named.items() if token is not None}


def cas_for(hubs: object, folder: Path, manifest: Manifest) -> dict[str, str]:
    """The private CAs of the hubs that its files may come from over TLS, in PEM. OperationError."""
    places = [Place(file.url, manifest.hub) for file in manifest.files]
    places += [place for file in manifest.files for place in file.others]
    asked = sorted({place.hub for place in places if place.url.startswith("https://")})
    found = {hub: ca_of(hubs, hub, folder) for hub in asked}
    return {hub: ca for hub, ca in found.items() if ca is not None}


def ca_of(hubs: object, hub: str, folder: Path) -> str | None:
    """Of the file that the spec names. OperationError."""
    written = getattr(getattr(hubs, hub, None), "ca", None)
    return read_authority(hub, written, folder) if written is not None else None


def hubs_of(manifest: Manifest) -> tuple[str, ...]:
    """Those that its files may come from."""
    return tuple(sorted({manifest.hub, *(place.hub for file in manifest.files for place in file.others)}))


@dataclass(frozen=True, slots=True)
class Hubs:
    """`folder`: of the spec, from which its paths go."""

    spec: DeploySpec
    store: SecretStore
    environment: Mapping[str, str]
    folder: Path = Path()
    offline: bool = False  # none is asked

    def listing(self, model: Model, locked: Listing | None = None) -> Listing | Unresolved:
        """What the model's source has, or deploy.lock of it; why it cannot be said is a value."""
        if self.offline and (locked is not None or model.scheme != "local"):
            return self.located(locked) if locked is not None else self._unasked(model)
        from deployer.weights.mirrors import list_mirrored, with_mirrors

        try:
            if locked is not None:
                return with_mirrors(self.located(locked), model, self._accesses(model))
            return list_mirrored(model, self._accesses(model), self.folder)
        except OperationError as error:
            found = error.diagnostic
            said = "; ".join((found.message, *found.evidence[:1]))
            return Unresolved(self.store.redactor.redact(said), found.hint)

    def known(self, model: Model, locked: Listing | None = None) -> Listing | Unresolved:
        """As `listing`, of the lock or of this machine's disk alone: no hub is asked."""
        if model.scheme == "local" and locked is None:
            return self.listing(model)
        return NOT_ASKED if locked is None else self.located(locked)

    def located(self, listing: Listing) -> Listing:
        """With the places where its files are found today."""
        from deployer.weights.sources import with_urls

        return with_urls(listing, {hub: Access(self._endpoint(hub)) for hub in ENDPOINTS})

    def hashed(self, model: Model) -> Listing:
        """What the model's source has, with the SHA-256 of every file. OperationError."""
        if self.offline:
            unasked = self._unasked(model)
            raise OperationError(Diagnostic("offline", unasked.reason, hint=unasked.hint))
        from deployer.weights.hashing import with_hashes
        from deployer.weights.mirrors import list_mirrored

        accesses = self._accesses(model)
        listing = list_mirrored(model, accesses, self.folder)
        return with_hashes(listing, accesses.get((listing.origin or listing.source).partition("://")[0]))

    def _unasked(self, model: Model) -> Unresolved:
        hub = model.scheme
        place = self._endpoint(hub) if hub in ENDPOINTS else model.source[0]
        hint = "run `deployer lock` where it can be reached, or bring a bundle from there"
        return Unresolved(f"`--offline`: {place} would be asked what `{model.source[0]}` has", hint)

    def _accesses(self, model: Model) -> dict[str, Access]:
        schemes = {source.partition("://")[0] for source in model.source}
        return {hub: self._access(hub) for hub in ENDPOINTS if hub in schemes}

    def _endpoint(self, hub: str) -> str:
        return endpoint_of(hub, getattr(self.spec.hubs, hub).endpoint, self.environment)

    def _access(self, hub: str) -> Access:
        endpoint = self._endpoint(hub)
        token, ca = token_of(self.spec.hubs, hub), ca_of(self.spec.hubs, hub, self.folder)
        if token is None:
            return Access(endpoint, ca=ca, hub=hub)
        return Access(endpoint, self.store.value(token.secret, host=None), token.secret, ca, hub)
