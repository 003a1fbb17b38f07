"""Options of a backend whose template is the spec's own: what that reads is taken, what it does not read is refused."""

from __future__ import annotations

import pytest

from deployer import backends
from deployer.backends.base import Refused
from deployer.planning.adapted import adapted
from deployer.planning.render_options import check_options
from deployer.spec.load import load

SPEC = """
version: 1
project: demo
hosts: {here: {connection: local}}
secrets: {key: {env: KEY}}
models: {tiny: {source: "file:///srv/models/tiny.gguf"}}
backends: {acme: {extends: BASE, image: "mine/acme:1", template: acme.j2}}
services: {chat: {model: tiny, backend: acme, options: OPTIONS}}
"""


def refused(base: str, template: str, options: str) -> list[str]:
    files = {"deploy.yaml": SPEC.replace("BASE", base).replace("OPTIONS", options), "acme.j2": template}
    project = load(["deploy.yaml"], lambda name: files[name].encode())
    built_in = backends.find(base)
    assert built_in is not None
    backend = adapted(built_in, project, "acme", project.spec.models["tiny"])
    return [problem.message for problem in check_options(project, "chat", backend) if problem.severity == "error"]


@pytest.mark.parametrize(
    ("base", "template", "options"),
    [
        ("vllm", "args: [{{ options.context_length }}]", "{context_length: 4096}"),
        ("vllm", "args: {{ option_args }}", "{context_length: 4096, prefix_cache: true}"),
        ("vllm", "args: [{{ gpus | length }}]", "{tensor_parallel: 2}"),
        ("vllm", "args: {{ loras }}", "{lora: {math: /data/math}}"),
        ("vllm", "data: {/etc/all.json: {{ options }}}", "{context_length: 4096, reasoning_parser: qwen3}"),
        ("vllm", "args: [serve]", "{api_key: {secret: key}}"),
        ("container", "args: [{{ options.context_length }}]", "{context_length: 4096}"),
    ],
)
def test_what_a_template_reads_is_taken(base: str, template: str, options: str) -> None:
    assert refused(base, template, options) == []


@pytest.mark.parametrize(
    ("base", "template", "options", "option"),
    [
        (
            "vllm",
            "args: [{{ options.context_length }}]",
            "{context_length: 4096, max_concurrency: 2}",
            "max_concurrency",
        ),
        ("vllm", "args: {{ option_args }}", "{tool_parser: hermes}", "tool_parser"),
        ("vllm", "args: [{{ options.context_length_max }}]", "{context_length: 4096}", "context_length"),
    ],
)
def test_what_a_template_does_not_read_is_refused(base: str, template: str, options: str, option: str) -> None:
    why = f"`{base}` has no `{option}`: the template `acme.j2` of `acme` does not read it (service `chat`)"
    assert refused(base, template, options) == [why]


def test_what_the_backend_below_refuses_is_refused_for_its_own_reason() -> None:
    (message,) = refused("ollama", "args: [serve]", "{data_parallel: 2}")
    assert "one server a container" in message


def test_without_a_template_a_backend_is_as_it_was() -> None:
    files = {"deploy.yaml": SPEC.replace("BASE", "vllm").replace(", template: acme.j2", "").replace("OPTIONS", "{}")}
    project = load(["deploy.yaml"], lambda name: files[name].encode())
    vllm = backends.find("vllm")
    assert vllm is not None
    same = adapted(vllm, project, "acme", project.spec.models["tiny"])
    assert not isinstance(same.options["tool_parser"], Refused)
    assert same == vllm
