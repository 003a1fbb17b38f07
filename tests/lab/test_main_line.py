"""The main line over SSH: two services on three hosts, changed, drifted, repaired, removed."""

from __future__ import annotations

from labkit.hosts import LABELLED, Lab
from labkit.project import Project, changes

TWO = """
chat: {model: tiny, replicas: 2}
draft: {model: tiny, served_name: small, options: {context_length: 512}}
"""


def answers(lab: Lab, replica: dict[str, object], body: dict[str, object] | None = None) -> str:
    """The text of a real answer, asked for on the replica's own host."""
    request = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4, **(body or {})}
    status, text = lab.request(str(replica["host"]), f"{replica['url']}/v1/chat/completions", request)
    assert status == 200, text
    return text


def test_two_services_on_three_hosts_must_answer_and_stay(lab: Lab, project: Project) -> None:
    project.write(TWO)
    planned = project.plan("--detailed-exitcode", exit=2)
    assert planned["format_version"] == 1
    assert planned["summary"]["create"] == 3
    assert {c["cause"] for c in changes(planned)} == {"change"}
    assert lab.names() == [], "a plan must touch nothing"

    project.apply()
    replicas = project.replicas("chat") + project.replicas("draft")
    assert {r["state"] for r in replicas} == {"running"}
    assert {r["host"] for r in replicas} == {"lab1", "lab2", "lab3"}, "spread is the default"
    for replica in replicas:
        answers(lab, replica)
    assert sorted(lab.names()) == sorted(r["container"] for r in replicas)

    before = {host: lab.clock(host) for host in lab.hosts}
    project.must_be_settled()
    project.apply()
    seen = {host: lab.docker_events(host, before[host]) for host in lab.hosts}
    assert seen == {host: [] for host in lab.hosts}, "no dockerd may be asked to do anything by a second apply"


def test_one_changed_option_must_replace_one_service_and_say_why(lab: Lab, project: Project) -> None:
    project.write(TWO)
    project.apply()
    kept = [r["container"] for r in project.replicas("chat")]
    before = project.replica("draft")
    project.edit("context_length: 512", "context_length: 768")

    planned = project.plan("--detailed-exitcode", exit=2)
    (change,) = changes(planned)
    assert (change["service"], change["action"], change["cause"]) == ("draft", "replace", "change")
    shown = {str(d["before"]): str(d["after"]) for d in change["diff"]}
    assert any("512" in old and "768" in new for old, new in shown.items()), change["diff"]
    text = project.run("plan").out
    assert "512" in text
    assert "768" in text

    project.apply()
    after = project.replica("draft")
    assert after["container"] != before["container"]
    assert after["host"] == before["host"], "a placement is kept"
    assert [r["container"] for r in project.replicas("chat")] == kept
    assert "768" in str(lab.inspect(after["host"], after["container"])["Args"])
    answers(lab, after)
    project.must_be_settled()


def test_a_fixed_port_must_be_kept_over_a_replacement(lab: Lab, project: Project) -> None:
    project.write("draft: {model: tiny, port: 8300, options: {context_length: 512}}", hosts="{lab1: {}}")
    project.apply()
    project.edit("context_length: 512", "context_length: 768")
    planned = project.plan()
    assert planned["rollout"]["downtime"], "the plan must say that nothing answers for a while"
    project.apply()
    after = project.replica("draft")
    assert after["url"] == "http://127.0.0.1:8300"
    answers(lab, after)


def test_a_removed_service_must_go_and_the_other_stay(lab: Lab, project: Project) -> None:
    project.write(TWO)
    project.apply()
    kept = [r["container"] for r in project.replicas("chat")]
    project.write(TWO.strip().splitlines()[0])
    planned = project.plan("--detailed-exitcode", exit=2)
    assert [(c["service"], c["action"]) for c in changes(planned)] == [("draft", "remove")]
    project.apply()
    assert sorted(lab.names()) == sorted(kept)
    project.must_be_settled()


def test_fewer_replicas_must_remove_only_the_last_ones(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny, replicas: 3}")
    project.apply()
    first = project.replicas("chat")[0]["container"]
    project.edit("replicas: 3", "replicas: 1")
    project.apply()
    assert lab.names() == [first]
    project.must_be_settled()


def test_a_killed_container_must_be_drift_and_apply_must_heal_it(lab: Lab, project: Project) -> None:
    project.write(TWO)
    project.apply()
    victim = project.replicas("chat")[0]
    lab.run(victim["host"], "docker", "kill", victim["container"])

    planned = project.plan("--detailed-exitcode", exit=4)
    assert [(c["service"], c["cause"]) for c in changes(planned)] == [("chat", "drift")]
    project.edit("context_length: 512", "context_length: 768")
    project.run("plan", "--detailed-exitcode", exit=2)  # an edit wins over drift
    project.edit("context_length: 768", "context_length: 512")
    project.apply()
    answers(lab, project.replicas("chat")[0])
    project.must_be_settled()


def test_a_container_removed_by_hand_must_be_created_again(lab: Lab, project: Project) -> None:
    project.write("draft: {model: tiny}")
    project.apply()
    victim = project.replica("draft")
    lab.run(victim["host"], "docker", "rm", "-f", victim["container"])
    project.run("plan", "--detailed-exitcode", exit=2 if not lab.names() else 4)
    project.apply()
    answers(lab, project.replica("draft"))
    project.must_be_settled()


def test_destroy_must_leave_nothing_of_ours_and_everything_else(lab: Lab, project: Project) -> None:
    for name in ("lab_chat_0", "lab_chat_0_0123456789ab", "lab-chat-0"):
        lab.run("lab1", "docker", "run", "-d", "--name", name, "busybox:1", "sleep", "1000000")
    lab.run("lab2", "docker", "run", "-d", "--name", "lab_chat_0_000000000000", LABELLED, "sleep", "1000000")
    lab.sh("lab1", "mkdir -p /var/lib/deployer/other && echo kept > /var/lib/deployer/other/note")
    foreign = sorted(lab.names())
    project.write(TWO)
    planned = project.plan()
    assert planned["summary"]["create"] == 3, "a label of an image makes no container ours"
    project.apply()
    assert set(foreign) <= set(lab.names())

    project.destroy()
    assert sorted(lab.names()) == foreign
    assert all(c["State"]["Running"] for h in lab.hosts for c in lab.containers(h))
    for host in lab.hosts:
        left = [f for f in lab.files_of_deployer(host) if f.endswith("/lock") or "secret" in f]
        assert left == [], f"{host} still has {left}"
    assert "kept" in lab.sh("lab1", "cat /var/lib/deployer/other/note")
    project.destroy()
    assert sorted(lab.names()) == foreign, "a second one must be harmless"


def test_another_projects_containers_must_never_be_touched(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}")
    project.apply()
    (ours,) = lab.names()
    project.edit("project: lab", "project: other")
    project.edit("id: lab-tests", "id: other-id")
    project.apply()
    assert ours in lab.names()
    project.destroy()
    assert lab.names() == [ours]


def test_another_owners_project_of_the_same_name_must_be_refused(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}")
    project.apply()
    project.edit("id: lab-tests", "id: somebody-else")
    refused = project.run("apply", "-y", exit=3)
    assert "lab-tests" in refused.err or "lab" in refused.err
    project.run("destroy", "-y", exit=3)
    assert len(lab.names()) == 1


def test_limit_and_target_must_choose_steps_only(lab: Lab, project: Project) -> None:
    project.write(TWO)
    planned = project.plan("--target", "draft")
    assert {s["host"] for s in planned["steps"]} == {p["members"][0]["host"] for p in planned["placements"]
                                                     if p["service"] == "draft"}  # fmt: skip
    project.apply("--target", "draft")
    assert [n.split("_")[1] for n in lab.names()] == ["draft"]
    project.apply()
    project.must_be_settled()


def test_apply_without_a_terminal_and_without_yes_must_be_a_usage_error(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}")
    project.run("apply", exit=64)
    assert lab.names() == []


def test_apply_json_must_be_one_event_a_line_and_end_with_a_summary(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}")
    events = project.apply("--json").lines()
    assert len(events) > 3
    assert {"event", "time"} <= set(events[0])
    assert any(e.get("event") == "step-done" for e in events)
    assert "summary" in events[-1] or events[-1]["event"] == "summary"
    project.must_be_settled()


def test_a_stopped_service_must_keep_its_container_and_start_again(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny, state: running}")
    project.apply()
    before = project.replica("chat")
    project.edit("state: running", "state: stopped")
    project.apply()
    stopped = lab.inspect(before["host"], before["container"])
    assert not stopped["State"]["Running"]
    assert stopped["HostConfig"]["RestartPolicy"]["Name"] in ("no", "")
    project.must_be_settled()
    project.edit("state: stopped", "state: running")
    project.apply()
    after = project.replica("chat")
    assert after["container"] == before["container"]
    answers(lab, after)


def test_logs_and_status_must_show_the_replica(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}")
    project.apply()
    assert "server" in project.run("logs", "chat").text
    shown = project.run("status").out
    assert "chat" in shown
    assert project.replica("chat")["url"] in shown
