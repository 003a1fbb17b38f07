"""`container:` of template and spec, combined, as the fields of a ContainerSpec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.backends.base import Backend
from deployer.spec.language import Container
from deployer.spec.language.container import HealthcheckOptions, LogOptions
from deployer.values.container import Healthcheck, Ulimit

AS_WRITTEN = (
    "runtime", "ipc", "pid", "uts", "network", "network_aliases", "hostname", "dns", "extra_hosts", "user", "group_add",
    "working_dir", "entrypoint", "devices", "tmpfs", "cap_add", "cap_drop", "security_opt", "privileged", "read_only",
    "init", "sysctls", "memory", "memory_swap", "cpus", "cpuset_cpus", "cpuset_mems", "pids_limit", "oom_score_adj",
    "restart", "stop_signal", "labels", "extra",
)  # fmt: skip
DEFAULT = Container.usual()
REPLACED = ("command", "entrypoint")  # lists that are one thing
KEPT = {
    "Image": "use the service's `image`",
    "Labels": "use `container.labels`",
    "Env": "use the service's `env`",
    "Cmd": "use `args` or `container.command`",
    "HostConfig.RestartPolicy": "use `container.restart`",
    "HostConfig.AutoRemove": "deployer removes its containers itself",
}
ROTATED = ("json-file", "local")  # log drivers that know max-size and max-file


def combined(template: Container, written: Container) -> Container:
    """The template's settings under the spec's: maps merge, lists append, all else is the spec's where it says so."""
    update: dict[str, Any] = {}
    for name in template.model_fields_set | written.model_fields_set:
        ours, theirs = getattr(template, name), getattr(written, name)
        if theirs == getattr(DEFAULT, name):
            update[name] = ours
        elif isinstance(ours, dict):
            update[name] = {**ours, **theirs}
        elif isinstance(ours, tuple) and name not in REPLACED:
            update[name] = tuple(dict.fromkeys((*ours, *theirs)))
        else:
            update[name] = theirs
    return written.model_copy(update=update)


def docker_fields(container: Container, backend: Backend, gpus: tuple[str, ...]) -> dict[str, Any]:
    """Fields of the ContainerSpec that follow from `container:` and what the backend wants by default."""
    fields = {name: getattr(container, name) for name in AS_WRITTEN}
    return fields | {
        "gpus": gpus,
        "shm_size": _shm_size(container, backend, gpus),
        "ulimits": {name: _ulimit(value) for name, value in container.ulimits.items()},
        "stop_grace": backend.stop_grace if container.stop_grace is None else container.stop_grace,
        "healthcheck": _healthcheck(container.healthcheck),
        "log_driver": container.log.driver,
        "log_options": _log_options(container.log),
    }


def _shm_size(container: Container, backend: Backend, gpus: tuple[str, ...]) -> int | None:
    if container.ipc is not None and container.ipc.startswith(("host", "container:")):
        return None  # Docker takes the other namespace's
    if container.shm_size is not None:
        return container.shm_size
    return backend.shm_size_multi_gpu or backend.shm_size if len(gpus) > 1 else backend.shm_size


def _ulimit(value: Any) -> Ulimit:
    return Ulimit(value, value) if isinstance(value, int) else Ulimit(value.soft, value.hard)


def _log_options(log: LogOptions) -> dict[str, str]:
    rotation = {"max-size": log.max_size, "max-file": str(log.max_file)}
    wanted = rotation if log.driver in ROTATED else {}
    return wanted | dict(log.options)


def _healthcheck(written: HealthcheckOptions | str | None) -> Healthcheck | None:
    if written is None:
        return None
    if isinstance(written, str):
        return Healthcheck(test=())
    return Healthcheck(
        test=_test(written.test),
        interval=written.interval,
        timeout=written.timeout,
        start_period=written.start_period,
        retries=written.retries,
    )


def _test(words: tuple[str, ...]) -> tuple[str, ...] | None:
    """As compose reads it: one text is a shell line, a list is an argv unless it begins with CMD or CMD-SHELL."""
    match words:
        case ():
            return None
        case ("NONE",):
            return ()
        case ("CMD" | "CMD-SHELL", *_):
            return words
        case (line,):
            return ("CMD-SHELL", line)
        case _:
            return ("CMD", *words)


def refused_extra(extra: Mapping[str, Any]) -> str | None:
    """The first key of `extra` that would break what deployer knows its containers by, and what to use instead."""
    if not extra:
        return None
    for path, instead in KEPT.items():
        items: list[Any] = [extra]
        for part in path.lower().split("."):  # the engine reads keys in any case of letters, and in several at once
            found = (item.items() for item in items if isinstance(item, Mapping))
            items = [value for pairs in found for key, value in pairs if key.lower() == part]
        if items:
            return f"`{path}` is not for `extra`: {instead}"
    return None
