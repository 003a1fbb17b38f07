"""pydantic as the judge of what was not right at first sight, and as the writer of the JSON Schema: each section once
more as a model, made of what the section declares."""

from __future__ import annotations

import types
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import pydantic

from deployer.spec.language.declare import BeforeValidator, FieldInfo, PlainSerializer, WithJsonSchema
from deployer.spec.language.section import Section

S = TypeVar("S", bound=Section)
CONFIG = pydantic.ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)
MODELS: dict[type[Section], type[pydantic.BaseModel]] = {}
SECTIONS: dict[type[pydantic.BaseModel], type[Section]] = {}  # by their models


def judged(section: type[S], data: Any, *, strict: bool) -> S:
    """Raises pydantic.ValidationError."""
    made: S = _as_section(referee(section).model_validate(_as_data(data), strict=strict))
    return made


def referee(section: type[Section]) -> type[pydantic.BaseModel]:
    """The section as a model of pydantic's."""
    if section not in MODELS:
        MODELS[section] = _model_of(section)
        SECTIONS[MODELS[section]] = section
    return MODELS[section]


def _model_of(section: type[Section]) -> type[pydantic.BaseModel]:
    model: type[pydantic.BaseModel] = pydantic.create_model(
        section.__name__,
        __config__=CONFIG,
        __doc__=section.__doc__,
        __module__=section.__module__,
        __validators__=_validators(section),
        **{name: (_type(info.annotation), _field(info)) for name, info in section.model_fields.items()},
    )  # type: ignore[call-overload]
    return model


def _validators(section: type[Section]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in vars(section).items():
        function = getattr(value, "__func__", value)
        if hasattr(function, "validates"):
            found[name] = pydantic.field_validator(*function.validates, mode="after")(value)
        elif hasattr(function, "judges"):
            found[name] = pydantic.model_validator(mode="after")(function)
    return found


def _field(info: FieldInfo) -> Any:
    given: dict[str, Any] = {**info.limits, "description": info.description}
    if info.default_factory is not None:
        given["default_factory"] = info.default_factory
    elif not info.is_required:
        given["default"] = _as_model(info.default)
    return pydantic.Field(**given)


def _type(annotation: Any) -> Any:
    """The annotation, with models in the place of sections and pydantic's marks in the place of ours."""
    if hasattr(annotation, "__metadata__"):
        marks = [_mark(mark) for mark in annotation.__metadata__ if not isinstance(mark, FieldInfo)]
        inner = _type(annotation.__origin__)
        return reduce(lambda kind, mark: Annotated[kind, mark], marks, inner)
    origin, given = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return reduce(or_, [_type(part) for part in given])
    if origin is not None and origin is not Literal:
        return origin[tuple(_type(part) for part in given)]
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return referee(annotation)
    return annotation


def _mark(mark: Any) -> Any:
    match mark:
        case BeforeValidator():
            return pydantic.BeforeValidator(mark.func)
        case PlainSerializer():
            return pydantic.PlainSerializer(mark.func)
        case WithJsonSchema():
            return pydantic.WithJsonSchema(mark.schema)
        case _:
            return mark


def _as_model(value: Any) -> Any:
    """A section that is a default."""
    return referee(type(value)).model_construct() if isinstance(value, Section) else value


def _as_data(value: Any) -> Any:
    """Without sections among what is given."""
    if isinstance(value, Section):
        return {name: _as_data(getattr(value, name)) for name in value.model_fields_set}
    if isinstance(value, dict):
        return {key: _as_data(item) for key, item in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_as_data(item) for item in value)
    return value


def _as_section(value: Any) -> Any:
    if isinstance(value, pydantic.BaseModel):
        given = {name: _as_section(getattr(value, name)) for name in value.model_fields_set}
        return SECTIONS[type(value)].model_construct(given)
    if isinstance(value, dict):
        return {key: _as_section(item) for key, item in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_as_section(item) for item in value)
    return value
