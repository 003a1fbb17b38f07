"""A plan in other forms: for a pull request, where hosts may say what they like, and from recorded facts."""

from __future__ import annotations

from contextlib import ExitStack

from labkit.hosts import Lab
from labkit.project import Project
from labkit.waiting import eventually

NAME = "a`|<b>![x]_y_"  # at most 15 bytes
# Listens, and calls itself what no table of Markdown survives.
LISTEN = f"""
import ctypes, socket, time
ctypes.CDLL(None).prctl(15, {NAME.encode()!r}, 0, 0, 0)
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.bind(("0.0.0.0", 8100))
sock.listen()
time.sleep(600)
"""


def test_what_hosts_say_must_be_escaped_for_a_pull_request(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny, port: 8100}", hosts="{lab1: {}}")
    lab.put("lab1", "/srv/scratch/listen.py", LISTEN.encode())
    pid = int(lab.sh("lab1", "setsid python3 /srv/scratch/listen.py </dev/null >/dev/null 2>&1 & echo $!"))
    try:
        eventually(lambda: ":8100 " in lab.sh("lab1", "ss -Htln"))
        assert NAME in project.run("plan", "--json", exit=1).out
        markdown = project.run("plan", "--markdown", "--html", "plan.html", exit=1).out
    finally:
        lab.sh("lab1", f"kill {pid}")
    html = (project.folder / "plan.html").read_text()
    assert f"(pid {pid})" in markdown
    assert NAME not in markdown
    assert "<b>" not in markdown
    assert "![x]" not in markdown
    assert "a`|&lt;b&gt;![x]_y_" in html


def test_a_plan_from_recorded_facts_must_touch_no_host(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny, port: 8100}", hosts="{lab1: {}, lab2: {}}")
    project.apply()
    project.run("facts", "-o", "facts.json")
    before = project.plan()
    project.edit("context_length: 256", "context_length: 512")
    with ExitStack() as broken:
        for host in ("lab1", "lab2"):
            broken.enter_context(lab.broken("cut", host))
        found = project.plan("--facts", "facts.json")
        project.run("plan", exit=1)
    assert (before["summary"]["keep"], found["summary"]["replace"]) == (1, 1)
    assert [change["host"] for change in found["changes"]] == [r["host"] for r in project.replicas("chat")]
