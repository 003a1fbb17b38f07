"""Asks an image for its flags: runs its `--help` in a container without GPUs and network, which is removed again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from deployer.dataclass import dataclass
from deployer.docker.calls import Refusal, engine_calls
from deployer.docker.payload import create_body
from deployer.engine.context import Site, failed
from deployer.engine.flag_files import FOLDER, write_flags
from deployer.engine.lifecycle import LIVE, remove
from deployer.engine.logs import LogRequest, lines_by_now
from deployer.engine.ownership import look, look_closely
from deployer.errors import DeployerError, OperationError
from deployer.formats.help_text import parse_help
from deployer.values.container import ContainerSpec
from deployer.values.names import (
    LABEL_APPLY,
    LABEL_DECISIONS,
    LABEL_ID,
    LABEL_MEMBER,
    LABEL_PROJECT,
    LABEL_REPLICA,
    LABEL_REVISION,
    LABEL_ROLE,
    LABEL_SECRETS,
    LABEL_SERVICE,
    LABEL_SPEC,
    REVISION_LENGTH,
    ReplicaKey,
    container_name,
)

PATIENCE = 120.0  # seconds: Python programs import all of PyTorch before they print a word
LOOK_EVERY = 0.5
MEMORY = 8 << 30  # bytes
LOG_LINES, LOG_TIMEOUT = 20_000, 20.0
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
    name, labels = _labels(question, site)
    _remove_leftover(site, name)
    spec = ContainerSpec(question.image, command=way, network="none", memory=MEMORY, pids_limit=1024, restart="no")
    body = create_body(spec, labels, question.id, ENV)
    docker = site.transport.docker()
    try:
        with engine_calls(site.host):
            id_ = str(docker.create_container_from_config(body, name=name)["Id"])
    except Refusal as refusal:
        raise site.refused(refusal, "create", name, question.image) from None
    try:
        with engine_calls(site.host):
            docker.start(id_)
        _await_end(site, id_, " ".join(way))
        return lines_by_now(site.transport, LogRequest(id_, tail=LOG_LINES), site.context.redactor, LOG_TIMEOUT)
    except Refusal as refusal:
        raise site.refused(refusal, "start", name, question.image) from None
    finally:
        _discard(site, id_)


def _labels(question: ImageQuestion, site: Site) -> tuple[str, dict[str, str]]:
    """The name and labels of a helper of ours; the revision stands for the image."""
    context, revision = site.context, question.id.removeprefix("sha256:")[:REVISION_LENGTH]
    key = ReplicaKey(question.service, 0)
    labels = {
        LABEL_PROJECT: context.project,
        LABEL_ID: context.id or "",
        LABEL_SERVICE: key.service,
        LABEL_REPLICA: str(key.index),
        LABEL_MEMBER: "0",
        LABEL_ROLE: "task",
        LABEL_REVISION: revision,
        LABEL_SPEC: "",
        LABEL_DECISIONS: "{}",
        LABEL_SECRETS: "{}",
        LABEL_APPLY: context.apply,
    }
    return container_name(context.project, key, revision), labels


def _remove_leftover(site: Site, name: str) -> None:
    """Of a doctor that died; whatever else has the name stays, and Docker refuses another."""
    left = look_closely(site, name)
    is_ours = left is not None and left.recorded is not None and left.recorded.role == "task"
    if left is not None and is_ours and left.status not in LIVE:
        remove(site, left)


def _await_end(site: Site, id_: str, way: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        now = look(site, id_)
        if now is None or now.status in ("exited", "dead"):
            return
        site.watch.pause(LOOK_EVERY)
    raise failed("no-help", f"`{way}` is not done after {PATIENCE:g} s", None, (), site.host)


def _discard(site: Site, id_: str) -> None:
    try:
        with engine_calls(site.host):
            site.transport.docker().remove_container(id_, v=True, force=True)
    except (Refusal, DeployerError):
        pass  # the next doctor removes it
