"""Facts survive the way through `deployer facts` and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.errors import Diagnostic, Where
from deployer.values.codec import from_data, to_data
from deployer.values.container import ContainerSpec
from deployer.values.facts import HostFacts, ObservedContainer, ObservedState, Recorded, Unreachable
from deployer.values.facts_json import facts_from_data
from deployer.values.model_shape import ModelShape
from deployer.view.facts import facts_json
from tests.support.models import shape

text = st.text(max_size=5)
recorded = st.builds(Recorded, spec=st.builds(ContainerSpec, extra=st.just({})), decisions=st.just({"port": 1}))
containers = st.builds(ObservedContainer, recorded=st.none() | recorded)
reachable = st.builds(HostFacts, name=st.just("a"), containers=st.tuples(containers))
reasons = st.builds(Diagnostic, host=st.just("b"), where=st.none() | st.builds(Where, text=st.just("")))


@settings(max_examples=20)
@given(reachable, reasons)
def test_round_trip(host: HostFacts, reason: Diagnostic) -> None:
    state = ObservedState({"a": host, "b": Unreachable("b", reason)})
    assert facts_from_data(json.loads(json.dumps(facts_json(state, "0.1.0")))) == state


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "no `hosts`"),
        ({"hosts": {}}, "`format_version` is None"),
        ({"format_version": 2, "hosts": {}}, "`format_version` is 2"),
        ({"format_version": 1, "hosts": {"a": {"name": "a"}}}, r"hosts\.a: `hostname` is missing"),
        ({"format_version": 1, "hosts": {"a": {"unreachable": {"code": 1}}}}, r"hosts\.a: `1` is not text"),
        ({"format_version": 1, "hosts": {"a": {"unreachable": []}}}, r"hosts\.a: a list is not an object"),
    ],
)
def test_what_is_no_facts_document(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        facts_from_data(data)


def test_facts_under_another_hosts_name() -> None:
    docker = {"version": "1", "api_version": "1.41"}
    words = dict.fromkeys(("hostname", "os", "kernel", "arch", "user", "time"), "")
    numbers = dict.fromkeys(("uid", "gid", "cpus", "memory_total", "memory_available"), 0)
    host = {"name": "b", "docker": docker, **words, **numbers}
    with pytest.raises(ValueError, match="these are the facts of `b`"):
        facts_from_data({"format_version": 1, "hosts": {"a": host}})


@pytest.mark.parametrize(
    "change", [{"layers": 0}, {"heads": -1}, {"hidden": 2**90}, {"quantized": {"method": "awq", "group": 0}}]
)
def test_a_recorded_shape_that_no_model_has(change: dict[str, Any]) -> None:
    known = to_data(shape("Llama-3.1-8B"))
    assert from_data(ModelShape, known) == shape("Llama-3.1-8B")
    with pytest.raises(ValueError, match="out of bounds"):
        from_data(ModelShape, {**known, **change})
