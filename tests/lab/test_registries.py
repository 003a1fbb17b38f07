"""A registry that wants a password."""

from __future__ import annotations

import pytest
from labkit.hosts import PRIVATE_LLAMA, Lab
from labkit.project import Project, must_name

LOGIN = """
secrets: {registry: {env: REGISTRY_PASSWORD}}
registries: {"registry.lab:5001": {username: lab, password: {secret: registry}}}
"""
SERVICE = 'chat: {model: tiny, image: "${var.private}"}'


@pytest.fixture
def no_image(lab: Lab) -> None:
    for host in lab.hosts:
        lab.sh(host, f"docker rmi {PRIVATE_LLAMA} >/dev/null 2>&1 || true")


@pytest.mark.usefixtures("no_image")
def test_the_right_password_must_pull_and_leave_no_login_behind(lab: Lab, project: Project) -> None:
    project.environment["REGISTRY_PASSWORD"] = "lab"
    project.write(SERVICE, hosts="{lab2: {}}", more=LOGIN)
    project.apply()
    assert PRIVATE_LLAMA in lab.run("lab2", "docker", "images", "--format", "{{.Repository}}:{{.Tag}}")
    assert lab.sh("lab2", "cat /root/.docker/config.json 2>/dev/null || true") == ""


@pytest.mark.usefixtures("no_image")
def test_a_wrong_password_must_be_named_and_not_shown(lab: Lab, project: Project) -> None:
    project.environment["REGISTRY_PASSWORD"] = "not-the-password"
    project.write(SERVICE, hosts="{lab2: {}}", more=LOGIN)
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, "registry.lab:5001")
    assert "not-the-password" not in failed.text
    assert lab.names() == []
    project.environment["REGISTRY_PASSWORD"] = "lab"
    project.apply()


@pytest.mark.usefixtures("no_image")
def test_no_password_must_say_where_to_put_one(lab: Lab, project: Project) -> None:
    project.write(SERVICE, hosts="{lab2: {}}")
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, "registry.lab:5001", "registries")
    assert lab.names() == []


@pytest.mark.usefixtures("no_image")
def test_a_secret_that_is_not_set_must_be_named_before_anything_starts(lab: Lab, project: Project) -> None:
    project.write(SERVICE, hosts="{lab2: {}}", more=LOGIN)
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, "REGISTRY_PASSWORD")
    assert lab.names() == []
