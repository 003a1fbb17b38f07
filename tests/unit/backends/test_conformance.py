"""Every backend that is found keeps the rules: its options, template, paths and goldens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deployer import backends
from deployer.backends.base import Backend, Flag, InTemplate, Refused, SecretByHand, SecretConfig, SecretEnv, Switch
from deployer.errors import Diagnostic
from deployer.planning.render import RenderRequest, render_container, render_setup
from deployer.planning.render_options import check_options
from deployer.planning.render_template import builtin_template, compiled
from deployer.spec.language.models import Category
from deployer.spec.language.options import OPTION_NAMES
from deployer.values.codec import from_data, to_data
from deployer.values.container import ContainerSpec
from deployer.values.images import parse_image
from deployer.values.setup import SetupTask
from tests.support.rendering import model_facts, placed_request, project_of

GOLDEN = Path(__file__).parents[2] / "contract" / "backends" / "golden"
GPUS = ("GPU-aaaa", "GPU-bbbb")
VALUES: dict[str, Any] = {
    "context_length": 4096,
    "tensor_parallel": 4,  # not what two GPUs give by themselves
    "pipeline_parallel": 2,
    "data_parallel": 2,
    "expert_parallel": True,
    "gpu_memory_fraction": 0.5,
    "gpu_memory": "12g",
    "dtype": "bfloat16",
    "quantization": "awq",
    "kv_cache_dtype": "fp8",
    "max_concurrency": 7,
    "max_batch_tokens": 1234,
    "prefix_cache": False,
    "cpu_offload": 3,
    "chat_template": "chat.jinja",
    "reasoning_parser": "deepseek_r1",
    "tool_parser": "hermes",
    "lora": {"math": "/data/loras/math"},
    "speculative": {"model": "draft", "tokens": 4},
    "trust_remote_code": True,
    "api_key": [{"secret": "key"}],
}
FOLDER = {"tiny": {"source": "file:///srv/models/tiny"}}
BACKENDS = pytest.mark.parametrize("backend", backends.load_all(), ids=lambda b: b.name)


def rendered(backend: Backend, options: dict[str, Any]) -> ContainerSpec:
    return render_container(request_of(backend, options))


def everything(backend: Backend, options: dict[str, Any]) -> tuple[ContainerSpec, tuple[SetupTask, ...]]:
    request = request_of(backend, options)
    return render_container(request), render_setup(request)


def request_of(backend: Backend, options: dict[str, Any]) -> RenderRequest:
    project = project_of(least(backend) | {"options": options}, {"chat.jinja": b"{{ messages }}"})
    draft = model_facts("/srv/models/draft.gguf") if "speculative" in options else None
    return placed_request(project, backend.name, gpus=GPUS, draft=draft)


def least(backend: Backend) -> dict[str, Any]:
    """What a service must say of this backend at least."""
    image = {} if backend.images.repository else {"image": "reg.local/lab/server:1"}
    by_hand = isinstance(backend.options["api_key"], SecretByHand)
    env = {"env": {"SERVER_KEY": {"secret": "key"}}} if by_hand else {}
    release = {"version": "2.0"} if backend.has_profiles else {}  # it has no default, and its generations differ
    return image | env | release | {"args": [f"{flag}=1" for flag in backend.needs_args]}


def refusals_of(backend: Backend, options: dict[str, Any]) -> list[Diagnostic]:
    found = check_options(project_of(least(backend) | {"options": options}, models=FOLDER), "chat", backend)
    return [problem for problem in found if problem.code not in ("backend-notice", "env-missing")]


def suitable(backend: Backend, option: str) -> Any:
    """A value of the option that this backend takes, or that it refuses where it refuses the option."""
    mapping = backend.options[option]
    values = getattr(mapping, "values", None)
    if isinstance(mapping, Switch) and mapping.off is None:
        return True
    if any(VALUES[option] is value for value in getattr(mapping, "unless", ())):
        return not VALUES[option]
    if values is None or not isinstance(VALUES[option], str) or VALUES[option] in values:
        return VALUES[option]
    return next(word for word, native in values.items() if native is not None)


@BACKENDS
def test_every_option_is_mapped_or_refused(backend: Backend) -> None:
    assert set(backend.options) == set(OPTION_NAMES)
    assert set(VALUES) == set(OPTION_NAMES)


@BACKENDS
@pytest.mark.parametrize("option", OPTION_NAMES)
def test_an_option_changes_the_container_or_is_refused(backend: Backend, option: str) -> None:
    mapping = backend.options[option]
    value = suitable(backend, option)
    refusals = refusals_of(backend, {option: value})
    if isinstance(mapping, Refused):
        assert [d.code for d in refusals] == ["option-refused"]
        assert mapping.reason in refusals[0].message
        assert not mapping.reason.endswith(".")
    elif isinstance(mapping, SecretByHand):
        assert not refusals
        bare = check_options(project_of({"options": {option: value}}, models=FOLDER), "chat", backend)
        assert [d.code for d in bare] == ["option-refused"]
    else:
        assert isinstance(mapping, Flag | Switch | InTemplate | SecretEnv | SecretConfig)
        assert not refusals
        assert everything(backend, {option: value}) != everything(backend, {})


@BACKENDS
def test_values_that_ask_for_nothing_are_not_refused(backend: Backend) -> None:
    for option, mapping in backend.options.items():
        for value in mapping.unless if isinstance(mapping, Refused) else ():
            assert refusals_of(backend, {option: value}) == []


@BACKENDS
def test_flags_of_options_are_known_where_the_backend_says_which_it_has(backend: Backend) -> None:
    mapped = [m for m in backend.options.values() if isinstance(m, Flag | Switch)]
    names = {m.name for m in mapped if isinstance(m, Flag)} | {m.on for m in mapped if isinstance(m, Switch) and m.on}
    long = {name for name in names if name.startswith("--")}
    if any(r.since is None and r.gone is None for r in backend.flags.values()):
        assert long <= set(backend.flags)


@BACKENDS
def test_template_images_paths_and_categories(backend: Backend) -> None:
    compiled(backend.template, builtin_template(backend.template))
    assert backend.template == f"{backend.name}.yaml.j2"
    if backend.images.repository is None:
        assert backend.images.of_model or (backend.images.gpu, backend.images.cpu) == (None, None)
    else:
        parse_image(backend.images.repository)
        assert backend.images.gpu or backend.images.cpu
    assert not backend.images.instead.endswith(".")
    assert backend.api.health.startswith("/")
    assert set(backend.categories) <= set(Category.__args__)
    assert all(path.startswith("/") for path in backend.caches.values())
    assert backend.ready_timeout > 0
    assert backend.source
    assert not (backend.notice or "").endswith(".")


@BACKENDS
def test_there_is_a_golden(backend: Backend) -> None:
    assert list((GOLDEN / backend.name).glob("*.txt")), f"{backend.name} has no golden docker run"


@BACKENDS
def test_people_are_told_of_it(backend: Backend) -> None:
    page = (GOLDEN.parents[3] / "BACKENDS.md").read_text("utf-8")
    assert f"| `{backend.name}` |" in page


@BACKENDS
def test_a_rendered_container_survives_its_label(backend: Backend) -> None:
    spec = rendered(backend, {"context_length": 4096, "api_key": [{"secret": "key"}]})
    assert from_data(ContainerSpec, to_data(spec)) == spec


def test_backends_are_found_by_any_name() -> None:
    assert backends.names() == tuple(sorted(b.name for b in backends.load_all()))
    for backend in backends.load_all():
        for name in (backend.name, *backend.aliases, *backend.replaced, backend.name.upper()):
            assert backends.find(name) is backend
    assert backends.find("nope") is None
    assert backends.aliases()["llama-server"] == "llama.cpp"


def test_names_and_aliases_are_unique() -> None:
    every = [name for backend in backends.load_all() for name in (backend.name, *backend.aliases, *backend.replaced)]
    assert len(every) == len(set(every))
