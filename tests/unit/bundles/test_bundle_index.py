"""Indexes of bundles: read back as they were written, and refused for everything that could do harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployer.errors import OperationError
from deployer.values.bundle import Bundle, BundledSpec, Content, Parent
from deployer.values.image_content import Blob, ImageContent, ResolvedImage
from deployer.values.weights import Listing, Manifest, WeightFile
from deployer.weights.bundles.index import parse_index, render_index
from deployer.weights.bundles.reading import FolderReader

ONE, TWO, TEXT = "1" * 64, "2" * 64, "3" * 64
FILES = (WeightFile("a/model.gguf", 5, ONE), WeightFile("config.json", 2, TWO, git="9" * 40))
PARTS = ImageContent("linux/amd64", Blob(f"sha256:{TEXT}", 9), (Blob(f"sha256:{ONE}", 5),), (f"sha256:{TWO}",),
                     Blob(f"sha256:{TWO}", 2))  # fmt: skip
IMAGE = ResolvedImage("vllm/vllm-openai:v1", f"sha256:{TWO}", {"linux/amd64": PARTS}, pinned=True)
BUNDLE = Bundle(
    "air", "gap", 7, "2026-11-22T10:00:00Z", "ops@desk", "1.0",
    BundledSpec(("deploy.yaml",), (), {"tag": "v1"}, "/home/ops", {"deploy.yaml": TEXT}),
    {"hf://org/name@": Listing("hf://org/name", "main", "c" * 40, FILES, pinned=True)},
    (Manifest("hf://org/name", "main", "c" * 40, FILES),),
    {"vllm/vllm-openai:v1": IMAGE},
    (Content.blob(ONE, 5), Content.blob(TEXT, 9), Content("wheels/deployer-1-py3-none-any.whl", 3, TEXT)),
    (Content.blob(TWO, 2),),
    parent=Parent(6, "4" * 64),
)  # fmt: skip


def test_it_is_read_back_as_it_was_written() -> None:
    assert parse_index(render_index(BUNDLE), "b") == BUNDLE
    assert render_index(parse_index(render_index(BUNDLE), "b")) == render_index(BUNDLE)


def changed(**values: Any) -> Callable[[], Bundle]:
    return lambda: replace(BUNDLE, **values)


def with_content(*contents: Content) -> Callable[[], Bundle]:
    return changed(contents=tuple(sorted((*BUNDLE.contents, *contents), key=lambda c: c.path)))


def with_file(**about: Any) -> Callable[[], Bundle]:
    files = (replace(FILES[0], **about), FILES[1])
    return changed(models=(replace(BUNDLE.models[0], files=files),))


def with_image(**about: Any) -> Callable[[], Bundle]:
    parts = replace(PARTS, **about)
    return changed(images={"x": replace(IMAGE, platforms={"linux/amd64": parts})})


HOSTILE: dict[str, Callable[[], Bundle]] = {
    "a path out of its folder": with_content(Content("../../etc/cron.d/x", 5, ONE)),
    "an absolute path": with_content(Content("/etc/cron.d/x", 5, ONE)),
    "a path in another folder": with_content(Content("blobs/md5/x", 5, ONE)),
    "a wheel in a folder": with_content(Content("wheels/../x.whl", 5, ONE)),
    "a blob under another's name": with_content(Content(f"blobs/sha256/{'5' * 64}", 5, ONE)),
    "no hash": with_content(Content("blobs/sha256/x", 5, "x")),
    "a size below nothing": with_content(Content.blob("5" * 64, -1)),
    "a size beyond all disks": with_content(Content.blob("5" * 64, 1 << 60)),
    "one file twice": changed(contents=(BUNDLE.contents[0], *BUNDLE.contents)),
    "files out of order": changed(contents=tuple(reversed(BUNDLE.contents))),
    "needing a file of no name": changed(elsewhere=(Content("../x", 2, TWO),)),
    "a spec that is not there": changed(spec=replace(BUNDLE.spec, sources={"deploy.yaml": "6" * 64})),
    "no spec": changed(spec=replace(BUNDLE.spec, files=())),
    "an image that is not there": with_image(config=Blob(f"sha256:{'6' * 64}", 9)),
    "an image of another size": with_image(config=Blob(f"sha256:{TEXT}", 10)),
    "an image without a manifest": with_image(manifest=None),
    "an image without digests": with_image(diff_ids=("../x",)),
    "an image that lies elsewhere": changed(images={"x": replace(IMAGE, archive="/etc/shadow")}),
    "a model that is not there": with_file(sha256="6" * 64),
    "a model's file out of its folder": with_file(path="../../x"),
    "a model's file with control characters": with_file(path="a\x1b[2J"),
    "a model's file with a place of its own": with_file(url="/etc/shadow"),
    "a model without a commit": changed(models=(replace(BUNDLE.models[0], commit="../x"),)),
    "a model without a source": changed(models=(replace(BUNDLE.models[0], source="x"),)),
    "a listing with a place of its own": changed(
        listings={"m": replace(BUNDLE.listings["hf://org/name@"], files=(replace(FILES[0], url="/etc/shadow"),))}
    ),
    "a project that is a path": changed(project="../x"),
    "a sequence below nothing": changed(sequence=-1),
    "a sequence above all others": changed(sequence=10**18),
    "a maker with control characters": changed(by="ops\x1b]0;x\x07"),
}


@pytest.mark.parametrize("made", HOSTILE.values(), ids=HOSTILE)
def test_what_could_do_harm_is_refused(made: Callable[[], Bundle]) -> None:
    with pytest.raises(OperationError) as caught:
        parse_index(render_index(made()), "b")
    assert caught.value.diagnostic.code == "bad-bundle"
    assert caught.value.diagnostic.message.isprintable()


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", b'{"format": 2}', b"{" * 100_000, b'{"format": 1}'])
def test_what_is_no_index_is_refused(text: bytes) -> None:
    with pytest.raises(OperationError):
        parse_index(text, "b")


def test_a_key_that_nobody_knows_is_refused() -> None:
    data = json.loads(render_index(BUNDLE))
    with pytest.raises(OperationError):
        parse_index(json.dumps({**data, "run": "rm -rf /"}).encode(), "b")


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(OperationError) as caught:
        FolderReader(tmp_path / "pulled-out")
    assert caught.value.diagnostic.code == "cannot-read"
