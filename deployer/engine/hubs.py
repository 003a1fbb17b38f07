"""The hubs of a project: each asked as the spec says, with the spec's token and no other."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.dataclass import dataclass
from deployer.engine.secrets import SecretStore
from deployer.errors import OperationError
from deployer.spec.language import DeploySpec, Model
from deployer.values.resolved import Unresolved
from deployer.values.secrets import SecretRef
from deployer.values.weights import Listing
from deployer.weights.access import ENDPOINTS, Access, endpoint_of
from deployer.weights.sources import list_source


def token_of(hubs: object, hub: str) -> SecretRef | None:
    """The secret that a hub's token is."""
    found = getattr(getattr(hubs, hub, None), "token", None)
    return found if isinstance(found, SecretRef) else None


@dataclass(frozen=True, slots=True)
class Hubs:
    spec: DeploySpec
    store: SecretStore
    environment: Mapping[str, str]

    def listing(self, model: Model) -> Listing | Unresolved:
        """What the model's source has; why it cannot be said is a value."""
        try:
            accesses = {hub: self._access(hub) for hub in ENDPOINTS if hub == model.scheme}
            return list_source(model, accesses)
        except OperationError as error:
            found = error.diagnostic
            said = "; ".join((found.message, *found.evidence[:1]))
            return Unresolved(self.store.redactor.redact(said), found.hint)

    def _access(self, hub: str) -> Access:
        endpoint = endpoint_of(hub, getattr(self.spec.hubs, hub).endpoint, self.environment)
        token = token_of(self.spec.hubs, hub)
        if token is None:
            return Access(endpoint)
        return Access(endpoint, self.store.value(token.secret, host=None), token.secret)
