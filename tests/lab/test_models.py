"""Real models: one that knows the capital of France, one that embeds, one without a chat template."""

from __future__ import annotations

import json
import math

from labkit.hosts import Lab
from labkit.project import Project, must_name

CHECKED = """
chat:
  model: smollm2
  options: {context_length: 1024}
  health: {probe: {prompt: "Name the capital city of France.", expect: "Paris"}}
"""


def test_smollm2_must_answer_and_the_answer_must_be_checked(lab: Lab, project: Project) -> None:
    project.write(CHECKED, hosts="{lab1: {}}")
    project.apply()
    replica = project.replica("chat")
    body = {"messages": [{"role": "user", "content": "Name the capital city of France."}], "max_tokens": 24,
            "temperature": 0}  # fmt: skip
    status, text = lab.request("lab1", f"{replica['url']}/v1/chat/completions", body)
    assert status == 200
    assert "Paris" in text
    verified = project.run("verify", "--json").json()["replicas"]
    assert [(r["replica"], r["ok"]) for r in verified] == [(0, True)]
    assert "Paris" in verified[0]["answer"]
    said = project.run("query", "chat", "Name the capital city of France.", "--max-tokens", "24").out
    assert said.strip(), "a sampled answer may be any, but not none"


def test_an_answer_that_does_not_match_must_fail_the_apply(lab: Lab, project: Project) -> None:
    project.write(CHECKED.replace('expect: "Paris"', 'expect: "Ulan Bator"'), hosts="{lab1: {}}")
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, "Ulan Bator")


def test_an_embedding_service_must_return_meaningful_vectors(lab: Lab, project: Project) -> None:
    project.write("embed: {model: minilm}", hosts="{lab2: {}}")
    project.apply()
    replica = project.replica("embed")
    body = {"input": ["a cat sits on the mat", "a kitten is on the rug", "stock markets fell on Monday"]}
    status, text = lab.request("lab2", f"{replica['url']}/v1/embeddings", body)
    assert status == 200, text
    cat, kitten, markets = (entry["embedding"] for entry in json.loads(text)["data"])
    assert len(cat) == 384
    assert len(json.loads(project.run("query", "embed", "a cat sits on the mat").out)) == 384
    assert cosine(cat, kitten) > cosine(cat, markets) + 0.2


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def test_completions_must_work_beside_chat(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny, served_name: [small, default]}", hosts="{lab3: {}}")
    project.apply()
    replica = project.replica("chat")
    status, text = lab.request("lab3", f"{replica['url']}/v1/completions", {"prompt": "hello", "max_tokens": 3})
    assert status == 200
    assert json.loads(text)["choices"]
    status, text = lab.request("lab3", f"{replica['url']}/v1/models")
    assert "small" in text


UNKNOWN = """
chat:
  model: tiny
  backend: container
  served_name: small
  options: {context_length: null, max_concurrency: null, api_key: {secret: key}}
  args: [-m, "${model.path}", --alias, small, --host, 0.0.0.0, --port, 9000, -c, 256, -np, 1, -t, 1]
  env: {LLAMA_API_KEY: {secret: key}}
  port: {container: 9000}
  api: {health: /v1/health, models: /models, embeddings: none}
"""


def test_a_server_that_deployer_does_not_know_must_be_asked_where_the_spec_says(lab: Lab, project: Project) -> None:
    project.environment["SERVER_KEY"] = "sk-of-a-server-that-nobody-knows"
    secrets = "secrets: {key: {env: SERVER_KEY}}"
    project.write(UNKNOWN, hosts="{lab1: {}}", more=secrets)
    project.apply()
    replica = project.replica("chat")
    assert lab.request("lab1", f"{replica['url']}/v1/models")[0] in (200, 401)
    assert lab.request("lab1", f"{replica['url']}/v1/completions", {"prompt": "a", "max_tokens": 1})[0] == 401
    assert project.run("plan", "--detailed-exitcode").code == 0
    project.edit("health: /v1/health", "health: /health")
    assert project.run("plan", "--detailed-exitcode").code == 0, "where a server is asked makes no other container"
    project.write(UNKNOWN.replace("served_name: small", "served_name: large"), hosts="{lab1: {}}", more=secrets)
    assert project.run("verify").code == 0, "what runs is asked as what it was started as"
