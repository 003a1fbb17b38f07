"""Which profile a NIM is told to take: by its GPUs, its options, and what was decided before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployer.formats.nim_profiles import parse_profile_list
from deployer.planning.nim_profiles import ProfileWish, chosen_profile, judged_profiles
from deployer.values.facts import HostFacts, ImageFact
from deployer.values.nim import ImageProfiles, NimProfile
from deployer.values.operations import CreateContainer
from deployer.values.plan import Plan
from deployer.workflow.profiling import largest_kind, named_gpus
from tests.unit.planning.scene import Scene
from tests.unit.planning.test_fitting import scene

DATA = Path(__file__).resolve().parents[1] / "formats" / "data" / "nim"
FIRST = parse_profile_list((DATA / "list-1.0.txt").read_text())
LATER = parse_profile_list((DATA / "list-1.8.4.txt").read_text())
IMAGE, ID = "nvcr.io/nim/meta/llama-3.2-1b-instruct:1.8.4", "sha256:" + "5f" * 32
BUILDABLE = "ac34857f8dcbd174ad524974248f2faf271bd2a0355643b2cf1490d0fe7787c2"
OWN = {"own": {"source": "file:///srv/models/own"}}


def chosen(gpu: str, count: int = 1, of: Any = LATER, **wish: Any) -> str | None:
    found = chosen_profile(judged_profiles(of.profiles, ProfileWish(**wish), named_gpus(gpu, count)))
    return found.name if found is not None else None


@pytest.mark.parametrize(
    ("gpu", "name"),
    [
        ("H100", "tensorrt_llm-h100-fp8-tp1-pp1-throughput"),
        ("H100 NVL", "tensorrt_llm-h100_nvl-fp8-tp1-pp1-throughput"),
        ("L40S", "tensorrt_llm-l40s-fp8-tp1-pp1-throughput"),
        ("A100", "tensorrt_llm-a100-bf16-tp1-pp1-throughput"),
        ("NVIDIA A100-SXM4-40GB", "tensorrt_llm-a100_sxm4_40gb-bf16-tp1-pp1-throughput"),
        ("RTX 6000 Ada", "tensorrt_llm-trtllm_buildable-bf16-tp1-pp1"),
        ("RTX 4090", "tensorrt_llm-trtllm_buildable-bf16-tp1-pp1"),
        ("T4", None),
    ],
)
def test_an_engine_for_this_very_gpu_comes_before_one_that_is_built(gpu: str, name: str | None) -> None:
    assert chosen(gpu) == name


def test_the_gpu_that_an_image_chose_a_profile_for_itself() -> None:
    """NIM 1.8.4 on an RTX 6000 Ada said `Selected profile: ac34857f...`."""
    found = chosen_profile(judged_profiles(LATER.profiles, ProfileWish(), largest_kind(LATER.gpus)))
    assert found is not None
    assert found.id == BUILDABLE


@pytest.mark.parametrize(
    ("count", "wish", "name"),
    [
        (1, {}, "tensorrt_llm-l40s-fp8-tp1-throughput"),
        (2, {}, "tensorrt_llm-l40s-fp8-tp2-latency"),
        (2, {"goal": "throughput"}, "tensorrt_llm-l40s-fp8-tp1-throughput"),
        (2, {"tensor": 1}, "tensorrt_llm-l40s-fp8-tp1-throughput"),
        (2, {"lora": True}, "tensorrt_llm-l40s-fp16-tp1-throughput-lora"),
        (2, {"tensor": 4}, None),
        (2, {"own_weights": True}, "vllm-fp16-tp2"),
    ],
)
def test_what_the_service_asks_for(count: int, wish: dict[str, Any], name: str | None) -> None:
    assert chosen("L40S", count, FIRST, **wish) == name


def test_memory_counts_where_the_list_says_it() -> None:
    wide = NimProfile("1" * 64, "vllm-bf16-tp1-pp1", "low-memory", 45 * 10**9, (4096, 30 * 10**9))
    small = named_gpus("NVIDIA A100-SXM4-40GB", 1)
    (refused,) = judged_profiles([wide], ProfileWish(), small)
    assert refused.reasons == ("needs 45 GB of each GPU, 30 with `context_length` 4096, and there are 43",)
    (taken,) = judged_profiles([wide], ProfileWish(context=4096), small)
    assert taken.reasons == ()


def test_gpus_of_two_kinds_share_no_engine() -> None:
    mixed = (*named_gpus("L40S", 1), *named_gpus("A100", 1))
    found = chosen_profile(judged_profiles(FIRST.profiles, ProfileWish(), mixed))
    assert found is not None
    assert found.name == "vllm-fp16-tp1"


# --- in a plan -----------------------------------------------------------------


def nim(gpu: str, profiles: tuple[NimProfile, ...] = LATER.profiles) -> Scene:
    here = scene({"h1": (1, gpu)}, None)
    here.sections["models"] |= OWN | {"m": {"source": "ngc://nim/meta/llama-3.2-1b-instruct"}}
    here.seen = said_on(here.seen, profiles)
    here.world.images["h1"].add(IMAGE)
    return here


def said_on(seen: Callable[[HostFacts], HostFacts], profiles: tuple[NimProfile, ...]) -> Any:
    def change(facts: HostFacts) -> HostFacts:
        known = ImageProfiles(ID, "2026-01-01T00:00:00Z", profiles)
        return replace(seen(facts), images=(ImageFact(ID, (IMAGE,)), *facts.images), nim_profiles=(known,))

    return change


def service(**changes: Any) -> dict[str, dict[str, Any]]:
    return {"chat": {"backend": "nim", "image": IMAGE, "env": {"NGC_API_KEY": "x"}, **changes}}


def passed_on(found: Plan) -> list[object]:
    created = [step.operation for step in found.steps if isinstance(step.operation, CreateContainer)]
    return [one.spec.env.get("NIM_MODEL_PROFILE") for one in created]


def nim_codes(found: Plan) -> list[str]:
    return [problem.code for problem in found.problems if "nim-profile" in problem.code]


def test_the_container_is_told_the_id() -> None:
    assert passed_on(nim("RTX 6000 Ada").plan(service())) == [BUILDABLE]
    unasked = nim("RTX 6000 Ada", ())
    assert passed_on(unasked.plan(service())) == [None]
    assert passed_on(nim("RTX 6000 Ada").plan(service(nim={"profile": "vllm-bf16-tp1-pp1"}))) == ["vllm-bf16-tp1-pp1"]


def test_a_profile_that_is_learned_later_restarts_nobody() -> None:
    here = nim("RTX 6000 Ada")
    knowing, here.seen = here.seen, scene({"h1": (1, "RTX 6000 Ada")}, None).seen
    here.apply(service())
    here.seen = knowing
    assert here.plan(service()).is_empty
    edited = here.plan(service(env={"NGC_API_KEY": "y"}))
    assert passed_on(edited) == [BUILDABLE]


def test_a_profile_that_was_chosen_stays_though_a_better_one_is_listed() -> None:
    here = nim("H100", tuple(p for p in LATER.profiles if p.name.startswith("vllm")))
    here.apply(service())
    here.seen = said_on(scene({"h1": (1, "H100")}, None).seen, LATER.profiles)
    edited = here.plan(service(env={"NGC_API_KEY": "y"}))
    assert [p.name for p in LATER.profiles if p.id in passed_on(edited)] == ["vllm-bf16-tp1-pp1"]
    shorter = here.plan(service(options={"context_length": 4096}))
    assert [p.name for p in LATER.profiles if p.id in passed_on(shorter)] == [
        "tensorrt_llm-h100-fp8-tp1-pp1-throughput"
    ]


def test_weights_of_ones_own_take_no_engine_that_holds_others() -> None:
    found = nim("H100").plan(service(model="own"))
    assert passed_on(found) == [BUILDABLE]


def test_a_profile_that_the_image_does_not_have_is_an_error() -> None:
    found = nim("H100").plan(service(nim={"profile": "0" * 64}))
    (problem,) = [p for p in found.problems if p.code == "unknown-nim-profile"]
    assert problem.severity == "error"
    assert "takes tensorrt_llm-h100-fp8-tp1-pp1-throughput; `deployer nim-profiles chat`" in (problem.hint or "")


def test_a_profile_for_other_gpus_is_warned_of() -> None:
    found = nim("L40S").plan(service(nim={"profile": "tensorrt_llm-h100-fp8-tp1-pp1-throughput"}))
    (problem,) = [p for p in found.problems if p.code == "doubtful-nim-profile"]
    assert problem.evidence == ("was built for h100, which NVIDIA L40S is not",)
    assert not found.has_errors


def test_where_no_profile_suits_the_nearest_are_named() -> None:
    found = nim("T4").plan(service())
    (problem,) = [p for p in found.problems if p.code == "no-nim-profile"]
    assert problem.message == f"none of the 30 profiles of `{IMAGE}` suits 1 x Tesla T4 of `h1`"
    assert problem.evidence[0].endswith("bf16 takes compute capability 8.0, Tesla T4 has 7.5")
    assert nim_codes(nim("H100").plan(service())) == []
