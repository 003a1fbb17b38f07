"""Asks a NIM image for its profiles: runs its `list-model-profiles` in a container with a replica's GPUs, then removed.
It fetches small files, so it is given the network and the environment that the spec gives its service.
"""

from __future__ import annotations

from collections.abc import Mapping

from deployer.dataclass import dataclass, replace
from deployer.engine.context import Site, failed
from deployer.engine.profile_files import write_profiles
from deployer.engine.short_run import ShortRun, run_shortly
from deployer.formats.nim_profiles import parse_profile_list
from deployer.values.container import ContainerSpec
from deployer.values.nim import ProfileList
from deployer.values.secrets import SecretRef

COMMAND = ("list-model-profiles",)
PATIENCE = 300.0  # seconds: it asks NVIDIA's catalogue about each file
MEMORY = 8 << 30  # bytes


@dataclass(frozen=True, slots=True)
class ProfileQuestion:
    """`id`: of the image on this host; `env`: what the spec gives the service."""

    image: str
    id: str
    service: str
    container: ContainerSpec
    env: Mapping[str, str | SecretRef]
    command: tuple[str, ...] = COMMAND


def ask_profiles(question: ProfileQuestion, site: Site) -> ProfileList:
    """What it listed, which is written down on the host where that takes it. OperationError `no-profiles`."""
    like = question.container
    spec = replace(
        ContainerSpec(question.image, command=question.command, network=like.network, restart="no"),
        gpus=like.gpus, runtime=like.runtime, memory=MEMORY, pids_limit=1024,
    )  # fmt: skip
    env = {
        name: site.context.secrets.value(value.secret, site.host).reveal() if isinstance(value, SecretRef) else value
        for name, value in question.env.items()
    }
    said = run_shortly(ShortRun(spec, question.id, question.service, env, PATIENCE, "no-profiles"), site)
    found = parse_profile_list("\n".join(said))
    if not found.profiles:
        hint = "see that the service's `env` has `NGC_API_KEY` and that the host reaches api.ngc.nvidia.com"
        raise failed("no-profiles", f"`{COMMAND[0]}` of `{question.image}` lists none", hint, said[-3:], site.host)
    write_profiles(site.transport, question.id, found.profiles, site.context.state_dir)
    return found
