"""Performs the fetch of weights into a host's cache: with the hub's token, followed byte by byte."""

from __future__ import annotations

from deployer.engine.context import Site
from deployer.engine.hubs import token_of
from deployer.values.plan import FetchWeights
from deployer.weights.push import push
from deployer.weights.script import Job
from deployer.weights.transfer import fetch

WAITING = {"waiting": "another fetch of it runs on the host", "checking": "what is there is being read"}


def fetch_weights(operation: FetchWeights, site: Site) -> str:
    manifest = operation.manifest
    token = token_of(site.context.hubs, manifest.source.partition("://")[0])
    goes_to = site.host if operation.by == "host" else None
    secret = site.context.secrets.value(token.secret, goes_to) if token is not None else None

    def follow(word: str, count: int) -> None:
        site.watch.pause(0)
        if word == "wrong":
            return
        site.watch.progress(count, manifest.size, WAITING.get(word, ""))

    site.watch.pause(0)
    job = Job(operation.cache_dir, manifest, secret)
    came = (fetch if operation.by == "host" else push)(site.transport, job, follow)
    return "" if came else "was there already"
