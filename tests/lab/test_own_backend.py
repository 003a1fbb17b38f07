"""A backend of a user's own: an entry of `backends` and a template beside the spec, and no Python."""

from __future__ import annotations

from labkit.hosts import Lab
from labkit.project import Project, changes, must_name

TEMPLATE = """\
args:
  - -m
  - {{ model.path }}
  - --alias
  - {{ names[0] }}
  - --host
  - {{ listen.address }}
  - --port
  - {{ listen.port }}
  - -c
  - {{ options.context_length }}
env:
  ACME_MODE: own
"""
REFUSAL = "{% set refused = refuse('context_length', 'it must be a multiple of 1024') %}\n"


def test_a_backend_of_ones_own_must_serve_and_follow_its_template(lab: Lab, project: Project) -> None:
    (project.folder / "acme.yaml.j2").write_text(TEMPLATE)
    backends = "backends: {acme: {extends: llama.cpp, template: acme.yaml.j2}}"
    project.write(
        "chat: {model: tiny, backend: acme, options: {max_concurrency: null}}", hosts="{lab1: {}}", more=backends
    )
    project.apply()
    project.must_be_settled()
    (name,) = lab.names("lab1")
    config = lab.inspect("lab1", name)["Config"]
    assert "ACME_MODE=own" in config["Env"]
    assert config["Cmd"][-2:] == ["-t", "1"]  # `args` of the spec, after the template's
    assert project.run("verify", "--json").json()["replicas"][0]["ok"]

    (project.folder / "acme.yaml.j2").write_text(TEMPLATE.replace("own", "edited"))
    (change,) = changes(project.plan())
    assert (change["action"], change["cause"]) == ("replace", "change")
    assert (change["diff"][0]["path"], change["diff"][0]["after"]) == ("env.ACME_MODE", "edited")
    (project.folder / "acme.yaml.j2").write_text(TEMPLATE + REFUSAL)
    must_name(project.run("plan", exit=1), "option-refused", "it must be a multiple of 1024")
