"""Edits of the spec that a command line asks for: worked out on a copy, and written once somebody said yes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic, OperationError, SpecError, UsageError
from deployer.spec.edit import Edit, edited
from deployer.spec.project import Project
from deployer.spec.suggestions import suggestion
from deployer.workflow.files import write_beside
from deployer.workflow.inputs import Inputs, load, read_file

Wishes = Mapping[str, str]  # a service -> the value that the setting is to have


@dataclass(frozen=True, slots=True)
class Edited:
    """`inputs`: the same, reading the edited texts; `before`: the texts as they are on disk."""

    inputs: Inputs
    edits: tuple[Edit, ...]
    before: Mapping[str, bytes]

    def write(self) -> None:
        """OperationError where a file was changed since it was read, or cannot be written: it is as it was then."""
        for file in self.inputs.texts:
            if read_file(file) != self.before[file]:
                raise OperationError(
                    Diagnostic("spec-changed", f"`{file}` was changed meanwhile by somebody else", hint="try again")
                )
        for file, text in self.inputs.texts.items():
            write_beside(Path(file).resolve(), text)


def edit(inputs: Inputs, setting: str, wishes: Wishes) -> Edited:
    """Each service's `setting` as wished, and nothing else. SpecError, UsageError; writes nothing."""
    project = load(inputs)
    for service in wishes:
        if service not in project.spec.services:
            raise _unknown(service, project)
    before = {file: read_file(file) for file in inputs.files}
    texts = {file: content.decode() for file, content in before.items()}
    edits = []
    for service, value in wishes.items():
        made = edited([(file, texts[file]) for file in inputs.files], service, setting, value)
        if made is not None:
            texts[made.file] = made.text
            edits.append(made)
    changed = {file: text.encode() for file, text in texts.items() if text.encode() != before[file]}
    result = Edited(replace(inputs, texts=changed, target=tuple(wishes)), tuple(edits), before)
    _check(project, load(result.inputs), setting, wishes)
    return result


def _check(before: Project, after: Project, setting: str, wishes: Wishes) -> None:
    """SpecError where anything else would be another one: an anchor that others share, or the like."""
    expected = before.spec.model_dump(mode="json")
    for service, value in wishes.items():
        expected["services"][service][setting] = int(value) if value.isdigit() else value
    if after.spec.model_dump(mode="json") != expected:
        named = ", ".join(f"`services.{service}.{setting}`" for service in wishes)
        raise SpecError(
            Diagnostic("not-editable", f"{named} cannot be changed alone", hint="edit the spec, then `deployer apply`")
        )


def _unknown(service: str, project: Project) -> UsageError:
    hint = suggestion(service, project.spec.services, "it has")
    return UsageError(Diagnostic("usage", f"the spec has no service `{service}`", hint=hint))
