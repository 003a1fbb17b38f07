"""Have the images of the spec's services been asked for their flags, so that mistakes in these show in a plan?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from deployer.planning.askable import AskableImage
from deployer.planning.local_images import is_there
from deployer.planning.own_help import said_by
from deployer.values.checks import Check, passed, warned
from deployer.values.facts import HostFacts


def images_to_ask(images: Sequence[AskableImage], facts: HostFacts) -> tuple[AskableImage, ...]:
    """Those that the host has, and that have not been asked."""
    return tuple(one for one in images if is_there(facts, one.image) and said_by(facts, one.image) is None)


def flag_checks(images: Sequence[AskableImage], facts: HostFacts, unasked: Mapping[str, str]) -> Iterator[Check]:
    """`unasked`: by image, why it did not say."""
    there = [one.image for one in images if is_there(facts, one.image)]
    if not there:
        return
    known = {image: said for image in there if (said := said_by(facts, image)) is not None}
    evidence = [f"{image}: {len(said.flags)} flags, asked {said.asked}" for image, said in known.items()]
    evidence += [f"{image}: {unasked[image]}" for image in there if image in unasked]
    if any(image in unasked for image in there):
        message = f"{len(known)} of {len(there)} images named their flags"
        remedy = "flags of the others are checked by the built-in tables alone"
        yield warned("flags", message, remedy, evidence)
    elif len(known) < len(there):
        missing = "`deployer doctor --flags` asks the others"
        yield passed("flags", f"{len(known)} of {len(there)} images were asked for their flags; {missing}", evidence)
    else:
        yield passed("flags", "its images were asked for their flags", evidence)
