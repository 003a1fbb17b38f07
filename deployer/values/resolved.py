"""What lies outside spec and hosts and was looked up before planning; each value may be unresolved, with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.values.image_content import ResolvedImage
from deployer.values.weights import Listing


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Could not be looked up (or was not asked for); a plan that needs the value says why it has none."""

    reason: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """`secrets`: fingerprint of each secret of the spec, as `values.secrets.fingerprint` makes it. `setup`: by
    container id and digest of the task, whether a running container said that it is set up so. `listings`:
    by `Model.reference`, what a model's source has. `images`: by reference, what it stands for. `layers`: by host, the
    chains of layers that its Docker has, where somebody asked."""

    secrets: Mapping[str, str | Unresolved] = field(default_factory=dict)
    setup: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    listings: Mapping[str, Listing | Unresolved] = field(default_factory=dict)
    images: Mapping[str, ResolvedImage | Unresolved] = field(default_factory=dict)
    layers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
