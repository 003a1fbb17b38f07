"""What decides which hosts the first replica of a service can have, so that services can be compared."""

from __future__ import annotations

from deployer.planning.choice import ServiceChoice
from deployer.planning.gpus import gpus_asked, gpus_wanted, has_own_lists
from deployer.planning.hosts import selector_key


def wish_of(choice: ServiceChoice) -> object:
    """All that decides which hosts a service's first replica can have; None where services cannot be compared."""
    service = choice.service
    placement, speculative = service.placement, service.options.speculative
    if service.overrides or has_own_lists(choice):
        return None
    models = (service.model, *(entry.model for entry in service.models), speculative and speculative.model)
    cards = (placement.gpus, str(placement.gpu), gpus_wanted(choice, 0), gpus_asked(choice, 0), placement.share)
    started = (service.container.command, service.container.entrypoint)
    server = (choice.backend_name, service.version, service.image, service.args, started, repr(service.options))
    return (selector_key(placement.hosts), models, cards, server, service.port.number, service.port.on_conflict)
