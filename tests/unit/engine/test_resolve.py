"""Secrets that are looked up so that they can be masked."""

from __future__ import annotations

from pathlib import Path

from deployer.engine.resolve import learn_secrets
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from tests.support.planning import project_of


def test_what_services_are_given_is_masked_afterwards(tmp_path: Path) -> None:
    project = project_of(
        {"chat": {"env": {"TOKEN": {"secret": "known"}}, "options": {"api_key": [{"secret": "missing"}]}}},
        secrets={"known": {"env": "KNOWN"}, "missing": {"env": "MISSING"}, "unused": {"env": "UNUSED"}},
    )
    environ = {"KNOWN": "tell-nobody", "UNUSED": "asked-of-nobody"}
    store = SecretStore(project.spec.secrets, SourceReader(tmp_path, environ), {})
    learn_secrets(project, store)
    assert store.redactor.redact("TOKEN=tell-nobody asked-of-nobody") == "TOKEN=*** asked-of-nobody"
