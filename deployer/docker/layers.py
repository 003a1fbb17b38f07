"""Which layers a Docker engine has, by their chain ids; and whether it can take an image without those it has."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from deployer.docker.reader import EngineReader
from deployer.docker.shapes import map_of, maps_of, text_of, texts_of
from deployer.transport.base import Transport
from deployer.values.image_content import chain_ids

MOST_IMAGES = 2000
TIMEOUT = 60.0


def chains_there(transport: Transport) -> frozenset[str]:
    """All that some image of the host stands on; none where the engine would not look them up. HostError."""
    reader = EngineReader(transport.name, transport.engine, TIMEOUT)
    try:
        info, listed = (reader.data(answer, absent={}) for answer in reader.read(["/info", "/images/json"]))
        if has_containerd_store(info):
            return frozenset()
        ids = [text_of(image, "Id") for image in _maps(listed)][:MOST_IMAGES]
        answers = reader.read([f"/images/{quote(id_, safe=':')}/json" for id_ in ids if id_])
        images = [reader.data(answer) for answer in answers]
    finally:
        reader.close()
    chains = (chain_ids(tuple(texts_of(map_of(i, "RootFS"), "Layers"))) for i in images if isinstance(i, dict))
    return frozenset(chain for image in chains for chain in image)


def keeps_images_in_containerd(transport: Transport) -> bool:
    """Docker's default from version 29 on (Docker docs, "containerd image store"). HostError."""
    reader = EngineReader(transport.name, transport.engine, TIMEOUT)
    try:
        return has_containerd_store(reader.get("/info", absent={}))
    finally:
        reader.close()


def has_containerd_store(info: object) -> bool:
    status = info.get("DriverStatus") if isinstance(info, dict) else None
    pairs = status if isinstance(status, list) else []
    return any(isinstance(p, list) and p[:1] == ["driver-type"] and "containerd" in str(p[1:2]) for p in pairs)


def _maps(found: object) -> list[dict[str, Any]]:
    return maps_of({"all": found}, "all")
