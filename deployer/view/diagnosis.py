"""What `doctor` found, for people and as JSON: what is wrong first, with what to do about it."""

from __future__ import annotations

from typing import Any

from deployer.planning.diagnose_projects import said_of
from deployer.values.checks import Check, Diagnosis, HostDiagnosis, Verdict
from deployer.view.diagnostics import diagnostic_json
from deployer.view.json_text import FORMAT_VERSION
from deployer.view.measures import counted
from deployer.view.page import Page, Span, Style

STYLES = {Verdict.PASS: Style.ADDED, Verdict.WARN: Style.WARNING, Verdict.FAIL: Style.ERROR}
ORDER = (Verdict.FAIL, Verdict.WARN, Verdict.PASS)


def render_diagnosis(diagnosis: Diagnosis, *, verbose: bool = False) -> Page:
    """`verbose`: the checks that passed one by one."""
    page = Page()
    for name, host in sorted(diagnosis.hosts.items()):
        page.blank()
        page.line(Span(name, Style.BOLD), f"  {_counts(host)}")
        if host.projects:
            page.line("  on it: ", "; ".join(map(said_of, host.projects)))
        for verdict in ORDER:
            found = [check for check in host.checks if check.verdict is verdict]
            if verdict is Verdict.PASS and not verbose and found:
                page.line("  ", _word(verdict), "  ", Span(", ".join(check.name for check in found), Style.DIM))
            else:
                _add(page, found, verbose=verbose)
    page.blank()
    failed, doubted = diagnosis.count(Verdict.FAIL), diagnosis.count(Verdict.WARN)
    hosts = counted(len(diagnosis.hosts), "host")
    said = f"{counted(failed, 'check')} failed, {counted(doubted, 'warning')}" if failed + doubted else "all is well"
    page.line(f"Doctor: {hosts} looked at; {said}.")
    return page


def _counts(host: HostDiagnosis) -> str:
    failed, doubted = host.count(Verdict.FAIL), host.count(Verdict.WARN)
    parts = [f"{failed} failed"] if failed else []
    parts += [counted(doubted, "warning")] if doubted else []
    return ", ".join(parts) or "all is well"


def _add(page: Page, checks: list[Check], *, verbose: bool) -> None:
    for check in checks:
        page.line("  ", _word(check.verdict), f"  {check.name}: {check.message}")
        for line in check.evidence:
            page.line(Span("          | ", Style.DIM), line)
        if check.remedy:
            page.line(Span("          -> ", Style.HINT), check.remedy)


def _word(verdict: Verdict) -> Span:
    return Span(f"{verdict:4}", STYLES[verdict])


def diagnosis_json(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "project": diagnosis.project,
        "id": diagnosis.id,
        "summary": {verdict.value: diagnosis.count(verdict) for verdict in Verdict},
        "hosts": {name: _host_json(host) for name, host in sorted(diagnosis.hosts.items())},
        "problems": [diagnostic_json(problem) for problem in diagnosis.problems],
    }


def _host_json(host: HostDiagnosis) -> dict[str, Any]:
    worst = next((verdict for verdict in ORDER if host.count(verdict)), Verdict.PASS)
    return {
        "verdict": worst.value,
        "checks": [
            {
                "check": check.name,
                "verdict": check.verdict.value,
                "message": check.message,
                "evidence": list(check.evidence),
                "remedy": check.remedy,
            }
            for check in host.checks
        ],
        "projects": [{"project": p.project, "id": p.id, "containers": p.containers} for p in host.projects],
    }
