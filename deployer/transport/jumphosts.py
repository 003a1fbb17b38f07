"""The connections to jump hosts that the hosts of a fleet share: fabric's, and those of the system's ssh."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from deployer.transport.base import ConnectOptions
from deployer.transport.link import Jumps

if TYPE_CHECKING:
    from deployer.transport.hops import Hops


class JumpHosts:
    def __init__(self, options: ConnectOptions) -> None:
        self.jumps = Jumps(options)
        self._options = options
        self._hops: Hops | None = None
        self._lock = threading.Lock()

    @property
    def hops(self) -> Hops:
        with self._lock:
            if self._hops is None:
                from deployer.transport.hops import Hops

                self._hops = Hops(self._options)
            return self._hops

    def close(self) -> None:
        self.jumps.close()
        if self._hops is not None:
            self._hops.close()
