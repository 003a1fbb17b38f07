"""Whatever an engine (or what stands in for one) answers: a value, or a ValueError."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.docker.inspect import (
    Surroundings,
    api_version,
    images_to_ask,
    labels_of_image,
    listed_containers,
    parse_container,
    parse_docker,
    parse_image_labels,
    parse_images,
    parse_listed,
    published_ports,
)
from deployer.docker.ownership import Identity

AROUND = Surroundings(Identity("lab"))
KEYS = ("Id", "Name", "State", "Config", "HostConfig", "NetworkSettings", "Image", "Labels", "PortBindings", "Ports",
        "Env", "Runtime", "DeviceRequests", "DeviceIDs", "Count", "Capabilities", "Status", "HostPort", "HostIp",
        "80/tcp", "RepoTags", "ApiVersion", "Runtimes", "RestartPolicy", "ImageID", "Names", "IP",
        "PublicPort", "Type", "NetworkMode")  # fmt: skip
answers = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("f" * 64) | st.just("nvidia"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)


@given(answers)
def test_lists_and_the_daemon_read_anything(answer: Any) -> None:
    parse_images(answer)
    parse_image_labels(answer)
    for entry in listed_containers(answer):
        parse_listed(entry, AROUND, "HTTP 500")
    images_to_ask(answer, {}, Identity("lab"))
    labels_of_image(answer)
    parse_docker(answer, answer)


@given(st.dictionaries(st.sampled_from(KEYS), answers, max_size=8))
def test_containers_are_read_or_refused(answer: dict[str, Any]) -> None:
    try:
        found = parse_container(answer | {"Id": "a" * 64, "Name": "/x"}, AROUND)
    except ValueError:
        pytest.fail("an id and a name are all it needs")
    assert found.name == "x"


@pytest.mark.parametrize("answer", [None, [], {}, {"Id": "a" * 64}, {"Id": "short", "Name": "/x"}])
def test_no_container_without_id_and_name(answer: object) -> None:
    with pytest.raises(ValueError, match="without id or name"):
        parse_container(answer, AROUND)


@pytest.mark.parametrize("answer", [None, {}, {"ApiVersion": 1}, {"ApiVersion": "v2"}, {"ApiVersion": "1.41\n"}])
def test_no_api_version(answer: object) -> None:
    with pytest.raises(ValueError):
        api_version(answer)


def test_control_characters_do_not_get_in() -> None:
    answer = {"Id": "a" * 64, "Name": "/evil\x1b[31m\nname", "State": {"Error": "a\x07\x1b]0;t\x07b", "Status": "dead"}}
    found = parse_container(answer, AROUND)
    assert found.name == "evil name"
    assert "\x1b" not in found.error
    assert "\x07" not in found.error


def test_ports_left_to_docker_count_once_given() -> None:
    asked = {"80/tcp": [{"HostIp": "", "HostPort": ""}], "81/tcp": [{"HostIp": "::1", "HostPort": "99999"}]}
    given_ = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "49153"}], "82/tcp": None}
    assert published_ports({"HostConfig": {"PortBindings": asked}}) == ()
    inspected = {"HostConfig": {"PortBindings": asked}, "NetworkSettings": {"Ports": given_}}
    assert published_ports(inspected) == (("0.0.0.0", 49153, "tcp"),)
