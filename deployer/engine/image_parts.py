"""What is loaded of an image before it is whole: images of its lower layers, taken away once it is there."""

from __future__ import annotations

from contextlib import suppress

from deployer.docker.calls import Refusal, engine_calls
from deployer.docker.loadtar import LABEL_PART
from deployer.engine.context import Site


def forget_parts(site: Site, config: str) -> None:
    """Of the image of that config, which has their layers by now. What another one uses stays."""
    docker = site.transport.docker()
    with suppress(Refusal), engine_calls(site.host):
        for part in docker.images(filters={"label": f"{LABEL_PART}={config}"}):
            with suppress(Refusal), engine_calls(site.host):
                docker.remove_image(part["Id"], noprune=True)
