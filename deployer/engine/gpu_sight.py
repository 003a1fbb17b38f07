"""Whether a container still sees its GPUs: `systemctl daemon-reload` may take their devices from running ones, whose
servers go on to say that they are well. Asks nvidia-smi inside, and changes nothing.

Source: NVIDIA Container Toolkit, Troubleshooting, "Containers losing access to GPUs with error: Failed to initialize
NVML: Unknown Error"; nvidia-smi then exits with 255.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from deployer.docker.calls import Refusal, engine_calls
from deployer.errors import DeployerError
from deployer.transport.base import Transport

ASK = ("nvidia-smi", "-L")
LOST = 255
WITHIN, LOOK_EVERY = 15.0, 0.3  # seconds


def has_lost_gpus(transport: Transport, container: str, ask: Sequence[str] = ASK) -> bool | None:
    """None where it was not said in time: then it is not to be asked again, since a driver that hangs keeps whoever
    asks. False also where nobody can be asked."""
    try:
        with engine_calls(transport.name):
            docker = transport.docker()
            id_ = docker.exec_create(container, list(ask), stdout=False, stderr=False)["Id"]
            docker.exec_start(id_, detach=True)
            code = _exit_code(docker, id_)
    except (Refusal, DeployerError):
        return False
    return None if code is None else code == LOST


def _exit_code(docker: Any, id_: str) -> int | None:
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        state = docker.exec_inspect(id_)
        if not state.get("Running"):
            return int(state.get("ExitCode") or 0)
        time.sleep(LOOK_EVERY)
    return None
