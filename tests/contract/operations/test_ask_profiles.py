"""X must learn a NIM image's profiles, or whether containers get GPUs, and leave nothing of the asking behind."""

from __future__ import annotations

import pytest

from deployer.engine.ask_profiles import ProfileQuestion, ask_profiles
from deployer.engine.context import Site
from deployer.engine.try_gpus import try_gpus
from deployer.engine.watch import Watch
from deployer.errors import OperationError
from deployer.values.container import ContainerSpec
from deployer.values.secrets import SecretRef
from tests.contract.operations.bench import IMAGE, Bench

ONE = "5f" * 32
LIST = f"MODEL PROFILES\\n- Compatible with system and runnable:\\n  - {ONE} (vllm-bf16-tp1-pp1)\\n"


def site(bench: Bench) -> Site:
    return Site(bench.context, bench.transport, Watch("profiles", "here", "ask"))


def question(bench: Bench, *command: str) -> ProfileQuestion:
    image = str(bench.docker.inspect_image(IMAGE)["Id"])
    env = {"NGC_API_KEY": SecretRef("api")}
    return ProfileQuestion(IMAGE, image, "chat", ContainerSpec(IMAGE), env, command)


def kept(bench: Bench) -> list[str]:
    folder = bench.directory / "state" / "nim_profiles"
    return [path.read_text().partition("\n")[2] for path in folder.iterdir()] if folder.exists() else []


def test_an_image_lists_its_profiles_and_its_container_is_gone(bench: Bench) -> None:
    found = ask_profiles(question(bench, "printf", LIST), site(bench))
    assert [profile.name for profile in found.profiles] == ["vllm-bf16-tp1-pp1"]
    assert kept(bench) == [f"{ONE} vllm-bf16-tp1-pp1 runnable 0 0 0\n"]
    assert bench.names() == set()


def test_an_image_that_lists_none_says_why(bench: Bench) -> None:
    with pytest.raises(OperationError) as raised:
        ask_profiles(question(bench, "printf", "Authentication Error\\n"), site(bench))
    assert raised.value.diagnostic.code == "no-profiles"
    assert raised.value.diagnostic.evidence == ("Authentication Error",)
    assert kept(bench) == []
    assert bench.names() == set()


def test_a_container_that_gets_no_gpu_says_so_and_is_gone(bench: Bench) -> None:
    image = str(bench.docker.inspect_image(IMAGE)["Id"])
    tried = try_gpus((IMAGE, image), "chat", ("GPU-0",), site(bench))
    assert tried.seen == ()
    assert tried.said
    assert bench.names() == set()
