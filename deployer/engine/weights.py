"""Performs the fetch of weights into a host's cache: with the hub's token, followed byte by byte."""

from __future__ import annotations

from deployer.dataclass import replace
from deployer.engine.context import Site
from deployer.engine.hubs import cas_for, hubs_of, tokens_for
from deployer.errors import OperationError
from deployer.values.events import Note
from deployer.values.transfers import FetchWeights
from deployer.values.weights import Manifest
from deployer.weights.push import push
from deployer.weights.script import Job, Peer
from deployer.weights.transfer import Follow, fetch

WAITING = {"waiting": "another fetch of it runs on the host", "checking": "what is there is being read"}
FINAL = ("disk-full", "cache-unwritable", "cache-busy", "curl-missing")  # whoever brings it: it does not help


def fetch_weights(operation: FetchWeights, site: Site) -> str:
    is_whole = False
    try:
        came = _fetch(operation, site)
        is_whole = True
    finally:
        site.context.peers.ended(operation.manifest.id, site.host, failed=not is_whole)
    return "" if came else "was there already"


def _fetch(operation: FetchWeights, site: Site) -> int:
    manifest = operation.manifest
    goes_to = site.host if operation.by == "host" else None
    tokens = tokens_for(site.context.hubs, site.context.secrets, goes_to, hubs_of(manifest))
    peers = site.context.peers.of(manifest.id, operation.peers)
    follow = _follower(site, manifest, peers)
    site.watch.pause(0)
    cas = cas_for(site.context.hubs, site.context.folder, manifest)
    job = Job(operation.cache_dir, manifest, tokens, proxy=site.transport.host.proxy, trusts=True, cas=cas)
    if operation.by == "host":
        return fetch(site.transport, replace(job, peers=peers), follow)
    if not peers:
        return push(site.transport, job, follow)
    return _from_peers(site, job, peers, follow)


def _from_peers(site: Site, job: Job, peers: tuple[Peer, ...], follow: Follow) -> int:
    """Of a host that gets nothing from hubs: what its peers have not given, the controller brings."""
    bare = replace(job.manifest, files=tuple(replace(f, url="", others=()) for f in job.manifest.files))
    try:
        return fetch(site.transport, replace(job, manifest=bare, tokens={}, cas={}, peers=peers), follow)
    except OperationError as error:
        if error.diagnostic.code in FINAL:
            raise
        _say(site, f"its peers do not give it {job.manifest.source}; the controller brings it")
    return push(site.transport, job, follow)


def _follower(site: Site, manifest: Manifest, peers: tuple[Peer, ...]) -> Follow:
    def follow(word: str, count: int) -> None:
        site.watch.pause(0)
        if word == "left" and 1 <= count <= len(peers):
            peer = peers[count - 1]
            where = peer.url.removeprefix("http://")
            _say(site, f"peer `{peer.host}` gives no more of {manifest.source} ({where}); it goes on from elsewhere")
        elif word not in ("wrong", "left"):
            site.watch.progress(count, manifest.size, WAITING.get(word, ""))

    return follow


def _say(site: Site, what: str) -> None:
    site.watch.emit(Note(what, site.host))
