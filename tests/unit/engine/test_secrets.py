"""Where secrets come from, where they may go, and what is said when there are none."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from deployer.engine.resolve import resolve, used_secrets
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.errors import OperationError
from deployer.spec.language import DeploySpec, SecretSource
from deployer.spec.project import Project
from deployer.values.resolved import Unresolved

PATH = {"PATH": "/usr/bin:/bin"}


def store(
    tmp_path: Path, environ: Mapping[str, str] | None = None, timeout: float = 10.0, **sources: dict[str, str]
) -> SecretStore:
    made = {name: SecretSource(**source) for name, source in sources.items()}
    return SecretStore(made, SourceReader(tmp_path, {**PATH, **(environ or {})}, timeout), {})


def problem(store: SecretStore, name: str = "key", host: str | None = None) -> str:
    with pytest.raises(OperationError) as caught:
        store.value(name, host)
    found = caught.value.diagnostic
    assert f"`{name}`" in found.message
    assert found.hint
    return f"{found.code}: {found.message} {' '.join(found.evidence)}"


def test_a_variable(tmp_path: Path) -> None:
    assert store(tmp_path, {"KEY": "v"}, key={"env": "KEY"}).value("key", None).reveal() == "v"


@pytest.mark.parametrize(
    ("environ", "why"),
    [({}, "is not set"), ({"KEY": ""}, "is empty"), ({"KEY": " \n"}, "is empty"), ({"KEY": "\udcff"}, "UTF-8")],
)
def test_a_variable_that_gives_nothing(tmp_path: Path, environ: dict[str, str], why: str) -> None:
    assert why in problem(store(tmp_path, environ, key={"env": "KEY"}))


def test_a_variable_of_the_file_beside_the_spec(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OTHER=1\nKEY='of the file'\n")
    assert store(tmp_path, key={"env": "KEY"}).value("key", None).reveal() == "of the file"
    assert store(tmp_path, {"KEY": "v"}, key={"env": "KEY"}).value("key", None).reveal() == "v"
    assert "is empty" in problem(store(tmp_path, {"KEY": ""}, key={"env": "KEY"})), "what is set counts"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"KEY='hunter2\n", "line 1 opens a quote"),
        (b"\nKEY hunter2\n", "line 2 is not NAME=VALUE"),
        (b"KEY=hunter2$HOME\n", "line 1 has a `$`"),
        (b"KEY=hunter2\xff\n", "UTF-8"),
        (b"#" * 70_000, "64 KiB"),
    ],
)
def test_a_file_beside_the_spec_that_is_wrong_is_not_shown(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / ".env").write_bytes(content)
    said = problem(store(tmp_path, key={"env": "KEY"}))
    assert why in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("content", "value"), [(b"v\n", "v"), (b"v\r\n", "v"), (b"a\nb\n\n", "a\nb\n"), (b" v ", " v ")]
)
def test_a_file_loses_one_newline(tmp_path: Path, content: bytes, value: str) -> None:
    (tmp_path / "key").write_bytes(content)
    assert store(tmp_path, key={"file": "key"}).value("key", None).reveal() == value


def test_a_file_of_the_users_home(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("v")
    assert store(Path("/"), {"HOME": str(tmp_path)}, key={"file": "~/key"}).value("key", None).reveal() == "v"


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "does not exist"), (b"", "is empty"), (b"a\0b", "NUL"), (b"\xff\xfe", "UTF-8"), (b"x" * 70000, "64 KiB")],
)
def test_a_file_that_is_no_secret(tmp_path: Path, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    said = problem(store(tmp_path, key={"file": "key"}))
    assert why in said
    assert "a\0b" not in said


def test_a_directory_is_no_secret(tmp_path: Path) -> None:
    assert "cannot be read" in problem(store(tmp_path, key={"file": "."}))


def test_a_command_runs_beside_the_spec_without_input(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("v\n")
    assert store(tmp_path, key={"command": "cat key && cat"}).value("key", None).reveal() == "v"


def test_a_command_that_fails_shows_its_stderr_and_never_its_stdout(tmp_path: Path) -> None:
    said = problem(store(tmp_path, key={"command": "echo s3cr3t; echo '\033[31mno such entry' >&2; exit 3"}))
    assert "exited with 3" in said
    assert "no such entry" in said
    assert "\033" not in said
    assert "s3cr3t" not in said


def test_a_command_that_does_not_end(tmp_path: Path) -> None:
    began = time.monotonic()
    said = problem(store(tmp_path, timeout=0.3, key={"command": "sleep 60 & sleep 60"}))
    assert "did not end" in said
    assert time.monotonic() - began < 10


def test_a_command_that_says_too_much(tmp_path: Path) -> None:
    assert "64 KiB" in problem(store(tmp_path, key={"command": "head -c 3000000 /dev/zero"}))


def test_a_command_runs_once_also_when_it_fails(tmp_path: Path) -> None:
    made = store(tmp_path, key={"command": "echo x >>runs; exit 1"}, other={"command": "echo y >>runs; echo v"})
    for name in ("key", "other", "key", "other"):
        threads = [threading.Thread(target=lambda n=name: _quietly(made, n)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted((tmp_path / "runs").read_text().split()) == ["x", "y"]


def _quietly(made: SecretStore, name: str) -> None:
    with contextlib.suppress(OperationError):
        made.value(name, None)


def test_a_secret_goes_only_to_its_hosts() -> None:
    spec = DeploySpec.model_validate(
        {
            "version": 1,
            "project": "p",
            "secrets": {"key": {"env": "KEY", "hosts": {"tier": "prod"}}},
            "hosts": {"a": {"labels": {"tier": "prod"}}, "b": {}},
            "services": {},
        }
    )
    made = SecretStore.of(Project(spec, "/nowhere/deploy.yaml", {}), {"KEY": "v"})
    assert made.value("key", "a").reveal() == "v"
    assert made.value("key", None).reveal() == "v"
    assert problem(made, host="b").startswith("secret-not-for-host: ")


def test_what_was_looked_up_is_redacted(tmp_path: Path) -> None:
    made = store(tmp_path, {"KEY": "s3cr3t"}, key={"env": "KEY"})
    assert made.redactor.redact("s3cr3t") == "s3cr3t"
    made.value("key", None)
    assert made.redactor.redact("s3cr3t") == "***"


def test_an_unknown_secret(tmp_path: Path) -> None:
    assert problem(store(tmp_path)).startswith("unknown-secret: ")


# --- fingerprints ----------------------------------------------------------------------


def spec_with_secrets() -> Project:
    service = {
        "model": "m",
        "env": {"TOKEN": {"secret": "by_env"}},
        "options": {"api_key": {"secret": "by_option"}},
        "container": {"secret_files": {"/key": "by_file"}},
    }
    names = ("by_env", "by_option", "by_file", "unused")
    spec = DeploySpec.model_validate(
        {
            "version": 1,
            "project": "p",
            "secrets": {name: {"env": name} for name in names},
            "models": {"m": {"source": "file:///m"}},
            "services": {"s": service},
        }
    )
    return Project(spec, "/nowhere/deploy.yaml", {})


def test_all_secrets_of_services_and_no_others() -> None:
    assert used_secrets(spec_with_secrets().spec) == ("by_env", "by_file", "by_option")


def test_fingerprints_tell_values_apart_and_a_missing_one_is_a_value() -> None:
    project = spec_with_secrets()
    first = resolve(project, SecretStore.of(project, {"by_env": "one", "by_file": "two"})).secrets
    again = resolve(project, SecretStore.of(project, {"by_env": "one", "by_file": "three"})).secrets
    assert first["by_env"] == again["by_env"]
    assert first["by_file"] != again["by_file"]
    assert isinstance(first["by_option"], Unresolved)
    assert "`by_option`" in first["by_option"].reason
    assert "one" not in str(first["by_env"])
