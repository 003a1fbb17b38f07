"""Images in a file on the controller: what `docker save` writes, or an OCI layout as a tar or a folder.

Read in place and never unpacked; every blob is checked against its digest before anything is made of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from deployer.errors import OperationError
from deployer.formats.oci import (
    MOST,
    MOST_CONFIG,
    MOST_LAYERS,
    Manifest,
    digest_of,
    is_index,
    parse_config,
    parse_content,
    parse_index,
    parse_manifest,
)
from deployer.formats.text import one_line
from deployer.images.access import failure
from deployer.images.archive_files import Files, FolderFiles, TarFiles
from deployer.images.blobs import PIECE, wrong_digest
from deployer.images.tarindex import read_members
from deployer.values.codec import parse_json
from deployer.values.image_content import Blob, ImageContent, ResolvedImage
from deployer.values.images import parse_image

PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7z": "xz", b"\x28\xb5": "zstd"}
BLOBS = "blobs/sha256/"
MOST_IMAGES = 1000


class Archive:
    """`images`: what it holds, by names as they were saved (`<none>` for one without). Close nothing: every blob is
    opened anew."""

    def __init__(self, path: str, files: Files) -> None:
        self.path, self._files = path, files
        self._names: dict[str, str] = {}  # digest -> file
        self.images: dict[str, ResolvedImage] = {}

    def open(self, blob: Blob) -> BinaryIO:
        return self._files.open(self._names[blob.digest])

    def image(self, name: str) -> ResolvedImage:
        """The one of that name; of another name where there is no other image. OperationError."""
        wanted = _normal(name)
        found = [image for saved, image in self.images.items() if _normal(saved) == wanted]
        found = found or (list(self.images.values()) if len(self.images) == 1 else [])
        if found:
            image = found[0]
            return ResolvedImage(name, image.digest, image.platforms, archive=self.path)
        named = tuple(one_line(saved) for saved in sorted(self.images))[:10]
        hint = "write the name of one of these"
        raise failure("image-not-in-archive", f"`{self.path}` holds no image `{name}`", hint, named)

    def verify(self, content: ImageContent, follow: Callable[[int], object] = lambda count: None) -> None:
        """Reads every blob of it. OperationError `wrong-digest`."""
        done = 0
        for blob in {b.digest: b for b in (content.config, *content.layers)}.values():
            hashed, size = hashlib.sha256(), 0
            with self.open(blob) as file:
                while piece := file.read(PIECE):
                    hashed.update(piece)
                    size += len(piece)
                    follow(done + size)
            if f"sha256:{hashed.hexdigest()}" != blob.digest or size != blob.size:
                raise wrong_digest(blob)
            done += size

    # --- what is in it

    def read(self) -> Archive:
        """ValueError for what is no image."""
        if "oci-layout" in self._files and "index.json" in self._files:
            self._layout()
        elif "manifest.json" in self._files:
            self._saved()
        else:
            raise ValueError("it has neither `index.json` nor `manifest.json`")
        if not self.images:
            raise ValueError("it holds no image")
        return self

    def _layout(self) -> None:
        index = parse_index(self._whole("index.json", MOST))
        unnamed = [("<none>", blob) for blob in (*index.manifests.values(), *index.others)]
        saved = self._saved_names() if "manifest.json" in self._files else {}
        for name, blob in (list(index.names.items()) or unnamed)[:MOST_IMAGES]:
            platforms = self._platforms(blob)
            old = self.images.get(name)
            same = {} if old is None else dict(old.platforms)
            image = ResolvedImage(name, blob.digest, {**same, **platforms})
            for given in saved.get(next(iter(platforms.values())).config.digest, (name,)):
                self.images[given] = image

    def _platforms(self, named: Blob) -> dict[str, ImageContent]:
        data = self._blob(named, MOST)
        if not is_index(named.media_type, data):
            content = self._content(parse_manifest(data), named)
            return {content.platform: content}
        found = {}
        for platform, blob in parse_index(data).manifests.items():
            if BLOBS + blob.hex in self._files:  # a layout may hold some of the platforms only
                found[platform] = self._content(parse_manifest(self._blob(blob, MOST)), blob)
        if not found:
            raise ValueError(f"`{named.digest}` lists images that are not in it")
        return found

    def _content(self, manifest: Manifest, named: Blob) -> ImageContent:
        content = parse_content(manifest, self._blob(manifest.config, MOST_CONFIG), named)
        for layer in content.layers:
            name = BLOBS + layer.hex
            if name not in self._files or self._files.size(name) != layer.size:
                raise ValueError(f"layer `{layer.digest}` is not in it whole")
            self._names[layer.digest] = name
        return content

    def _blob(self, blob: Blob, most: int) -> bytes:
        name = BLOBS + blob.hex
        data = self._whole(name, most)
        if digest_of(data) != blob.digest:
            raise wrong_digest(blob)
        self._names[blob.digest] = name
        return data

    # --- as `docker save` writes it

    def _entries(self) -> list[dict[str, Any]]:
        found = parse_json(self._whole("manifest.json", MOST), MOST)
        if not isinstance(found, list) or len(found) > MOST_IMAGES or not all(isinstance(e, dict) for e in found):
            raise ValueError("its `manifest.json` is no list of images")
        return found

    def _saved_names(self) -> dict[str, tuple[str, ...]]:
        """By the digest of the config."""
        found = {}
        for entry in self._entries():
            tags, config = _texts(entry.get("RepoTags")), entry.get("Config")
            if tags and isinstance(config, str) and config in self._files:
                found[digest_of(self._whole(config, MOST_CONFIG))] = tags
        return found

    def _saved(self) -> None:
        for entry in self._entries():
            name, layers = entry.get("Config"), _texts(entry.get("Layers"))
            if not isinstance(name, str) or len(layers) > MOST_LAYERS:
                raise ValueError("its `manifest.json` does not say what an image is made of")
            data = self._whole(name, MOST_CONFIG)
            config = Blob(digest_of(data), len(data))
            self._names[config.digest] = name
            _, diff_ids = parse_config(data)
            if len(diff_ids) != len(layers):
                raise ValueError(f"its `manifest.json` has {len(layers)} layers, its config {len(diff_ids)}")
            made = (self._layer(layer, diff_id) for layer, diff_id in zip(layers, diff_ids, strict=True))
            content = parse_content(Manifest(config, tuple(made)), data, None)
            image = ResolvedImage("", None, {content.platform: content})
            for tag in _texts(entry.get("RepoTags")) or ("<none>",):
                self.images[tag] = image

    def _layer(self, name: str, diff_id: str) -> Blob:
        """The digest of a layer that is not packed is in the config; that of a packed one is nowhere written."""
        if name not in self._files:
            raise ValueError(f"layer `{one_line(name, 100)}` is not in it")
        with self._files.open(name) as file:
            if file.read(3).startswith(tuple(PACKED)):
                file.seek(0)
                diff_id = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        self._names[diff_id] = name
        return Blob(diff_id, self._files.size(name))

    def _whole(self, name: str, most: int) -> bytes:
        if name not in self._files or self._files.size(name) > most:
            raise ValueError(f"`{one_line(name, 100)}` is not in it, or too large")
        with self._files.open(name) as file:
            return file.read(most)


def open_archive(path: Path, shown: str) -> Archive:
    """`shown`: the path as people wrote it. OperationError for what is no image, or a hostile one."""
    try:
        if path.is_dir():
            return Archive(shown, FolderFiles(path)).read()
        with path.open("rb") as file:
            head = file.read(3)
            packed = next((kind for magic, kind in PACKED.items() if head.startswith(magic)), None)
            if packed is not None:
                hint = "unpack it once, as with `gunzip`: layers are read from where they lie in it"
                raise failure("image-archive-packed", f"`{shown}` is packed with {packed}", hint)
            members = read_members(file)
        return Archive(shown, TarFiles(path, members)).read()
    except OSError as error:
        message = f"the image archive `{shown}` cannot be read: {error.strerror or error}"
        hint = "correct its path: it is one of the machine you run deployer on"
        raise failure("no-image-archive", message, hint) from None
    except OperationError:
        raise
    except ValueError as error:
        message = f"`{shown}` is no archive of images that can be used: {one_line(str(error), 300)}"
        raise failure("bad-image-archive", message, "make it anew with `docker save -o FILE IMAGE`") from None


def _texts(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or len(found) > MOST_IMAGES:
        return ()
    return tuple(entry for entry in found if isinstance(entry, str) and len(entry) <= 1000)


def _normal(name: str) -> str:
    try:
        found = parse_image(name)
    except ValueError:
        return name
    return str(found) if found.tag or found.digest else f"{found}:latest"
