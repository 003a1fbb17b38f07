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
    there = [one for one in images if is_there(facts, one.image)]
    askable = [one.image for one in there if not one.silent]
    known = {image: said for image in askable if (said := said_by(facts, image)) is not None}
    evidence = [f"{image}: {len(said.flags)} flags, asked {said.asked}" for image, said in known.items()]
    evidence += [f"{image}: {unasked[image]}" for image in askable if image in unasked]
    evidence += [f"{one.image}: not asked: {one.silent}" for one in there if one.silent]
    if any(image in unasked for image in askable):
        message = f"{len(known)} of {len(askable)} images named their flags"
        remedy = "flags of the others are checked by the built-in tables alone"
        yield warned("flags", message, remedy, evidence)
    elif len(known) < len(askable):
        missing = "`deployer doctor --flags` asks the others"
        yield passed("flags", f"{len(known)} of {len(askable)} images were asked for their flags; {missing}", evidence)
    elif askable:
        yield passed("flags", "its images were asked for their flags", evidence)
    elif there:
        yield passed("flags", "none of its images can be asked for its flags", evidence)
