"""X must learn an image's flags from the image itself, and leave nothing of the asking behind."""

from __future__ import annotations

import threading

import pytest

from deployer.engine.ask_flags import ImageQuestion, ask_images
from deployer.engine.context import Site
from deployer.engine.watch import Watch
from deployer.values.names import ReplicaKey
from tests.contract.operations.bench import IMAGE, Bench, eventually, labels_for

FLAGS = [f"--flag-{letter}" for letter in "abcdefghij"]
HELP = "usage: server\\n\\noptions:\\n" + "".join(f"  {flag} X  says\\n" for flag in [*FLAGS, "--port"])


def ask(bench: Bench, *ways: tuple[str, ...]) -> dict[str, str]:
    image = bench.docker.inspect_image(IMAGE)
    site = Site(bench.context, bench.transport, Watch("flags", "here", "ask"))
    return dict(ask_images([ImageQuestion(IMAGE, image["Id"], "chat", ways)], site))


def kept(bench: Bench) -> list[str]:
    folder = bench.directory / "state" / "image_flags"
    return [path.read_text().partition("\n")[2] for path in folder.iterdir()] if folder.exists() else []


def test_an_image_names_its_flags_and_its_container_is_gone(bench: Bench) -> None:
    bench.apply = ""
    assert ask(bench, ("printf", HELP)) == {}
    assert kept(bench) == ["".join(f"{flag}\n" for flag in [*FLAGS, "--port"])]
    assert bench.names() == set()


def test_what_names_too_little_is_asked_in_another_way(bench: Bench) -> None:
    assert ask(bench, ("printf", "  --help=all  all of them\\n  --port\\n"), ("printf", HELP)) == {}
    assert len(kept(bench)) == 1


@pytest.mark.parametrize(
    ("way", "why"),
    [
        (("printf", "sorry"), "`printf sorry` does not name its flags: sorry"),
        (("no-such-program",), "no-such-program"),
    ],
)
def test_an_image_that_does_not_say_is_no_failure(bench: Bench, way: tuple[str, ...], why: str) -> None:
    found = ask(bench, way)
    assert list(found) == [IMAGE]
    assert why in found[IMAGE]
    assert kept(bench) == []
    assert bench.names() == set()


def test_the_task_container_has_no_network_and_no_gpu(bench: Bench) -> None:
    asking = threading.Thread(target=ask, args=(bench, ("sleep", "4")))
    asking.start()
    eventually(bench.names)
    (name,) = bench.names()
    state = bench.state(name)
    asking.join(30)
    assert state["HostConfig"]["NetworkMode"] == "none"
    assert not state["HostConfig"].get("DeviceRequests")
    assert "NVIDIA_VISIBLE_DEVICES=void" in state["Config"]["Env"]
    assert state["Config"]["Labels"]["deployer.role"] == "task"
    assert state["HostConfig"]["RestartPolicy"]["Name"] in ("no", "")
    assert bench.names() == set()


def test_a_task_container_of_a_doctor_that_died_is_removed(bench: Bench) -> None:
    image = bench.docker.inspect_image(IMAGE)["Id"].removeprefix("sha256:")[:12]
    labels = {**labels_for(ReplicaKey("chat", 0), image), "deployer.role": "task"}
    bench.foreign(f"suite_chat_0_{image}", labels=labels)
    assert ask(bench, ("printf", HELP)) == {}
    assert bench.names() == set()
    bench.foreign(f"suite_chat_0_{image}")
    assert IMAGE in ask(bench, ("printf", HELP))
    assert len(bench.names()) == 1
