"""The programs that are measured together, and what each is to reach."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.measure import Goal, Program

if TYPE_CHECKING:
    from labkit.hosts import Lab

PROGRAMS = Path("tests/bench/programs")
DEPLOYER = str(Path(sys.executable).with_name("deployer"))
RECORDED = {  # spec and facts, as tests.bench.recorded writes them
    "new": ("deploy.yaml", "new.json"),
    "no-op": ("deploy.yaml", "noop.json"),
    "all edited": ("edited.yaml", "noop.json"),
}


def start() -> list[Program]:
    click = [sys.executable, str(PROGRAMS / "bare_click.py")]
    return [
        Program("bare click --version", [*click, "--version"]),
        Program("deployer --version", [DEPLOYER, "--version"], (Goal(1.5, "bare click --version"),)),
        Program("bare click --help", [*click, "--help"]),
        Program("deployer --help", [DEPLOYER, "--help"], (Goal(1.5, "bare click --help"),)),
    ]


def planning(sizes: Sequence[int], build: Path) -> list[Program]:
    """Fleets that grow with their services, and fleets that grow alone. Linear is what costs no more a host in the
    large than in the small; the start of the process, the same for all, is most of what a small one costs."""
    growing = [program for hosts in sizes for program in planned(hosts, hosts // 2, sizes, build)]
    alone = [program for hosts in sizes[1:] for program in planned(hosts, sizes[0] // 2, sizes, build)]
    return [*growing, *alone]


def planned(hosts: int, services: int, sizes: Sequence[int], build: Path) -> list[Program]:
    folder = build / f"recorded-{hosts}-{services}"
    argv = [sys.executable, "-m", "tests.bench.recorded", str(hosts), str(services), str(folder)]
    subprocess.run(argv, check=True)
    return [
        Program(
            name_of(hosts, services, what),
            [DEPLOYER, "plan", "-f", str(folder / spec), "--facts", str(folder / facts)],
            tuple(goals_of(hosts, services, what, sizes)),
            hosts=hosts,
        )
        for what, (spec, facts) in RECORDED.items()
    ]


def name_of(hosts: int, services: int, what: str) -> str:
    return f"{hosts} hosts, {services} services, {what}"


def goals_of(hosts: int, services: int, what: str, sizes: Sequence[int]) -> Iterator[Goal]:
    """At most 5 seconds for a thousand hosts, and at most what a host costs in the next smaller fleets."""
    if hosts == 1000 and services == 500:
        yield Goal(5.0)
    for smaller in (size for size in sizes if size < hosts):
        fewer = smaller // 2 if services == hosts // 2 else sizes[0] // 2
        yield Goal(1.1, name_of(smaller, fewer, what), a_host=True)


def cold_apply(lab: Lab, peers: Path, folder: Path) -> list[Program]:
    from tests.bench.hosts import reset

    clean = partial(reset, lab)
    spec = ours(lab, folder)
    apply = [DEPLOYER, "apply", "-y", "-f", spec, "--ssh-config", str(lab.ssh_config)]
    least = [sys.executable, str(PROGRAMS / "bare_docker.py"), str(lab.ssh_config), *lab.hosts]
    return [
        Program("bare docker run", least, before=clean),
        Program("deployer apply", apply, (Goal(0.5, "pyinfra"), Goal(0.15, "ansible")), clean),
        Program("pyinfra", pyinfra(lab, peers, folder, "-y"), before=clean),
        Program("ansible", ansible(lab, peers, folder), before=clean, environment=ansible_settings(peers)),
    ]


def no_op(lab: Lab, peers: Path, folder: Path) -> list[Program]:
    """Every program's own work is done before, beside each other's: none of them finds something to do."""
    from tests.bench.hosts import reset

    config = str(lab.ssh_config)
    plan = [DEPLOYER, "plan", "--detailed-exitcode", "-f", ours(lab, folder), "--ssh-config", config]
    fabric = [sys.executable, str(PROGRAMS / "bare_fabric.py"), config, *lab.hosts]
    dry = pyinfra(lab, peers, folder, "--dry")
    goals = (Goal(1.5, "bare fabric"), Goal(0.7, "pyinfra --dry"))
    done: list[str] = []

    def applied_by(name: str, argv: list[str]) -> None:
        if done[-1:] != [name]:
            reset(lab)
            subprocess.run(argv, check=True, capture_output=True)
            done.append(name)

    apply = [DEPLOYER, "apply", "-y", "-f", ours(lab, folder), "--ssh-config", config]
    return [
        Program("bare fabric", fabric),
        Program("deployer plan", plan, goals, partial(applied_by, "deployer", apply)),
        Program("pyinfra --dry", dry, before=partial(applied_by, "pyinfra", pyinfra(lab, peers, folder, "-y"))),
    ]


def ours(lab: Lab, folder: Path) -> str:
    """The spec, with this lab's hosts in an inventory."""
    for name in ("deploy.yaml", "chat.jinja"):
        (folder / name).write_bytes((PROGRAMS / name).read_bytes())
    (folder / "hosts.yaml").write_text("".join(["hosts:\n", *(f"  {host}: {{}}\n" for host in lab.hosts)]))
    spec = folder / "deploy.yaml"
    spec.write_text(spec.read_text() + "inventory: hosts.yaml\n")
    return str(spec)


def pyinfra(lab: Lab, peers: Path, folder: Path, how: str) -> list[str]:
    inventory = folder / "inventory.py"
    data = {"ssh_config_file": str(lab.ssh_config), "ssh_known_hosts_file": str(lab.directory / "known_hosts")}
    inventory.write_text(f"lab = ([{', '.join(map(repr, lab.hosts))}], {data!r})\n")
    return [str(peers / "pyinfra"), how, str(inventory), str(PROGRAMS / "pyinfra_deploy.py")]


def ansible(lab: Lab, peers: Path, folder: Path) -> list[str]:
    inventory = folder / "inventory.ini"
    variables = f"ansible_ssh_common_args='-F {lab.ssh_config}'\nansible_python_interpreter={peers / 'python'}\n"
    inventory.write_text("[lab]\n" + "".join(f"{host}\n" for host in lab.hosts) + f"[lab:vars]\n{variables}")
    return [str(peers / "ansible-playbook"), "-i", str(inventory), str(PROGRAMS / "playbook.yaml")]


def ansible_settings(peers: Path) -> dict[str, str]:
    """As those who care for speed set them (docs.ansible.com, playbook strategies and SSH pipelining)."""
    return {
        "ANSIBLE_FORKS": "8", "ANSIBLE_PIPELINING": "1", "ANSIBLE_NOCOWS": "1",
        "ANSIBLE_COLLECTIONS_PATH": str(peers.parent.parent / "collections"),
    }  # fmt: skip
