"""The real LiteLLM as a gateway with a key before llama.cpp, which has none: a server described in the spec alone."""

from __future__ import annotations

import pytest
from labkit.hosts import Lab
from labkit.project import Project
from labkit.python_image import PythonImage, put_image_or_skip

pytestmark = pytest.mark.heavy
VERSION = "1.106.2"
GATEWAY = PythonImage("litellm", VERSION, ((f"litellm[proxy]=={VERSION}",),), ("litellm",))
KEY = "sk-of-the-lab-only"
SERVICES = f"""
chat:
  model: smollm2
  container: {{network: host}}
  port: 8300
gate:
  model: gate
  backend: container
  image: "{GATEWAY.image}"
  served_name: [gate]
  args: [--config, /etc/litellm.yaml, --host, 127.0.0.1, --port, "${{port}}"]
  api: {{health: /health/readiness}}
  options: {{api_key: [{{secret: gate}}], context_length: null, max_concurrency: null}}
  env: {{LITELLM_MASTER_KEY: {{secret: gate}}, LITELLM_LOCAL_MODEL_COST_MAP: "True", HOME: /tmp}}
  container:
    network: host
    tmpfs: {{/tmp: size=64m}}
    files: {{/etc/litellm.yaml: ./litellm.yaml}}
  port: 8400
  health: {{ready_timeout: 15m}}
"""
CONFIG = """\
model_list:
  - model_name: gate
    litellm_params: {model: openai/smollm2, api_base: "http://127.0.0.1:8300/v1", api_key: none}
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
"""


def test_a_gateway_must_ask_for_its_key_and_pass_on_what_is_asked(lab: Lab, project: Project) -> None:
    put_image_or_skip(lab, "lab1", GATEWAY)
    project.environment["GATE_KEY"] = KEY
    (project.folder / "litellm.yaml").write_text(CONFIG)
    project.write(SERVICES, hosts="{lab1: {}}", more="secrets: {gate: {env: GATE_KEY}}")
    project.edit("models:\n", 'models:\n  gate: {source: "builtin://gate"}\n')
    project.run("apply", "-y", "--target", "chat", timeout=300)
    project.run("apply", "-y", timeout=1000)
    said = project.run("query", "gate", "What is the capital of France?", "--max-tokens", "20", timeout=300).out
    assert "Paris" in said
    assert project.run("verify", "gate", "--json", timeout=300).json()["replicas"][0]["ok"]
    status, text = lab.request("lab1", f"{project.replica('gate')['url']}/v1/models", key="sk-of-somebody-else")
    assert status in (400, 401), text  # without a database it knows no other keys than its own
    project.must_be_settled()
