"""A bundle as text and JSON: what is in it, who signed it, and what it needs from elsewhere."""

from __future__ import annotations

from typing import Any

from deployer.values.bundle import Bundle, Content, Signer, blobs_of, total
from deployer.values.image_content import ResolvedImage
from deployer.values.weights import Manifest
from deployer.view.json_text import FORMAT_VERSION
from deployer.view.measures import counted, render_bytes
from deployer.view.page import Page, Span, Style

SHORT = 12  # characters of a commit or a digest


def render_bundle(bundle: Bundle, signer: Signer, checked: bool | None = None) -> Page:
    """`checked`: every byte was read and is right; None: nobody asked."""
    page = Page()
    page.line(Span(f"bundle {bundle.sequence}", Style.BOLD), f" of project `{bundle.project}`")
    page.line(f"  made     {bundle.made} by {bundle.by}, deployer {bundle.deployer}")
    page.line("  signed   ", *_signed(signer))
    page.line(f"  holds    {counted(len(bundle.contents), 'file')}, {render_bytes(bundle.size)}")
    if checked:
        page.line("  content  every file read, and as the index says")
    if bundle.parent is not None:
        needs = f"{counted(len(bundle.elsewhere), 'file')}, {render_bytes(total(bundle.elsewhere))}"
        page.line(f"  needs    bundle {bundle.parent.sequence}, or hosts that have what it brought: {needs}")
    if bundle.inside:
        there = f"{counted(len(bundle.inside), 'file')}, {render_bytes(total(bundle.inside))}"
        page.line(f"  left out {there} that the hosts had when it was made")
    _render_parts(page, bundle)
    return page


def _render_parts(page: Page, bundle: Bundle) -> None:
    page.blank()
    here = _hashes(bundle.contents)
    for model in bundle.models:
        what = f"{model.source} at {model.commit[:SHORT]}, {counted(len(model.files), 'file')}"
        page.line("  model    ", Span(what, Style.BOLD), f", {render_bytes(model.size)}{_part_here(model, here)}")
    for name, image in sorted(bundle.images.items()):
        blobs = blobs_of(image)
        what = f", {', '.join(sorted(image.platforms))}, {render_bytes(sum(blob.size for blob in blobs))}"
        missing = sum(blob.size for blob in blobs if blob.hex not in here)
        page.line("  image    ", Span(name, Style.BOLD), what, _elsewhere(missing))
    for path in sorted(bundle.spec.sources):
        page.line("  text     ", path)
    for content in bundle.contents:
        if content.path.startswith("wheels/"):
            page.line("  wheel    ", content.path.removeprefix("wheels/"))


def _part_here(model: Manifest, here: frozenset[str]) -> str:
    missing = sum(file.size for file in model.files if file.sha256 not in here)
    return _elsewhere(missing)


def _elsewhere(missing: int) -> str:
    return f", {render_bytes(missing)} of it elsewhere" if missing else ""


def _hashes(contents: tuple[Content, ...]) -> frozenset[str]:
    return frozenset(content.sha256 for content in contents)


def _signed(signer: Signer) -> tuple[Span | str, ...]:
    if signer.trust == "trusted":
        return (Span(f"by {signer.name}", Style.ADDED), f", {signer.key}")
    if signer.trust == "unknown":
        return (Span("by a key that is not among the allowed signers", Style.WARNING), f": {signer.key}")
    return (Span("by nobody", Style.WARNING),)


def bundle_json(bundle: Bundle, signer: Signer, checked: bool | None = None) -> dict[str, Any]:
    parent = bundle.parent
    here = _hashes(bundle.contents)
    return {
        "format_version": FORMAT_VERSION,
        "project": bundle.project,
        "id": bundle.id,
        "sequence": bundle.sequence,
        "made": bundle.made,
        "by": bundle.by,
        "deployer": bundle.deployer,
        "signature": {"trust": signer.trust, "name": signer.name or None, "key": signer.key or None},
        "checked": bool(checked),
        "size": bundle.size,
        "files": [_content(content) for content in bundle.contents],
        "parent": {"sequence": parent.sequence, "digest": parent.digest} if parent is not None else None,
        "needs": [_content(content) for content in bundle.elsewhere],
        "inside": [_content(content) for content in bundle.inside],
        "models": [_model(model, here) for model in bundle.models],
        "images": [_image(name, image, here) for name, image in sorted(bundle.images.items())],
        "texts": sorted(bundle.spec.sources),
    }


def _content(content: Content) -> dict[str, Any]:
    return {"path": content.path, "size": content.size, "sha256": content.sha256}


def _image(name: str, image: ResolvedImage, here: frozenset[str]) -> dict[str, Any]:
    blobs = blobs_of(image)
    return {
        "reference": name,
        "digest": image.digest,
        "platforms": sorted(image.platforms),
        "size": sum(blob.size for blob in blobs),
        "here": all(blob.hex in here for blob in blobs),
    }


def _model(model: Manifest, here: frozenset[str]) -> dict[str, Any]:
    files = [{"path": f.path, "size": f.size, "sha256": f.sha256, "here": f.sha256 in here} for f in model.files]
    return {"source": model.source, "revision": model.revision, "commit": model.commit, "files": files}
