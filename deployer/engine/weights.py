"""Performs the fetch of weights into a host's cache: with the hub's token, followed byte by byte."""

from __future__ import annotations

from deployer.engine.context import Site
from deployer.engine.hubs import hubs_of, tokens_for
from deployer.values.plan import FetchWeights
from deployer.weights.push import push
from deployer.weights.script import Job
from deployer.weights.transfer import fetch

WAITING = {"waiting": "another fetch of it runs on the host", "checking": "what is there is being read"}


def fetch_weights(operation: FetchWeights, site: Site) -> str:
    manifest = operation.manifest
    goes_to = site.host if operation.by == "host" else None
    tokens = tokens_for(site.context.hubs, site.context.secrets, goes_to, hubs_of(manifest))

    def follow(word: str, count: int) -> None:
        site.watch.pause(0)
        if word == "wrong":
            return
        site.watch.progress(count, manifest.size, WAITING.get(word, ""))

    site.watch.pause(0)
    job = Job(operation.cache_dir, manifest, tokens, proxy=site.transport.host.proxy)
    came = (fetch if operation.by == "host" else push)(site.transport, job, follow)
    return "" if came else "was there already"
