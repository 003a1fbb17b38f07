"""Lists of NIM profiles as images of several generations printed or document them, and the names in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.formats.nim_profiles import MAX_PROFILES, parse_profile_list, parse_profile_name
from deployer.values.nim import NimProfile, ProfileTraits, SeenGpu

DATA = Path(__file__).with_name("data") / "nim"
ONE, TWO = "5f" * 32, "60" * 32
SECOND = f"""
SYSTEM INFO
- Free GPUs: <None>
- Non-free GPUs:
  -  [2330:10de] (0) NVIDIA H100 80GB HBM3 [current utilization: 91%]
MODEL PROFILES
- Compatible with system and runnable: <None>
- Compatible with system but low memory:
  - {ONE} (vllm-bf16-tp1-pp1-63.0) [requires >=63 GB/gpu, try --max-model-len=4096 to reduce to >=30 GB/gpu]
- Incompatible with system:
  - {TWO} (vllm-fp8-tp8-pp1-feat_lora-8.0)
"""


def test_a_list_of_the_first_generation_with_lora_profiles_apart() -> None:
    found = parse_profile_list((DATA / "list-1.0.txt").read_text())
    assert [(gpu.device, gpu.index) for gpu in found.gpus] == [("26b3", 0), ("26b3", 1), ("1d01", 2)]
    assert found.gpus[2].name == "NVIDIA GeForce GT 1030"
    assert [p.name for p in found.profiles if p.said == "runnable"] == [
        "vllm-fp16-tp2", "vllm-fp16-tp1", "vllm-fp16-tp2-lora", "vllm-fp16-tp1-lora",
    ]  # fmt: skip
    assert len(found.profiles) == 20


def test_a_list_with_lines_of_the_log_in_it_and_nothing_runnable() -> None:
    found = parse_profile_list((DATA / "list-1.8.4.txt").read_text())
    assert found.gpus == (SeenGpu("26b1", 0, "NVIDIA RTX 6000 Ada Generation"), SeenGpu("1fb1", 1, "NVIDIA T600"))
    assert {profile.said for profile in found.profiles} == {"incompatible"}
    assert len(found.profiles) == 30


def test_a_list_of_the_second_generation_says_what_memory_a_profile_wants() -> None:
    found = parse_profile_list(SECOND)
    assert found.gpus == (SeenGpu("2330", 0, "NVIDIA H100 80GB HBM3"),)
    assert found.profiles == (
        NimProfile(ONE, "vllm-bf16-tp1-pp1-63.0", "low-memory", 63 * 10**9, (4096, 30 * 10**9)),
        NimProfile(TWO, "vllm-fp8-tp8-pp1-feat_lora-8.0", "incompatible", 8 * 10**9),
    )


@pytest.mark.parametrize(
    ("name", "traits"),
    [
        (
            "tensorrt_llm-h100-fp8-tp2-latency",
            ProfileTraits("tensorrt_llm", "h100", precision="fp8", tensor=2, goal="latency"),
        ),
        (
            "tensorrt_llm-a100_sxm4_40gb-bf16-tp1-pp1-throughput-lora-lora",
            ProfileTraits(
                "tensorrt_llm", "a100_sxm4_40gb", None, "bf16", tensor=1, pipeline=1, goal="throughput", lora=True
            ),
        ),
        (
            "tensorrt_llm-trtllm_buildable-bf16-tp1-pp1",
            ProfileTraits("tensorrt_llm", precision="bf16", tensor=1, pipeline=1, buildable=True),
        ),
        (
            f"tensorrt_llm-h100_nvl-fp8-tp2-pp1-throughput-pytorch-2321:10de-{ONE}-2-true",
            ProfileTraits("tensorrt_llm", "h100_nvl", "2321", "fp8", tensor=2, pipeline=1, goal="throughput"),
        ),
        (
            f"vllm-bf16-tp4-pp2-lora-32-{ONE}",
            ProfileTraits("vllm", precision="bf16", tensor=4, pipeline=2, lora=True),
        ),
        ("vllm", ProfileTraits("vllm")),
        ("sglang-int4_awq-tp1", ProfileTraits("sglang", precision="int4_awq", tensor=1)),
        (
            "vllm-bf16-tp1-pp1-feat_lora-63.0",
            ProfileTraits("vllm", precision="bf16", tensor=1, pipeline=1, lora=True, memory=63 * 10**9),
        ),
        (
            "vllm-fp8-tp1-pp1-newer-99",
            ProfileTraits("vllm", precision="fp8", tensor=1, pipeline=1, unknown=("newer", "99")),
        ),
        ("speech-riva-b8", ProfileTraits(unknown=("speech", "riva", "b8"))),
    ],
)
def test_what_a_name_says(name: str, traits: ProfileTraits) -> None:
    assert parse_profile_name(name) == traits


def test_a_profile_that_is_listed_twice_counts_where_it_is_first() -> None:
    found = parse_profile_list(
        f"- Compatible with system and runnable:\n - {ONE} (a)\n- Incompatible with system:\n - {ONE} (a)"
    )
    assert found.profiles == (NimProfile(ONE, "a", "runnable"),)


def test_escape_sequences_and_endless_lists() -> None:
    coloured = parse_profile_list(f"\x1b[32m- {ONE} (vllm-fp16-tp1)\x1b[0m\r\n")
    assert [profile.name for profile in coloured.profiles] == ["vllm-fp16-tp1"]
    endless = "\n".join(f"- {number:064x} (vllm-tp1)" for number in range(4 * MAX_PROFILES))
    assert len(parse_profile_list(endless).profiles) == MAX_PROFILES


@given(
    st.text()
    | st.lists(st.sampled_from([ONE, "-", " ", "(", ")", "vllm", "[", "requires >=9e9 GB", "\n"])).map("".join)
)
def test_garbage_is_no_list(text: str) -> None:
    for profile in parse_profile_list(text).profiles:
        assert len(profile.id) == 64
        assert parse_profile_name(profile.name).gpus >= 1


@given(
    st.lists(st.sampled_from(["vllm", "tp0", "tp9999", "pp2", "fp8", "-", "lora", ONE, "1.5", "h100", "é"])).map(
        "-".join
    )
)
def test_any_name_says_something_or_nothing(name: str) -> None:
    assert 1 <= parse_profile_name(name).gpus <= 1024 * 1024
