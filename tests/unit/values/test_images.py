from __future__ import annotations

import pytest

from deployer.values.images import parse_image, registry_of

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("nginx", ("docker.io", "library/nginx", None, None)),
        ("nginx:1.27", ("docker.io", "library/nginx", "1.27", None)),
        ("vllm/vllm-openai:v0.33.0", ("docker.io", "vllm/vllm-openai", "v0.33.0", None)),
        ("index.docker.io/a/b", ("docker.io", "a/b", None, None)),
        ("ghcr.io/ggml-org/llama.cpp:server", ("ghcr.io", "ggml-org/llama.cpp", "server", None)),
        ("localhost/x", ("localhost", "x", None, None)),
        ("10.77.0.1:5000/a/b/c:d", ("10.77.0.1:5000", "a/b/c", "d", None)),
        ("reg:5000/x", ("reg:5000", "x", None, None)),
        ("[::1]:5000/x", ("[::1]:5000", "x", None, None)),
        (f"a/b@{DIGEST}", ("docker.io", "a/b", None, DIGEST)),
        (f"r.io/a/b:t@{DIGEST}", ("r.io", "a/b", "t", DIGEST)),
        ("a/b__c-d.e", ("docker.io", "a/b__c-d.e", None, None)),
    ],
)
def test_references(text: str, parts: tuple[str | None, ...]) -> None:
    image = parse_image(text)
    assert (image.registry, image.repository, image.tag, image.digest) == parts
    assert registry_of(text) == parts[0]
    assert parse_image(str(image)) == image


@pytest.mark.parametrize(
    "text",
    [
        "", "Upper", "a/B", "a:", "a: b", "a:b:c", "a@sha256:12", "a@", "/a", "a//b", "a/", "-a", "a b", "a\n",
        "x/" * 200 + "x", "a:" + "t" * 129, "r.io:port/x", "-r.io/x",
    ],
)  # fmt: skip
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_image(text)
