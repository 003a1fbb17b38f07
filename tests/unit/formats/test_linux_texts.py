"""What hosts say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.formats import linux
from deployer.formats.text import lines, one_line, whole_number

DATA = Path(__file__).parent / "data"
A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("name", "pretty"),
    [
        ("os-release-debian.txt", "Debian GNU/Linux 12 (bookworm)"),
        ("os-release-alpine.txt", "Alpine Linux v3.20"),
        ("os-release-ubuntu.txt", "Ubuntu 22.04.5 LTS"),
    ],
)
def test_os_release(name: str, pretty: str) -> None:
    assert linux.parse_os_release((DATA / name).read_text()) == pretty


def test_os_release_without_a_pretty_name() -> None:
    assert linux.parse_os_release("NAME='Void'\nVERSION_ID=1\n") == "Void 1"
    assert linux.parse_os_release('PRETTY_NAME="a \\"b\\" \x1b[31mc"') == 'a "b" c'
    assert linux.parse_os_release("") == ""


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('ID=ubuntu\nID_LIKE=debian\n', ("ubuntu", "debian")),
        ('ID="openEuler"\n', ("openeuler",)),
        ('ID_LIKE="rhel fedora centos"\nID="anolis"\n', ("anolis", "rhel", "fedora", "centos")),
        ("ID=debian\nID_LIKE=debian", ("debian",)),
        ("NAME=x\n\x1b[2J", ()),
    ],
)  # fmt: skip
def test_distribution(said: str, found: tuple[str, ...]) -> None:
    assert linux.parse_distribution(said) == found


def test_uname() -> None:
    assert linux.parse_uname("Linux gpu-a 5.15.0-112-generic x86_64\n") == linux.Uname(
        "Linux", "gpu-a", "5.15.0-112-generic", "x86_64"
    )
    assert linux.parse_uname("Linux gpu-a") is None


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("uid=0(root) gid=0(root) groups=0(root)\n", (0, 0, "root")),
        ("uid=1000(ops) gid=1001(ops) groups=1001(ops),999(docker)", (1000, 1001, "ops")),
        ("uid=1234 gid=5", (1234, 5, "1234")),
    ],
)
def test_identity(said: str, found: tuple[int, int, str]) -> None:
    who = linux.parse_identity(said)
    assert who is not None
    assert (who.uid, who.gid, who.user) == found


def test_identity_that_says_nothing() -> None:
    assert linux.parse_identity("id: cannot find name") is None


def test_meminfo() -> None:
    total, available = linux.parse_meminfo((DATA / "meminfo.txt").read_text())
    assert (total, available) == (24684096 * 1024, 23665352 * 1024)
    assert linux.parse_meminfo("MemTotal: 100 kB\nMemFree: 10 kB\nBuffers: 5 kB\nCached: 20 kB\n") == (102400, 35840)
    assert linux.parse_meminfo("MemTotal: lots kB") == (0, 0)


@pytest.mark.parametrize(
    ("said", "mount", "total", "free"),
    [
        ("Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 264212084 24091856 82299056 23% /\n", "/",
         264212084, 82299056),
        ("x\n//srv/my share 1000 900 100 90% /mnt/my share\n", "/mnt/my share", 1000, 100),
        ("x\noverlay 1000 990 -10 101% /\n", "/", 1000, 0),
        ("x\nproc 0 0 0 - /proc", "/proc", 0, 0),
    ],
)  # fmt: skip
def test_df(said: str, mount: str, total: int, free: int) -> None:
    found = linux.parse_df(said)
    assert found is not None
    assert (found.mount, found.total, found.free) == (mount, total * 1024, free * 1024)


@pytest.mark.parametrize(
    ("device", "server"),
    [
        ("nas:/models", "nas:/models"), ("10.0.0.5:/hf", "10.0.0.5:/hf"), ("[fe80::1]:/x", "[fe80::1]:/x"),
        ("//nas/my share", "//nas/my share"), ("mon1:6789,mon2:6789:/", "mon1:6789,mon2:6789:/"),
        ("fs@1a2b.cephfs=/models", "fs@1a2b.cephfs=/models"), ("ops@nas:/srv", "ops@nas:/srv"),
        ("10.0.0.1@tcp:/lustre", "10.0.0.1@tcp:/lustre"), ("/dev/sda1", ""), ("tmpfs", ""), ("overlay", ""),
        ("localhost:/srv", ""), ("127.0.0.1:/srv", ""), ("[::1]:/srv", ""), ("//127.0.0.1/x", ""),
        ("C:\\134", ""), ("tank/models", ""), ("/dev/mapper/a:/b", ""),
    ],
)  # fmt: skip
def test_what_a_server_on_the_network_has(device: str, server: str) -> None:
    found = linux.parse_df(f"Filesystem 1024-blocks Used Available Capacity Mounted on\n{device} 10 5 5 50% /mnt/x\n")
    assert found is not None
    assert found.server == server


@pytest.mark.parametrize("said", ["", "df: /x: No such file or directory", "Filesystem 1024-blocks Used Available"])
def test_df_that_failed(said: str) -> None:
    assert linux.parse_df(said) is None


def test_port_range() -> None:
    assert linux.parse_port_range("32768\t60999\n") == (32768, 60999)
    for said in ("", "1", "9 8", "1 70000", "a b"):
        assert linux.parse_port_range(said) is None


def test_sshd_settings() -> None:
    found = linux.parse_sshd((DATA / "sshd-T.txt").read_text())
    assert found == {
        "maxsessions": "10",
        "maxstartups": "10:30:100",
        "allowtcpforwarding": "yes",
        "allowstreamlocalforwarding": "yes",
    }


def test_the_first_setting_counts_and_none_under_a_match() -> None:
    said = "  MaxSessions 3\nmaxsessions 9\nMaxStartups=20\nMatch User bob\nAllowTcpForwarding no\n"
    assert linux.parse_sshd(said) == {"maxsessions": "3", "maxstartups": "20"}


def test_containers_of_processes() -> None:
    said = f"/proc/7/cgroup:{A}\n/proc/7/cgroup:{A}\n/proc/7/cgroup:{B}\n/proc/8/cgroup:{B}\nnonsense\n"
    assert linux.parse_cgroups(said) == {7: (A, B), 8: (B,)}
    assert linux.container_ids(f"0::/system.slice/docker-{A}.scope\n") == (A,)
    assert linux.container_ids(f"12:pids:/docker/{A}/docker/{B}\n11:cpu:/docker/{A}/docker/{B}\n") == (A, B)
    assert linux.container_ids("0::/user.slice\n") == ()


@given(st.text())
def test_any_text_is_read(said: str) -> None:
    linux.parse_os_release(said)
    linux.parse_uname(said)
    linux.parse_identity(said)
    linux.parse_meminfo(said)
    linux.parse_df(said)
    linux.parse_port_range(said)
    linux.parse_sshd(said)
    linux.parse_cgroups(said)
    linux.container_ids(said)


@given(st.text(), st.integers(1, 300))
def test_one_line_is_one_printable_line(said: str, limit: int) -> None:
    line = one_line(said, limit)
    assert len(line) <= limit
    assert not set(line) & set("\n\r\t\x1b\x07\u202e\u2028")


def test_one_line_drops_escape_sequences() -> None:
    assert one_line("\x1b[1;31mred\x1b[0m \x1b]0;title\x07x") == "red 0;title x"


def test_lines_are_ended_by_newlines_alone() -> None:
    assert lines("a\x0bb\u2028c\r\nd\n", 9) == ["a\x0bb\u2028c", "d", ""]
    assert lines("a\nb\nc", 2) == ["a", "b"]


@pytest.mark.parametrize(("said", "number"), [("7\n", 7), ("-1", None), ("²", None), ("1" * 30, None), ("", None)])
def test_whole_numbers(said: str, number: int | None) -> None:
    assert whole_number(said) == number


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0-3\n", 4), ("0", 1), ("0-1,4,8-9", 5), ("", 0), ("all", 0), ("3-1", 0), ("0-99999", 65536), ("0-1,x,5", 3)],
)
def test_cpus(text: str, cpus: int) -> None:
    assert linux.parse_cpus(text) == cpus


FSTAB = """
# a comment
/dev/sda1 / ext4 defaults,nofail 0 1
/dev/nvme0n1 /data ext4 defaults 0 2
/dev/nvme1n1 /srv/models/ xfs defaults,nofail 0 2
nas:/models /mnt/nas nfs4 rw,vers=4.2 0 0
nas:/other /mnt/with\\040space nfs ro 0 0
UUID=7 none swap sw 0 0
short line
"""


@pytest.mark.parametrize(
    ("waits", "late"),
    [
        ("", ("/srv/models", "/mnt/nas", "/mnt/with space")),
        ("RequiresMountsFor=/srv/models/qwen /data\nrequiresmountsfor=/mnt/nas", ("/mnt/with space",)),
        ("RequiresMountsFor=/srv/models2 /mnt", ("/srv/models", "/mnt/nas", "/mnt/with space")),
    ],
)
def test_mounts_that_may_come_after_docker(waits: str, late: tuple[str, ...]) -> None:
    assert linux.parse_late_mounts(FSTAB, waits) == late


@given(st.text(max_size=200), st.text(max_size=200))
def test_an_fstab_may_hold_anything(fstab: str, waits: str) -> None:
    assert all("\n" not in mount for mount in linux.parse_late_mounts(fstab, waits))
