"""Who an apply talks to: a person, or a program that reads JSON lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from deployer.cli.console import Console
from deployer.cli.options import Shared
from deployer.errors import DeployerError, Diagnostic
from deployer.values.events import ApplyResult
from deployer.values.plan import Plan
from deployer.view.apply_text import render_result
from deployer.view.plan_json import plan_json
from deployer.view.plan_text import render_plan
from deployer.view.progress import Reporter
from deployer.view.progress.json_lines import JsonReporter, result_json
from deployer.view.progress.plain import PlainReporter


def reporter_for(console: Console) -> Reporter:
    """Progress on stderr: live on a terminal, else plain lines."""
    if console.err.isatty() and not console.is_dumb:
        from deployer.view.progress.live import LiveReporter

        return LiveReporter(console.err, colour=console.has_colour(console.err))
    return PlainReporter(console.progress)


class Audience(Protocol):
    def show(self, plan: Plan) -> None:
        """The plan, before anything is done."""

    def nothing_done(self, plan: Plan, problems: Sequence[Diagnostic]) -> None:
        """The plan has errors, or no steps."""

    def reporter(self) -> Reporter: ...

    def ended(self, plan: Plan, result: ApplyResult) -> None: ...

    def refused(self, error: DeployerError) -> None:
        """It did not come to an end: a bad spec, a lock, hosts that moved."""


class TextAudience:
    """Plan and result on stdout, progress on stderr: live on a terminal, else plain lines."""

    def __init__(self, shared: Shared, *, steps: bool, verb: str) -> None:
        self._console, self._verbose = shared.console, shared.verbose
        self._steps, self._verb = steps, verb

    def show(self, plan: Plan) -> None:
        self._console.problems(plan.problems)
        self._console.result(render_plan(plan, steps=self._steps, verbose=self._verbose))

    def nothing_done(self, plan: Plan, problems: Sequence[Diagnostic]) -> None:
        """The plan's last line says it."""

    def reporter(self) -> Reporter:
        return reporter_for(self._console)

    def ended(self, plan: Plan, result: ApplyResult) -> None:
        self._console.problems(result.problems)
        self._console.result(render_result(plan, result, verb=self._verb))

    def refused(self, error: DeployerError) -> None:
        self._console.problems(error.diagnostics)


class JsonAudience:
    """One object a line on stdout, the last one the summary; problems on stderr too."""

    def __init__(self, shared: Shared) -> None:
        self._console = shared.console
        self._lines = JsonReporter(self._console.progress_data)

    def show(self, plan: Plan) -> None:
        self._console.problems(plan.problems)
        self._lines.say("plan", plan=plan_json(plan))

    def nothing_done(self, plan: Plan, problems: Sequence[Diagnostic]) -> None:
        self._end(plan, ApplyResult("", problems=tuple(problems)))

    def reporter(self) -> Reporter:
        return self._lines

    def ended(self, plan: Plan, result: ApplyResult) -> None:
        self._console.problems([*(failed.diagnostic for failed in result.failed), *result.problems])
        self._end(plan, result)

    def refused(self, error: DeployerError) -> None:
        self._console.problems(error.diagnostics)
        self._end(None, ApplyResult("", problems=error.diagnostics))

    def _end(self, plan: Plan | None, result: ApplyResult) -> None:
        self._lines.say("summary", summary=plan.summary() if plan else None, **result_json(result))
