"""The probe under the shells that hosts have, with tools that are there, fail, hang or are missing."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.engine.probe import Probed, asked_paths, parse_probe, probe_script
from deployer.engine.project_record import render_record
from deployer.formats.sockets import SocketOwner
from deployer.values.names import STATE_DIR
from deployer.values.records import ProjectRecord, Proven

CHROOT = shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin")
BUSYBOX = shutil.which("busybox")
MARKER = "f00d" * 8
SHELLS = [shell for shell in (("dash",), ("busybox", "sh"), ("bash", "--posix")) if shutil.which(shell[0])]
ROWS = """0, GPU-aaaa, 550.90.07, 00000000:18:00.0, 81559, 4, 551, Disabled, 9.0, 0, No, NVIDIA H100 80GB HBM3
1, GPU-bbbb, 550.90.07, 00000000:2A:00.0, 81559, 4, 551, Disabled, 9.0, 0, No, NVIDIA H100 80GB HBM3"""
SMI = f"""#!/bin/sh
case $* in
*gpu_recovery_action*) echo 'Field "gpu_recovery_action" is not a valid field to query.'; exit 2 ;;
*query-gpu*) echo '{ROWS}' ;;
*query-remapped-rows*) echo "GPU-aaaa, 0, 0"; echo "GPU-bbbb, 1, 0" ;;
*query-compute-apps*) echo "GPU-bbbb, $PPID, 100, python3" ;;
*topo*) printf '\\tGPU0\\tGPU1\\nGPU0\\t X \\tNV18\\nGPU1\\tNV18\\t X \\n' ;;
*) echo '| NVIDIA-SMI 550.90.07   Driver Version: 550.90.07   CUDA Version: 12.4 |' ;;
esac
"""
HOSTILE = [
    "it's",
    'a"b',
    "$(touch pwned)",
    "`touch pwned`",
    "-n",
    "a\nb",
    "\u6a21\u578b",
    "*",
    "a b  c",
    "\\",
    "~",
    "!x",
]


@pytest.fixture(params=SHELLS, ids=[shell[0] for shell in SHELLS])
def shell(request: pytest.FixtureRequest) -> list[str]:
    return list(request.param)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for stand-ins of tools, first on the path."""
    folder = tmp_path / "tools"
    folder.mkdir()
    return folder


def put_tool(tools: Path, name: str, text: str) -> None:
    (tools / name).write_text(text)
    (tools / name).chmod(0o755)


def probe(shell: list[str], paths: list[str], tools: Path, user: str | None = None, *, gpus: bool = True) -> Probed:
    asked = asked_paths(paths)
    done = subprocess.run(
        [*shell, "-s"],
        input=probe_script(MARKER, asked, gpus=gpus),
        env={"PATH": f"{tools}:/usr/bin:/bin", "HOME": "/root"},
        user=user,
        cwd=tools,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == b"", "the probe keeps what goes wrong to itself"
    return parse_probe(done.stdout, MARKER, asked)


def test_who_and_what_the_host_is(shell: list[str], tools: Path) -> None:
    found = probe(shell, [], tools)
    assert (found.uname.system, found.uname.hostname) == ("Linux", os.uname().nodename)
    assert (found.user.uid, found.user.gid) == (os.geteuid(), os.getegid())
    assert found.cpus == len(os.sched_getaffinity(0))
    assert found.memory[0] >= found.memory[1] > 0
    assert found.time[:4].isdigit()
    assert found.time.endswith("Z")
    assert found.os
    assert found.ephemeral_ports[0] < found.ephemeral_ports[1]


def test_paths_of_any_name(shell: list[str], tools: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for name in HOSTILE:
        (models / name).write_bytes(b"12345")
    (models / "folder").mkdir()
    (models / "link").symlink_to(models / "it's")
    (models / "dangling").symlink_to("/nowhere")
    os.mkfifo(models / "pipe")
    names = [*HOSTILE, "folder", "link", "dangling", "pipe", "missing\n'x"]
    found = probe(shell, [str(models), *(str(models / name) for name in names)], tools).paths
    for name in HOSTILE:
        fact = found[str(models / name)]
        assert (fact.kind, fact.size, fact.real) == ("file", 5, str(models / name))
    kinds = {name: found[str(models / name)].kind for name in names[len(HOSTILE) :]}
    assert kinds == {
        "folder": "directory", "link": "file", "dangling": "missing", "pipe": "other", "missing\n'x": "missing",
    }  # fmt: skip
    assert found[str(models / "link")].real == str(models / "it's")
    assert set(found[str(models)].entries) == {*HOSTILE, "folder", "link", "dangling", "pipe"}
    assert not list(tmp_path.rglob("pwned"))


def test_files_of_folders_have_size_and_time(shell: list[str], tools: Path, tmp_path: Path) -> None:
    folder = tmp_path / "it's a $(folder)"
    folder.mkdir()
    for name in HOSTILE:
        (folder / name).write_bytes(b"12345")
        os.utime(folder / name, (7, 7))
    (folder / "forged\n9 9 x").write_bytes(b"")
    (folder / "below").mkdir()
    asked = (str(folder), str(tmp_path / "missing"))
    script = probe_script(MARKER, (), gpus=False, folders=asked)
    done = subprocess.run([*shell, "-s"], input=script, cwd=tools, capture_output=True, timeout=60, check=True)
    found = parse_probe(done.stdout, MARKER, (), (), asked).folders
    there = {name: stamp for name, stamp in found[str(folder)].items() if not name.startswith("forged")}
    assert there == {name: (5, 7) for name in HOSTILE if "\n" not in name} | {
        name.split("\n")[0]: (5, 7) for name in HOSTILE if "\n" in name
    }
    assert found[str(tmp_path / "missing")] == {}
    assert not list(tmp_path.rglob("pwned"))


def test_models_say_what_they_are(shell: list[str], tools: Path, tmp_path: Path) -> None:
    """Of a file, of a folder's first GGUF file, and of a folder's config.json."""
    key, value = b"general.architecture", b"nomic-bert"
    lengths = [struct.pack("<Q", len(word)) for word in (key, value)]
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + lengths[0] + key + struct.pack("<I", 8) + lengths[1] + value
    folder, hf = tmp_path / "ggufs", tmp_path / "hf"
    for made in (folder, hf):
        made.mkdir()
    (folder / "m.gguf").write_bytes(head + b"\0\n" * 20_000)
    (hf / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    asked = (str(folder / "m.gguf"), str(folder), str(hf))
    found = probe(shell, list(asked), tools).paths
    assert [found[path].architectures for path in asked] == [("nomic-bert",), ("nomic-bert",), ("LlamaForCausalLM",)]


def test_at_most_a_thousand_entries(shell: list[str], tools: Path, tmp_path: Path) -> None:
    for number in range(1200):
        (tmp_path / f"shard-{number:04}").touch()
    assert len(probe(shell, [str(tmp_path)], tools).paths[str(tmp_path)].entries) == 1000


def test_disks_under_paths_that_may_not_be_there_yet(shell: list[str], tools: Path, tmp_path: Path) -> None:
    wanted = str(tmp_path / "not" / "yet")
    (disk,) = probe(shell, [wanted], tools).disks
    usage = shutil.disk_usage(tmp_path)
    assert (disk.path, disk.total) == (wanted, usage.total)
    assert abs(disk.free - usage.free) < 1 << 30


def test_listeners_with_their_owners(shell: list[str], tools: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        for _ in range(2):
            found = probe(shell, [], tools)
            for one, protocol in ((server, "tcp"), (udp, "udp")):
                (seen,) = [s for s in found.sockets if s.port == one.getsockname()[1] and s.protocol == protocol]
                assert seen.address == "127.0.0.1"
                assert found.owners[seen.inode].pid == os.getpid()
            put_tool(tools, "ss", "#!/bin/sh\nexit 1\n")  # the second time without `ss`
        assert isinstance(found.owners[seen.inode], SocketOwner)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may look into."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_another_user_sees_less_and_it_says_so(shell: list[str], open_folder: Path) -> None:
    private = open_folder / "private"
    private.mkdir(mode=0o700)
    (private / "model.gguf").write_bytes(b"1")
    asked = [str(private), str(private / "model.gguf"), str(private / "no")]
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = probe(shell, asked, open_folder, user="nobody")
        (seen,) = [s for s in found.sockets if s.port == server.getsockname()[1]]
    assert found.user.uid == pwd.getpwnam("nobody").pw_uid
    assert [fact.kind for fact in found.paths.values()] == ["denied", "denied", "denied"]
    assert found.state_writable is False
    assert seen.inode not in found.owners


def test_gpus_of_an_older_driver(shell: list[str], tools: Path) -> None:
    put_tool(tools, "nvidia-smi", SMI)
    gpu = probe(shell, [], tools).gpu
    assert [g.uuid for g in gpu.gpus] == ["GPU-aaaa", "GPU-bbbb"]
    assert (gpu.driver, gpu.cuda, gpu.problem, gpu.source) == ("550.90.07", "12.4", None, "nvidia-smi")
    assert gpu.others == probe(shell, [], tools, gpus=False).gpu.others, "said whoever is asked about NVIDIA's"
    assert [(g.pages_pending, g.rows_failed) for g in gpu.gpus] == [(False, False), (True, False)]
    assert gpu.topology == {"GPU-aaaa": {"GPU-bbbb": "NV18"}, "GPU-bbbb": {"GPU-aaaa": "NV18"}}
    assert [(p.gpu, p.name, p.memory_used) for p in gpu.processes] == [("GPU-bbbb", "python3", 100 << 20)]


def test_gpus_are_not_asked_for_when_they_are_known(shell: list[str], tools: Path) -> None:
    put_tool(tools, "nvidia-smi", f"#!/bin/sh\ntouch {tools}/called\n")
    assert probe(shell, [], tools, gpus=False).gpu.gpus == ()
    assert not (tools / "called").exists()


def test_a_driver_that_does_not_work_is_a_fact(shell: list[str], tools: Path) -> None:
    words = "Failed to initialize NVML: Driver/library version mismatch"
    put_tool(tools, "nvidia-smi", f"#!/bin/sh\necho '{words}'\nexit 18\n")
    gpu = probe(shell, [], tools).gpu
    assert (gpu.problem, gpu.gpus) == (words, ())


def test_nvidia_smi_that_reads_stdin_floods_and_lies(shell: list[str], tools: Path) -> None:
    put_tool(
        tools, "nvidia-smi", f"#!/bin/sh\ncat >/dev/null\necho '{MARKER[:-1]} id'\nyes '0, GPU-x' | head -n 200000\n"
    )
    began = time.monotonic()
    found = probe(shell, [], tools)
    assert found.gpu.gpus == ()
    assert found.user.uid == os.geteuid()
    assert time.monotonic() - began < 30


def test_locks_and_records_of_projects(shell: list[str], tools: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    record = ProjectRecord("lab", "7f3a", "a1", {"gpu-a": "10.0.0.11"})
    for name in ("lab", "full", "odd one", "empty", *(f"p{n:03}" for n in range(120))):
        (state / name).mkdir(parents=True)
    (state / "lab" / "hosts").write_bytes(render_record(record))
    (state / "lab" / "lock").write_text('{"holder": "ann"}')
    (state / "lab" / "answered").write_text(f"chat-0 {'e' * 64} a1\n")
    (state / "full" / "hosts").write_bytes(b" " * 3_000_000)
    (state / "odd one" / "hosts").symlink_to("/dev/zero")
    for n in range(120):
        (state / f"p{n:03}" / "hosts").write_text("{}")
    script = probe_script(MARKER, (), gpus=False).replace(STATE_DIR.encode(), str(state).encode())
    done = subprocess.run([*shell, "-s"], input=script, cwd=tools, capture_output=True, timeout=60, check=False)
    found = parse_probe(done.stdout, MARKER, ())
    assert (found.records, found.state_writable) == ((record,), True)
    assert found.proven == (Proven("lab", "chat-0", "e" * 64, "a1"),)
    assert [(lock.project, lock.holder) for lock in found.locks] == [("lab", "ann")]
    assert done.stdout.count(f"{MARKER} record ".encode()) == 100
    assert len(done.stdout) < 1 << 20


@pytest.mark.skipif(os.geteuid() != 0 or CHROOT is None or BUSYBOX is None, reason="needs root, chroot and busybox")
def test_hardly_any_tools_and_no_proc(tmp_path: Path) -> None:
    """A root file system that holds a busybox and nothing else."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "srv").mkdir()
    (tmp_path / "dev").mkdir()
    os.mknod(tmp_path / "dev" / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    libraries = subprocess.run(["ldd", str(BUSYBOX)], capture_output=True, text=True, check=False).stdout.split()
    for file in [str(BUSYBOX), *(word for word in libraries if word.startswith("/"))]:
        (tmp_path / file[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / file[1:])
    for applet in ("sh", "uname", "id", "cat", "date", "df", "readlink", "head", "sed", "sort", "cut"):
        (tmp_path / "bin" / applet).symlink_to(str(BUSYBOX))
    done = subprocess.run(
        [str(CHROOT), tmp_path, "/bin/sh", "-s"],
        input=probe_script(MARKER, ["/srv", "/none"]),
        env={"PATH": "/bin"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    found = parse_probe(done.stdout, MARKER, ("/srv", "/none"))
    assert (found.user.uid, found.uname.system, found.memory, found.sockets) == (0, "Linux", (0, 0), ())
    assert [fact.kind for fact in found.paths.values()] == ["directory", "missing"]
