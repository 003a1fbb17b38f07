"""ContainerSpec -> what the Docker API takes: the create body, and the archive of files. Sends nothing."""

from __future__ import annotations

import base64
import io
import json
import math
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

from deployer.planning.render_docker import refused_extra
from deployer.values.container import ContainerSpec, Healthcheck, Mount, PortBinding, SecretFile
from deployer.values.secrets import Secret

NANO = 1_000_000_000
CDI = "cdi"


def create_body(spec: ContainerSpec, labels: Mapping[str, str], image: str, env: Mapping[str, str]) -> dict[str, Any]:
    """The body of `POST /containers/create`. `env` is revealed; `labels` are all of them; `image` an id or name.

    What is absent in `spec` is absent in the body, so that Docker decides. ValueError where `extra` would break
    ownership.
    """
    body: dict[str, Any] = _given({
        "Image": image,
        "Env": [f"{name}={value}" for name, value in env.items()],
        "Labels": dict(labels),
        "Entrypoint": None if spec.entrypoint is None else list(spec.entrypoint),
        "Cmd": list(spec.command),
        "User": spec.user,
        "WorkingDir": spec.working_dir,
        "Hostname": spec.hostname,
        "StopSignal": spec.stop_signal,
        "StopTimeout": None if spec.stop_grace is None else math.ceil(spec.stop_grace),
        "Healthcheck": None if spec.healthcheck is None else _healthcheck(spec.healthcheck),
        "ExposedPorts": {_port(binding): {} for binding in spec.ports},
    })  # fmt: skip
    body["HostConfig"] = _host_config(spec)
    if spec.network_aliases:
        body["NetworkingConfig"] = {"EndpointsConfig": {spec.network: {"Aliases": list(spec.network_aliases)}}}
    refused = refused_extra(spec.extra)
    if refused is not None:
        raise ValueError(refused)
    found: dict[str, Any] = merged(body, spec.extra)
    return found


def _host_config(spec: ContainerSpec) -> dict[str, Any]:
    return _given({
        "NetworkMode": spec.network,
        "RestartPolicy": {"Name": spec.restart, "MaximumRetryCount": 0},
        "PortBindings": _bindings(spec),
        "Mounts": [_mount(mount) for mount in spec.mounts if mount.relabel is None],
        "Binds": [_bind(mount) for mount in spec.mounts if mount.relabel is not None],
        "DeviceRequests": list(_device_requests(spec)),
        "Devices": [_device(text) for text in spec.devices if not is_cdi(text)],
        "Runtime": spec.runtime,
        "ShmSize": spec.shm_size,
        "IpcMode": spec.ipc,
        "PidMode": spec.pid,
        "UTSMode": spec.uts,
        "Dns": list(spec.dns),
        "ExtraHosts": list(spec.extra_hosts),
        "GroupAdd": list(spec.group_add),
        "Tmpfs": dict(spec.tmpfs),
        "CapAdd": list(spec.cap_add),
        "CapDrop": list(spec.cap_drop),
        "SecurityOpt": list(spec.security_opt),
        "Privileged": spec.privileged,
        "ReadonlyRootfs": spec.read_only,
        "Init": spec.init or None,
        "Sysctls": dict(spec.sysctls),
        "Ulimits": [{"Name": n, "Soft": u.soft, "Hard": u.hard} for n, u in sorted(spec.ulimits.items())],
        "Memory": spec.memory,
        "MemorySwap": spec.memory_swap,
        "NanoCpus": None if spec.cpus is None else round(spec.cpus * NANO),
        "CpusetCpus": spec.cpuset_cpus,
        "CpusetMems": spec.cpuset_mems,
        "PidsLimit": spec.pids_limit,
        "OomScoreAdj": spec.oom_score_adj,
        "LogConfig": _log_config(spec),
    })  # fmt: skip


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not said; an empty entrypoint is said."""
    return {key: value for key, value in fields.items() if _is_said(value) or (key == "Entrypoint" and value == [])}


def _is_said(value: object) -> bool:
    return value is not None and value is not False and value != {} and value != []


def _port(binding: PortBinding) -> str:
    return f"{binding.container}/{binding.protocol}"


def _bindings(spec: ContainerSpec) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for binding in spec.ports:
        found.setdefault(_port(binding), []).append({"HostIp": binding.bind, "HostPort": str(binding.host)})
    return found


def _mount(mount: Mount) -> dict[str, Any]:
    data: dict[str, Any] = {"Type": mount.kind, "Source": mount.source, "Target": mount.target}
    if mount.read_only:
        data["ReadOnly"] = True
    if mount.propagation is not None:
        data["BindOptions"] = {"Propagation": mount.propagation}
    if mount.no_copy:
        data["VolumeOptions"] = {"NoCopy": True}
    return data


def _bind(mount: Mount) -> str:
    """The old form: only it relabels for SELinux."""
    flags = ("ro" if mount.read_only else None, mount.relabel, mount.propagation, "nocopy" if mount.no_copy else None)
    return ":".join((mount.source, mount.target, ",".join(flag for flag in flags if flag)))


def is_cdi(device: str) -> bool:
    """`vendor.com/class=name`, as against a path."""
    return not device.startswith("/") and "=" in device


def _device(text: str) -> dict[str, str]:
    """`HOST[:CONTAINER][:rwm]`"""
    parts = text.split(":")
    last = parts.pop() if len(parts) > 1 and set(parts[-1]) <= set("rwm") else "rwm"
    return {
        "PathOnHost": parts[0],
        "PathInContainer": parts[1] if len(parts) > 1 else parts[0],
        "CgroupPermissions": last,
    }


def _device_requests(spec: ContainerSpec) -> Iterator[dict[str, Any]]:
    if "all" in spec.gpus:
        yield {"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}
    elif spec.gpus:
        yield {"Driver": "", "DeviceIDs": list(spec.gpus), "Capabilities": [["gpu"]]}
    named = [device for device in spec.devices if is_cdi(device)]
    if named:
        yield {"Driver": CDI, "DeviceIDs": named}


def _healthcheck(check: Healthcheck) -> dict[str, Any]:
    if check.test == ():
        return {"Test": ["NONE"]}
    durations = {"Interval": check.interval, "Timeout": check.timeout, "StartPeriod": check.start_period}
    found: dict[str, Any] = {name: round(value * NANO) for name, value in durations.items() if value is not None}
    if check.test is not None:
        found["Test"] = list(check.test)
    if check.retries is not None:
        found["Retries"] = check.retries
    return found


def _log_config(spec: ContainerSpec) -> dict[str, Any] | None:
    if spec.log_driver is None:
        return None
    return {"Type": spec.log_driver, "Config": dict(spec.log_options)}


def merged(body: Any, extra: Any) -> Any:
    """`extra` over `body`: maps merge (the engine reads keys in any case of letters), lists append, all else wins."""
    if isinstance(body, dict) and isinstance(extra, Mapping):
        found = dict(body)
        for key, value in extra.items():
            same = next((k for k in found if k.lower() == key.lower()), key)
            found[same] = merged(found[same], value) if same in found else value
        return found
    if isinstance(body, list) and isinstance(extra, list | tuple):
        return [*body, *extra]
    return extra


def archive(spec: ContainerSpec, secrets: Mapping[str, Secret]) -> bytes:
    """The tar for `PUT /containers/ID/archive?path=/`: files and secret files; b"" when there are none.

    It has no directories: Docker makes the missing ones and would give existing ones the archive's mode. ValueError
    for a path that is not absolute and plain.
    """
    if not spec.files and not spec.secret_files:
        return b""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, file in sorted(spec.files.items()):
            _add(tar, path, base64.b64decode(file.data, validate=True), (file.mode, file.uid, file.gid))
        for path, secret in sorted(spec.secret_files.items()):
            _add(tar, path, _content(secret, secrets), (secret.mode, secret.uid, secret.gid))
    return buffer.getvalue()


def _content(file: SecretFile, secrets: Mapping[str, Secret]) -> bytes:
    values = [secrets[reference.secret].reveal() for reference in (file.secret, *file.more)]
    if file.content is None:
        return "\n".join(values).encode("utf-8", "surrogateescape")
    quoted = json.dumps(values[0], ensure_ascii=False)
    return file.content.replace("{secret}", quoted).encode("utf-8", "surrogateescape")


def _add(tar: tarfile.TarFile, path: str, data: bytes, owned: tuple[int, int, int]) -> None:
    if path.endswith("/") or posixpath.normpath("/" + path.lstrip("/")) != path:
        raise ValueError(f"`{path}` is not the absolute path of a file")
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.size = len(data)
    entry.mode, entry.uid, entry.gid = owned
    tar.addfile(entry, io.BytesIO(data))
