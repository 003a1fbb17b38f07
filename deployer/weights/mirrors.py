"""Several sources of the same bytes: the first that answers says what there is, the others are where else it is."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deployer.dataclass import replace
from deployer.errors import OperationError
from deployer.spec.language import Model
from deployer.values.weights import Listing, Place, WeightFile
from deployer.weights.access import Access
from deployer.weights.sources import list_source


def list_mirrored(model: Model, accesses: Mapping[str, Access], folder: Path = Path()) -> Listing:
    """As of the first source that answers. OperationError of the first source where none does."""
    answers = _asked(model.each(), accesses, folder)
    listings = [answer for answer in answers if isinstance(answer, Listing)]
    if not listings:
        assert isinstance(answers[0], OperationError), "a source answers or is refused"
        raise answers[0]
    first = listings[0]
    origin = "" if first.source == model.source[0] else first.source
    found = replace(first, source=model.source[0], origin=origin)
    return _with_others(found, [listing for listing in listings if listing is not first])


def with_mirrors(listing: Listing, model: Model, accesses: Mapping[str, Access]) -> Listing:
    """A listing of deploy.lock with where else its files are today, as far as anybody answers."""
    said = listing.origin or listing.source
    others = tuple(one for one in model.each() if one.source[0] != said)
    answers = _asked(others, accesses, Path()) if others else []
    return _with_others(listing, [answer for answer in answers if isinstance(answer, Listing)])


def _asked(models: tuple[Model, ...], accesses: Mapping[str, Access], folder: Path) -> list[Listing | OperationError]:
    def ask(model: Model) -> Listing | OperationError:
        try:
            return list_source(model, accesses, folder)
        except OperationError as error:
            return error

    if len(models) == 1:
        return [ask(models[0])]
    with ThreadPoolExecutor(len(models)) as pool:
        return list(pool.map(ask, models))


def _with_others(listing: Listing, others: list[Listing]) -> Listing:
    if not others:
        return listing
    known = [(other.source.partition("://")[0], {f.path: f for f in other.files}) for other in others]
    files = (replace(f, others=tuple(_places(f, known))) for f in listing.files)
    return replace(listing, files=tuple(files))


def _places(file: WeightFile, known: list[tuple[str, dict[str, WeightFile]]]) -> list[Place]:
    """Of the same name and size, and the same hash where both say one."""
    return [
        Place(found.url, hub)
        for hub, files in known
        if (found := files.get(file.path)) is not None and found.url and _is_same(file, found)
    ]


def _is_same(one: WeightFile, other: WeightFile) -> bool:
    hashes = ((one.sha256, other.sha256), (one.git, other.git))
    return one.size == other.size and all(a is None or b is None or a == b for a, b in hashes)
