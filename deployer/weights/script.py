"""The script that a host fetches a manifest with, as text for `sh -s`. Runs nothing; what goes in is quoted here."""

from __future__ import annotations

import json
import posixpath
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from deployer.dataclass import dataclass
from deployer.formats.hub_names import refused_names
from deployer.spec.language.hosts import Proxy
from deployer.transport.quoting import in_curl_config
from deployer.values.secrets import Secret
from deployer.values.weights import COMMIT, Manifest, Place, WeightFile, blobs_of
from deployer.weights.access import Way, way_to

WORKERS = 4  # files at once
STALL = 30  # seconds with less than 1 KiB/s after which a transfer is begun anew where it was
TRIES = 6  # in a row without a byte
PATIENCE = 360  # times in a row that a peer may say "not yet", each after up to ten seconds
REF_PARTS = ("", ".", "..")


@dataclass(frozen=True, slots=True)
class Peer:
    """A host of the project that serves the contents of a manifest: at `url`, by their names, to who says `token`."""

    host: str
    url: str
    token: Secret


@dataclass(frozen=True, slots=True)
class Job:
    """`tokens`: by hub; each goes with requests to that hub's own URLs, and to no host they redirect to. `cas`: by hub,
    in PEM; believed for that hub's URLs, and beside what the host believes, since those may redirect. `pushed`: the
    controller brought all contents; nothing is fetched. `proxy`: what the host fetches through; None: what its
    environment says. `peers`: asked before any hub, in this order, and never through a proxy. `trusts`: what is there
    whole by size and time is not read again."""

    cache_dir: str
    manifest: Manifest
    tokens: Mapping[str, Secret] = field(default_factory=dict)
    stall: int = STALL
    tries: int = TRIES
    pushed: bool = False
    proxy: Proxy | None = None
    peers: tuple[Peer, ...] = ()
    trusts: bool = False
    cas: Mapping[str, str] = field(default_factory=dict)

    @property
    def hubs(self) -> list[str]:
        """Those whose URLs are asked in a way of their own."""
        return sorted({*self.tokens, *self.cas})

    def way(self, place: Place) -> Way:
        return way_to(place, self.tokens, self.cas)


def fetch_script(job: Job) -> bytes:
    """ValueError where a name in the manifest could leave its folder: such manifests are refused long before."""
    _check(job.manifest)
    contents = tuple({file.blob: file for file in job.manifest.files}.values())
    settings = {
        "CACHE": job.cache_dir,
        "FOLDER": job.manifest.folder,
        "COMMIT": job.manifest.commit,
        "ID": job.manifest.id,
        "REF": _ref(job.manifest),
        "MANIFEST": manifest_text(job.manifest),
        "COUNT": str(len(contents)),
        "BLOBS": f" {' '.join(file.blob for file in contents)} ",
        "WORKERS": str(WORKERS),
        "PUSHED": "yes" if job.pushed else "",
        "TRUSTS": "yes" if job.trusts else "",
        "STALL": str(job.stall),
        "TRIES": str(job.tries),
        "PATIENCE": str(PATIENCE),
        "CAS": " ".join(str(len(job.peers) + 1 + job.hubs.index(hub)) for hub in sorted(job.cas)),
        **_proxies(job),
    }
    lines = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
    lines += ["item() {", "case $1 in", *_items(job, contents), "esac", "}"]
    lines += ["token() {", "case $1 in", *_tokens(job), "*) TOKEN= PEER= CA= ;;", "esac", "}"]
    lines += ["authority() {", "case $1 in", *_authorities(job), "esac", "}"]
    lines += ["links() {", ":", *_links(job.manifest), "}"]
    return ("\n".join(lines) + "\n" + script_body() + "\nmain </dev/null\n").encode("utf-8", "surrogateescape")


@cache
def script_body() -> str:
    return Path(__file__).with_name("fetch.sh").read_text("utf-8")


def manifest_text(manifest: Manifest) -> str:
    """What is kept on a host of a manifest that is there whole."""
    files = [{"path": f.path, "size": f.size, "blob": f.blob, **_told_apart(f)} for f in manifest.files]
    about = {"source": manifest.source, "revision": manifest.revision, "commit": manifest.commit}
    return json.dumps({"format": 1, **about, "folder": manifest.folder, "files": files}, ensure_ascii=True)


def _hash(file: WeightFile) -> dict[str, str]:
    return {"sha256": file.sha256} if file.sha256 else {"git": file.git} if file.git else {}


def _told_apart(file: WeightFile) -> dict[str, str]:
    """All that a file's blob is named by, so that whoever reads the manifest finds it again."""
    known = {"sha256": file.sha256, "git": file.git, "tag": file.tag}
    return {name: value for name, value in known.items() if value is not None}


def _tokens(job: Job) -> Iterator[str]:
    """Of the peers, then of the hubs."""
    for number, peer in enumerate(job.peers, 1):
        yield f"{number}) TOKEN={_quoted(peer.token)} PEER=yes CA= ;;"
    for number, hub in enumerate(job.hubs, len(job.peers) + 1):
        ca = f"$work/ca.{number}" if hub in job.cas else ""
        yield f"{number}) TOKEN={_quoted(job.tokens.get(hub))} PEER= CA={ca} ;;"


def _quoted(token: Secret | None) -> str:
    return shlex.quote(in_curl_config(token.reveal())) if token is not None else ""


def _authorities(job: Job) -> Iterator[str]:
    for number, hub in enumerate(job.hubs, len(job.peers) + 1):
        if hub in job.cas:
            yield f"{number}) printf '%s\\n' {shlex.quote(job.cas[hub])} ;;"


def _items(job: Job, contents: tuple[WeightFile, ...]) -> Iterator[str]:
    """`keys`: for each of `urls` the number of its token and CA, 0 for neither."""
    for number, file in enumerate(contents, 1):
        kind, value = next(iter(_hash(file).items()), ("none", ""))
        places = [place for place in (Place(file.url, job.manifest.hub), *file.others) if place.url]
        urls = [*(f"{peer.url}/{file.blob}" for peer in job.peers), *(place.url for place in places)]
        keys = [*range(1, len(job.peers) + 1), *(_key(place, job) for place in places)]
        said = {
            "blob": file.blob,
            "size": str(file.size),
            "kind": kind,
            "hash": value,
            "urls": " ".join(in_curl_config(url).replace(" ", "%20") for url in urls),
            "keys": " ".join(map(str, keys)),
        }
        yield f"{number}) " + " ".join(f"{name}={shlex.quote(text)}" for name, text in said.items()) + " ;;"


def _key(place: Place, job: Job) -> int:
    return len(job.peers) + job.hubs.index(place.hub) + 1 if place.hub in job.hubs else 0


def _links(manifest: Manifest) -> Iterator[str]:
    """Relative, so that they hold wherever the model's folder is mounted."""
    for file in manifest.files:
        up = "../" * (2 + file.path.count("/"))
        yield f"link {shlex.quote(file.path)} {shlex.quote(posixpath.join(up, 'blobs', file.blob))}"


def _ref(manifest: Manifest) -> str:
    """The branch or tag that is written down as huggingface_hub does; nothing for a commit."""
    name = manifest.revision
    is_plain = bool(name) and name.isascii() and name.isprintable() and " " not in name and len(name) < 200
    if not is_plain or COMMIT.match(name) is not None or any(part in REF_PARTS for part in name.split("/")):
        return ""
    return name


def _proxies(job: Job) -> dict[str, str]:
    """curl before 7.86 knows no networks in `noproxy`: an address that is in one of them is named itself."""
    proxy = job.proxy
    if proxy is None:
        return dict.fromkeys(("PROXY_HTTP", "PROXY_HTTPS", "NO_PROXY_FOR"), "")
    urls = (place for file in job.manifest.files for place in (file.url, *(other.url for other in file.others)))
    hosts = sorted({urlsplit(url).hostname or "" for url in urls})
    direct = [host for host in hosts if any(_is_in(host, entry) for entry in proxy.no_proxy)]
    return {
        "PROXY_HTTP": in_curl_config(proxy.http or ""),
        "PROXY_HTTPS": in_curl_config(proxy.https or ""),
        "NO_PROXY_FOR": in_curl_config(",".join((*proxy.no_proxy, *direct))),
    }


def _is_in(host: str, network: str) -> bool:
    try:
        return "/" in network and ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


def _check(manifest: Manifest) -> None:
    refused = next(refused_names(file.path for file in manifest.files), None)
    names = {posixpath.basename(blobs_of(manifest.folder)), *(file.blob for file in manifest.files)}
    if refused is not None or any("/" in name or name.startswith(".") for name in names):
        raise ValueError(f"a name in the manifest of {manifest.source} cannot be used")
    if COMMIT.match(manifest.commit) is None:
        raise ValueError(f"the manifest of {manifest.source} has no commit")
