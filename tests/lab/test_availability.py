"""A client asks all the time while a service is updated again and again, also with what does not work: there are never
fewer replicas that answer than each plan promised."""

from __future__ import annotations

import pytest
from labkit.hammer import Hammer
from labkit.hosts import Lab
from labkit.project import Project

HOSTS = ("lab1", "lab2")
ROUNDS = 20
BAD_IMAGES, NONSENSE = (4, 9, 14), 17


def spec(project: Project, number: int, port: str) -> None:
    image = '"registry.lab:5000/lab/nobody-pushed-it:1"' if number in BAD_IMAGES else '"${var.standin}"'
    mode = "nonsense" if number == NONSENSE else "ok"
    project.write(
        f"""
chat:
  model: tiny
  replicas: 2
  image: {image}
  env: {{ROUND: "{number}", STANDIN_MODE: {mode}}}
  port: {port}
  placement: {{gpus: none, max_per_host: 1}}
""",
        hosts="{lab1: {}, lab2: {}}",
    )


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("port", "promised"), [("{number: 8123, bind: 0.0.0.0}", 1), ("{bind: 0.0.0.0}", 2)], ids=["fixed", "free"]
)
def test_replicas_must_never_be_fewer_than_promised(lab: Lab, project: Project, port: str, promised: int) -> None:
    spec(project, 0, port)
    project.apply()
    with Hammer(lab, HOSTS) as hammer:
        for number in range(1, ROUNDS + 1):
            spec(project, number, port)
            plan = project.plan()
            assert plan["rollout"]["services"]["chat"]["min_ready"] == promised
            project.apply(exit=1 if number in (*BAD_IMAGES, NONSENSE) else 0)
            assert hammer.fewest() >= promised, f"round {number}: {hammer.gaps} {hammer.whys}"
    project.must_be_settled()
    assert min(hammer.asked.values()) > ROUNDS, "the client was there all the time"
    assert hammer.fewest() >= promised
    print(f"asked {hammer.asked}, gaps {[(h, len(g), sum(e - s for s, e in g)) for h, g in hammer.gaps.items()]}")
