"""A pull that outlives whoever asked for it: Docker drops all layers of one that nobody waits for any more, so the host
itself waits for it too. The login goes to curl on its stdin, and is in no argv, no environment and no file.

Docker makes one download of two pulls of the same layer (moby: distribution/xfer/transfer.go).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from deployer.dataclass import dataclass
from deployer.engine.context import Site
from deployer.errors import DeployerError, HostError
from deployer.formats.text import decoded, whole_number
from deployer.transport.quoting import in_curl_config

AFTER = 5.0  # seconds that a pull lasts before it is kept: what is soon there costs its registry no second question
SILENT, LONGEST = 600, 6 * 3600  # seconds without a word from Docker, and in all, after which the host waits no longer
TIMEOUT = 20.0
BEGIN = """
config=$(cat)
printf '%s' "$config" | setsid curl -q -A "$0" -K - >/dev/null 2>&1 &
echo $!
"""
END = """tr '\\0' ' ' <"/proc/$1/cmdline" | grep -qF -e "-A $0 " && kill "$1"; true"""


@dataclass(slots=True)
class Keeper:
    """`path`: of the pull, at Docker's socket. Without one that can begin, a pull ends with its asker as ever."""

    site: Site
    path: str
    headers: Mapping[str, str]
    pid: int | None = None
    has_begun: bool = False

    def begin(self) -> None:
        """Once."""
        if self.has_begun:
            return
        self.has_begun = True
        with suppress(DeployerError, ValueError):  # a pull that cannot be kept ends with its asker
            argv = ["sh", "-c", BEGIN, self._name]
            done = self.site.transport.run(argv, stdin=self._config(), timeout=TIMEOUT)
            self.pid = whole_number(decoded(done.stdout))

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """What fails here, or is given up, the host does not wait for either; a host that is out of reach does."""
        try:
            yield
        except (HostError, OSError):
            raise
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        if self.pid:
            with suppress(DeployerError):
                self.site.transport.run(["sh", "-c", END, self._name, str(self.pid)], timeout=TIMEOUT)

    @property
    def _name(self) -> str:
        return f"deployer-pull-{self.site.context.apply}"

    def _config(self) -> bytes:
        settings = {
            "url": f"http://docker{self.path}",
            "unix-socket": self.site.transport.host.docker.socket,
            "request": "POST",
            "speed-limit": "1",
            "speed-time": str(SILENT),
            "max-time": str(LONGEST),
        }
        lines = [f'{name} = "{in_curl_config(value)}"' for name, value in settings.items()]
        lines += [f'header = "{in_curl_config(f"{name}: {value}")}"' for name, value in self.headers.items()]
        return "\n".join((*lines, "silent", "globoff", "")).encode("utf-8", "surrogateescape")
