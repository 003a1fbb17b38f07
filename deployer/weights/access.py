"""How a hub is asked: where it is, as whom, and for how long. Asks nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, OperationError
from deployer.formats.text import one_line
from deployer.values.secrets import Secret
from deployer.values.weights import Place

TIMEOUT = 30.0  # seconds for one answer of a hub
MOST_FILES = 20_000  # of one model
LARGEST = 1 << 60  # bytes of one file: beyond it a hub lies
ENDPOINTS = {"hf": "https://huggingface.co", "modelscope": "https://modelscope.cn"}
SOURCE_HINT = "let the user who runs deployer read it, or correct `source`"
FROM_ENVIRONMENT = {"hf": "HF_ENDPOINT", "modelscope": "MODELSCOPE_ENDPOINT"}


@dataclass(frozen=True, slots=True)
class Access:
    """`endpoint`: without a slash at its end. `token_name`: the secret that the token is, for hints. `ca`: certificates
    in PEM that are believed too. `hub`: its name in the spec, if there is one."""

    endpoint: str
    token: Secret | None = None
    token_name: str | None = None
    ca: str | None = None
    hub: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return bearer(self.token)


@dataclass(frozen=True, slots=True)
class Way:
    """How one file is come by: a path of the controller's disk or a URL, with what its hub is told and believed by."""

    url: str
    token: Secret | None = None
    ca: str | None = None
    hub: str = ""


def way_to(place: Place, tokens: Mapping[str, Secret], cas: Mapping[str, str]) -> Way:
    """`tokens` and `cas`: by hub."""
    return Way(place.url, tokens.get(place.hub), cas.get(place.hub), place.hub)


def bearer(token: Secret | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}"} if token is not None else {}


def endpoint_of(hub: str, written: str | None, environment: Mapping[str, str]) -> str:
    """The spec's, that of the environment, or the hub's own. OperationError for what is no address."""
    endpoint = (written or environment.get(FROM_ENVIRONMENT[hub]) or ENDPOINTS[hub]).rstrip("/")
    try:
        parts = urlsplit(endpoint)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
    except ValueError:
        is_address = False
    if not is_address or not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint:
        hint = "write it as `https://hf-mirror.local`"
        raise failure("bad-endpoint", f"the endpoint of hub `{hub}` is no address: `{one_line(endpoint)}`", hint)
    return endpoint


def failure(code: str, message: str, hint: str | None = None, evidence: tuple[str, ...] = ()) -> OperationError:
    return OperationError(Diagnostic(code, message, evidence=evidence, hint=hint))


def unreachable(what: str, endpoint: str, error: object, hub: str = "") -> OperationError:
    """`what` was asked about and could not be. `hub`: whose endpoint it is."""
    why = one_line(str(error)) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        hint = "name a file with its CA in SSL_CERT_FILE here; hosts have trusted certificates of their own"
        if hub in ENDPOINTS:
            hint = f"name a file with its CA in `hubs.{hub}.ca`; hosts believe it too"
        return failure("bad-certificate", f"the certificate of {endpoint} is not trusted here", hint, (why,))
    hint = "check the network, or set `hubs: {hf: {endpoint: ...}}` to a mirror that can be reached"
    return failure("hub-unreachable", f"{endpoint} cannot be asked about `{what}`", hint, (why,))


def checked_size(size: object, path: str, source: str) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= LARGEST:
        hint = "the hub or the mirror is out of order; try another one"
        raise failure("bad-listing", f"the hub gives no size for `{one_line(path)}` of `{source}`", hint)
    return size
