"""The hubs of a project: each asked as the spec says, with the spec's token and no other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deployer.dataclass import dataclass
from deployer.engine.secrets import SecretStore
from deployer.errors import OperationError
from deployer.spec.language import DeploySpec, Model
from deployer.values.resolved import Unresolved
from deployer.values.secrets import SecretRef
from deployer.values.weights import Listing
from deployer.weights.access import ENDPOINTS, Access, endpoint_of
from deployer.weights.hashing import with_hashes
from deployer.weights.sources import list_source, with_urls


def token_of(hubs: object, hub: str) -> SecretRef | None:
    """The secret that a hub's token is."""
    found = getattr(getattr(hubs, hub, None), "token", None)
    return found if isinstance(found, SecretRef) else None


@dataclass(frozen=True, slots=True)
class Hubs:
    spec: DeploySpec
    store: SecretStore
    environment: Mapping[str, str]
    folder: Path = Path()

    def listing(self, model: Model, locked: Listing | None = None) -> Listing | Unresolved:
        """What the model's source has, or deploy.lock of it; why it cannot be said is a value."""
        try:
            if locked is not None:
                return self.located(locked)
            return list_source(model, self._accesses(model), self.folder)
        except OperationError as error:
            found = error.diagnostic
            said = "; ".join((found.message, *found.evidence[:1]))
            return Unresolved(self.store.redactor.redact(said), found.hint)

    def located(self, listing: Listing) -> Listing:
        """With the places where its files are found today."""
        return with_urls(listing, {hub: Access(self._endpoint(hub)) for hub in ENDPOINTS})

    def hashed(self, model: Model) -> Listing:
        """What the model's source has, with the SHA-256 of every file. OperationError."""
        accesses = self._accesses(model)
        return with_hashes(list_source(model, accesses, self.folder), accesses.get(model.scheme))

    def _accesses(self, model: Model) -> dict[str, Access]:
        return {hub: self._access(hub) for hub in ENDPOINTS if hub == model.scheme}

    def _endpoint(self, hub: str) -> str:
        return endpoint_of(hub, getattr(self.spec.hubs, hub).endpoint, self.environment)

    def _access(self, hub: str) -> Access:
        endpoint = self._endpoint(hub)
        token = token_of(self.spec.hubs, hub)
        if token is None:
            return Access(endpoint)
        return Access(endpoint, self.store.value(token.secret, host=None), token.secret)
