"""What people ask `plan --what-if` to suppose, as values: parsed from their words, and as fragments of a spec. Pure."""

from __future__ import annotations

import re

from deployer.dataclass import dataclass

NAME = r"([A-Za-z0-9][A-Za-z0-9._-]{0,62})"
LOST = re.compile(rf"host {NAME} (?:is )?lost")
CARDS = re.compile(rf"host {NAME} (?:has|with) (\d{{1,3}}) ?x ?(.{{1,80}})")
MODEL = re.compile(rf"model {NAME} is (\S{{1,400}})")
ENTRY = re.compile(rf"(host|service|model) {NAME}: ?(\{{.{{0,4000}}\}})")
MOST = 32  # at once
MOST_CARDS = 64
GRAMMAR = (
    "`host NAME lost`, `host NAME has 8 x H200`, `model NAME is config.json`, or settings as in the spec: "
    "`service NAME: {model: NAME, replicas: 2}`, `model NAME: {source: ...}`, `host NAME: {state: drain}`"
)


@dataclass(frozen=True, slots=True)
class HostLost:
    host: str


@dataclass(frozen=True, slots=True)
class HostHas:
    """Other GPUs than now, or a host that is not there yet."""

    host: str
    count: int
    gpu: str


@dataclass(frozen=True, slots=True)
class ModelIs:
    """What a model is made of, by a config.json."""

    model: str
    file: str


@dataclass(frozen=True, slots=True)
class Settings:
    """`yaml` on top of what the spec says of it, or of one more."""

    section: str
    name: str
    yaml: str


Supposition = HostLost | HostHas | ModelIs | Settings


def parse_supposition(text: str) -> Supposition:
    """ValueError says how it is written."""
    words = " ".join(text.split())
    if (match := LOST.fullmatch(words)) is not None:
        return HostLost(match[1])
    if (match := CARDS.fullmatch(words)) is not None and 0 < int(match[2]) <= MOST_CARDS:
        return HostHas(match[1], int(match[2]), match[3])
    if (match := MODEL.fullmatch(words)) is not None:
        return ModelIs(match[1], match[2])
    if (match := ENTRY.fullmatch(words)) is not None:
        return Settings(f"{match[1]}s", match[2], match[3])
    raise ValueError(f"`{text[:80]}` is nothing to suppose; write {GRAMMAR}")


def fragment(one: Supposition) -> str | None:
    """YAML that is merged over the spec; None: it says nothing of the spec."""
    match one:
        case HostLost(host):
            return f"version: 1\nhosts:\n  {host}: {{state: lost}}\n"
        case HostHas(host):
            return f"version: 1\nhosts:\n  {host}: {{}}\n"
        case Settings(section, name, yaml):
            return f"version: 1\n{section}:\n  {name}: {yaml}\n"
        case ModelIs():
            return None


def supposed_words(one: Supposition) -> str:
    """For people."""
    match one:
        case HostLost(host):
            return f"host `{host}` is lost"
        case HostHas(host, count, gpu):
            return f"host `{host}` has {count} x {gpu}"
        case ModelIs(model, file):
            return f"model `{model}` is as `{file}` says"
        case Settings(section, name, yaml):
            return f"{section.removesuffix('s')} `{name}` is {yaml}"
