"""Specs for tests: a small valid one, and loading from texts instead of files."""

from collections.abc import Mapping

from deployer.errors import Diagnostic, SpecError
from deployer.spec.load import LoadOptions, load
from deployer.spec.project import Project

BASE = """\
version: 1
project: demo
id: abc123
hosts:
  here: {connection: local, labels: {tier: prod}, vars: {nic: eth0}}
models:
  tiny: {source: file:///srv/models/tiny.gguf}
"""
SERVICE = BASE + "services:\n  chat:\n    model: tiny\n"  # goes on at four spaces: keys of `services.chat`

Texts = Mapping[str, str | bytes]


def reader(files: Texts):
    def read(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory", path)
        content = files[path]
        return content.encode() if isinstance(content, str) else content

    return read


def load_text(text: str | bytes, *, files: Texts | None = None, **options) -> Project:
    return load(["deploy.yaml"], reader({"deploy.yaml": text, **(files or {})}), LoadOptions(**options))


def load_files(files: Texts, *paths: str, **options) -> Project:
    return load(list(paths) or list(files), reader(files), LoadOptions(**options))


def problems(text: str | bytes, *, files: Texts | None = None, **options) -> tuple[Diagnostic, ...]:
    """All diagnostics of a spec, warnings of a valid one included."""
    try:
        return load_text(text, files=files, **options).warnings
    except SpecError as error:
        return error.diagnostics


def only_problem(text: str | bytes, **options) -> Diagnostic:
    found = problems(text, **options)
    assert len(found) == 1, [f"{d.code}: {d.message} {d.where}" for d in found]
    return found[0]


def codes(text: str | bytes, **options) -> list[str]:
    return [problem.code for problem in problems(text, **options)]
