"""Writes what `deployer plan --facts` is measured with: `python -m tests.bench.recorded HOSTS SERVICES FOLDER`.

deploy.yaml and hosts.yaml as tests.bench.planning makes them; edited.yaml with an option of every service changed;
facts of hosts where nothing runs yet (new.json), and of hosts where everything runs as deploy.yaml asks (noop.json).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from deployer.planning.planner import plan
from deployer.values.facts import ObservedState
from deployer.values.facts_json import facts_to_data
from deployer.values.resolved import Resolved
from deployer.workflow import Inputs, load
from tests.bench.planning import RACK, applied, empty_host, name_of, services_for
from tests.support.planning import MODEL


def spec_of(hosts: int, count: int, edited: bool = False) -> dict[str, Any]:
    services = {name: {"model": "m", **service} for name, service in services_for(hosts, edited, count).items()}
    return {
        "version": 1, "project": "lab", "id": "1", "inventory": "hosts.yaml",
        "models": {"m": {"source": f"file://{MODEL}"}},
        "defaults": {"service": {"backend": "llama.cpp"}},
        "services": services,
    }  # fmt: skip


def inventory_of(hosts: int) -> dict[str, Any]:
    return {"hosts": {name_of(n): {"labels": {"rack": f"r{n // RACK}", "tier": f"t{n % 10}"}} for n in range(hosts)}}


def write(hosts: int, services: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "deploy.yaml"
    spec.write_text(json.dumps(spec_of(hosts, services), indent=0))
    (folder / "edited.yaml").write_text(json.dumps(spec_of(hosts, services, edited=True), indent=0))
    (folder / "hosts.yaml").write_text(json.dumps(inventory_of(hosts), indent=0))
    project = load(Inputs(files=(str(spec),)))
    state = ObservedState({name_of(n): empty_host(name_of(n)) for n in range(hosts)})
    (folder / "new.json").write_text(json.dumps(facts_to_data(state)))
    state = applied(plan(project, state, Resolved()), state)
    (folder / "noop.json").write_text(json.dumps(facts_to_data(state)))


if __name__ == "__main__":
    write(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
