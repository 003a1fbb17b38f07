"""Asks an image for its flags: runs its `--help` in a container without GPUs and network, which is removed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deployer.dataclass import dataclass
from deployer.engine.context import Site, failed
from deployer.engine.flag_files import FOLDER, write_flags
from deployer.engine.short_run import ShortRun, run_shortly
from deployer.errors import OperationError
from deployer.formats.help_text import parse_help
from deployer.values.container import ContainerSpec

PATIENCE = 120.0  # seconds: Python programs import all of PyTorch before they print a word
MEMORY = 8 << 30  # bytes
FEWEST = 10  # flags of a server; a help by topics names fewer
# A wide screen, so that no flag is cut; no GPU, also where Docker's default runtime gives them to all.
ENV = {"COLUMNS": "400", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1", "NVIDIA_VISIBLE_DEVICES": "void"}


@dataclass(frozen=True, slots=True)
class ImageQuestion:
    """`ways`: arguments that make it name its flags, tried in this order. `service`: one that uses it."""

    image: str
    id: str
    service: str
    ways: tuple[tuple[str, ...], ...]


def ask_images(questions: Sequence[ImageQuestion], site: Site) -> Mapping[str, str]:
    """Asks one after the other and writes down what they said. By image, why it could not be asked."""
    unasked = {}
    for question in questions:
        try:
            flags = ask_flags(question, site)
            if not write_flags(site.transport, question.id, flags, site.context.state_dir):
                unasked[question.image] = f"its flags cannot be kept in {site.context.state_dir}/{FOLDER}"
        except OperationError as error:
            said = error.diagnostic
            unasked[question.image] = ": ".join((said.message, *said.evidence[-1:]))
    return unasked


def ask_flags(question: ImageQuestion, site: Site) -> tuple[str, ...]:
    """All flags that it names. OperationError `no-help` where it does not."""
    said: tuple[str, ...] = ()
    for way in question.ways:
        said = _run(question, way, site)
        flags = parse_help("\n".join(said))
        if len(flags) >= FEWEST and any(flag.endswith("port") for flag in flags):
            return flags
    asked = " ".join(question.ways[-1])
    raise failed("no-help", f"`{asked}` does not name its flags", None, said[-3:], site.host)


def _run(question: ImageQuestion, way: tuple[str, ...], site: Site) -> tuple[str, ...]:
    """The lines that it printed."""
    spec = ContainerSpec(question.image, command=way, network="none", memory=MEMORY, pids_limit=1024, restart="no")
    return run_shortly(ShortRun(spec, question.id, question.service, ENV, PATIENCE, "no-help"), site)
