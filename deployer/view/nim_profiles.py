"""Profiles of a NIM image, for people and as JSON: those that can be taken first."""

from __future__ import annotations

from typing import Any

from deployer.planning.nim_profiles import HostProfiles, JudgedProfile, NimReport
from deployer.values.nim import NimProfile
from deployer.view.diagnostics import diagnostic_json
from deployer.view.json_text import FORMAT_VERSION
from deployer.view.page import Page, Span, Style


def render_nim_profiles(found: NimReport, *, verbose: bool = False) -> Page:
    """`verbose`: with the ids of those that cannot be taken."""
    page = Page()
    for host in found.hosts:
        page.blank()
        place = f"{host.host}, " if host.host else ""
        page.line(Span(found.service, Style.BOLD), f" on {place}{cards_of(host)}: ", _taken(host))
        usable = [one for one in host.judged if not one.reasons]
        if usable:
            page.line("  can be taken, the best one first")
        for one in usable:
            page.line("    ", Span(one.profile.name, Style.ADDED), Span(_aside(one), Style.DIM))
            page.line(f"      {one.profile.id}")
        others = [one for one in host.judged if one.reasons]
        if others:
            page.line("  cannot be taken here")
        for one in others:
            page.line(f"    {one.profile.name}", Span(f"  {'; '.join(one.reasons)}", Style.DIM))
            if verbose:
                page.line(Span(f"      {one.profile.id}", Style.DIM))
    page.blank()
    return page


def cards_of(host: HostProfiles) -> str:
    return f"{len(host.gpus)} x {host.gpus[0].name}" if host.gpus else "no GPU"


def _taken(host: HostProfiles) -> Span:
    taken, named = host.taken, host.written is not None
    if taken is None:
        why = f"the spec names `{host.written}`, which is not one of them" if named else "no profile suits it"
        return Span(why, Style.ERROR)
    if named:
        doubtful = any(one.profile is taken and one.reasons for one in host.judged)
        return Span(f"takes {taken.name}, as the spec says", Style.CHANGED if doubtful else Style.ADDED)
    return Span(f"takes {taken.name}", Style.ADDED)


def _aside(one: JudgedProfile) -> str:
    parts = ["its first start builds an engine"] if one.traits.buildable else []
    if one.profile.said not in ("unsaid", "runnable"):
        parts.append(f"the image said `{one.profile.said}` of the GPUs that it was shown")
    return f"  ({'; '.join(parts)})" if parts else ""


def nim_profiles_json(found: NimReport) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "service": found.service,
        "hosts": [_host_json(host) for host in found.hosts],
        "problems": [diagnostic_json(problem) for problem in found.problems],
    }


def _host_json(host: HostProfiles) -> dict[str, Any]:
    return {
        "host": host.host or None,
        "image": host.image or None,
        "gpus": [gpu.name for gpu in host.gpus],
        "asked": host.asked or None,
        "written": host.written,
        "taken": _short(host.taken),
        "profiles": [_profile_json(one) for one in host.judged],
    }


def _short(profile: NimProfile | None) -> dict[str, Any] | None:
    return None if profile is None else {"id": profile.id, "name": profile.name}


def _profile_json(one: JudgedProfile) -> dict[str, Any]:
    traits, profile = one.traits, one.profile
    return {
        "id": profile.id,
        "name": profile.name,
        "compatible": not one.reasons,
        "reasons": list(one.reasons),
        "backend": traits.backend,
        "gpu": traits.gpu,
        "precision": traits.precision,
        "tensor_parallel": traits.tensor,
        "pipeline_parallel": traits.pipeline,
        "goal": traits.goal,
        "lora": traits.lora,
        "buildable": traits.buildable,
        "memory": profile.memory,
        "said": profile.said,
    }
