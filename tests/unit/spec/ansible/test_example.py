"""The example under `inventories/`."""

from pathlib import Path

from deployer.spec.load import LoadOptions, load
from tests.unit.spec.ansible.inventories import using
from tests.unit.spec.texts import reader

FOLDER = Path(__file__).parents[4] / "inventories" / "ansible"


def test_the_example():
    files = {str(path.relative_to(FOLDER)): path.read_bytes() for path in FOLDER.rglob("*.*") if path.is_file()}
    spec = using("nic").replace("    env:", "    placement: {hosts: [gpu]}\n    env:")
    project = load(["deploy.yaml"], reader({**files, "deploy.yaml": spec}), LoadOptions(inventories=("hosts.ini",)))
    assert project.warnings == ()
    hosts = {name: host.model_dump(exclude_unset=True) for name, host in project.spec.hosts.items()}
    assert hosts["here"] == {"connection": "local"}
    assert hosts["bastion"] == {"address": "10.0.0.9", "user": "ops"}
    assert hosts["gpu03"] == {
        "address": "10.0.0.13", "user": "ops", "port": 2222, "key": "~/.ssh/gpu", "jump": ("ops@10.0.0.9",),
        "become": "sudo", "vars": {"nic": "eth0"},
    }  # fmt: skip
    assert project.spec.groups["gpu"].hosts == ("gpu01", "gpu02", "gpu03")
