"""What `bundle inspect` says of a bundle."""

from __future__ import annotations

import pytest

from deployer.values.bundle import Bundle, BundledSpec, Content, Parent, Signer
from deployer.values.image_content import Blob, ImageContent, ResolvedImage
from deployer.values.weights import Manifest, WeightFile
from deployer.view.bundles import render_bundle
from tests.conftest import Golden

ONE, TWO, TEXT = "1" * 64, "2" * 64, "3" * 64
FILES = (WeightFile("model.safetensors", 5 << 30, ONE), WeightFile("config.json", 700, TWO))
VLLM = "vllm/vllm-openai:v0.11.0"
PARTS = ImageContent("linux/amd64", Blob(f"sha256:{TWO}", 700), (Blob(f"sha256:{ONE}", 5 << 30),), (f"sha256:{TEXT}",))
WHOLE = Bundle(
    "air", "gap", 20261122104000, "2026-11-22T10:40:00Z", "ops@desk", "1.0",
    BundledSpec(("deploy.yaml",), (), {}, "/home/ops", {"deploy.yaml": TEXT, "deploy.lock": TEXT}),
    models=(Manifest("hf://org/name", "main", "c" * 40, FILES),),
    images={VLLM: ResolvedImage(VLLM, f"sha256:{TWO}", {"linux/amd64": PARTS})},
    contents=(Content.blob(ONE, 5 << 30), Content.blob(TWO, 700), Content("wheels/deployer-1.whl", 3000, TEXT)),
)  # fmt: skip
DELTA = Bundle(
    "air", "gap", 20261123090000, "2026-11-23T09:00:00Z", "ops\x1b[2J@desk", "1.0", WHOLE.spec,
    models=WHOLE.models, contents=(Content.blob(TWO, 700),), elsewhere=(Content.blob(ONE, 5 << 30),),
    inside=(Content.blob(TEXT, 9),), parent=Parent(20261122104000, ONE),
)  # fmt: skip
BUNDLES = {
    "whole": (WHOLE, Signer("trusted", "ops", "ED25519 SHA256:abc"), True),
    "delta": (DELTA, Signer("unknown", key="ED25519 SHA256:abc"), None),
    "unsigned": (WHOLE, Signer("unsigned"), None),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_as_text(golden: Golden, name: str) -> None:
    golden.check(f"golden/bundle/{name}.txt", render_bundle(*BUNDLES[name]).render())
