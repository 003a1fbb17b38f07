"""Which profile of an NVIDIA NIM image a replica takes on its GPUs, and why it takes none of the others. Pure.

Source: NVIDIA NIM for LLMs documentation, "Model Profiles" and "Automatic Profile Selection" (1.0 to 2.1): those that
the GPUs can run; TensorRT-LLM before SGLang before vLLM; an engine for this very GPU before one that is built at the
first start; lower precision first, then latency before throughput, then more GPUs; LoRA only where it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from deployer.catalog.gpus import Capability, GpuModel, find_gpu, parse_capability
from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.formats.nim_profiles import BITS, parse_profile_name
from deployer.spec.language import Service
from deployer.values.gpu_facts import Gpu
from deployer.values.nim import NimProfile, ProfileTraits

OLDEST: Capability = (7, 0)
NEEDS: dict[str, Capability] = {
    "bf16": (8, 0), "fp8": (8, 9), "nvfp4": (10, 0), "mxfp4": (8, 0),
    "int4": (7, 5), "int4_awq": (7, 5), "int8": (7, 5),
}  # fmt: skip
WEIGHT_ONLY: Capability = (8, 0)  # from there on vLLM has fp8 weights, and computes in 16 bits
SERVERS = ("tensorrt_llm", "sglang", "vllm")  # the better one first
GB = 10**9


@dataclass(frozen=True, slots=True)
class ProfileWish:
    """What a service says that a profile has to have; None: any. `own_weights`: it brings them."""

    tensor: int | None = None
    pipeline: int | None = None
    lora: bool = False
    goal: str = "latency"
    context: int | None = None
    own_weights: bool = False

    @classmethod
    def of(cls, service: Service, *, own_weights: bool) -> ProfileWish:
        options, goal = service.options, service.nim.goal if service.nim is not None else "latency"
        tensor, pipeline = options.tensor_parallel, options.pipeline_parallel
        return cls(tensor, pipeline, bool(options.lora), goal, options.context_length, own_weights)


@dataclass(frozen=True, slots=True)
class JudgedProfile:
    """`reasons`: why it is not taken on these GPUs; none: it can be."""

    profile: NimProfile
    traits: ProfileTraits
    reasons: tuple[str, ...] = ()


def judged_profiles(
    profiles: Iterable[NimProfile], wish: ProfileWish, gpus: Sequence[Gpu]
) -> tuple[JudgedProfile, ...]:
    """Those that can be taken first, the best at the head; then the others, by how little is wrong with them."""
    found = [_judged(profile, wish, gpus) for profile in profiles]
    return tuple(
        sorted(found, key=lambda one: (len(one.reasons), *_order(one, wish), one.profile.name, one.profile.id))
    )


def chosen_profile(judged: Sequence[JudgedProfile]) -> NimProfile | None:
    return judged[0].profile if judged and not judged[0].reasons else None


def named_profile(profiles: Iterable[NimProfile], named: str) -> NimProfile | str:
    """The one of that id or name, or why there is not just one: names are not unique."""
    found = [profile for profile in profiles if named in (profile.id, profile.name)]
    if len(found) == 1:
        return found[0]
    return "it has none of that id or name" if not found else f"{len(found)} of its profiles have that name"


def _judged(profile: NimProfile, wish: ProfileWish, gpus: Sequence[Gpu]) -> JudgedProfile:
    traits = parse_profile_name(profile.name)
    reasons = (
        *_of_count(traits, wish, gpus),
        *_of_kind(traits, gpus),
        *_of_precision(traits, gpus),
        *_of_memory(profile, wish, gpus),
        *_of_lora(traits, wish),
        *_of_weights(traits, wish),
    )
    return JudgedProfile(profile, traits, reasons)


def _order(one: JudgedProfile, wish: ProfileWish) -> tuple[int, ...]:
    traits = one.traits
    server = SERVERS.index(traits.backend) if traits.backend in SERVERS else len(SERVERS)
    bits = BITS.get(traits.precision or "", 16)
    return (server, traits.buildable, traits.gpu is None, bits, traits.goal != wish.goal, -traits.gpus)


def _of_count(traits: ProfileTraits, wish: ProfileWish, gpus: Sequence[Gpu]) -> Iterator[str]:
    if traits.gpus > len(gpus):
        yield f"takes {traits.gpus} GPUs, and there {'is 1' if len(gpus) == 1 else f'are {len(gpus)}'}"
    if traits.tensor is not None and wish.tensor not in (None, traits.tensor):
        yield f"is for `tensor_parallel` {traits.tensor}, and {wish.tensor} is asked for"
    if traits.tensor is not None and wish.pipeline not in (None, traits.pipeline or 1):
        yield f"is for `pipeline_parallel` {traits.pipeline or 1}, and {wish.pipeline} is asked for"
    kinds = sorted({gpu.name for gpu in gpus})
    if traits.gpus > 1 and len(kinds) > 1:
        yield f"takes GPUs of one kind, and these are {' and '.join(kinds)}"


def _of_kind(traits: ProfileTraits, gpus: Sequence[Gpu]) -> Iterator[str]:
    """An engine runs on the very kind of GPU that it was built on."""
    for name in dict.fromkeys(gpu.name for gpu in gpus) if traits.gpu is not None else ():
        if not _is_of_kind(traits, find_gpu(name)):
            yield f"was built for {traits.gpu}, which {name} is not"
            return


def _is_of_kind(traits: ProfileTraits, model: GpuModel | None) -> bool:
    if model is None:
        return False
    if traits.device is not None and model.devices:
        return traits.device in model.devices
    return (model.nim_tag or "").removesuffix("?") == traits.gpu


def _of_precision(traits: ProfileTraits, gpus: Sequence[Gpu]) -> Iterator[str]:
    is_weight_only = traits.precision == "fp8" and traits.backend != "tensorrt_llm"
    needed = WEIGHT_ONLY if is_weight_only else NEEDS.get(traits.precision or "", OLDEST)
    for gpu in gpus:
        found = _capability(gpu)
        if found is not None and found < needed:
            what = traits.precision if traits.precision in NEEDS else "it"
            yield f"{what} takes compute capability {needed[0]}.{needed[1]}, {gpu.name} has {found[0]}.{found[1]}"
            return


def _capability(gpu: Gpu) -> Capability | None:
    found = parse_capability(gpu.compute_capability)
    model = find_gpu(gpu.name) if found is None else None
    return model.capability if model is not None else found


def _of_memory(profile: NimProfile, wish: ProfileWish, gpus: Sequence[Gpu]) -> Iterator[str]:
    needed, hint = profile.memory, ""
    if needed is not None and profile.shorter is not None:
        context, less = profile.shorter
        is_short = wish.context is not None and wish.context <= context
        needed, hint = (less, "") if is_short else (needed, f", {less // GB} with `context_length` {context}")
    sizes = [gpu.memory_total for gpu in gpus if gpu.memory_total is not None]
    if needed is not None and sizes and min(sizes) < needed:
        yield f"needs {needed / GB:g} GB of each GPU{hint}, and there are {min(sizes) / GB:.0f}"


def _of_lora(traits: ProfileTraits, wish: ProfileWish) -> Iterator[str]:
    if traits.lora and not wish.lora:
        yield "is for LoRA, and `options.lora` asks for none"
    elif wish.lora and not traits.lora and traits.precision is not None:
        yield "is without LoRA, which `options.lora` asks for"


def _of_weights(traits: ProfileTraits, wish: ProfileWish) -> Iterator[str]:
    if wish.own_weights and traits.gpu is not None:
        yield "is an engine with the image's own weights, and the service brings others"


@dataclass(frozen=True, slots=True)
class HostProfiles:
    """Of the image on one host (empty: of a list that was recorded). `written`: the profile that the spec names."""

    host: str
    image: str
    gpus: tuple[Gpu, ...]
    asked: str
    judged: tuple[JudgedProfile, ...]
    written: str | None = None

    @property
    def taken(self) -> NimProfile | None:
        """The one that a replica there is told to take."""
        if self.written is None:
            return chosen_profile(self.judged)
        found = named_profile((one.profile for one in self.judged), self.written)
        return None if isinstance(found, str) else found


@dataclass(frozen=True, slots=True)
class NimReport:
    service: str
    hosts: tuple[HostProfiles, ...] = ()
    problems: tuple[Diagnostic, ...] = ()
