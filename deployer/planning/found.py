"""Models whose files nobody could say, as they lie on the hosts: where no hub can be reached and nothing is locked,
what is in a host's `model_dirs` is taken for the model. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from deployer.errors import Diagnostic, warning
from deployer.planning.choice import NOT_ASKED
from deployer.planning.presynced import copies_of, lacks_parts
from deployer.planning.render_request import Cached
from deployer.spec.language import Model
from deployer.spec.project import Project
from deployer.values.canonical import digest
from deployer.values.facts import HostFacts
from deployer.values.presynced import Copy
from deployer.values.resolved import Unresolved
from deployer.values.weights import COMMIT, FOUND, Listing, WeightFile


def with_found(
    project: Project, listings: Mapping[str, Listing | Unresolved], facts: Mapping[str, HostFacts]
) -> Mapping[str, Listing | Unresolved]:
    """What sources have, and for what could not be looked up what the hosts have: the same files for all of them."""
    if not any(host.copies for host in facts.values()):
        return listings
    found = dict(listings)
    for model in project.spec.models.values():
        if model.is_fetched and isinstance(listings.get(model.reference, NOT_ASKED), Unresolved):
            made = next(_listings(project, model, facts), None)
            found |= {model.reference: made} if made is not None else {}
    return found


def _listings(project: Project, model: Model, facts: Mapping[str, HostFacts]) -> Iterator[Listing]:
    for name, host in sorted(facts.items()):
        for copy in copies_of(model, project.spec.hosts[name], host):
            if _is_meant(copy, model.revision) and copy.files and lacks_parts(copy) is None:
                yield _listing(copy, model)


def _is_meant(copy: Copy, revision: str | None) -> bool:
    """A plain folder does not say its revision, and is what it is."""
    if not copy.commit or revision == copy.commit:
        return True
    meant = copy.refs.get(revision or "main")
    return meant == copy.commit if meant is not None else revision is None


def _listing(copy: Copy, model: Model) -> Listing:
    """Contents are told apart by name and size alone, so that reading them makes no other model of it."""
    files = tuple(WeightFile(path, stamp.size) for path, stamp in sorted(copy.files.items()))
    commit = copy.commit or digest([[file.path, file.size] for file in files])[:40]
    assert COMMIT.match(commit), "a copy has a commit or none"
    return Listing(
        model.source[0], model.revision or "", commit, files, copy.architectures, copy.pooling, False, FOUND, copy.shape
    )


def said_of_found(used: Iterable[tuple[str, Cached]]) -> Iterator[Diagnostic]:
    """One warning a model: by hosts, what their replicas are given."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for host, cached in used:
        if cached.files is not None and cached.files.is_found:
            hosts.setdefault((cached.files.source, cached.root), []).append(host)
    for (source, root), names in sorted(hosts.items()):
        on = ", ".join(f"`{name}`" for name in sorted(set(names))[:10])
        message = f"{source} is used as it lies in `{root}` on {on}: not checked against a hub"
        hint = "write deploy.lock with `deployer lock` where the hub can be reached"
        yield warning("weights-unchecked", message, hint=hint)
