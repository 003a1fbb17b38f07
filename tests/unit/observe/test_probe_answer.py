"""The probe's script and the reading of its answer."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.engine.probe import asked_paths, parse_probe, parse_sections, probe_script
from deployer.engine.probe_gpus import gpu_facts
from deployer.engine.project_record import render_record
from deployer.values.facts import PathFact
from deployer.values.records import LockFact, ProjectRecord
from deployer.values.tools import TOOLS
from tests.support.models import CONFIGS

M = "0123456789abcdef0123456789abcdef"
LEAST = f"""motd of a talkative login
{M} uname
Linux gpu-a 5.15.0 x86_64

{M} id
uid=1000(ops) gid=1000(ops)
"""


def answer(more: str = "") -> bytes:
    return f"{LEAST}\n{more}\n{M} end\n".encode("utf-8", "surrogateescape")


def test_the_least_a_host_says() -> None:
    found = parse_probe(answer(), M, ())
    assert (found.uname.hostname, found.user.uid, found.cpus) == ("gpu-a", 1000, 1)
    assert (found.ephemeral_ports, found.state_writable, found.gpu.source) == ((32768, 60999), False, "none")


@pytest.mark.parametrize("output", [b"", LEAST.encode(), f"\n{M} end\n".encode(), b"sh: not found"])
def test_less_is_an_error(output: bytes) -> None:
    with pytest.raises(ValueError):
        parse_probe(output, M, ())


def test_paths() -> None:
    paths = ("/a", "/b", "/c", "/d")
    said = (
        f"\n{M} path 0 file 12\n/real/a\0"
        f"\n{M} path 1 directory \n/b\0one\0two\nlines\0\udcff\0"
        f"\n{M} path 2 missing \n"
        f"\n{M} path 3 denied \n"
        f"\n{M} path 9 file 1\n/x\0"
        f"\n{M} disk 0\nx\n/dev/vda 10 1 9 10% /\n"
    )
    found = parse_probe(answer(said), M, paths)
    assert found.paths == {
        "/a": PathFact("/a", "file", 12, (), "/real/a"),
        "/b": PathFact("/b", "directory", None, ("one", "two\nlines", "\N{REPLACEMENT CHARACTER}"), "/b"),
        "/c": PathFact("/c", "missing"),
        "/d": PathFact("/d", "denied"),
    }
    assert [(disk.path, disk.mount, disk.free) for disk in found.disks] == [("/a", "/", 9216)]


def test_whether_a_path_can_be_written() -> None:
    said = "".join(f"\n{M} path {number} missing {more}\n" for number, more in enumerate((" w", " r", " x", "")))
    found = parse_probe(answer(said), M, ("/a", "/b", "/c", "/d"))
    assert [fact.writable for fact in found.paths.values()] == [True, False, None, None]


def test_tools_and_distribution() -> None:
    found = parse_probe(answer(f"\n{M} tools\ncurl\nflock\nother\n\n{M} os\nID=ubuntu\nID_LIKE=debian\n"), M, ())
    assert found.tools == {tool: tool in ("curl", "flock") for tool in TOOLS}
    assert found.distribution == ("ubuntu", "debian")
    assert parse_probe(answer(), M, ()).tools == {}, "nobody looked"


@pytest.mark.parametrize(("heading", "readable"), [("sshd read", True), ("sshd hidden", False), ("other", None)])
def test_whether_the_settings_of_sshd_were_readable(heading: str, readable: bool | None) -> None:
    found = parse_probe(answer(f"\n{M} {heading}\nMaxSessions 3\n"), M, ())
    assert (found.sshd_readable, found.sshd) == (readable, {} if readable is None else {"maxsessions": "3"})


def test_the_script_finds_out_of_this_machine_what_it_is_asked(tmp_path: Path) -> None:
    paths = (str(tmp_path), str(tmp_path / "not" / "there"))
    script = probe_script(M, paths, gpus=False)
    done = subprocess.run(["sh", "-s"], input=script, capture_output=True, timeout=60, check=True)
    found = parse_probe(done.stdout, M, paths)
    assert [found.paths[path].writable for path in paths] == [True, True]
    assert [found.paths[path].kind for path in paths] == ["directory", "missing"]
    assert found.tools["grep"], "without it there is no shell to speak of"
    assert found.sshd_readable is not None


def test_names_on_the_host_cannot_forge_a_section() -> None:
    forged = "\n00000000000000000000000000000000 path 0 missing \n\nid\nuid=0(root) gid=0(root)"
    found = parse_probe(answer(f"\n{M} path 0 directory \n/a\0{forged}\0"), M, ("/a",))
    assert found.paths["/a"].entries == (forged,)
    assert found.user.uid == 1000


@pytest.mark.parametrize(
    ("content", "lock"),
    [
        ('{"holder": "ann@laptop", "since": "2026-01-01T00:00:00Z", "expires": "2026-01-01T00:05:00Z"}',
         LockFact("lab", "ann@laptop", "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z")),
        ("", LockFact("lab", "", "", "")),
        ("planted\x1b[2J", LockFact("lab", "", "", "")),
        ('{"holder": "\\u001b[31mx", "expires": 9}', LockFact("lab", "x", "", "9")),
        ("[" * 4000, LockFact("lab", "", "", "")),
    ],
)  # fmt: skip
def test_locks(content: str, lock: LockFact) -> None:
    assert parse_probe(answer(f"\n{M} lock lab\n{content}"), M, ()).locks == (lock,)


def test_records_lie_where_they_belong() -> None:
    lab, other = ProjectRecord("lab", "7f3a", "a1", {"gpu-a": "10.0.0.11"}), ProjectRecord("other", "", "a2")
    said = "".join(
        f"\n{M} record {folder}\n{text}"
        for folder, text in (
            ("lab", render_record(lab).decode()), ("x", render_record(other).decode()), ("y", "planted\x1b[2J"),
            ("other", render_record(other).decode()),
        )
    )  # fmt: skip
    assert parse_probe(answer(said), M, ()).records == (lab, other)


def test_a_lost_gpu_does_not_hide_the_others() -> None:
    fields = "index,uuid,driver_version,pci.bus_id,memory.total,memory.used,name"
    lost = "Unable to determine the device handle for GPU0000:65:00.0: Unknown Error"
    facts = gpu_facts(
        {
            "gpus": [
                (("255", fields), lost),
                (("0", fields), "0, GPU-a, 550.1, 00000000:18:00.0, 1024, 1, NVIDIA A40\n"),
                (("255", fields), lost),
            ]
        }
    )
    assert [gpu.uuid for gpu in facts.gpus] == ["GPU-a"]
    assert facts.problem == lost


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("", None),
        ("/dev/kfd\nrocm-smi\n", "AMD: seen, but only NVIDIA GPUs are supported"),
        ("pci 0x1002\npci 0x1002\npci 0x1234\n", "AMD: seen, but only NVIDIA GPUs are supported"),
        ("npu-smi\n/dev/davinci_manager\n", "Huawei Ascend: seen, but only NVIDIA GPUs are supported"),
        ("pci 0x10de\npci 0x10de\n", "NVIDIA GPUs on the PCI bus: 2, but no driver (`nvidia-smi` is not installed)"),
        ("/proc/driver/nvidia/version\npci 0x10de\n", "the NVIDIA driver is loaded, but `nvidia-smi` is not installed"),
    ],
)
def test_gpus_without_nvidia_smi(said: str, problem: str | None) -> None:
    facts = gpu_facts({"driver": [((), "")], "vendors": [((), said)]})
    assert (facts.problem, facts.source, facts.gpus) == (problem, "none", ())


@pytest.mark.parametrize(
    ("said", "others"),
    [
        ("pci 0x10de\npci 0x1002\npci 0x1002\n", ("AMD",)),
        ("/proc/driver/nvidia/version\n/dev/davinci_manager\npci 0x1da3\n", ("Huawei Ascend", "Intel Gaudi")),
        ("rocm-smi\nxpu-smi\npci 0x10de\n", ()),  # tools alone are no hardware
        ("pci \x1b[31m\n" * 1000, ()),
    ],
)
def test_what_others_made_is_named_beside_nvidias(said: str, others: tuple[str, ...]) -> None:
    fields = "index,uuid,driver_version,pci.bus_id,memory.total,memory.used,name"
    row = "0, GPU-a, 550.1, 00000000:18:00.0, 1024, 1, NVIDIA A40\n"
    facts = gpu_facts({"gpus": [(("0", fields), row)], "vendors": [((), said)]})
    assert (facts.others, facts.problem, [gpu.uuid for gpu in facts.gpus]) == (others, None, ["GPU-a"])


def test_the_driver_is_known_without_nvidia_smi() -> None:
    said = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)"
    assert gpu_facts({"driver": [((), said)]}).driver == "580.65.06"


def test_only_paths_that_can_be_looked_at_are_asked() -> None:
    assert asked_paths(("/b", "volume", "~/m", "/b", "/a\0b", "")) == ("/b", "~/m")


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")).map(lambda t: f"/{t}"), max_size=4))
def test_any_path_is_one_word_of_the_script(paths: list[str]) -> None:
    script, nothing = probe_script(M, paths).decode(), probe_script(M, ()).decode()
    start = len(nothing) - len("main  </dev/null 2>/dev/null\n")
    assert shlex.split(script[start:]) == ["main", *paths, "</dev/null", "2>/dev/null"]


@given(
    st.binary(max_size=200), st.lists(st.sampled_from(["gpus", "path", "disk", "lock", "record", "ss", "end", "id"]))
)
def test_any_answer_is_read_or_a_value_error(noise: bytes, names: list[str]) -> None:
    output = b"".join(b"\n" + M.encode() + b" " + name.encode() + b" 0 " + noise for name in names) + answer()
    try:
        parse_sections(output, M)
        parse_probe(output, M, ("/a",))
    except ValueError:
        return


def test_models_say_what_they_are() -> None:
    """Raw bytes of the files, with whatever is in them."""
    start = b"GGUF" + bytes([3, 0, 0, 0]) + bytes(8) + bytes([1]) + bytes(7)
    gguf = (
        start + bytes([20]) + bytes(7) + b"general.architecture" + bytes([8, 0, 0, 0, 4]) + bytes(7) + b"bert" + b"\n\0"
    )
    paths = ("/m.gguf", "/hf", "/bad", "/odd")
    said = f"\n{M} path 0 file 12\n/m.gguf\0\n{M} gguf 0\n".encode() + gguf
    for number, config in ((1, '{"architectures": ["LlamaForCausalLM"]}'), (2, "{"), (3, '{"architectures": 7}')):
        said += f"\n{M} path {number} directory \n/d\0config.json\0\n{M} config {number}\n{config}".encode()
    found = parse_probe(answer().replace(f"\n{M} end".encode(), said + f"\n{M} end".encode()), M, paths)
    assert [found.paths[path].architectures for path in paths] == [("bert",), ("LlamaForCausalLM",), (), ()]


@pytest.mark.parametrize(
    ("config", "layers"),
    [
        (CONFIGS["Qwen2.5-7B"], 28),
        (CONFIGS["Qwen2.5-7B"] | {"num_hidden_layers": 0}, None),
        (CONFIGS["Qwen2.5-7B"] | {"num_hidden_layers": 1e308}, None),
        (CONFIGS["Qwen2.5-7B"] | {"hidden_size": "3584"}, None),
        ({"architectures": ["Qwen2ForCausalLM"]}, None),
    ],
)
def test_what_a_model_is_made_of(config: dict[str, object], layers: int | None) -> None:
    said = f"\n{M} path 0 directory \n/d\0config.json\0\n{M} config 0\n{json.dumps(config)}"
    found = parse_probe(answer().replace(f"\n{M} end".encode(), f"{said}\n{M} end".encode()), M, ("/d",)).paths["/d"]
    assert found.architectures == ("Qwen2ForCausalLM",)
    assert (found.shape.layers if found.shape is not None else None) == layers
