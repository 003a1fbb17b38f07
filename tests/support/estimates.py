"""Estimates of models that people run, on cards of the catalog."""

from __future__ import annotations

from typing import Any

from deployer import backends
from deployer.catalog.gpus import find_gpu
from deployer.planning.estimate_request import Card, Serving, SizedModel
from deployer.planning.weights_counted import stored_as_shaped
from tests.support.models import shape


def model(name: str, **changes: Any) -> SizedModel:
    made = shape(name, **changes)
    return SizedModel(name, made, stored_as_shaped(made))


def card(name: str) -> Card:
    gpu = find_gpu(name)
    assert gpu is not None
    made = Card.of(gpu)
    assert made is not None
    return made


def serving(backend: str = "vllm", **options: Any) -> Serving:
    found = backends.find(backend)
    assert found is not None
    return Serving(found, **options)
