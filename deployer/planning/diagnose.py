"""What is good, doubtful or missing on each host of a spec, from what was observed: the checks of `doctor`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deployer.dataclass import replace
from deployer.errors import Severity
from deployer.planning.askable import askable_images
from deployer.planning.diagnose_docker import docker_checks, without_docker
from deployer.planning.diagnose_flags import flag_checks
from deployer.planning.diagnose_gpus import gpu_container_check
from deployer.planning.diagnose_host import host_checks
from deployer.planning.diagnose_ports import port_checks
from deployer.planning.diagnose_projects import project_checks
from deployer.planning.dropped import dropped_hosts
from deployer.planning.projects import projects_on
from deployer.spec.language import Host
from deployer.spec.project import Project
from deployer.values.checks import Check, Diagnosis, GpuTrial, HostDiagnosis, failed, passed, warned
from deployer.values.facts import HostFacts, ObservedState, Unreachable


def diagnose(
    project: Project,
    observed: ObservedState,
    unasked: Mapping[str, Mapping[str, str]] | None = None,
    tried: Mapping[str, GpuTrial] | None = None,
) -> Diagnosis:
    """Checks of every host of the spec, and what is wrong with the project as a whole. `unasked`: by host and image,
    why it could not be asked for its flags; `tried`: by host, what a container got of its GPUs."""
    hosts = {name: _host(project, name, observed.hosts.get(name)) for name in sorted(project.spec.hosts)}
    images = askable_images(project, silent=True)
    for name, facts in observed.reachable.items():
        more = (
            *gpu_container_check(facts, (tried or {}).get(name)),
            *flag_checks(images.get(name, ()), facts, (unasked or {}).get(name, {})),
        )
        if name in hosts:
            hosts[name] = replace(hosts[name], checks=(*hosts[name].checks, *more))
    warnings = (problem for problem in project.warnings if problem.severity is not Severity.ERROR)
    problems = (*warnings, *dropped_hosts(project, observed.reachable))
    return Diagnosis(project.spec.project, project.spec.id, hosts, problems)


def _host(project: Project, name: str, seen: HostFacts | Unreachable | None) -> HostDiagnosis:
    host = project.spec.hosts[name]
    if seen is None:
        return HostDiagnosis((_not_asked(host),))
    if isinstance(seen, Unreachable) and seen.beside is None:
        remedy = seen.reason.hint or "see that `ssh` reaches it"
        message = seen.reason.message.removeprefix(f"host `{name}`: ").removeprefix(f"host `{name}` ")
        return HostDiagnosis((failed("reachable", message, remedy, seen.reason.evidence),))
    if isinstance(seen, Unreachable) and seen.beside is not None:
        return HostDiagnosis(
            (_reachable(seen.beside), without_docker(seen.beside, seen.reason), *host_checks(host, seen.beside))
        )
    assert isinstance(seen, HostFacts)
    return HostDiagnosis(tuple(_all(project, host, seen)), projects_on(seen))


def _all(project: Project, host: Host, facts: HostFacts) -> Iterator[Check]:
    yield _reachable(facts)
    yield from docker_checks(facts)
    yield from host_checks(host, facts)
    yield from port_checks(host, facts)
    yield from project_checks(project, facts)


def _not_asked(host: Host) -> Check:
    if host.state in ("maintenance", "lost"):
        remedy = "set `state: active` when it is back"
        return warned("reachable", f"was not asked: its `state` is `{host.state}`", remedy)
    return failed("reachable", "was not asked", "run `deployer doctor` again")


def _reachable(facts: HostFacts) -> Check:
    return passed("reachable", f"as user {facts.user}: {facts.os or 'Linux'}, kernel {facts.kernel}, {facts.arch}")
