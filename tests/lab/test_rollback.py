"""Going back: by hand, with a hold that the next apply meets, and by the plan itself where one replica fails."""

from __future__ import annotations

from labkit.hosts import Lab
from labkit.project import Project

HOSTS = "{lab1: {vars: {threads: 1}}, lab2: {vars: {threads: 1}}}"
CHAT = """
chat: {model: tiny, replicas: 2, args: ["-t", "${host.vars.threads}"], options: {context_length: 512}}
"""


def ids(lab: Lab, project: Project) -> list[str]:
    return [str(lab.inspect(r["host"], r["container"])["Id"]) for r in project.replicas("chat")]


def test_a_rollback_must_bring_the_former_containers_back_and_hold_them(lab: Lab, project: Project) -> None:
    project.write(CHAT, hosts=HOSTS)
    project.apply()
    before = ids(lab, project)
    project.edit("context_length: 512", "context_length: 768")
    project.apply()
    assert set(ids(lab, project)).isdisjoint(before)

    project.run("rollback", "-y", "--reason", "768 was too slow")
    assert ids(lab, project) == before, "the very containers, not such as they were"
    assert {r["health"] for r in project.replicas("chat")} == {"ready"}

    planned = project.plan("--detailed-exitcode")
    assert [hold["why"] for hold in planned["holds"]] == ["768 was too slow"]
    assert "768 was too slow" in project.apply(exit=3).err
    assert project.run("history", "--json").json()["applies"][0]["verb"] == "rollback"
    assert "no-former-revision" in project.run("rollback", "-y", exit=1).err

    project.apply("--resume")
    assert set(ids(lab, project)).isdisjoint(before)


def test_where_one_replica_fails_the_service_must_go_back_as_a_whole(lab: Lab, project: Project) -> None:
    project.write(CHAT, hosts=HOSTS)
    project.apply()
    before = ids(lab, project)
    project.write(CHAT, hosts="{lab1: {vars: {threads: 2}}, lab2: {vars: {threads: nonsense}}}")
    failed = project.apply(exit=1)
    assert "chat-1" in failed.out
    assert ids(lab, project) == before
    assert {r["health"] for r in project.replicas("chat")} == {"ready"}
    assert len(lab.names()) == 2, "no successor is left"
