"""Gives a container of each host its GPUs, to see whether it gets them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deployer.engine.context import ApplyContext, Site
from deployer.engine.try_gpus import try_gpus
from deployer.engine.watch import Watch
from deployer.errors import HostError
from deployer.planning.askable import askable_images
from deployer.planning.diagnose_gpus import image_to_try
from deployer.planning.local_images import image_id
from deployer.values.checks import GpuTrial
from deployer.values.facts import ObservedState
from deployer.workflow.looking import speaking

if TYPE_CHECKING:
    from deployer.transport.base import Transport
    from deployer.workflow.session import Report, Session


def prove(session: Session, observed: ObservedState, report: Report) -> Mapping[str, GpuTrial]:
    """By host with GPUs and an image of the spec's services; the others are left out."""
    spec, images = session.project.spec, askable_images(session.project, silent=True)
    context = ApplyContext(spec.project, spec.id, "", session.secrets)
    wanted: dict[str, tuple[tuple[str, str], str, tuple[str, ...]]] = {}
    for host, facts in observed.reachable.items():
        image, gpus = image_to_try(images.get(host, ()), facts), tuple(g.uuid for g in facts.gpus if g.problem is None)
        id_ = image_id(facts, image.image) if image is not None and gpus else None
        if image is not None and id_ is not None:
            wanted[host] = ((image.image, id_), image.service, gpus)

    def of_host(transport: Transport) -> GpuTrial:
        return try_gpus(*wanted[transport.name], Site(context, transport, Watch("gpus", transport.name, "try")))

    with speaking(report, lambda seconds: f"still giving GPUs to containers ({seconds:.0f} s)"):
        answers = session.fleet.map(sorted(wanted), of_host)
    return {host: answer for host, answer in answers.items() if not isinstance(answer, HostError)}
