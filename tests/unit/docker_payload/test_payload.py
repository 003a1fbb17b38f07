"""The create body field by field, and the archive."""

from __future__ import annotations

import base64
import io
import tarfile
from dataclasses import fields, replace
from typing import Any

import pytest

from deployer.docker.payload import archive, create_body, merged
from deployer.values.container import (
    ContainerSpec,
    Healthcheck,
    Mount,
    PortBinding,
    SecretFile,
    ShippedFile,
    Ulimit,
)
from deployer.values.secrets import Secret, SecretRef

NANO = 10**9
SPEC = ContainerSpec("image:1")

# a field of ContainerSpec, its value, and where in the body it goes as what
FIELDS: list[tuple[str, Any, str, Any]] = [
    ("entrypoint", ("a", "b"), "Entrypoint", ["a", "b"]),
    ("entrypoint", (), "Entrypoint", []),
    ("command", ("a", "b"), "Cmd", ["a", "b"]),
    ("mounts", (Mount("/a", "/b"),), "HostConfig.Mounts", [{"Type": "bind", "Source": "/a", "Target": "/b"}]),
    ("mounts", (Mount("/a", "/b", read_only=True, propagation="rslave"),), "HostConfig.Mounts",
     [{"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True, "BindOptions": {"Propagation": "rslave"}}]),
    ("mounts", (Mount("v", "/b", kind="volume", no_copy=True),), "HostConfig.Mounts",
     [{"Type": "volume", "Source": "v", "Target": "/b", "VolumeOptions": {"NoCopy": True}}]),
    ("mounts", (Mount("/a", "/b", read_only=True, relabel="Z"),), "HostConfig.Binds", ["/a:/b:ro,Z"]),
    ("ports", (PortBinding(80, 8000), PortBinding(80, 8001, "::1"), PortBinding(53, 53, protocol="udp")),
     "HostConfig.PortBindings",
     {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}, {"HostIp": "::1", "HostPort": "8001"}],
      "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}]}),
    ("ports", (PortBinding(80, 8000),), "ExposedPorts", {"80/tcp": {}}),
    ("gpus", ("GPU-a", "GPU-b"), "HostConfig.DeviceRequests",
     [{"Driver": "", "DeviceIDs": ["GPU-a", "GPU-b"], "Capabilities": [["gpu"]]}]),
    ("gpus", ("all",), "HostConfig.DeviceRequests", [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}]),
    ("devices", ("nvidia.com/gpu=0",), "HostConfig.DeviceRequests",
     [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0"]}]),
    ("devices", ("/dev/a", "/dev/b:/dev/c", "/dev/d:/dev/e:rw", "/dev/f:r"), "HostConfig.Devices", [
        {"PathOnHost": "/dev/a", "PathInContainer": "/dev/a", "CgroupPermissions": "rwm"},
        {"PathOnHost": "/dev/b", "PathInContainer": "/dev/c", "CgroupPermissions": "rwm"},
        {"PathOnHost": "/dev/d", "PathInContainer": "/dev/e", "CgroupPermissions": "rw"},
        {"PathOnHost": "/dev/f", "PathInContainer": "/dev/f", "CgroupPermissions": "r"}]),
    ("runtime", "nvidia", "HostConfig.Runtime", "nvidia"),
    ("shm_size", 5, "HostConfig.ShmSize", 5),
    ("ipc", "host", "HostConfig.IpcMode", "host"),
    ("pid", "host", "HostConfig.PidMode", "host"),
    ("uts", "host", "HostConfig.UTSMode", "host"),
    ("network", "host", "HostConfig.NetworkMode", "host"),
    ("network_aliases", ("x",), "NetworkingConfig", {"EndpointsConfig": {"bridge": {"Aliases": ["x"]}}}),
    ("hostname", "h", "Hostname", "h"),
    ("dns", ("10.0.0.1",), "HostConfig.Dns", ["10.0.0.1"]),
    ("extra_hosts", ("a:1.1.1.1",), "HostConfig.ExtraHosts", ["a:1.1.1.1"]),
    ("user", "1:2", "User", "1:2"),
    ("group_add", ("video",), "HostConfig.GroupAdd", ["video"]),
    ("working_dir", "/w", "WorkingDir", "/w"),
    ("tmpfs", {"/tmp": "size=1g"}, "HostConfig.Tmpfs", {"/tmp": "size=1g"}),
    ("cap_add", ("IPC_LOCK",), "HostConfig.CapAdd", ["IPC_LOCK"]),
    ("cap_drop", ("ALL",), "HostConfig.CapDrop", ["ALL"]),
    ("security_opt", ("no-new-privileges",), "HostConfig.SecurityOpt", ["no-new-privileges"]),
    ("privileged", True, "HostConfig.Privileged", True),
    ("read_only", True, "HostConfig.ReadonlyRootfs", True),
    ("init", True, "HostConfig.Init", True),
    ("sysctls", {"a": "1"}, "HostConfig.Sysctls", {"a": "1"}),
    ("ulimits", {"n": Ulimit(1, 2), "m": Ulimit(-1, -1)}, "HostConfig.Ulimits",
     [{"Name": "m", "Soft": -1, "Hard": -1}, {"Name": "n", "Soft": 1, "Hard": 2}]),
    ("memory", 5, "HostConfig.Memory", 5),
    ("memory_swap", -1, "HostConfig.MemorySwap", -1),
    ("cpus", 1.5, "HostConfig.NanoCpus", 1_500_000_000),
    ("cpuset_cpus", "0-3", "HostConfig.CpusetCpus", "0-3"),
    ("cpuset_mems", "0", "HostConfig.CpusetMems", "0"),
    ("pids_limit", 5, "HostConfig.PidsLimit", 5),
    ("oom_score_adj", -500, "HostConfig.OomScoreAdj", -500),
    ("restart", "no", "HostConfig.RestartPolicy", {"Name": "no", "MaximumRetryCount": 0}),
    ("stop_grace", 1.2, "StopTimeout", 2),
    ("stop_grace", 0.0, "StopTimeout", 0),
    ("stop_signal", "SIGINT", "StopSignal", "SIGINT"),
    ("healthcheck", Healthcheck(()), "Healthcheck", {"Test": ["NONE"]}),
    ("healthcheck", Healthcheck(None, interval=5.0), "Healthcheck", {"Interval": 5 * NANO}),
    ("healthcheck", Healthcheck(("CMD", "x"), 1.5, 2.0, 3.0, 4), "Healthcheck",
     {"Test": ["CMD", "x"], "Interval": 1_500_000_000, "Timeout": 2 * NANO, "StartPeriod": 3 * NANO, "Retries": 4}),
    ("log_driver", "journald", "HostConfig.LogConfig", {"Type": "journald", "Config": {}}),
    ("log_options", {"a": "b"}, "HostConfig.LogConfig", {"Type": "json-file", "Config": {"a": "b"}}),
    ("extra", {"HostConfig": {"CpuShares": 5}}, "HostConfig.CpuShares", 5),
]  # fmt: skip


def body_of(spec: ContainerSpec) -> dict[str, Any]:
    return create_body(spec, {"l": "v"}, "sha256:1", {"A": "1"})


@pytest.mark.parametrize(("field", "value", "path", "expected"), FIELDS)
def test_a_field_goes_where_docker_looks_for_it(field: str, value: Any, path: str, expected: Any) -> None:
    found: Any = body_of(replace(SPEC, **{field: value}))
    for part in path.split("."):
        found = found[part]
    assert found == expected


def test_every_field_is_tested() -> None:
    elsewhere = {"image", "env", "labels", "files", "secret_files"}
    assert {field for field, *_ in FIELDS} | elsewhere == {f.name for f in fields(ContainerSpec)}


def test_what_is_not_said_is_left_to_docker() -> None:
    assert body_of(SPEC) == {
        "Image": "sha256:1",
        "Env": ["A=1"],
        "Labels": {"l": "v"},
        "HostConfig": {
            "NetworkMode": "bridge",
            "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
            "LogConfig": {"Type": "json-file", "Config": {}},
        },
    }


def test_gpus_and_named_devices_go_together() -> None:
    requests = body_of(replace(SPEC, gpus=("GPU-a",), devices=("nvidia.com/gpu=1",)))["HostConfig"]["DeviceRequests"]
    assert [r["Driver"] for r in requests] == ["", "cdi"]


@pytest.mark.parametrize(
    "extra",
    [
        {"Image": "x"},
        {"image": "x"},
        {"LABELS": {"deployer.project": "x"}},
        {"Env": ["A=2"]},
        {"HostConfig": {"RestartPolicy": {}}},
        {"hostConfig": {"autoRemove": True}},
    ],
)
def test_extra_cannot_break_ownership(extra: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not for `extra`"):
        body_of(replace(SPEC, extra=extra))


def test_extra_is_merged_last() -> None:
    spec = replace(SPEC, shm_size=1, cap_add=("A",), extra={"hostconfig": {"SHMSIZE": 2, "CapAdd": ["B"]}, "Tty": True})
    body = body_of(spec)
    assert body["HostConfig"]["ShmSize"] == 2
    assert body["HostConfig"]["CapAdd"] == ["A", "B"]
    assert body["Tty"] is True
    assert "hostconfig" not in body


def test_merging_changes_neither() -> None:
    one, two = {"a": {"b": [1]}}, {"a": {"b": [2]}}
    assert merged(one, two) == {"a": {"b": [1, 2]}}
    assert (one, two) == ({"a": {"b": [1]}}, {"a": {"b": [2]}})


def members(data: bytes) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar.getmembers():
            content = tar.extractfile(member)
            assert content is not None
            found[member.name] = (member, content.read())
    return found


def test_the_archive_holds_files_and_secrets_with_owner_and_mode() -> None:
    spec = replace(
        SPEC,
        files={"/opt/a b": ShippedFile(base64.b64encode(b"\0\xff").decode(), 0o755, 1, 2)},
        secret_files={
            "/run/k": SecretFile(SecretRef("a")),
            "/run/both": SecretFile(SecretRef("a"), 0o400, 5, 6, (SecretRef("b"),)),
        },
    )
    found = members(archive(spec, {"a": Secret("one"), "b": Secret("zwei é")}))
    assert {name: content for name, (_, content) in found.items()} == {
        "opt/a b": b"\0\xff",
        "run/k": b"one",
        "run/both": "one\nzwei é".encode(),
    }
    owned = {name: (m.mode, m.uid, m.gid, m.mtime, m.isfile()) for name, (m, _) in found.items()}
    assert owned == {
        "opt/a b": (0o755, 1, 2, 0, True),
        "run/k": (0o600, 0, 0, 0, True),
        "run/both": (0o400, 5, 6, 0, True),
    }


def test_the_archive_is_the_same_every_time_and_empty_without_files() -> None:
    spec = replace(SPEC, files={"/b": ShippedFile("aGk="), "/a": ShippedFile("aGk=")})
    assert archive(spec, {}) == archive(replace(spec, files=dict(reversed(list(spec.files.items())))), {})
    assert archive(SPEC, {}) == b""


@pytest.mark.parametrize("path", ["relative", "/a/../b", "/a/", "/", "//a", "/./a", ""])
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not the absolute path"):
        archive(replace(SPEC, files={path: ShippedFile("")}), {})
