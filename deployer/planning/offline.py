"""What a plan would have leave the given hosts, named one by one. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.planning.models import BY_NAME
from deployer.spec.language import DeploySpec
from deployer.values.images import registry_of
from deployer.values.operations import EnsureSetup
from deployer.values.plan import Action, Plan, Step
from deployer.values.transfers import FetchWeights, FillCache, LoadImage, PullImage
from deployer.values.weights import Manifest

CREATES = (Action.CREATE, Action.REPLACE, Action.MOVE)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
HINT = "bring it with `apply --bundle`, or put it on the host by hand; without `--offline` it is fetched"


def refused(what: str, hint: str = HINT, host: str | None = None) -> Diagnostic:
    return Diagnostic("offline", f"`--offline`: {what}", hint=hint, host=host)


def outward(plan: Plan, spec: DeploySpec, *, is_brought: bool = False) -> Iterator[Diagnostic]:
    """An error for each thing that leaves them; what goes from a given host to another one does not. `is_brought`: the
    controller has the images that it brings."""
    inside = {*LOOPBACK, *spec.hosts, *(host.address for host in spec.hosts.values() if host.address)}
    for step in plan.steps:
        yield from _step(step, Given(spec, frozenset(inside), is_brought))
    for change in plan.pending:
        is_set_up = any(isinstance(s.operation, EnsureSetup) and s.host == change.host for s in plan.steps)
        if change.action in CREATES or is_set_up:
            for source in _by_name(spec, change.key.service):
                what = f"replica `{change.key}` would fetch `{source}` itself on host `{change.host}`"
                hint = "serve the model from files that deployer brings: `hf://`, `local://` or `file://`"
                yield refused(what, hint, change.host)


@dataclass(frozen=True, slots=True)
class Given:
    """`inside`: names and addresses of the hosts. `is_brought`: the controller has the images that it brings."""

    spec: DeploySpec
    inside: frozenset[str]
    is_brought: bool

    def registry(self, named: str) -> str:
        """Its mirror, where it has one."""
        known = self.spec.registries.get(named)
        return known.mirror.partition("/")[0] if known is not None and known.mirror else named

    def way(self, host: str) -> str:
        """What a host fetches through."""
        proxy = self.spec.hosts[host].proxy
        named = (proxy.https or proxy.http) if proxy is not None else None
        return f" through proxy `{named}`" if named else ""


def _step(step: Step, given: Given) -> Iterator[Diagnostic]:
    match step.operation:
        case PullImage(image=image, registry=named):
            registry = given.registry(named)
            if _host(f"//{registry}") not in given.inside:
                yield refused(f"host `{step.host}` would pull `{image}` from registry `{registry}`", host=step.host)
        case LoadImage(image=image, archive=archive):
            if not archive and not given.is_brought:
                what = f"the controller would fetch `{image}` from registry `{given.registry(registry_of(image))}`"
                yield refused(what, host=step.host)
        case FillCache(spec=container):
            what = f"host `{step.host}` would run `{container.image}` to fetch its model from where its maker keeps it"
            yield refused(what, "fill the cache while the host can reach it", step.host)
        case FetchWeights(manifest=manifest, by=by):
            who, way = (f"host `{step.host}`", given.way(step.host)) if by == "host" else ("the controller", "")
            for place in sorted(_places(manifest)):
                if place not in given.inside or way:
                    yield refused(f"{who} would fetch `{manifest.source}` from `{place}`{way}", host=step.host)
        case _:
            pass


def _places(manifest: Manifest) -> set[str]:
    """The hosts of all URLs that its files may come from."""
    urls = {url for file in manifest.files for url in (file.url, *(place.url for place in file.others))}
    return {_host(url) for url in urls if url and not url.startswith("/")}


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def _by_name(spec: DeploySpec, service: str) -> list[str]:
    """Models that a backend is given by their names, and gets from where it knows."""
    found = spec.services.get(service)
    names = [alone.model for alone in found.each()] if found is not None else []
    models = [spec.models[name] for name in names if name in spec.models]
    return sorted({model.source[0] for model in models if model.scheme in BY_NAME})
