"""Plans as an operator may meet them, written out by hand."""

from __future__ import annotations

from deployer.errors import Diagnostic, Severity, Where
from deployer.values.container import ContainerSpec, Mount, PortBinding
from deployer.values.names import ReplicaKey
from deployer.values.operations import (
    AwaitReady,
    CreateContainer,
    Endpoint,
    Probe,
    RemoveContainer,
    StartContainer,
    StopContainer,
)
from deployer.values.plan import Action, Cause, Change, FieldDiff, HostUse, Member, Placement, Plan, Reason, Step
from deployer.values.plan import Availability as Available
from deployer.values.transfers import PullImage

CHAT = ReplicaKey("chat", 0)
GPU = "GPU-5f3c1a2b-0000-4111-8222-933344455566"
IMAGE = "ghcr.io/ggml-org/llama.cpp:server-b4500"
CONTAINER = ContainerSpec(
    image=IMAGE,
    command=("--model", "/models/tiny.gguf", "--ctx-size", "8192", "--host", "0.0.0.0", "--port", "8080"),
    mounts=(Mount("/srv/models/tiny.gguf", "/models/tiny.gguf", read_only=True),),
    ports=(PortBinding(8080, 20000),),
    gpus=(GPU,),
)
NAME = "demo_chat_0_0123456789ab"


def a_plan(**given: object) -> Plan:
    values: dict[str, object] = {
        "project": "demo",
        "id": None,
        "deployer": "0.1.0",
        "spec_digest": "0" * 64,
        "hosts": {"gpu-a": HostUse({}, "1" * 64)},
        "placements": (),
        "changes": (),
        "steps": (),
    }
    return Plan(**(values | given))  # type: ignore[arg-type]


def creation() -> Plan:
    endpoint = Endpoint("127.0.0.1", 20000)
    paths = {"chat": "/v1/chat/completions"}
    steps = (
        Step("1", "gpu-a", PullImage(IMAGE, "ghcr.io"), bytes=1_300_000_000),
        Step("2", "gpu-a", CreateContainer(NAME, CONTAINER, {}), ("1",), (RemoveContainer(NAME, None),), key=CHAT),
        Step("3", "gpu-a", StartContainer(NAME, None, "no"), ("2",), (RemoveContainer(NAME, None),), key=CHAT),
        Step("4", "gpu-a", AwaitReady(NAME, endpoint, "/health", 600, 300), ("3",), (StopContainer(NAME, None),)),
        Step("5", "gpu-a", Probe(NAME, endpoint, "llm", ("tiny",), paths), ("4",), (StopContainer(NAME, None),)),
    )
    change = Change(CHAT, "gpu-a", Action.CREATE, Cause.CHANGE, (Reason("new", "is not there yet"),), container=NAME)
    placement = Placement(CHAT, (Member("gpu-a", (GPU,), 20000),), "http://10.0.0.11:20000")
    return a_plan(
        placements=(placement,),
        changes=(change,),
        steps=steps,
        rollout=(Available("chat", 0, 0, 1, downtime=False),),
    )


def everything() -> Plan:
    """One change of each kind, on three hosts of which one is away."""
    rerank, old = ReplicaKey("rerank", 1), ReplicaKey("old", 0)
    changes = (
        Change(
            CHAT,
            "gpu-a",
            Action.REPLACE,
            Cause.CHANGE,
            (Reason("spec-changed", "the spec was edited"),),
            (
                FieldDiff("command.--ctx-size", "4096", "8192"),
                FieldDiff("command.--flash-attn", True, None),
                FieldDiff("env.HF_TOKEN", None, {"secret": "hf_token"}),
                FieldDiff("image", "llama.cpp:b4000", "llama.cpp:b4500"),
                FieldDiff("shm_size", 67108864, None),
            ),
        ),
        Change(ReplicaKey("chat", 1), "gpu-b", Action.KEEP, Cause.NONE),
        Change(
            ReplicaKey("embed", 0),
            "gpu-b",
            Action.KEEP,
            Cause.DEFAULT,
            (Reason("default-changed", "only defaults differ (log_options)"),),
        ),
        Change(
            rerank,
            "gpu-b",
            Action.START,
            Cause.DRIFT,
            (Reason("exited", "its container exited with code 137, out of memory"),),
        ),
        Change(
            ReplicaKey("rerank", 2),
            "gpu-b",
            Action.MOVE,
            Cause.CHANGE,
            (Reason("host-changed", "moves from `gpu-a` to `gpu-b`"),),
            from_host="gpu-a",
        ),
        Change(
            ReplicaKey("voice", 0),
            "gpu-b",
            Action.STOP,
            Cause.CHANGE,
            (Reason("state-stopped", "the spec says `state: stopped`"),),
        ),
        Change(
            ReplicaKey("whisper", 0),
            "gpu-b",
            Action.UPDATE,
            Cause.DRIFT,
            (Reason("restart-policy", "its restart policy was changed to `no`"),),
            (FieldDiff("restart", "no", "always"),),
        ),
        Change(old, "gpu-b", Action.REMOVE, Cause.CHANGE, (Reason("not-in-spec", "is no longer in the spec"),)),
    )
    steps = (
        Step("1", "gpu-a", StopContainer("demo_chat_0_aaaaaaaaaaaa", "c1")),
        Step("2", "gpu-b", StartContainer("demo_rerank_1_bbbbbbbbbbbb", "c2", "always")),
    )
    return a_plan(
        hosts={"gpu-a": HostUse({}, "1"), "gpu-b": HostUse({}, "2"), "gpu-c": HostUse(unreachable="no answer in 10 s")},
        changes=changes,
        steps=steps,
        placements=(
            Placement(CHAT, (Member("gpu-a", (GPU,), 20000),), "http://10.0.0.11:20000"),
            Placement(rerank, (Member("gpu-b", (), 20001),), "http://10.0.0.12:20001"),
        ),
        rollout=(
            Available("chat", 2, 1, 2, downtime=False),
            Available("rerank", 1, 0, 2, downtime=True),
            Available("embed", 1, 1, 1, downtime=False),
        ),
        problems=(
            Diagnostic(
                "no-id",
                "the project has no `id`: its name alone says whose containers are whose",
                hint="add `id: 7f3a9c1e`",
                severity=Severity.WARNING,
            ),
        ),
    )


def impossible() -> Plan:
    where = Where("specs/chat.yaml", 14, 7, "      gpus: 2", "services.chat.placement.gpus")
    problem = Diagnostic(
        "no-placement",
        "replica `chat-1` fits on no host",
        where,
        ("gpu-a  1 of 4 GPUs free, needs 2", "gpu-b  lacks label `tier=prod`"),
        "lower `gpus` to 1, or add a host to `inventories/lab.yaml`",
    )
    return a_plan(problems=(problem,))
