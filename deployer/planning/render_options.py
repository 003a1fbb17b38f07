"""Backend-neutral options as a backend's own arguments, and what a backend refuses of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deployer.backends.base import (
    Backend,
    Flag,
    InTemplate,
    OptionMapping,
    Refused,
    SecretByHand,
    SecretConfig,
    SecretEnv,
    Switch,
)
from deployer.backends.versions import has_flag
from deployer.dataclass import replace
from deployer.errors import Diagnostic, Where, warning
from deployer.planning.image_tags import version_of
from deployer.planning.model_options import (
    models_problems,
    option_of_other_kind,
    own_option_refused,
    written_options,
)
from deployer.planning.own_help import Known
from deployer.planning.render_flags import flag_problems, missing_flags
from deployer.planning.served import category_told
from deployer.spec.language import Options, Service
from deployer.spec.language.options import OPTION_NAMES
from deployer.spec.project import Project
from deployer.values.facts import ImageFlags
from deployer.values.secrets import SecretRef

SECRET = SecretEnv | SecretConfig | SecretByHand


def option_args(backend: Backend, options: Options) -> tuple[str, ...]:
    """The arguments of all options that are mapped to a flag, in the order of the language."""
    found: list[str] = []
    for name in OPTION_NAMES:
        value = getattr(options, name)
        if value is not None:
            found.extend(_args(backend.options[name], value))
    return tuple(found)


def _args(mapping: OptionMapping, value: Any) -> Iterator[str]:
    match mapping:
        case Flag():
            text = translated(mapping, value)
            if text is not None:
                for name in (mapping.name, *mapping.more):
                    # argparse takes a value that begins with a dash for another flag
                    yield from (f"{name}={text}",) if _is_dashed(name, text) else (name, str(text))
        case Switch():
            flag = mapping.on if value is True or (value is not False and value > 1) else mapping.off
            if flag is not None:
                yield flag
        case _:
            pass


def _is_dashed(name: str, text: Any) -> bool:
    return name.startswith("--") and isinstance(text, str) and text.startswith("-")


def translated(mapping: OptionMapping, value: Any) -> Any:
    """The backend's own word for a value; a number stays, whole where it is."""
    if isinstance(mapping, Flag | InTemplate) and isinstance(value, str) and mapping.values is not None:
        return mapping.values.get(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def template_options(backend: Backend, options: Options) -> dict[str, Any]:
    """Every option by name, for the template; None where it is absent. Secrets are not for templates."""
    found: dict[str, Any] = {}
    for name in OPTION_NAMES:
        value = found[name] = getattr(options, name)
        if value is None:
            continue
        mapping = backend.options[name]
        if name == "speculative":
            value = value.model_dump()
        found[name] = None if isinstance(mapping, SECRET | Refused) else translated(mapping, value)
    return found


def check_options(
    project: Project,
    name: str,
    backend: Backend,
    overrides: tuple[int, ...] = (),
    said: tuple[ImageFlags, ...] = (),
) -> tuple[Diagnostic, ...]:
    """What this backend refuses of a service, or would ignore, each with its place in the spec; warnings too. `said`:
    what images that it may run said of their flags."""
    service = project.with_backend(name, backend.name, overrides)
    version = version_of(service, service.image.name, backend) if service.image else service.version
    known = Known(backend, version, said)
    found: list[Diagnostic] = []
    found.extend(_notices(project, name, backend))
    found.extend(_format_problems(project, service, backend))
    for option in OPTION_NAMES:
        value = getattr(service.options, option)
        if value is not None and not _is_set_aside(service, backend, option):
            where = project.where("services", name, "options", option)
            category = category_told(project.spec, backend, service, 0) if not service.models else None
            refused = _refusals(backend, option, value, where) or option_of_other_kind(backend, option, category, where)
            found.extend(refused or missing_flags(known, (option, value), where))
    found.extend(models_problems(project, name, backend, service))
    found.extend(_of_the_models(project, name, backend, service))
    for path, problems in (
        (("args",), flag_problems(known, service)),
        (("served_name",), _name_problems(backend, version, service)),
        (("options", "api_key"), _key_problems(backend, service)),
        (("env",), _env_problems(backend, service)),
    ):
        found.extend(replace(d, where=project.where("services", name, *path)) for d in problems)
    if service.nim is not None and not backend.has_profiles:
        message = f"`{backend.name}` has no profiles to choose from (service `{name}`)"
        hint = "remove `nim`, or use `backend: nim`"
        found.append(Diagnostic("nim-refused", message, project.where("services", name, "nim"), hint=hint))
    if service.container.command is not None and service.args:
        where = project.where("services", name, "container", "command")
        message = f"`container.command` takes the place of all arguments, `args` too (service `{name}`)"
        found.append(warning("args-ignored", message, where, "write them in `container.command`, or leave that out"))
    if service.container.ipc == "host" and service.container.shm_size is not None:
        message = f"Docker ignores `shm_size` with `ipc: host` (service `{name}`)"
        where = project.where("services", name, "container", "shm_size")
        found.append(warning("shm-size-ignored", message, where, "leave out `shm_size`, or `ipc: host`"))
    return tuple(replace(d, message=f"{d.message} (service `{name}`)") if name not in d.message else d for d in found)


def _is_set_aside(service: Service, backend: Backend, option: str) -> bool:
    """What is set aside on a GPU that it shares for a server that takes what it needs: nothing it could be told."""
    takes_what_it_needs = backend.memory is None or backend.memory.bound == "needed"
    return option == "gpu_memory" and service.placement.share and takes_what_it_needs


def _notices(project: Project, name: str, backend: Backend) -> Iterator[Diagnostic]:
    if backend.notice is not None:
        where = project.where("services", name, "backend")
        yield warning("backend-notice", backend.notice, where, "choose another `backend` for new services")
    written = (project.spec.services[name].backend or "").lower()
    pin = project.spec.backends.get(written)
    replaced = backend.replaced.get((pin.extends or "").lower() if pin is not None else written)
    if replaced is not None:
        where = project.where("services", name, "backend")
        yield warning("backend-replaced", replaced, where, f"write `backend: {backend.name}`, and check `args`")


def _of_the_models(project: Project, name: str, backend: Backend, service: Service) -> Iterator[Diagnostic]:
    """What the backend refuses of the options that models have by themselves."""
    for option, value, where, index in written_options(project, name, service):
        refused = _refusals(backend, option, value, where) or own_option_refused(backend, option, where)
        category = category_told(project.spec, backend, service, index)
        yield from refused or option_of_other_kind(backend, option, category, where)


def _format_problems(project: Project, service: Service, backend: Backend) -> Iterator[Diagnostic]:
    """A GGUF file, by its name, for a backend that wants folders of safetensors."""
    model = project.spec.models.get(service.model or "")
    if model is not None and model.location.endswith(".gguf") and "gguf" not in backend.formats:
        where = project.where("models", service.model or "", "source")
        message = f"`{backend.name}` is not known to load GGUF files"
        yield warning("format-unsuited", message, where, "choose `backend: llama.cpp`, or correct `source`")


def _refusals(backend: Backend, option: str, value: Any, where: Where | None) -> tuple[Diagnostic, ...]:
    mapping = backend.options[option]
    if isinstance(mapping, Refused) and not _is_among(value, mapping.unless):
        message = f"`{backend.name}` has no `{option}`: {mapping.reason}"
        hint = f"remove `{option}`, or choose another backend"
        return (Diagnostic("option-refused", message, where, hint=hint),)
    words = getattr(mapping, "values", None)
    if words is not None and isinstance(value, str) and value not in words:
        message = f"`{backend.name}` knows no `{option}: {value}`"
        hint = "it takes " + ", ".join(f"`{word}`" for word in words)
        return (Diagnostic("option-refused", message, where, hint=hint),)
    return ()


def _key_problems(backend: Backend, service: Service) -> Iterator[Diagnostic]:
    """API keys that the backend cannot be given."""
    mapping, keys = backend.options["api_key"], service.options.api_key or ()
    takes_many = isinstance(mapping, SecretEnv) and mapping.file_flag is not None
    if isinstance(mapping, SECRET) and len(keys) > 1 and not takes_many:
        message = f"`{backend.name}` takes one `api_key`, not {len(keys)}"
        yield Diagnostic("option-refused", message, hint="keep one `api_key`")
    if isinstance(mapping, SecretByHand) and keys and not _brings(service, keys[0]):
        message = f"nothing brings the secret `{keys[0].secret}` into the container, and `{backend.name}` knows no way"
        entry = f"{{secret: {keys[0].secret}}}"
        hint = f"say how the server takes it, as in `env: {{API_KEY: {entry}}}`, or by `container.secret_files`"
        yield Diagnostic("option-refused", message, hint=hint)


def _env_problems(backend: Backend, service: Service) -> Iterator[Diagnostic]:
    for variable, why in backend.wants_env.items():
        if variable not in service.env:
            hint = f"write `env: {{{variable}: {{secret: NAME}}}}` where it is needed"
            yield warning("env-missing", f"nothing brings `{variable}`: {why}", hint=hint)


def _brings(service: Service, key: SecretRef) -> bool:
    given = [value.secret for value in service.env.values() if isinstance(value, SecretRef)]
    return key.secret in (*given, *(file.secret for file in service.container.secret_files.values()))


def _name_problems(backend: Backend, version: str | None, service: Service) -> Iterator[Diagnostic]:
    """Names that the server will not go by."""
    names = service.served_name
    if names and backend.name_flag is not None and not has_flag(backend, backend.name_flag, version):
        message = f"`{backend.name}` {version or backend.version} calls a model by the last part of its path"
        since = backend.flags[backend.name_flag].since
        hint = f"raise `version` to {since}, or leave out `served_name`"
        yield warning("name-not-listed", message, hint=hint)
    if backend.names == "one" and len(names) > 1:
        message = f"`{backend.name}` serves a model under one name, not {len(names)}"
        yield Diagnostic("names-refused", message, hint=f"keep `{names[0]}`")
    if backend.names == "path" and names:
        message = f"`{backend.name}` answers to any name, and lists its model by the path it has in the container"
        yield warning("name-not-listed", message, hint="leave out `served_name`")


def _is_among(value: Any, values: tuple[object, ...]) -> bool:
    """Unlike `in`, which takes True for 1."""
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in values)
