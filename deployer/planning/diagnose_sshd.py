"""Do the settings of a host's sshd let deployer work? Those under a Match are not known (man sshd_config)."""

from __future__ import annotations

from deployer.spec.language import Host
from deployer.values.checks import Check, failed, passed, warned
from deployer.values.facts import HostFacts

SESSIONS, STARTUPS = 10, "10:30:100"  # sshd's defaults
ENOUGH_SESSIONS, ENOUGH_STARTUPS = 4, 5
LOCAL = ("yes", "all", "local")  # what lets a client reach a socket or a port of the host
RELOAD = "in the host's sshd_config, then `sudo systemctl reload ssh` (or `sshd`)"


def sshd_check(host: Host, facts: HostFacts) -> Check:
    said = facts.sshd
    if not said and not facts.sshd_readable:
        return passed("sshd", f"its settings cannot be read by user `{facts.user}`; connecting worked")
    forbidden = said.get("disableforwarding", "no").lower() == "yes"
    if forbidden or said.get("allowtcpforwarding", "yes").lower() not in LOCAL:
        setting = "DisableForwarding yes" if forbidden else f"AllowTcpForwarding {said['allowtcpforwarding']}"
        message = f"`{setting}`: no way to ask a model whether it is ready"
        return failed("sshd", message, f"set `AllowTcpForwarding local` {RELOAD}")
    doubts = [*_sessions(said.get("maxsessions", "")), *_startups(said.get("maxstartups", ""))]
    streams = said.get("allowstreamlocalforwarding", "yes").lower()
    if streams not in LOCAL and host.become is None:
        doubts.append(f"`AllowStreamLocalForwarding {streams}`: Docker is asked by its command, which is slower")
    if doubts:
        wanted = f"`MaxSessions {SESSIONS}`, `MaxStartups {STARTUPS}` and `AllowStreamLocalForwarding local`"
        return warned("sshd", "its limits make deployer slower", f"set {wanted} {RELOAD}", doubts)
    sessions, startups = said.get("maxsessions", SESSIONS), said.get("maxstartups", STARTUPS)
    return passed("sshd", f"MaxSessions {sessions}, MaxStartups {startups}, forwarding allowed")


def _sessions(said: str) -> list[str]:
    few = said.isdigit() and int(said) < ENOUGH_SESSIONS
    return [f"`MaxSessions {said}`: few commands at a time"] if few else []


def _startups(said: str) -> list[str]:
    """`START:RATE:FULL`: from START unauthenticated connections on, some are dropped."""
    start = said.partition(":")[0]
    few = start.isdigit() and int(start) < ENOUGH_STARTUPS
    return [f"`MaxStartups {said}`: connections that begin together are dropped and tried again"] if few else []
