"""Which hosts have the image and the weights of a service already: what would not have to be fetched there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deployer.errors import SpecError
from deployer.planning.cached import is_whole, manifests_there
from deployer.planning.candidates import LACKS_ALL
from deployer.planning.choice import ServiceChoice
from deployer.planning.render import choose_image
from deployer.spec.project import Project
from deployer.values.facts import HostFacts
from deployer.values.images import parse_image
from deployer.values.weights import Manifest

NO_WEIGHTS, NO_IMAGE = 2, 1  # how much is missing: weights are larger than images
FEW = 64  # hosts; what more of them have tells none of them apart


class AtHand:
    """Each host's images and manifests are looked at once, each service once."""

    def __init__(self, project: Project, facts: Mapping[str, HostFacts]) -> None:
        self._project, self._facts = project, facts
        self._images: dict[str, set[str]] | None = None  # reference -> hosts
        self._weights: dict[str, set[str]] | None = None  # id of a manifest -> hosts
        self._found: dict[str, dict[str, int]] = {}

    def missing(self, choice: ServiceChoice) -> Mapping[str, int]:
        """Host -> how much it lacks, of the few that lack less than others do."""
        if choice.name not in self._found:
            self._found[choice.name] = self._missing(choice)
        return self._found[choice.name]

    def _missing(self, choice: ServiceChoice) -> dict[str, int]:
        images, weights = self._with_image(choice), self._with_weights(choice)
        found = dict.fromkeys(images | weights, LACKS_ALL)
        for name in found:
            found[name] -= (NO_WEIGHTS if name in weights else 0) + (NO_IMAGE if name in images else 0)
        return found

    def _with_image(self, choice: ServiceChoice) -> set[str]:
        try:
            image = choose_image(choice.service, choice.pin, choice.backend, choice.backend.gpu != "never")
            reference = parse_image(image)
        except (SpecError, ValueError):
            return set()
        if self._images is None:
            self._images = _images(self._facts.values())
        wanted = str(reference) if reference.digest or reference.tag else f"{reference}:latest"
        return _if_few(self._images.get(wanted, set()))

    def _with_weights(self, choice: ServiceChoice) -> set[str]:
        manifests = [m for m in choice.manifests.values() if isinstance(m, Manifest)]
        if not manifests:
            return set()
        if self._weights is None:
            self._weights = {}
            for name, facts in self._facts.items():
                for id_ in manifests_there(self._project.spec.hosts[name], facts):
                    self._weights.setdefault(id_, set()).add(name)
        hosts = set.intersection(*(self._weights.get(manifest.id, set()) for manifest in manifests))
        return {name for name in _if_few(hosts) if all(self._is_whole(m, name) for m in manifests)}

    def _is_whole(self, manifest: Manifest, name: str) -> bool:
        return is_whole(manifest, self._project.spec.hosts[name], self._facts[name])


def _if_few(hosts: set[str]) -> set[str]:
    return hosts if len(hosts) <= FEW else set()


def _images(hosts: Iterable[HostFacts]) -> dict[str, set[str]]:
    as_written: dict[str, set[str]] = {}
    for facts in hosts:
        for image in facts.images:
            for name in (*image.tags, *image.digests):
                as_written.setdefault(name, set()).add(facts.name)
    found: dict[str, set[str]] = {}
    for name, there in as_written.items():
        try:
            found.setdefault(str(parse_image(name)), set()).update(there)
        except ValueError:  # `<none>:<none>`
            continue
    return found
