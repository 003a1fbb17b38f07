"""stdout for results, stderr for everything else: colour where it is wanted, and no encoding that can fail."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from deployer.dataclass import dataclass
from deployer.errors import DeployerError, Diagnostic
from deployer.view.diagnostics import render_diagnostics
from deployer.view.json_text import render_json
from deployer.view.page import Page

ASCII = str.maketrans({"→": "->", "…": "...", "×": "x", "±": "+/-"})


@dataclass(frozen=True, slots=True)
class Console:
    out: TextIO
    err: TextIO
    no_colour: bool

    @classmethod
    def of(cls, *, no_colour: bool) -> Console:
        """The process's own streams; what they cannot encode is written as an escape."""
        out, err = (stream or io.StringIO() for stream in (sys.stdout, sys.stderr))  # None: it was closed
        for stream in (out, err):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        return cls(out, err, no_colour or bool(os.environ.get("NO_COLOR")))

    def result(self, page: Page) -> None:
        self._write(self.out, page.render(colour=self.has_colour(self.out)))

    def data(self, data: Any) -> None:
        """A result as JSON."""
        self._write(self.out, render_json(data))

    def text(self, text: str) -> None:
        """A result that was made safe already."""
        self._write(self.out, text)

    def say(self, page: Page) -> None:
        self._write(self.err, page.render(colour=self.has_colour(self.err)))

    def problems(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.say(render_diagnostics(diagnostics))

    def progress(self, page: Page) -> None:
        """As `say`, but a reader that went away stops nothing that runs."""
        with contextlib.suppress(OSError, ValueError, DeployerError):
            self.say(page)

    def progress_data(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError, DeployerError):
            self._write(self.out, line)

    def has_colour(self, stream: TextIO) -> bool:
        return not self.no_colour and stream.isatty() and not self.is_dumb

    @property
    def is_dumb(self) -> bool:
        """The terminal can neither colour nor move its cursor."""
        return os.environ.get("TERM") == "dumb"

    def _write(self, stream: TextIO, text: str) -> None:
        encoding = (stream.encoding or "ascii").lower().replace("-", "")
        try:
            stream.write(text if encoding.startswith("utf") else text.translate(ASCII))
            stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            name = "stdout" if stream is self.out else "stderr"
            raise DeployerError(Diagnostic("cannot-write", f"{name} cannot be written: {error.strerror}")) from None
