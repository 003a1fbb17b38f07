"""What `scale`, `start` and `stop` share: one edit of the spec, shown, and applied with it."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.cli.applying import Wish, run_apply
from deployer.cli.options import Shared
from deployer.dataclass import replace
from deployer.values.events import Note


def run_edit(shared: Shared, setting: str, wishes: Mapping[str, str], wish: Wish) -> int:
    """The spec on disk is edited once somebody said yes, before anything is done; not where the plan has errors."""
    from deployer.workflow.editing import Edited, edit

    made: list[Edited] = []

    def prepared(known: Shared) -> Shared:
        found = edit(known.inputs, setting, wishes)
        made.append(found)
        for one in found.edits:
            was = f"{one.before} -> {one.after}" if one.before is not None else one.after
            known.report(Note(f"{one.file}:{one.line}: {one.setting}: {was}"))
        return replace(known, inputs=found.inputs)

    return run_apply(shared, replace(wish, prepared=prepared, agreed=lambda: made[0].write()))
