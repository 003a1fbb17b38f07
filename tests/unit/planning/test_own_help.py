"""What an image said of its flags counts before the built-in tables, on the host that has that very image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deployer.planning.askable import askable_images, with_own_flags
from deployer.planning.diagnose import diagnose
from deployer.values.checks import Check, Verdict
from deployer.values.facts import HostFacts, ImageFact, ImageFlags, ObservedState
from deployer.values.operations import CreateContainer
from deployer.values.plan import Plan
from tests.support.planning import project_of
from tests.support.world import World
from tests.unit.planning.scene import CPU, Scene

IMAGE, ID, OTHER = "mine/llama:1", "sha256:" + "5f" * 32, "sha256:" + "60" * 32
USUAL = (
    "-m", "--model", "--alias", "--host", "--port", "-c", "--ctx-size", "-np", "--jinja", "--metrics", "-md", "-ngl"
)  # fmt: skip
ASKED = "2026-01-01T00:00:00Z"


def has(*flags: str, of: str = ID) -> Callable[[HostFacts], HostFacts]:
    """A host with the image, which said that it has these flags beside the usual ones."""

    def change(facts: HostFacts) -> HostFacts:
        said = ImageFlags(of, ASKED, tuple(sorted((*USUAL, *flags))))
        return replace(facts, images=(*facts.images, ImageFact(ID, (IMAGE,))), image_flags=(said,))

    return change


def planned(seen: Callable[[HostFacts], HostFacts], **service: Any) -> Plan:
    scene = Scene({"h1": 0}, seen=seen)
    return scene.plan({"chat": {"image": IMAGE, "placement": CPU, **service}})


def command_of(found: Plan) -> tuple[str, ...]:
    (created,) = [step.operation for step in found.steps if isinstance(step.operation, CreateContainer)]
    return created.spec.command


def codes(found: Plan) -> list[str]:
    return [problem.code for problem in found.problems if problem.code.startswith(("flag", "unknown-flag"))]


def test_a_flag_that_the_image_does_not_have_is_an_error_that_says_who_said_so() -> None:
    found = planned(has("--lookup-cache"), args=["--lookup-cash", "x"])
    (problem,) = [problem for problem in found.problems if problem.severity == "error"]
    assert problem.code == "flag-not-in-image"
    assert problem.message == "`mine/llama:1` on host `h1` has no `--lookup-cash` (service `chat`)"
    assert problem.evidence == (f"its own `--help`, asked {ASKED}, names 13 flags and not this one",)
    assert problem.hint == "did you mean `--lookup-cache`?"
    assert found.is_empty


def test_a_flag_that_an_option_needs_and_the_image_does_not_have() -> None:
    found = planned(has(), options={"prefix_cache": False})
    assert codes(found) == ["flag-not-in-image"]
    assert "`--no-cache-prompt`" in next(p.message for p in found.problems if p.code == "flag-not-in-image")


def test_a_flag_that_the_table_calls_gone_and_the_image_has() -> None:
    args = ["--draft-min", "1"]
    assert codes(planned(has(), args=args)) == ["flag-removed"]
    assert codes(planned(lambda facts: facts, args=args)) == ["flag-removed"]
    assert codes(planned(has("--draft-min"), args=args)) == []


def test_another_image_of_that_name_is_another_matter() -> None:
    assert codes(planned(has(of=OTHER), args=["--lookup-cash"])) == []


def test_a_template_writes_what_the_image_has() -> None:
    draft = {"speculative": {"model": "m", "tokens": 4}}
    old = planned(has("--draft-max"), options=draft)
    new = planned(has("--spec-type", "--spec-draft-n-max"), options=draft)
    commands = [command_of(found) for found in (old, new)]
    assert "--draft-max" in commands[0]
    assert "--spec-draft-n-max" not in commands[0]
    assert "--spec-draft-n-max" in commands[1]


@pytest.mark.parametrize("arg", ["--tp_size", "--tp-size", "--no-jinja", "--part.of-it", "--part=2"])
def test_what_parsers_take_for_a_flag(arg: str) -> None:
    said = ImageFlags(ID, ASKED, ("--jinja", "--part", "--tp_size"))
    assert said.has(arg.partition("=")[0])
    assert not said.has("--tp")


def test_only_images_of_backends_that_say_their_flags_are_asked() -> None:
    services = {
        "chat": {"image": IMAGE, "placement": {"hosts": ["h1"]}},
        "any": {"backend": "container", "image": "mine/any:1", "args": ["x"], "port": {"container": 80}},
        "own": {"image": "mine/own:1", "container": {"command": ["/start.sh"]}},
    }
    found = askable_images(project_of(services))
    assert {host: [one.image for one in images] for host, images in found.items()} == {"h1": [IMAGE], "h2": []}


def test_where_the_spec_names_no_backend_all_that_may_be_chosen_are_asked() -> None:
    found = askable_images(project_of({"chat": {"backend": None}}))
    assert {one.backend.name for one in found["h1"]} >= {"llama.cpp", "vllm"}


def flags_check(seen: Callable[[HostFacts], HostFacts], why: str = "") -> Check | None:
    project = project_of({"chat": {"image": IMAGE}}, {"h1": {}})
    facts = World({"h1": 0}).observe(()).reachable["h1"]
    found = diagnose(project, ObservedState({"h1": seen(facts)}), {"h1": dict.fromkeys([IMAGE] if why else [], why)})
    return next((check for check in found.hosts["h1"].checks if check.name == "flags"), None)


def test_doctor_says_which_images_were_asked() -> None:
    assert flags_check(lambda facts: facts) is None
    known = flags_check(has())
    assert known is not None
    assert known.evidence == (f"{IMAGE}: 12 flags, asked {ASKED}",)
    unknown = flags_check(has(of=OTHER))
    assert unknown is not None
    assert unknown.verdict is Verdict.PASS
    assert "`deployer doctor --flags` asks the others" in unknown.message
    mute = flags_check(has(of=OTHER), why="`--help` does not name its flags")
    assert mute is not None
    assert mute.verdict is Verdict.WARN
    assert mute.evidence == (f"{IMAGE}: `--help` does not name its flags",)


@pytest.mark.parametrize(
    ("service", "why"),
    [
        ({"backend": "ollama"}, "`ollama` has no command that names its settings"),
        ({"container": {"command": ["/start.sh"]}}, "its service runs a command of its own"),
    ],
)
def test_doctor_says_which_images_cannot_be_asked(service: dict[str, Any], why: str) -> None:
    project = project_of({"chat": {"image": IMAGE} | service}, {"h1": {}})
    facts = has(of=OTHER)(World({"h1": 0}).observe(()).reachable["h1"])
    found = diagnose(project, ObservedState({"h1": facts}))
    check = next(check for check in found.hosts["h1"].checks if check.name == "flags")
    assert (check.verdict, check.message) == (Verdict.PASS, "none of its images can be asked for its flags")
    assert check.evidence == (f"{IMAGE}: not asked: {why}",)


def test_an_image_that_one_service_may_ask_is_asked() -> None:
    own = {"image": IMAGE, "container": {"command": ["/start.sh"]}}
    for services in ({"a": own, "b": {"image": IMAGE}}, {"b": own, "a": {"image": IMAGE}}):
        (one,) = askable_images(project_of(services, {"h1": {}}), silent=True)["h1"]
        assert one.silent == ""


def test_facts_hold_only_what_images_of_the_spec_said() -> None:
    facts = has()(World({"h1": 0}).observe(()).reachable["h1"])
    state = ObservedState({"h1": facts})
    assert with_own_flags(project_of({"chat": {"image": IMAGE}}, {"h1": {}}), state) == state
    other = with_own_flags(project_of({"chat": {"image": "mine/other:1"}}, {"h1": {}}), state)
    assert other.reachable["h1"].image_flags == ()
