"""Asks the images that hosts have for their flags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deployer.engine.ask_flags import ImageQuestion, ask_images
from deployer.engine.context import ApplyContext, Site
from deployer.engine.watch import Watch
from deployer.errors import HostError
from deployer.planning.askable import askable_images
from deployer.planning.diagnose_flags import images_to_ask
from deployer.planning.local_images import image_id
from deployer.values.facts import ObservedState
from deployer.workflow.looking import speaking

if TYPE_CHECKING:
    from deployer.transport.base import Transport
    from deployer.workflow.session import Report, Session


def ask(session: Session, observed: ObservedState, report: Report) -> Mapping[str, Mapping[str, str]]:
    """By host and image, why it could not be asked. Images that said it before are not asked again."""
    spec, images = session.project.spec, askable_images(session.project)
    context = ApplyContext(spec.project, spec.id, "", session.secrets)
    questions: dict[str, list[ImageQuestion]] = {}
    for host, facts in observed.reachable.items():
        for one in images_to_ask(images.get(host, ()), facts):
            if (id_ := image_id(facts, one.image)) is not None:
                questions.setdefault(host, []).append(ImageQuestion(one.image, id_, one.service, one.backend.help))

    def of_host(transport: Transport) -> Mapping[str, str]:
        return ask_images(questions[transport.name], Site(context, transport, Watch("flags", transport.name, "ask")))

    with speaking(report, lambda seconds: f"still asking images for their flags ({seconds:.0f} s)"):
        answers = session.fleet.map(sorted(questions), of_host)
    return {
        host: dict.fromkeys((q.image for q in questions[host]), answer.diagnostic.message)
        if isinstance(answer, HostError)
        else answer
        for host, answer in answers.items()
    }
