"""What a backend refuses of the models of a service: several at once, and options or arguments of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from deployer.backends.base import Backend, InTemplate, is_per_model
from deployer.errors import Diagnostic, Where
from deployer.planning.model_args import parse_settings
from deployer.planning.served import served_names
from deployer.spec.language import Service
from deployer.spec.project import Project


def models_problems(project: Project, name: str, backend: Backend, service: Service) -> Iterator[Diagnostic]:
    """Of a service as written, whatever its options are."""
    where = project.where("services", name, "models")
    if service.models and not backend.serves_several:
        message = f"`{backend.name}` serves one model, and service `{name}` has {len(service.models)}"
        yield Diagnostic("models-refused", message, where, hint="write one service per model, with `model`")
    twice = [text for text, count in Counter(served_names(service)).items() if count > 1 and service.models]
    for text in twice:
        message = f"two models of service `{name}` are served as `{text}`"
        yield Diagnostic("name-served-twice", message, where, hint="give each a `served_name` of its own")
    for index, entry in enumerate(service.models):
        if entry.args:
            place = project.where("services", name, "models", index, "args")
            yield from _args_refused(backend, name, entry.args, place)
        if backend.names == "one" and len(entry.served_name) > 1:
            place = project.where("services", name, "models", index, "served_name")
            message = f"`{backend.name}` serves a model under one name, not {len(entry.served_name)} (service `{name}`)"
            yield Diagnostic("names-refused", message, place, hint=f"keep `{entry.served_name[0]}`")


def _args_refused(backend: Backend, name: str, args: tuple[str, ...], where: Where | None) -> Iterator[Diagnostic]:
    if not backend.takes_model_args:
        message = f"`{backend.name}` takes no arguments for one of its models (service `{name}`)"
        yield Diagnostic("args-refused", message, where, hint="use the model's `options`")
        return
    try:
        parse_settings(args)
    except ValueError as error:
        hint = "write `--name VALUE`, as for the backend's own program"
        yield Diagnostic("args-refused", f"{error} (service `{name}`)", where, hint=hint)


def written_options(project: Project, name: str, service: Service) -> Iterator[tuple[str, Any, Where | None, int]]:
    """Options of each of a service's models: name, value, place and which model."""
    for index, entry in enumerate(service.models):
        for option, value in entry.options:
            if value is not None:
                yield option, value, project.where("services", name, "models", index, "options", option), index


def own_option_refused(backend: Backend, option: str, where: Where | None) -> tuple[Diagnostic, ...]:
    """An option that all models of a server share."""
    if is_per_model(backend, option):
        return ()
    message = f"`{backend.name}` has one `{option}` for all of its models"
    return (Diagnostic("option-refused", message, where, hint=f"write `{option}` in the service's own `options`"),)


def option_of_other_kind(
    backend: Backend, option: str, category: str | None, where: Where | None
) -> tuple[Diagnostic, ...]:
    """An option that the backend has for other models than this one. `category`: None where the spec does not say."""
    mapping = backend.options[option]
    kinds = mapping.categories if isinstance(mapping, InTemplate) else None
    if kinds is None or category is None or category in kinds:
        return ()
    message = f"`{backend.name}` has `{option}` for {_listed(kinds)} models, not for a model of category `{category}`"
    return (Diagnostic("option-refused", message, where, hint=f"remove `{option}`"),)


def _listed(kinds: tuple[str, ...]) -> str:
    return " and ".join(f"`{kind}`" for kind in kinds)
