"""Models of the Hugging Face Hub, and of mirrors that speak as it does: asked by huggingface_hub's HTTP session, since
its `model_info` holds whatever an endpoint answers. Fields: huggingface_hub.hf_api.ModelInfo."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import quote

from deployer.dataclass import replace
from deployer.errors import OperationError
from deployer.formats.text import one_line
from deployer.values.weights import COMMIT, Listing, WeightFile
from deployer.weights.access import MOST_FILES, TIMEOUT, Access, checked_size, failure, unreachable
from deployer.weights.authorities import trusting
from deployer.weights.bounded import LONGEST, all_of, within
from deployer.weights.rest import MOST, Answer, parse_answer

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?\Z")
SHA256 = re.compile(r"[0-9a-f]{64}\Z")
GIT = re.compile(r"[0-9a-f]{40}\Z")
POOLING = {"NONE": 0, "MEAN": 1, "CLS": 2, "LAST": 3, "RANK": 4}  # llama.cpp's LLAMA_POOLING_TYPE


def list_huggingface(source: str, revision: str | None, access: Access) -> Listing:
    """One question to the Hub. OperationError says what to do about a model that it does not give."""
    name = source.removeprefix("hf://")
    if NAME.match(name) is None or ".." in name or "--" in name:
        raise failure("bad-source", f"`{source}` names no model of Hugging Face", "write it as `hf://OWNER/NAME`")
    info = _asked(name, revision, access)
    commit, siblings = info.get("sha"), info.get("siblings") or []
    if not isinstance(commit, str) or COMMIT.match(commit) is None:
        raise failure("bad-listing", f"the hub gives no commit for `{source}`", "try another endpoint")
    if not isinstance(siblings, list) or len(siblings) > MOST_FILES:
        raise failure(
            "bad-listing", f"the hub gives no list of files for `{source}`", f"at most {MOST_FILES} are taken"
        )
    files = tuple(_file(sibling if isinstance(sibling, dict) else {}, source) for sibling in siblings)
    pinned = revision is not None and COMMIT.match(revision) is not None
    found = Listing(source, revision or "main", commit, files, _architectures(info), _pooling(info), pinned)
    return with_huggingface_urls(found, access)


def with_huggingface_urls(listing: Listing, access: Access) -> Listing:
    base = f"{access.endpoint}/{listing.source.removeprefix('hf://')}/resolve/{listing.commit}/"
    files = (replace(f, url=base + quote(f.path, safe="/", errors="replace")) for f in listing.files)
    return replace(listing, files=tuple(files))


def _file(sibling: dict[str, Any], source: str) -> WeightFile:
    lfs = sibling.get("lfs") if isinstance(sibling.get("lfs"), dict) else None
    path, blob = str(sibling.get("rfilename") or ""), str(sibling.get("blobId") or "")
    digest = str(lfs.get("sha256")) if lfs is not None else None
    size = checked_size((lfs or sibling).get("size"), path, source)
    is_known = digest is not None and SHA256.match(digest) is not None
    if not is_known and GIT.match(blob) is None:
        raise failure(
            "bad-listing", f"the hub gives no hash for `{one_line(path)}` of `{source}`", "try another endpoint"
        )
    return WeightFile(path, size, digest if is_known else None, None if is_known else blob)


def _architectures(info: dict[str, Any]) -> tuple[str, ...]:
    config, gguf = info.get("config"), info.get("gguf")
    named = config.get("architectures") if isinstance(config, dict) else None
    if isinstance(named, list):
        return tuple(one_line(text) for text in named[:8] if isinstance(text, str))
    architecture = gguf.get("architecture") if isinstance(gguf, dict) else None
    return (one_line(architecture),) if isinstance(architecture, str) else ()


def _pooling(info: dict[str, Any]) -> int | None:
    gguf = info.get("gguf")
    said = gguf.get("pooling_type") if isinstance(gguf, dict) else None
    return said if isinstance(said, int) else POOLING.get(str(said).upper()) if said is not None else None


def _asked(name: str, revision: str | None, access: Access) -> dict[str, Any]:
    from huggingface_hub.errors import OfflineModeIsEnabled

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    revised = f"/revision/{quote(revision, safe='')}" if revision is not None else ""
    try:
        answer = within(LONGEST, partial(_answered, f"{access.endpoint}/api/models/{name}{revised}?blobs=true", access))
    except OfflineModeIsEnabled:
        hint = "unset HF_HUB_OFFLINE here, or write deploy.lock where there is a network"
        raise failure("hub-unreachable", f"`hf://{name}` cannot be looked up: HF_HUB_OFFLINE is set", hint) from None
    except Exception as error:  # what the HTTP library below raises is huggingface_hub's own affair
        raise unreachable(f"hf://{name}", access.endpoint, error, access.hub) from None
    if answer.status != 200:
        raise _refusal(answer, name, revision, access)
    said = parse_answer(answer, f"hf://{name}")
    if not isinstance(said, dict):
        raise failure(
            "bad-listing", f"what {access.endpoint} says of `hf://{name}` is no model", "try another endpoint"
        )
    return said


def _answered(url: str, access: Access) -> Answer:
    from huggingface_hub import utils

    library: Any = utils  # it does not declare what it exports
    token = access.token.reveal() if access.token is not None else False  # never one that lies about on this machine
    headers = library.build_hf_headers(token=token)
    with _session(access.ca) as session, session.stream("GET", url, headers=headers, timeout=TIMEOUT) as response:
        found = {key.lower(): value for key, value in response.headers.items()}
        body = all_of(response.iter_bytes(), MOST) if response.status_code == 200 else b""
        return Answer(response.status_code, found, body, str(response.url))


@contextmanager
def _session(ca: str | None) -> Iterator[Any]:
    """huggingface_hub's own, or one as that is for a hub with a CA."""
    from huggingface_hub import utils

    library: Any = utils
    shared = library.get_session()
    if ca is None:
        yield shared
        return
    with type(shared)(verify=trusting(ca), event_hooks=shared.event_hooks, follow_redirects=True) as session:
        yield session


def _refusal(answer: Answer, name: str, revision: str | None, access: Access) -> OperationError:
    """Codes: huggingface_hub/utils/_http.py."""
    source, page, code = f"hf://{name}", f"{access.endpoint}/{name}", answer.headers.get("x-error-code")
    if code == "GatedRepo" or answer.status == 403:
        return gated(source, page, access)
    if code == "RevisionNotFound":
        where = f"{page}/tree/main lists them"
        return failure("unknown-revision", f"`{source}` has no revision `{one_line(str(revision))}`", where)
    if answer.status in (401, 404):
        hint = _token_hint(access, "correct `source`; of a private model ")
        return failure("unknown-model-source", f"`{source}` is not at {access.endpoint}, or is private", hint)
    if answer.status == 429:
        hint = _token_hint(access, "wait a moment; with a token more is allowed: ")
        return failure("hub-refused", f"{access.endpoint} answers no more questions for now (429)", hint)
    return unreachable(source, access.endpoint, f"it answers with status {answer.status}")


def gated(source: str, page: str, access: Access) -> OperationError:
    message = f"`{source}` is gated: its owner decides who gets its files"
    return failure("gated-model", message, _token_hint(access, f"ask for access at {page}; then "))


def _token_hint(access: Access, before: str) -> str:
    if access.token_name is not None:
        return f"{before}see that the token in secret `{access.token_name}` is of an account that may read it"
    return before + "set `hubs: {hf: {token: {secret: hf_token}}}`, with `hf_token` under `secrets`"
