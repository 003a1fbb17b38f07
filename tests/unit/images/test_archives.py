"""Archives of images: read in place, whoever wrote them; hostile ones refused before anything is made of them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deployer.errors import OperationError
from deployer.formats.oci import digest_of
from deployer.images.archive import Archive, open_archive
from deployer.images.blobs import BlobStore
from deployer.images.fetching import copy_image
from deployer.values.image_content import ImageContent
from tests.support.images import MadeImage, layer_tar, layout_files, made_image, saved_tar, tar_of

IMAGE = made_image(layer_tar("base", b"b" * 5000), layer_tar("app", b"a" * 9000))
NAME = "reg.local/models/stub:1"


def opened(tmp_path: Path, data: bytes) -> Archive:
    path = tmp_path / "image.tar"
    path.write_bytes(data)
    return open_archive(path, "image.tar")


def refused(tmp_path: Path, data: bytes) -> tuple[str, str]:
    with pytest.raises(OperationError) as failed:
        opened(tmp_path, data).image(NAME)
    found = failed.value.diagnostic
    assert found.hint
    assert [path.name for path in tmp_path.iterdir()] == ["image.tar"]
    return found.code, found.message


def content(archive: Archive) -> ImageContent:
    found = archive.image(NAME).on("x86_64")
    assert found is not None
    archive.verify(found)
    return found


def test_as_docker_saves_it(tmp_path: Path) -> None:
    archive = opened(tmp_path, saved_tar(IMAGE, NAME))
    found = content(archive)
    assert (found.config.digest, found.diff_ids, found.manifest) == (IMAGE.id, IMAGE.content.diff_ids, None)
    assert [layer.digest for layer in found.layers] == list(IMAGE.content.diff_ids)
    with archive.open(found.layers[1]) as file:
        assert file.read() == IMAGE.tars[1]


def test_with_packed_layers(tmp_path: Path) -> None:
    found = content(opened(tmp_path, saved_tar(IMAGE, NAME, packed=True)))
    assert [layer.digest for layer in found.layers] == [layer.digest for layer in IMAGE.content.layers]


@pytest.mark.parametrize("as_tar", [True, False])
def test_an_oci_layout(tmp_path: Path, as_tar: bool) -> None:
    files = layout_files(IMAGE, "1")
    if as_tar:
        archive = opened(tmp_path, tar_of({f"./{name}": data for name, data in files.items()}))
    else:
        for name, data in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(data)
        archive = open_archive(tmp_path, "folder")
    found = content(archive)
    assert (found.manifest, found.layers) == (IMAGE.content.manifest, IMAGE.content.layers)
    assert archive.image(NAME).digest == IMAGE.digest


def test_one_image_is_meant_whatever_it_was_called(tmp_path: Path) -> None:
    for saved in ("docker.io/library/other:3", None):
        names = (saved,) if saved else ()
        assert opened(tmp_path, saved_tar(IMAGE, *names)).image(NAME).reference == NAME


def test_of_several_images_the_one_of_that_name(tmp_path: Path) -> None:
    other = made_image(layer_tar("other", b"o"))
    files = {}
    for image in (IMAGE, other):
        with tarfile.open(fileobj=io.BytesIO(saved_tar(image, "x"))) as tar:
            files |= {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]
    entries = [
        {
            "Config": f"{image.id[7:]}.json",
            "RepoTags": [name],
            "Layers": [f"{diff_id[7:]}/layer.tar" for diff_id in image.content.diff_ids],
        }
        for image, name in ((IMAGE, "models/stub:1"), (other, "docker.io/models/other:latest"))
    ]
    archive = opened(tmp_path, tar_of({**files, "manifest.json": json.dumps(entries).encode()}))
    assert archive.image("models/other").ids == {other.id}
    assert archive.image("docker.io/models/stub:1").ids == {IMAGE.id}
    with pytest.raises(OperationError) as failed:
        archive.image(NAME)
    assert failed.value.diagnostic.code == "image-not-in-archive"
    assert failed.value.diagnostic.evidence == ("docker.io/models/other:latest", "models/stub:1")


def test_what_is_in_an_archive_can_be_kept_as_a_layout(tmp_path: Path) -> None:
    archive = opened(tmp_path, saved_tar(IMAGE, NAME))
    store = BlobStore(tmp_path / "layout")
    found = content(archive)
    copy_image(store, archive, found, lambda done, total: None)
    store.write_index({NAME: [found]})
    again = open_archive(tmp_path / "layout", "layout").image(NAME).on("x86_64")
    assert again is not None
    assert (again.config, again.layers) == (found.config, found.layers) or again.config.digest == found.config.digest


def test_a_layer_saved_once_and_linked_to(tmp_path: Path) -> None:
    twice = made_image(IMAGE.tars[0], IMAGE.tars[0])
    digest = twice.content.diff_ids[0][7:]
    entry = {"Config": "c.json", "RepoTags": [NAME], "Layers": [f"{digest}/layer.tar", "other/layer.tar"]}
    out = io.BytesIO(tar_of({f"{digest}/layer.tar": twice.tars[0], "c.json": twice.config}))
    with tarfile.open(fileobj=out, mode="a") as tar:
        link = tarfile.TarInfo("other/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, f"../{digest}/layer.tar"
        tar.addfile(link)
        manifest = tarfile.TarInfo("manifest.json")
        data = json.dumps([entry]).encode()
        manifest.size = len(data)
        tar.addfile(manifest, io.BytesIO(data))
    assert content(opened(tmp_path, out.getvalue())).diff_ids == twice.content.diff_ids


# --- hostile ones -----------------------------------------------------------------------------


def member(change: Callable[[tarfile.TarInfo], None], data: bytes = b"") -> bytes:
    out = io.BytesIO(saved_tar(IMAGE, NAME))
    with tarfile.open(fileobj=out, mode="a") as tar:
        info = tarfile.TarInfo("odd")
        info.size = len(data)
        change(info)
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def typed(kind: bytes, link: str = "") -> Callable[[tarfile.TarInfo], None]:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, link

    return change


def named(name: str) -> Callable[[tarfile.TarInfo], None]:
    def change(info: tarfile.TarInfo) -> None:
        info.name = name

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (named("../../etc/passwd"), "leads out of it"),
        (named("/etc/passwd"), "leads out of it"),
        (named("x" * 300 + "/../../y"), "leads out of it"),
        (named("manifest.json"), "stands in it twice"),
        (typed(tarfile.SYMTYPE, "/etc/passwd"), "leads out of it"),
        (typed(tarfile.SYMTYPE, "../../etc/passwd"), "leads out of it"),
        (typed(tarfile.LNKTYPE, "manifest.json"), "device, a pipe or a hard link"),
        (typed(tarfile.CHRTYPE), "device, a pipe or a hard link"),
        (typed(tarfile.BLKTYPE), "device, a pipe or a hard link"),
        (typed(tarfile.FIFOTYPE), "device, a pipe or a hard link"),
        (typed(b"S"), "device, a pipe or a hard link"),
    ],
)
def test_members_that_are_no_files_of_an_image(
    tmp_path: Path, change: Callable[[tarfile.TarInfo], None], why: str
) -> None:
    code, message = refused(tmp_path, member(change))
    assert code == "bad-image-archive"
    assert why in message


def header(kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo("odd")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 2000,
        saved_tar(IMAGE, NAME)[:1500],
        header(b"x", 1 << 40),
        header(b"L", 1 << 40),
        header(b"0", 1 << 50),
        header(b"x", 512) + b"99 path=short\n".ljust(512, b"\0"),
        tar_of({"hello": b"world"}),
        tar_of({"manifest.json": b"{}"}),
        tar_of({"manifest.json": b"[" * 50_000}),
        tar_of({"manifest.json": json.dumps([{"Config": "../x", "Layers": []}]).encode()}),
        tar_of({"manifest.json": b" " * (5 << 20)}),
    ],
)
def test_what_is_no_archive_of_images(tmp_path: Path, data: bytes) -> None:
    assert refused(tmp_path, data)[0] == "bad-image-archive"


def test_a_packed_archive_says_what_to_do(tmp_path: Path) -> None:
    code, message = refused(tmp_path, gzip.compress(saved_tar(IMAGE, NAME)))
    assert (code, message) == ("image-archive-packed", "`image.tar` is packed with gzip")


def test_no_archive_at_all(tmp_path: Path) -> None:
    with pytest.raises(OperationError) as failed:
        open_archive(tmp_path / "nothing.tar", "nothing.tar")
    assert failed.value.diagnostic.code == "no-image-archive"


def flipped(image: MadeImage, digest: str) -> dict[str, bytes]:
    files = layout_files(image, NAME)
    name = f"blobs/sha256/{digest[7:]}"
    data = files[name]
    return {**files, name: data[:-1] + bytes([data[-1] ^ 1])}


@pytest.mark.parametrize("which", ["config", "manifest"])
def test_a_flipped_bit_is_seen_at_once(tmp_path: Path, which: str) -> None:
    digest = IMAGE.id if which == "config" else IMAGE.digest
    assert refused(tmp_path, tar_of(flipped(IMAGE, digest)))[0] == "wrong-digest"


@pytest.mark.parametrize("number", [0, 1])
def test_a_flipped_bit_of_a_layer_is_seen_before_it_is_used(tmp_path: Path, number: int) -> None:
    for data in (
        tar_of(flipped(IMAGE, IMAGE.content.layers[number].digest)),
        saved_tar(MadeImage(IMAGE.manifest, IMAGE.config, IMAGE.blobs, (b"x" * 512, b"y" * 512), IMAGE.content), NAME),
    ):
        archive = opened(tmp_path, data)
        with pytest.raises(OperationError) as failed:
            content(archive)
        assert failed.value.diagnostic.code == "wrong-digest"


def test_a_layer_of_another_size(tmp_path: Path) -> None:
    layer = IMAGE.content.layers[0].digest
    files = layout_files(IMAGE, NAME)
    assert refused(tmp_path, tar_of({**files, f"blobs/sha256/{layer[7:]}": b"short"}))[0] == "bad-image-archive"


def test_a_folder_whose_blobs_are_links(tmp_path: Path) -> None:
    for name, data in layout_files(IMAGE, NAME).items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    blob = tmp_path / "in/blobs/sha256" / IMAGE.content.layers[0].hex
    outside = tmp_path / "outside"
    blob.rename(outside)
    blob.symlink_to(outside)
    with pytest.raises(OperationError) as failed:
        open_archive(tmp_path / "in", "in")
    assert failed.value.diagnostic.code == "bad-image-archive"


def test_digests_are_of_what_is_stored() -> None:
    assert digest_of(IMAGE.config) == IMAGE.id
