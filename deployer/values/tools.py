"""Commands that are looked for on a host. Which of them it must have, `planning.diagnose_tools` says."""

from __future__ import annotations

NEEDED = (
    "curl", "sha256sum", "flock", "awk", "cat", "cksum", "cut", "date", "df", "grep", "head", "id", "mkdir", "mv",
    "readlink", "rm", "sed", "sort", "stat", "tr", "uname",
)  # fmt: skip
LIKED = ("ss", "timeout", "logger")
DOCKER = "docker"
GPU_HOOKS = ("nvidia-container-runtime-hook", "nvidia-cdi-hook")  # what Docker's `--gpus` runs, see moby's daemon
TOOLS = (*NEEDED, *LIKED, DOCKER, *GPU_HOOKS, "nvidia-ctk")
