"""Every option on every backend in every version that its flags are known of: a flag of that version, or a refusal."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer import backends
from deployer.backends.base import Backend, Refused
from deployer.backends.versions import has_flag, parse_version
from deployer.formats.help_text import parse_help
from deployer.planning.render import render_container
from deployer.planning.render_options import check_options
from deployer.spec.language.options import OPTION_NAMES
from deployer.values.facts import ImageFlags
from tests.conftest import Golden
from tests.support.rendering import model_facts, placed_request, project_of
from tests.unit.backends.test_conformance import FOLDER, GPUS, VALUES, least, suitable

UNIT = Path(__file__).parents[1]
HELP = UNIT / "formats" / "data" / "help"
PAGE = UNIT.parents[1] / "BACKENDS.md"
BEGIN, END = "<!-- options: written by tests/unit/backends/test_option_matrix.py -->\n", "<!-- end of options -->"


def versions_of(backend: Backend) -> list[str]:
    """Where its flags change, and its default."""
    named = {v for r in backend.flags.values() for v in (r.since, r.gone, r.after) if v is not None}
    return sorted(named | ({backend.version} if backend.version else set()), key=lambda v: parse_version(v) or ())


CASES = [(backend, version) for backend in backends.load_all() for version in (versions_of(backend) or [None])]


def asked(backend: Backend, option: str, version: str | None) -> dict[str, Any]:
    given = {"version": version} if version is not None else {}
    return least(backend) | given | {"options": {option: suitable(backend, option)}}


def is_refused(backend: Backend, option: str, version: str | None) -> bool:
    """With a reason and something to do."""
    found = check_options(project_of(asked(backend, option, version), models=FOLDER), "chat", backend)
    errors = [problem for problem in found if problem.severity == "error"]
    assert all(problem.hint for problem in errors)
    return bool(errors)


def flags_of(backend: Backend, option: str, version: str | None) -> Iterator[str]:
    """Those that the rendered command has."""
    project = project_of(asked(backend, option, version), {"chat.jinja": b"{{ messages }}"})
    draft = model_facts("/srv/models/draft.gguf") if option == "speculative" else None
    command = render_container(placed_request(project, backend.name, gpus=GPUS, draft=draft)).command
    by_hand = {f"{flag}=1" for flag in backend.needs_args}
    return (arg.partition("=")[0] for arg in command if arg.startswith("--") and arg not in by_hand)


@pytest.mark.parametrize(("backend", "version"), CASES, ids=lambda one: getattr(one, "name", one))
def test_each_option_is_a_flag_that_the_version_has_or_is_refused(backend: Backend, version: str | None) -> None:
    for option in OPTION_NAMES:
        if is_refused(backend, option, version):
            continue
        for flag in flags_of(backend, option, version):
            assert flag in backend.flags or not backend.knows_all_flags, f"{option}: {flag}"
            assert has_flag(backend, flag, version), f"{option}: {flag}"


@pytest.mark.parametrize(
    ("name", "version", "file"),
    [
        ("vllm", "v0.32.0", "vllm-0.32.0.txt.gz"),
        ("llama.cpp", "b11434", "llama-server-b11434.txt"),
        ("infinity", "0.0.78", "infinity-0.0.78.txt"),
    ],
)
def test_what_the_real_program_says_of_itself_agrees(name: str, version: str, file: str) -> None:
    backend = backends.find(name)
    assert backend is not None
    data = (HELP / file).read_bytes()
    said = ImageFlags("", "", parse_help((gzip.decompress(data) if file.endswith(".gz") else data).decode()))
    for option in OPTION_NAMES:
        if not is_refused(backend, option, version):
            assert [flag for flag in flags_of(backend, option, version) if not said.has(flag)] == [], option
    for flag in backend.flags:
        assert has_flag(backend, flag, version) is said.has(flag), f"the table is wrong about {flag}"


def test_the_page_says_what_each_backend_takes(golden: Golden) -> None:
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    golden.check("../BACKENDS.md", f"{before}{BEGIN}{table()}{END}{after}")


def table() -> str:
    lines = ["| option | taken by | refused by, each with its reason |", "|---|---|---|"]
    known = backends.load_all()
    assert set(VALUES) == set(OPTION_NAMES)
    for option in OPTION_NAMES:
        refusing = [backend.name for backend in known if isinstance(backend.options[option], Refused)]
        taking = [backend.name for backend in known if backend.name not in refusing]
        lines.append(f"| `{option}` | {', '.join(taking) or 'none'} | {', '.join(refusing) or 'none'} |")
    return "\n" + "\n".join(lines) + "\n\n"
