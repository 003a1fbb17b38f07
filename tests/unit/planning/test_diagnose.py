"""Every check of `doctor`: what it says of facts that are not as they should be, and that it names a remedy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployer.errors import Diagnostic
from deployer.planning.diagnose import diagnose
from deployer.values.checks import Check, Diagnosis, Verdict
from deployer.values.facts import Disk, DockerFacts, HostFacts, Listener, ObservedState, PathFact, Unreachable
from deployer.values.gpu_facts import Xid
from deployer.values.records import LockFact, ProjectRecord
from tests.unit.planning.hosts_facts import CACHE, GIB, GOOD, H100, ours, project_on, theirs, with_gpus, without

SAID = Diagnostic("docker-missing", "host `gpu-a`: there is no Docker", hint="install Docker Engine on it: https://d")
BROKEN = replace(H100, index=1, uuid="GPU-9", problem="GPU requires reset")
NGINX = Listener("0.0.0.0", 20000, "tcp", "process nginx (pid 7)")


def doctor(seen: HostFacts | Unreachable, **host: Any) -> Diagnosis:
    return diagnose(project_on(**host), ObservedState({"gpu-a": seen}))


def checks(seen: HostFacts | Unreachable, **host: Any) -> dict[str, Check]:
    found = doctor(seen, **host).hosts["gpu-a"].checks
    assert len({check.name for check in found}) == len(found)
    assert all((check.remedy is None) == (check.verdict is Verdict.PASS) for check in found)
    return {check.name: check for check in found}


def the_only(verdict: Verdict, seen: HostFacts | Unreachable, **host: Any) -> Check:
    """The one check that did not pass."""
    (check,) = [check for check in checks(seen, **host).values() if check.verdict is not Verdict.PASS]
    assert check.verdict is verdict
    return check


def test_all_is_well() -> None:
    found = checks(GOOD)
    assert {check.verdict for check in found.values()} == {Verdict.PASS}
    assert list(found) == [
        "reachable", "docker", "gpu-runtime", "gpus", "tools", "state-dir", "cache-dir", "disk", "clock", "sshd",
        "ports", "listeners", "projects", "containers",
    ]  # fmt: skip
    assert found["disk"].message == (
        "500 GiB of 900 GiB free on / (images, state); 1700 GiB of 3600 GiB free on /srv (weights)"
    )


def test_facts_of_an_older_deployer_accuse_nobody_of_what_was_not_looked_at() -> None:
    old = replace(GOOD, tools={}, clock_skew=None, sshd_readable=None, distribution=())
    assert {check.verdict for check in checks(old).values()} == {Verdict.PASS}


def test_a_host_that_cannot_be_reached_says_why() -> None:
    gone = Unreachable("gpu-a", Diagnostic("unreachable", "host `gpu-a` cannot be reached at 10.0.0.1:22: no answer",
                                           hint="check that the host is up"))  # fmt: skip
    check = the_only(Verdict.FAIL, gone)
    assert (check.name, check.message) == ("reachable", "cannot be reached at 10.0.0.1:22: no answer")


@pytest.mark.parametrize("state", ["maintenance", "lost"])
def test_a_host_that_is_left_alone_is_no_failure(state: str) -> None:
    found = diagnose(project_on(state=state), ObservedState({}))
    (check,) = found.hosts["gpu-a"].checks
    assert (check.verdict, state in check.message) == (Verdict.WARN, True)


def test_a_host_without_docker_is_checked_all_the_same() -> None:
    bare = without("flock", "docker", docker=DockerFacts("", ""), state_writable=False, uid=1000, user="ops")
    found = checks(Unreachable("gpu-a", SAID, bare))
    assert {n for n, c in found.items() if c.verdict is Verdict.FAIL} == {"docker", "tools", "state-dir"}
    assert found["docker"].message == "there is no Docker"
    assert found["docker"].remedy == "run on the host: `sudo apt-get install -y docker.io`"
    assert found["state-dir"].remedy == (
        "run on the host: `sudo install -d -o ops /var/lib/deployer`, or set `become: sudo`"
    )
    assert "ports" not in found, "what Docker holds is not known"


@pytest.mark.parametrize(
    ("distribution", "remedy"),
    [
        (("debian",), "`apt-get install -y docker.io`"),
        (("rhel", "fedora"), "download.docker.com/linux/rhel/docker-ce.repo"),
        (("rocky", "rhel", "centos", "fedora"), "download.docker.com/linux/rhel/docker-ce.repo"),
        (("openeuler",), "linux/centos/docker-ce.repo && dnf install -y docker-ce && systemctl enable"),
        (("anolis", "rhel", "fedora", "centos"), "linux/rhel/docker-ce.repo"),
        (("opensuse-leap", "suse", "opensuse"), "`zypper install -y docker`"),
        (("gentoo",), "https://docs.docker.com/engine/install/"),
        ((), "https://docs.docker.com/engine/install/"),
    ],
)  # fmt: skip
def test_how_docker_is_installed(distribution: tuple[str, ...], remedy: str) -> None:
    bare = without("docker", distribution=distribution)
    assert remedy in (checks(Unreachable("gpu-a", SAID, bare))["docker"].remedy or "")


def test_a_docker_that_is_only_down_is_not_installed_anew() -> None:
    down = Diagnostic("docker-down", "host `gpu-a`: the Docker engine is not running", hint="start it with `x`")
    assert checks(Unreachable("gpu-a", down, GOOD))["docker"].remedy == "start it with `x`"


@pytest.mark.parametrize(
    ("seen", "verdict", "message", "remedy"),
    [
        (with_gpus(None), Verdict.PASS, "none", ""),
        (with_gpus("AMD: seen, but only NVIDIA GPUs are supported"), Verdict.WARN, "AMD", "CPUs"),
        (with_gpus("Failed to initialize NVML: Driver/library version mismatch"), Verdict.FAIL, "mismatch", "reboot"),
        (with_gpus("NVIDIA GPUs on the PCI bus: 2, but no driver (`nvidia-smi` is not installed)"), Verdict.FAIL,
         "PCI bus", "modprobe nvidia"),
        (with_gpus("the NVIDIA driver is loaded, but `nvidia-smi` is not installed"), Verdict.FAIL, "loaded",
         "utilities"),
        (with_gpus("nvidia-smi did not answer in time"), Verdict.FAIL, "in time", "dmesg"),
        (with_gpus(None, H100, BROKEN), Verdict.WARN, "1 of 2", "reset"),
        (with_gpus("Unable to determine the device handle for GPU0000:65:00.0: Unknown Error", H100), Verdict.WARN,
         "1 of 1", "dmesg"),
        (with_gpus(None, BROKEN), Verdict.FAIL, "0 of 1", "reset"),
    ],
)  # fmt: skip
def test_gpus(seen: HostFacts, verdict: Verdict, message: str, remedy: str) -> None:
    check = checks(seen)["gpus"]
    assert (check.verdict, message in check.message, remedy in (check.remedy or "")) == (verdict, True, True)


def test_gpus_of_others_beside_nvidias_are_named() -> None:
    seen = with_gpus(None, H100)
    check = checks(replace(seen, gpu=replace(seen.gpu, others=("AMD", "Huawei Ascend"))))["gpus"]
    assert check.verdict is Verdict.PASS
    assert check.message.endswith("; beside them AMD, Huawei Ascend, but only NVIDIA GPUs are supported")


def test_the_container_toolkit() -> None:
    plain = replace(GOOD.docker, runtimes=("runc",))
    hooks = ("nvidia-container-runtime-hook", "nvidia-cdi-hook", "nvidia-ctk")
    check = the_only(Verdict.FAIL, without(*hooks, docker=plain))
    assert check.name == "gpu-runtime"
    assert "apt-get install -y nvidia-container-toolkit && nvidia-ctk runtime configure" in (check.remedy or "")
    assert "dnf install" in (
        the_only(Verdict.FAIL, without(*hooks, docker=plain, distribution=("anolis",))).remedy or ""
    )
    assert the_only(Verdict.WARN, replace(GOOD, docker=plain)).remedy == (
        "run on the host: `nvidia-ctk runtime configure --runtime=docker && systemctl restart docker`"
    )
    assert checks(without(*hooks[:1]))["gpu-runtime"].verdict is Verdict.PASS
    assert "gpu-runtime" not in checks(with_gpus(None)), "nothing to give to containers"


def test_tools() -> None:
    check = the_only(Verdict.FAIL, without("flock", "curl", "sha256sum", "ss", uid=1000))
    assert check.message == "missing: curl, sha256sum, flock, ss"
    assert check.remedy == "run on the host: `sudo apt-get install -y curl coreutils util-linux iproute2`"
    check = the_only(Verdict.WARN, without("ss", "logger", distribution=("openeuler",)))
    assert check.remedy == "run on the host: `dnf install -y iproute util-linux`"
    assert the_only(Verdict.FAIL, without("curl", distribution=())).remedy == (
        "install curl with the host's package manager"
    )


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (PathFact(CACHE, "file", 3), Verdict.FAIL),
        (PathFact(CACHE, "denied"), Verdict.FAIL),
        (PathFact(CACHE, "directory", writable=False), Verdict.FAIL),
        (PathFact(CACHE, "missing", writable=False), Verdict.FAIL),
        (PathFact(CACHE, "missing", writable=True), Verdict.PASS),
        (PathFact(CACHE, "directory"), Verdict.PASS),
    ],
)
def test_the_cache(seen: PathFact, verdict: Verdict) -> None:
    assert checks(replace(GOOD, paths={CACHE: seen}))["cache-dir"].verdict is verdict


def test_space() -> None:
    def free(size: int) -> HostFacts:
        return replace(GOOD, disks=(*GOOD.disks[1:], Disk("/var/lib/docker", "/var", 100 * GIB, size)))

    assert the_only(Verdict.FAIL, free(GIB - 1)).evidence[-1] == "1.0 GiB of 100 GiB free on /var (images)"
    assert the_only(Verdict.WARN, free(9 * GIB)).name == "disk"
    assert the_only(Verdict.WARN, replace(GOOD, disks=())).name == "disk"


@pytest.mark.parametrize(
    ("skew", "said"),
    [(29, None), (-29, None), (74, "at least 74 seconds ahead of"), (-7300, "at least 2 hours behind"),
     (90000000, "at least 1041 days ahead of")],
)  # fmt: skip
def test_the_clock(skew: int, said: str | None) -> None:
    check = checks(replace(GOOD, clock_skew=skew))["clock"]
    assert (check.verdict is Verdict.PASS) == (said is None)
    assert (said or "agrees") in check.message


@pytest.mark.parametrize(
    ("sshd", "verdict", "said"),
    [
        ({}, Verdict.PASS, "MaxSessions 10, MaxStartups 10:30:100"),
        ({"maxsessions": "2"}, Verdict.WARN, "MaxSessions 2"),
        ({"maxstartups": "2:30:60"}, Verdict.WARN, "MaxStartups 2:30:60"),
        ({"maxsessions": "none\x1b", "maxstartups": "x"}, Verdict.PASS, "MaxSessions"),
        ({"allowstreamlocalforwarding": "no"}, Verdict.WARN, "AllowStreamLocalForwarding no"),
        ({"allowtcpforwarding": "no"}, Verdict.FAIL, "AllowTcpForwarding no"),
        ({"allowtcpforwarding": "local"}, Verdict.PASS, "forwarding allowed"),
        ({"disableforwarding": "yes"}, Verdict.FAIL, "DisableForwarding yes"),
    ],
)
def test_sshd(sshd: dict[str, str], verdict: Verdict, said: str) -> None:
    check = checks(replace(GOOD, sshd=sshd))["sshd"]
    assert (check.verdict, said in " ".join([check.message, *check.evidence])) == (verdict, True)


def test_an_sshd_whose_settings_are_hidden_or_that_is_not_used() -> None:
    assert "cannot be read" in checks(replace(GOOD, sshd={}, sshd_readable=False))["sshd"].message
    assert "sshd" not in checks(GOOD, connection="local")
    doubtful = replace(GOOD, sshd={"allowstreamlocalforwarding": "no"})
    assert checks(doubtful, become="sudo")["sshd"].verdict is Verdict.PASS, "Docker is asked by its command anyway"


@pytest.mark.parametrize(
    ("ports", "verdict", "said"),
    [
        ("20000-31999", Verdict.PASS, "12000 of"),
        ("30000-40000", Verdict.WARN, "overlaps 32768-60999"),
        ("40000-41000", Verdict.FAIL, "none of"),
        ("20000-20004", Verdict.WARN, "only 5 of"),
    ],
)
def test_the_range_of_ports(ports: str, verdict: Verdict, said: str) -> None:
    check = checks(GOOD, ports=ports)["ports"]
    assert (check.verdict, said in check.message) == (verdict, True)


def test_strangers_that_listen_in_the_range() -> None:
    own = ours(ports=(("0.0.0.0", 20001, "tcp"),))
    listeners = (
        NGINX, Listener("::", 20000, "tcp", "process nginx (pid 7)"), Listener("0.0.0.0", 9, "tcp", None),
        Listener("0.0.0.0", 20001, "tcp", f"container {own.name}"), Listener("0.0.0.0", 20002, "tcp", None),
    )  # fmt: skip
    check = the_only(Verdict.WARN, replace(GOOD, containers=(own,), listeners=listeners))
    assert check.evidence == (
        "port 20000: process nginx (pid 7)", "port 20002: a process that is not visible to this user",
    )  # fmt: skip
    many = tuple(replace(NGINX, port=port) for port in range(20000, 20100))
    assert the_only(Verdict.WARN, replace(GOOD, listeners=many)).evidence[-1] == "... and 80 more"


def test_every_project_is_named() -> None:
    found = replace(
        GOOD,
        containers=(ours(), theirs("a", "other", "x"), theirs("b", "other", "x"), theirs("c")),
        records=(ProjectRecord("gone", "", "a1"),),
    )
    (host,) = doctor(found).hosts.values()
    assert [(p.project, p.id, p.containers) for p in host.projects] == [("lab", "7f3a", 1), ("other", "x", 2)]
    assert checks(found)["projects"].evidence == (
        "lab (id 7f3a): 1 container", "other (id x): 2 containers", "gone: a record, no containers",
    )  # fmt: skip


def test_another_owners_project_of_the_same_name() -> None:
    check = the_only(Verdict.FAIL, replace(GOOD, containers=(theirs("lab_chat_0_x", "lab", "other"),)))
    assert (check.name, check.evidence) == ("projects", ("gpu-a: container lab_chat_0_x has id `other`",))


def test_a_lock_that_is_held() -> None:
    def locked(expires: str, project: str = "lab") -> HostFacts:
        return replace(GOOD, locks=(LockFact(project, "ann@laptop", "2025-12-31T23:59:00Z", expires),))

    assert "ann@laptop" in the_only(Verdict.WARN, locked("2026-01-01T00:00:30Z")).message
    assert "lock" not in checks(locked("2025-12-31T23:59:59Z"))
    assert "lock" not in checks(locked("2026-01-01T00:00:30Z", "other"))


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (ours(), None),
        (ours(status="exited", restart_policy="no"), None),
        (ours(restart_policy="no"), "has never answered"),
        (ours(status="created", restart_policy="no"), "is created"),
        (ours(status="dead"), "is dead"),
        (ours(status="restarting", restarts=7), "7 times"),
        (ours(role="task"), "a task container"),
        (ours("lab_chat_0_0123456789ab.old"), "was to be replaced"),
    ],
)
def test_what_was_left_of_ours(container: Any, said: str | None) -> None:
    check = checks(replace(GOOD, containers=(container,)))["containers"]
    assert (check.verdict is Verdict.PASS) == (said is None)
    assert said is None or (check.evidence[0].startswith(container.name) and said in check.evidence[0])


def test_a_record_that_does_not_parse() -> None:
    container = ours()
    assert container.recorded is not None
    damaged = replace(container, recorded=replace(container.recorded, spec=None))
    assert "record cannot be read" in the_only(Verdict.WARN, replace(GOOD, containers=(damaged,))).evidence[0]


def test_a_host_that_left_the_inventory_is_a_problem_of_the_project() -> None:
    record = ProjectRecord("lab", "7f3a", "20260101T000000Z00000000", {"gpu-a": "", "gpu-b": "10.0.0.2"})
    (problem,) = doctor(replace(GOOD, records=(record,))).problems
    assert (problem.code, "`gpu-b` (10.0.0.2)" in problem.message) == ("host-dropped", True)


def test_a_mount_that_may_come_after_docker() -> None:
    assert "boot" not in checks(replace(GOOD, late_mounts=("/elsewhere",)))
    disk = Disk("/srv/late/tiny.gguf", "/srv/late", 100 * GIB, 50 * GIB)
    late = replace(GOOD, disks=(*GOOD.disks, disk), late_mounts=("/srv/late", "/elsewhere"), uid=1000)
    check = the_only(Verdict.WARN, late)
    assert check.name == "boot"
    assert "`/srv/late`" in check.message
    assert check.remedy is not None
    assert check.remedy.startswith("run on the host: `sudo sh -c ")
    assert "RequiresMountsFor=/srv/late" in check.remedy


def test_errors_of_gpus_are_told() -> None:
    bad = replace(H100, ecc_errors=12, pages_pending=True, rows_failed=True)
    seen = with_gpus(None, H100, bad)
    xids = (Xid("0000:17:00", 31, 4), Xid("0000:17:00", 79, 2), Xid("0000:2a:00", 48, 1))
    check = checks(replace(seen, gpu=replace(seen.gpu, xids=xids)))["gpu-health"]
    assert check.verdict is Verdict.WARN
    assert check.evidence == (
        f"GPU 0 ({H100.name}): 12 memory errors that could not be corrected",
        f"GPU 0 ({H100.name}): bad pages or rows of its memory are replaced when it is reset",
        f"GPU 0 ({H100.name}): a bad row of its memory could not be replaced: have the GPU exchanged",
        "GPU at 0000:17:00: Xid 79 (the GPU fell off the bus), 2 times since the host booted",
        "GPU at 0000:2a:00: Xid 48 (a memory error that cannot be corrected), once since the host booted",
    ), "an error of a program is none of the hardware"
    assert "gpus.exclude" in (check.remedy or "")


def test_gpus_without_errors_pass_and_those_that_tell_nothing_are_not_spoken_of() -> None:
    assert checks(with_gpus(None, replace(H100, ecc_errors=0)))["gpu-health"].verdict is Verdict.PASS
    assert "gpu-health" not in checks(with_gpus(None, H100))
