"""Brings the contents of a bundle into the folder where it is made, and counts what it needs not bring."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path

from deployer.dataclass import dataclass, replace
from deployer.engine.hubs import Hubs, cas_for, hubs_of, tokens_for
from deployer.engine.watch import HERE, Watch
from deployer.errors import Diagnostic, InterruptedByUser, OperationError
from deployer.formats.text import one_line
from deployer.planning.bundled import Wanted
from deployer.values.bundle import Bundle, Content
from deployer.values.events import Event, TransfersAhead
from deployer.values.image_content import ResolvedImage
from deployer.values.resolved import Unresolved
from deployer.values.weights import Manifest, WeightFile
from deployer.weights.bundles.collecting import Collector, hash_of
from deployer.weights.bundles.store import Store, write_whole, writing
from deployer.weights.bundles.writing import Target

AT_ONCE = 4
Follow = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Work:
    """`here`: what the bundle holds, `elsewhere` what its parent does and `inside` what the hosts have, by SHA-256."""

    target: Target
    hubs: Hubs
    store: Store
    parent: Bundle | None
    report: Callable[[Event], object]
    here: dict[str, Content] = field(default_factory=dict)
    elsewhere: dict[str, Content] = field(default_factory=dict)
    inside: dict[str, Content] = field(default_factory=dict)

    def ahead(self, want: Wanted, images: Mapping[str, ResolvedImage | Unresolved]) -> None:
        """Says what is to be brought here of models and images."""
        known = self.in_parent
        sizes: Counter[str] = Counter()
        for manifest in want.models:
            there = want.there[manifest.id]
            lacking = (f.size for f in manifest.files if f.sha256 not in known and f.blob not in there)
            sizes[f"fetch {manifest.source}"] += sum(lacking)
        for name, archs in want.images.items():
            found = images[name]
            contents = [found.on(arch) for arch in sorted(archs)] if isinstance(found, ResolvedImage) else []
            layers = {layer for content in contents if content is not None for layer in content.layers}
            sizes[f"fetch image {name}"] += sum(layer.size for layer in layers if layer.hex not in known)
        self.report(TransfersAhead({what: (HERE, size) for what, size in sizes.items() if size}))

    @property
    def in_parent(self) -> frozenset[str]:
        """SHA-256 of all that the parent has."""
        return frozenset(c.sha256 for c in self.parent.all_contents) if self.parent is not None else frozenset()

    def models(self, want: Wanted) -> tuple[Manifest, ...]:
        """As they are written down: with the hash of every file, and no place that it came from."""
        return tuple(self._model(manifest, want.there[manifest.id]) for manifest in want.models)

    def text(self, text: bytes) -> str:
        """Its SHA-256."""
        sha256 = hashlib.sha256(text).hexdigest()
        with writing(self.target.blobs):
            if not (self.target.blobs / sha256).exists():
                write_whole(self.target.blobs / sha256, text)
        self._add(Content.blob(sha256, len(text)))
        return sha256

    def file(self, path: Path, name: str) -> None:
        """A file of this machine, under a name of its own."""
        place = self.target.making / name
        with writing(place):
            place.parent.mkdir(exist_ok=True)
            write_whole(place, path.read_bytes())
        self.written(name)

    def written(self, name: str) -> None:
        """A file that is in the folder by now."""
        place = self.target.making / name
        self._add(Content(name, place.stat().st_size, hash_of(str(place))))

    def note(self, content: Content, *, is_known: bool) -> None:
        """Of a content that is here, or that the parent has."""
        if is_known:
            self.elsewhere[content.sha256] = content
        else:
            self._add(content)

    @property
    def contents(self) -> tuple[Content, ...]:
        return tuple(sorted(self.here.values(), key=lambda content: content.path))

    @contextmanager
    def step(self, what: str, total: int) -> Iterator[Follow]:
        with Watch(what, HERE, what, self.report).told() as watch:
            yield lambda done: watch.progress(done, total)

    def _add(self, content: Content) -> None:
        self.here[content.path] = content

    def _model(self, manifest: Manifest, there: frozenset[str]) -> Manifest:
        files = tuple(self._hashed(file) for file in manifest.files)
        known = self.in_parent
        wanted: dict[str, WeightFile] = {}
        for file in files:
            content = Content.blob(str(file.sha256), file.size)
            if content.sha256 in known:
                self.note(content, is_known=True)
            elif file.blob in there:
                self.inside[content.sha256] = content
            else:
                wanted[content.sha256] = file
                self._add(content)
        self._collect(manifest, [*wanted.values()])
        return replace(manifest, files=tuple(replace(file, url="", others=()) for file in files))

    def _hashed(self, file: WeightFile) -> WeightFile:
        if file.sha256 is None and file.url.startswith("/"):
            with self.step(f"read {one_line(file.url, 100)}", file.size) as follow:
                return replace(file, sha256=hash_of(file.url, follow))
        if file.sha256 is None:
            message = f"deploy.lock has no SHA-256 of `{one_line(file.path, 100)}`"
            raise OperationError(Diagnostic("no-hash", message, hint="write it anew with `deployer lock --upgrade`"))
        return file

    def _collect(self, manifest: Manifest, files: list[WeightFile]) -> None:
        tokens = tokens_for(self.hubs.spec.hubs, self.hubs.store, None, hubs_of(manifest))
        cas = cas_for(self.hubs.spec.hubs, self.hubs.folder, manifest)
        collector = Collector(self.target.blobs, self.store.blob, tokens, cas)
        done: dict[str, int] = {}
        stopped = threading.Event()
        with self.step(f"fetch {manifest.source}", sum(file.size for file in files)) as follow:

            def bring(file: WeightFile) -> None:
                def tell(now: int) -> None:
                    if stopped.is_set():
                        raise InterruptedByUser(Diagnostic("interrupted", "interrupted; run it again to go on"))
                    done[str(file.sha256)] = now
                    follow(sum([*done.values()]))

                collector.collect(file, manifest.hub, tell)

            with ThreadPoolExecutor(AT_ONCE) as pool:
                try:
                    list(pool.map(bring, files))
                except BaseException:
                    stopped.set()
                    raise
