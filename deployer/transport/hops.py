"""The system's ssh to jump hosts: one connection to each, shared by all hosts behind it. Runs nothing on them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.errors import Diagnostic, HostError
from deployer.transport.asking import Jump, ask
from deployer.transport.base import ConnectOptions
from deployer.transport.failures import behind
from deployer.transport.link import JUMP_FAILS_FOR, MAX_JUMPS
from deployer.transport.master import Goal, Master, known_hosts_options, literal, options_for_all
from deployer.transport.masterprocess import Passage
from deployer.transport.sshconfig import resolve, resolve_alias

if TYPE_CHECKING:
    from deployer.spec.language import Host


class Hops:
    """ssh's own `-J` would log in at the jump host once for each host behind, and sshd's MaxStartups drop some."""

    def __init__(self, options: ConnectOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._masters: dict[object, Master[Passage]] = {}
        self._asking = threading.Lock()
        self._open: dict[Jump, bool] = {}

    def way(self, ssh: str, name: str, host: Host) -> list[str]:
        """ssh's options that lead through the host's jump hosts, logged in to by then; none where it has none.

        A HostError names the jump host that does not let us through.
        """
        jumps = resolve(name, host, self._options).jumps
        if len(jumps) > MAX_JUMPS:
            raise HostError(Diagnostic("bad-address", f"host `{name}` has more than {MAX_JUMPS} jump hosts", host=name))
        if jumps and self._is_open(ssh, name, jumps[-1]):
            return ["-J", ",".join(map(written, jumps))]
        try:
            return self._through(name, host, jumps) if jumps else []
        except HostError as error:
            raise behind(name, error) from error

    def _is_open(self, ssh: str, name: str, jump: Jump) -> bool:
        """Has the user a connection to it already? It may have taken a password or a token that we do not have."""
        with self._asking:  # once for all hosts behind it
            if jump not in self._open:
                paths = ask(ssh, name, jump, self._options).get("controlpath", ())
                self._open[jump] = any(Path(path).is_socket() for path in paths)
            return self._open[jump]

    def _through(self, name: str, host: Host, jumps: tuple[Jump, ...]) -> list[str]:
        passage = self._master(name, host, jumps).running()
        return ["-o", f"ProxyCommand={passage.command}"]

    def _master(self, name: str, host: Host, jumps: tuple[Jump, ...]) -> Master[Passage]:
        key = (jumps, host.key, host.known_hosts)
        with self._lock:
            if key not in self._masters:
                address = jumps[-1].address

                def start(ssh: str) -> Passage:
                    return Passage([ssh, *self._options_of(name, host, jumps)], address)

                self._masters[key] = Master(Goal(address, address, start), self._options, JUMP_FAILS_FOR)
            return self._masters[key]

    def _options_of(self, name: str, host: Host, jumps: tuple[Jump, ...]) -> list[str]:
        """A jump host as ssh's configuration knows it; the spec's key and known_hosts count for it too."""
        *before, last = jumps
        argv = options_for_all(self._options)
        argv += self._through(name, host, tuple(before)) if before else []
        argv += ["-l", last.user] if last.user else []
        argv += ["-p", str(last.port)] if last.port else []
        argv += ["-i", literal(host.key)] if host.key else []
        if host.known_hosts:
            argv += known_hosts_options([host.known_hosts, *resolve_alias(name, last, self._options).known_hosts])
        return argv

    def close(self) -> None:
        with self._lock:
            masters = list(self._masters.values())
        for master in masters:
            master.close()


def written(jump: Jump) -> str:
    address = f"[{jump.address}]" if ":" in jump.address else jump.address
    return (f"{jump.user}@" if jump.user else "") + address + (f":{jump.port}" if jump.port else "")
