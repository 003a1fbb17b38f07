"""What a plan says of copies of models in hosts' `model_dirs`: which are not used and why, which changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from deployer.errors import Diagnostic, Severity, warning
from deployer.formats.text import one_line
from deployer.planning.desired import DesiredReplica
from deployer.planning.found import said_of_found
from deployer.planning.presynced import refused_copies
from deployer.planning.render_request import Cached
from deployer.spec.language import Model
from deployer.spec.project import Project
from deployer.values.plan import Step
from deployer.values.transfers import CheckCopy, FetchWeights

MOST_NAMED = 10


def copy_warnings(project: Project, desired: Iterable[DesiredReplica], steps: Sequence[Step]) -> Iterator[Diagnostic]:
    replicas = [replica for replica in desired if replica.placed.facts.copies]
    if not replicas:
        return
    fetched = {(s.host, s.operation.manifest.id) for s in steps if isinstance(s.operation, FetchWeights)}
    read = {(s.host, s.operation.folder) for s in steps if isinstance(s.operation, CheckCopy)}
    said: dict[tuple[str, str], Diagnostic | None] = {}
    for replica in replicas:
        for model, cached in _models(replica):
            key = (replica.host, cached.in_place or cached.manifest)
            if cached.in_place and key not in said:
                said[key] = _changed(replica, cached, key in read)
            elif (replica.host, cached.manifest) in fetched and key not in said:
                said[key] = _refused(project, replica, model, cached)
    yield from (problem for problem in said.values() if problem is not None)
    yield from said_of_found((r.host, cached) for r in replicas for _, cached in _models(r))


def _models(replica: DesiredReplica) -> Iterator[tuple[Model, Cached]]:
    placed, choice = replica.placed, replica.choice
    models = (choice.model, *(model for model, _ in choice.others), choice.draft)
    for model, facts in zip(models, (placed.model, *placed.others, placed.draft), strict=True):
        if model is not None and facts is not None and facts.cached is not None:
            yield model, facts.cached


def _changed(replica: DesiredReplica, cached: Cached, is_read: bool) -> Diagnostic | None:
    for copy in replica.placed.facts.copies:
        if copy.folder == cached.in_place and copy.changed:
            message = f"the copy in `{copy.folder}` on host `{replica.host}` changed since it was read"
            again = f"`deployer cache verify {replica.host}` reads it again; what runs keeps what it has loaded"
            hint = "it is read again before anything is started on it" if is_read else again
            names = tuple(one_line(path, 100) for path in copy.changed[:MOST_NAMED])
            return Diagnostic("copy-changed", message, None, names, hint, Severity.WARNING, host=replica.host)
    return None


def _refused(project: Project, replica: DesiredReplica, model: Model, cached: Cached) -> Diagnostic | None:
    """Of several copies the first one: the others are its like."""
    host = project.spec.hosts[replica.host]
    assert cached.files is not None, "what is fetched has files"
    found = next(refused_copies(cached.files, model, host, replica.placed.facts), None)
    if found is None:
        return None
    copy, why = found
    message = f"the copy of {cached.files.source} in `{copy.folder}` on host `{replica.host}` is not used: {why}"
    is_older = copy.commit not in ("", cached.commit)
    otherwise = f"`revision: {copy.commit}` of the model would use the copy" if is_older else "or put the copy right"
    return warning("copy-refused", message, hint=f"it is fetched into `{host.cache_dir}`; {otherwise}")
