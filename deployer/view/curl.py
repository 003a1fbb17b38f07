"""How to ask a service from a shell: commands to copy, with the key as a variable, never as a value."""

from __future__ import annotations

import json
import shlex
from typing import Any

from deployer import backends
from deployer.backends.base import Backend
from deployer.dataclass import dataclass, replace
from deployer.planning.choice import base_backend
from deployer.planning.served import served_names
from deployer.planning.server_api import api_of
from deployer.spec.language import DeploySpec, Host, Service

LOOPBACK = ("http://127.", "http://[::1]", "http://localhost")
HELLO = "Say hello"


@dataclass(frozen=True, slots=True)
class Running:
    """A replica that runs; `backend` as the spec knows it."""

    service: str
    host: str
    url: str
    backend: str
    category: str | None = None  # as it was decided; else as the spec says
    completes: bool = False  # its model has no chat template


@dataclass(frozen=True, slots=True)
class Example:
    """`tunnel`: the command that has to run meanwhile, where the replica listens on its host's loopback only.
    `key`: the secret that `$API_KEY` stands for."""

    command: str
    tunnel: str | None = None
    key: str | None = None


def example_of(spec: DeploySpec, running: Running, ssh_config: str | None = None) -> Example | None:
    """None where there is nothing to ask that is known here."""
    service, host = spec.services.get(running.service), spec.hosts.get(running.host)
    backend = backends.find(base_backend(spec, running.backend))
    if service is None or host is None or backend is None:
        return None
    model = spec.models.get(service.model or "")
    category = running.category or (model.category if model is not None else None) or "llm"
    request = _request(replace(running, category=category), service, backend)
    if request is None:
        return None
    path, body = request
    keys = service.options.api_key or ()
    words = [shlex.join(["curl", running.url + path, "-H", "Content-Type: application/json"])]
    words += ['-H "Authorization: Bearer $API_KEY"'] if keys else []
    words += [shlex.join(["-d", json.dumps(body, ensure_ascii=False)])]
    tunnel = tunnel_to(running, host, ssh_config) if running.url.startswith(LOOPBACK) else None
    return Example(" ".join(words), tunnel, keys[0].secret if keys else None)


def _request(running: Running, service: Service, backend: Backend) -> tuple[str, dict[str, Any]] | None:
    """Path and body of the smallest request of the model's category."""
    category, api = running.category, api_of(service, backend)
    named = dict(zip(("model",), served_names(service), strict=False))
    if category == "embedding" and api.embeddings is not None:
        return api.embeddings, named | {"input": HELLO}
    if category == "reranker" and api.rerank is not None:
        return api.rerank, named | {"query": "greeting", api.documents: ["hello", "goodbye"]}
    if category == "text-to-speech" and api.speech is not None:
        return api.speech, named | {"input": HELLO, "voice": "default"}
    if category == "image" and api.images is not None:
        return api.images, named | {"prompt": HELLO}
    if category == "llm" and api.chat is not None and not running.completes:
        return api.chat, named | {"messages": [{"role": "user", "content": HELLO}]}
    if category == "llm" and api.completions is not None:
        return api.completions, named | {"prompt": HELLO}
    return None


def tunnel_to(running: Running, host: Host, ssh_config: str | None = None) -> str | None:
    """The ssh command that brings the replica's port here; None where it is here already."""
    if host.connection == "local":
        return None
    address = running.url.removeprefix("http://")
    words = ["ssh", "-N", "-L", f"{address.rpartition(':')[2]}:{address}"]
    words += ["-F", ssh_config] if ssh_config else []
    words += ["-p", str(host.port)] if host.port else []
    words += ["-i", host.key] if host.key else []
    words += ["-J", ",".join(host.jump)] if host.jump else []
    target = host.address or running.host
    return shlex.join([*words, f"{host.user}@{target}" if host.user else target])
