"""The base of all sections: a frozen map with known keys. What is wrong with one is `judge`'s to say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from inspect import get_annotations
from typing import Any, ClassVar, NoReturn, Self

from deployer.spec.language.accept import Refused, accepted
from deployer.spec.language.declare import MISSING, FieldInfo, declared
from deployer.values.secrets import SecretRef

_USUAL: dict[type, Any] = {}


class Section:
    """Its methods are named as those of pydantic's models."""

    __slots__ = ("__dict__", "model_fields_set")
    model_fields: ClassVar[Mapping[str, FieldInfo]] = {}
    model_fields_set: frozenset[str]

    def __init_subclass__(cls) -> None:
        own: dict[str, FieldInfo] = {}
        for name, annotation in get_annotations(cls).items():
            own[name] = declared(annotation, cls.__dict__.get(name, MISSING))
            if name in cls.__dict__:
                delattr(cls, name)
        cls.model_fields = {**cls.model_fields, **own}

    def __init__(self, **given: Any) -> None:
        made = type(self).model_validate(given)
        self.__dict__.update(made.__dict__)
        object.__setattr__(self, "model_fields_set", made.model_fields_set)

    @classmethod
    def model_construct(cls, given: Mapping[str, Any]) -> Self:
        """Of values that are known to be right; keys that are not given have their defaults."""
        made = cls.__new__(cls)
        values = made.__dict__
        for name, info in cls.model_fields.items():
            values[name] = given[name] if name in given else info.usual()
        object.__setattr__(made, "model_fields_set", frozenset(given))
        return made

    @classmethod
    def usual(cls) -> Self:
        """With every key's default, made once."""
        if cls not in _USUAL:
            _USUAL[cls] = cls.model_construct({})
        found: Self = _USUAL[cls]
        return found

    @classmethod
    def model_validate(cls, data: Any, *, strict: bool = False) -> Self:
        """Raises pydantic's ValidationError. `strict`: lists are written as tuples, and text is no number."""
        try:
            made: Self = accepted(cls, data, strict=strict)
        except Refused:
            from deployer.spec.language.judge import judged

            return judged(cls, data, strict=strict)
        return made

    @classmethod
    def model_validate_json(cls, text: str) -> Self:
        return cls.model_validate(json.loads(text))

    @classmethod
    def model_json_schema(cls, ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
        from deployer.spec.language.judge import referee

        return referee(cls).model_json_schema(ref_template=ref_template)

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """With other values, which are known to be right."""
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__, **update)
        object.__setattr__(made, "model_fields_set", self.model_fields_set | update.keys())
        return made

    def model_dump(
        self, *, mode: str = "python", exclude_unset: bool = False, exclude_defaults: bool = False
    ) -> dict[str, Any]:
        """As plain data; with `mode="json"` as JSON has it."""
        kept = self.model_fields_set if exclude_unset else self.model_fields.keys()
        found: dict[str, Any] = {}
        for name, info in self.model_fields.items():
            value = self.__dict__[name]
            if name in kept and not (exclude_defaults and value == info.usual()):
                found[name] = _dumped(value, mode == "json", exclude_unset, exclude_defaults)
        return found

    def model_dump_json(self, *, exclude_defaults: bool = False) -> str:
        return json.dumps(self.model_dump(mode="json", exclude_defaults=exclude_defaults))

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield from self.__dict__.items()

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self)})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"`{name}` of a section cannot be changed")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object = None) -> Self:
        return self


def _dumped(value: Any, as_json: bool, exclude_unset: bool, exclude_defaults: bool) -> Any:
    if isinstance(value, Section):
        mode = "json" if as_json else "python"
        return value.model_dump(mode=mode, exclude_unset=exclude_unset, exclude_defaults=exclude_defaults)
    if isinstance(value, SecretRef):
        return {"secret": value.secret}
    if isinstance(value, dict):
        return {key: _dumped(item, as_json, exclude_unset, exclude_defaults) for key, item in value.items()}
    if isinstance(value, tuple | list):
        items = [_dumped(item, as_json, exclude_unset, exclude_defaults) for item in value]
        return items if as_json or isinstance(value, list) else tuple(items)
    return value
