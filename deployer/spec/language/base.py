"""What all sections share: the strict base model, sizes, durations, scalars, and the mark for keys not built yet."""

import re
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from deployer.dataclass import dataclass
from deployer.values.secrets import SecretRef

SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kmgtp]?)(?:i?b)?\Z", re.IGNORECASE)
DURATION = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s?)?\Z")
LONGEST_DURATION = 366 * 86400.0  # seconds


class Section(BaseModel):
    """A frozen map with known keys only."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True, defer_build=True
    )

    @classmethod
    def usual(cls) -> Self:
        """With every key's default, made once. Calling the class would build a validator of its own, at import."""
        found: Self = _usual(cls)
        return found

    def __deepcopy__(self, memo: object = None) -> Self:
        """Itself, being frozen: pydantic copies the default of each absent field, which was most of a load's time."""
        return self


@cache
def _usual(kind: type[Section]) -> Any:
    return kind.model_construct()


@dataclass(frozen=True, slots=True)
class NotYet:
    """Marks a key that the language has and this version does not build: `error[not-supported-yet]` when used."""

    instead: str  # what to do until then


def parse_size(text: object) -> int:
    """Bytes of `16g`, `512m`, `1.5GiB`, `4096`; units are powers of 1024, as Docker reads them. Raises ValueError."""
    if isinstance(text, bool) or not isinstance(text, int | str):
        raise ValueError("a size is a number of bytes or text such as `16g`")
    match = SIZE.match(str(text).strip())
    if match is None:
        raise ValueError(f"`{text}` is not a size; write it as `16g`, `512m` or a number of bytes")
    if len(match["number"]) > 20:
        raise ValueError("a size of more than twenty digits is no size")
    return int(float(match["number"]) * 1024 ** " kmgtp".index(match["unit"].lower() or " "))


def parse_duration(text: object) -> float:
    """Seconds of `90s`, `20m`, `1h30m`, `45`. ValueError otherwise."""
    if isinstance(text, bool) or not isinstance(text, int | float | str):
        raise ValueError("a duration is a number of seconds or text such as `90s` or `20m`")
    match = DURATION.match(str(text).strip())
    if match is None or not str(text).strip():
        raise ValueError(f"`{text}` is not a duration; write it as `90s`, `20m` or `1h30m`")
    seconds = float(match["h"] or 0) * 3600 + float(match["m"] or 0) * 60 + float(match["s"] or 0)
    if seconds > LONGEST_DURATION:
        raise ValueError(f"`{text}` is longer than a year")
    return seconds


def parse_text(value: object) -> object:
    """YAML scalars that mean text: numbers and booleans as they would be typed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def parse_secret(value: object) -> object:
    if isinstance(value, dict):
        if set(value) != {"secret"} or not isinstance(value["secret"], str):
            raise ValueError("a secret is written `{secret: NAME}`, with NAME from `secrets:`")
        return SecretRef(value["secret"])
    return value


def secret_or_text(value: object) -> object:
    return parse_text(parse_secret(value))


def dump_secret(value: Any) -> Any:
    return {"secret": value.secret} if isinstance(value, SecretRef) else value


def listed(value: object) -> object:
    """One item stands for a list of one."""
    return value if value is None or isinstance(value, list | tuple) else [value]


SECRET_SCHEMA = {
    "type": "object",
    "properties": {"secret": {"type": "string"}},
    "required": ["secret"],
    "additionalProperties": False,
}
TEXT_SCHEMA = {"type": ["string", "number", "boolean"]}

Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema({"type": ["string", "integer"]})]
Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema({"type": ["string", "number"]})]
Text = Annotated[str, BeforeValidator(parse_text), WithJsonSchema(TEXT_SCHEMA)]
Secret = Annotated[
    SecretRef, BeforeValidator(parse_secret), PlainSerializer(dump_secret), WithJsonSchema(SECRET_SCHEMA)
]
TextOrSecret = Annotated[
    str | SecretRef,
    BeforeValidator(secret_or_text),
    PlainSerializer(dump_secret),
    WithJsonSchema({"anyOf": [TEXT_SCHEMA, SECRET_SCHEMA]}),
]


def one_or_more(schema: dict[str, Any]) -> tuple[BeforeValidator, WithJsonSchema]:
    """Validator and schema of a key that takes one value or a list of them."""
    check: Callable[[object], object] = listed
    return BeforeValidator(check), WithJsonSchema({"anyOf": [schema, {"type": "array", "items": schema}]})


Texts = Annotated[tuple[Text, ...], *one_or_more(TEXT_SCHEMA)]
