"""What `list-model-profiles` of NVIDIA NIM images prints, of every generation, and what the names in it mean. Pure.

Sources: NVIDIA NIM for LLMs documentation 1.0 to 2.1, "Model Profiles" and "Utilities"; the lists that images of 1.0
and 1.8.4 printed. Names are words between `-`; an order that a later image has differs only in words that are added.
"""

from __future__ import annotations

import re

from deployer.dataclass import replace
from deployer.formats.text import lines, one_line
from deployer.pattern import pattern
from deployer.values.nim import NimProfile, ProfileList, ProfileTraits, Said, SeenGpu

MAX_LINES, MAX_LENGTH, MAX_PROFILES, MAX_GPUS = 20_000, 1000, 512, 64
GB = 10**9
MOST_MEMORY, MOST_CONTEXT, MOST_GPUS = 10_000, 1 << 30, 1024
BACKENDS = ("tensorrt_llm", "vllm", "sglang")
BITS = {  # of a weight
    "fp32": 32, "fp16": 16, "bf16": 16, "fp8": 8, "int8": 8, "nvfp4": 4, "mxfp4": 4, "int4": 4, "int4_awq": 4,
}  # fmt: skip
GOALS = ("latency", "throughput", "balanced")
BUILDABLE = "trtllm_buildable"
ENTRY = pattern(r"-\s*([0-9a-f]{64})\s*\(([\w.:+-]{1,200})\)\s*(?:\[(.*)\])?", re.ASCII)
SEEN = pattern(r"-\s*\[([0-9a-f]{4}):[0-9a-f]{4}\]\s*\((\d{1,4})\)\s*(.*)", re.ASCII)
WANTS = pattern(r"requires\s*>=\s*(\d{1,5}(?:\.\d{1,3})?)\s*GB")
SHORTER = pattern(r"--max-model-len[= ](\d{1,10})\D.*?>=\s*(\d{1,5}(?:\.\d{1,3})?)\s*GB")
SECTIONS: tuple[tuple[str, Said], ...] = (
    ("incompatible with system", "incompatible"),
    ("compatible with system and runnable", "runnable"),
    ("compatible with system", "low-memory"),
    ("compilable to", "compilable"),
)
PARALLEL = pattern(r"(tp|pp)(\d{1,4})", re.ASCII)
DEVICE = pattern(r"([0-9a-f]{4}):10de", re.ASCII)
MEMORY = pattern(r"\d{1,4}\.\d{1,3}", re.ASCII)
HEX, NUMBER = re.compile(r"[0-9a-f]{64}", re.ASCII), re.compile(r"\d{1,6}", re.ASCII)


def parse_profile_list(text: str) -> ProfileList:
    """Lines of a log between, and `#` or blanks in front, are left out; a profile that is listed twice counts once."""
    gpus: list[SeenGpu] = []
    profiles: dict[str, NimProfile] = {}
    said: Said = "unsaid"
    for raw in lines(text, MAX_LINES):
        line = one_line(raw, MAX_LENGTH).lstrip("# ")
        said = _section(line) or said
        entry, seen = ENTRY.match(line), SEEN.match(line)
        if entry is not None and len(profiles) < MAX_PROFILES:
            profiles.setdefault(entry[1], _profile(entry, said))
        elif seen is not None and len(gpus) < MAX_GPUS:
            gpus.append(SeenGpu(seen[1], int(seen[2]), seen[3].partition("[current utilization")[0].strip()))
    return ProfileList(tuple(gpus), tuple(profiles.values()))


def _section(line: str) -> Said | None:
    """What holds of all that follows a heading."""
    heading = line.removeprefix("-").strip().lower()
    return next((said for begin, said in SECTIONS if heading.startswith(begin)), None)


def _profile(entry: re.Match[str], said: Said) -> NimProfile:
    aside = entry[3] or ""
    wants, shorter = WANTS.search(aside), SHORTER.search(aside)
    memory = _gigabytes(wants[1]) if wants is not None else parse_profile_name(entry[2]).memory
    less = _gigabytes(shorter[2]) if shorter is not None else None
    context = int(shorter[1]) if shorter is not None else 0
    known = less is not None and 0 < context <= MOST_CONTEXT
    return NimProfile(entry[1], entry[2], said, memory, (context, less) if known and less is not None else None)


def _gigabytes(text: str) -> int | None:
    number = float(text)
    return int(number * GB) if 0 < number <= MOST_MEMORY else None


def parse_profile_name(name: str) -> ProfileTraits:
    """As `tensorrt_llm-h100_nvl-fp8-tp2-pp1-throughput-2321:10de-HEX-2`. What is not known is kept as `unknown`."""
    found, words = ProfileTraits(), [word for word in name.lower().split("-") if word]
    unknown: list[str] = []
    for index, word in enumerate(words):
        changed = _with_word(found, word, words[index - 1] if index else "")
        if changed is None and found.gpu is None and found.precision is None and found.backend is not None:
            changed = replace(found, buildable=True) if word == BUILDABLE else replace(found, gpu=word)
        if changed is None:
            unknown.append(word)
        found = changed or found
    return replace(found, unknown=tuple(unknown))


def _with_word(found: ProfileTraits, word: str, before: str) -> ProfileTraits | None:
    """With what one word says; None where it says nothing known."""
    parallel, device = PARALLEL.fullmatch(word), DEVICE.fullmatch(word)
    if word in BACKENDS:
        return replace(found, backend=word)
    if word in BITS:
        return replace(found, precision=word)
    if parallel is not None and 0 < int(parallel[2]) <= MOST_GPUS:
        size = int(parallel[2])
        return replace(found, tensor=size) if parallel[1] == "tp" else replace(found, pipeline=size)
    if word in GOALS:
        return replace(found, goal=word)
    if word in ("lora", "feat_lora"):
        return replace(found, lora=True)
    if device is not None:
        return replace(found, device=device[1])
    return _with_number(found, word, before)


def _with_number(found: ProfileTraits, word: str, before: str) -> ProfileTraits | None:
    """Memory in GB, a digest, the rank behind `lora`, the GPUs behind a digest: all but the first say nothing new."""
    if MEMORY.fullmatch(word):
        return replace(found, memory=_gigabytes(word))
    tells_nothing = HEX.fullmatch(word) or word in ("pytorch", "true", "false")
    counts = NUMBER.fullmatch(word) and (before in ("lora", "feat_lora") or HEX.fullmatch(before))
    return found if tells_nothing or counts else None
