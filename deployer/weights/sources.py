"""Asks a model's source what it has. One function; each kind of source has a module of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deployer.dataclass import replace
from deployer.errors import Diagnostic, OperationError
from deployer.spec.language import Model
from deployer.values.weights import Listing
from deployer.weights.access import Access
from deployer.weights.shapes import from_disk, from_web, with_shape


def list_source(model: Model, accesses: Mapping[str, Access], folder: Path = Path()) -> Listing:
    """As `_listed`, with what the model is made of."""
    listing = _listed(model, accesses, folder)
    return with_shape(listing, from_disk if model.scheme == "local" else from_web(accesses.get(model.scheme)))


def _listed(model: Model, accesses: Mapping[str, Access], folder: Path) -> Listing:
    """All files of the model at the commit that its revision means now. OperationError where that cannot be said.
    `folder`: of the spec, for paths on the controller."""
    source = model.source[0]
    match model.scheme:
        case "hf":
            from deployer.weights.huggingface import list_huggingface

            return list_huggingface(source, model.revision, accesses["hf"])
        case "modelscope":
            from deployer.weights.modelscope import list_modelscope

            return list_modelscope(source, model.revision, accesses["modelscope"])
        case "https":
            from deployer.weights.https import list_https

            return list_https(source, model.revision)
        case "local":
            from deployer.weights.local import list_local

            return list_local(source, folder)
        case _:
            raise OperationError(Diagnostic("bad-source", f"`{source}` is not fetched by deployer"))


def with_urls(listing: Listing, accesses: Mapping[str, Access]) -> Listing:
    """A listing of deploy.lock, with the places its files are fetched from today."""
    said = replace(listing, source=listing.origin or listing.source)
    return replace(listing, files=_located(said, accesses).files)


def _located(listing: Listing, accesses: Mapping[str, Access]) -> Listing:
    match listing.source.partition("://")[0]:
        case "hf":
            from deployer.weights.huggingface import with_huggingface_urls

            return with_huggingface_urls(listing, accesses["hf"])
        case "modelscope":
            from deployer.weights.modelscope import with_modelscope_urls

            return with_modelscope_urls(listing, accesses["modelscope"])
        case "local":
            return listing
        case _:
            from deployer.weights.https import with_https_urls

            return with_https_urls(listing)
