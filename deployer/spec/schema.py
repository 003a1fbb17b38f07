"""JSON Schema (2020-12) of deploy.yaml and inventories as people write them: short forms, `KEY+`, null, `x-` keys."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from deployer.spec.language import DeploySpec, Inventory
from deployer.spec.shape import Kind, Shape, section

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VARIABLE = {"type": "string", "pattern": r"^\$\{var\.[^{}]+\}$"}
NULL = {"type": "null"}

JsonSchema = dict[str, Any]


def json_schema() -> JsonSchema:
    """Of deploy.yaml."""
    return _schema(DeploySpec, "deploy.yaml")


def inventory_schema() -> JsonSchema:
    """Of an inventory file."""
    return _schema(Inventory, "inventory")


def _schema(model: type[BaseModel], title: str) -> JsonSchema:
    root = section(model)
    made = model.model_json_schema()
    definitions = made.pop("$defs", {})
    parts = {shape.model: shape for shape in _sections(root, set()) if shape.model is not None}
    for part in parts:
        if part is not model and part.__name__ not in definitions:
            extra = part.model_json_schema(ref_template="#/$defs/{model}")
            definitions |= {**extra.pop("$defs", {}), part.__name__: extra, **definitions}
    for part, shape in parts.items():
        if part is not model:
            definitions[part.__name__] = _section_schema(definitions[part.__name__], shape)
    return {"$schema": DIALECT, **_section_schema(made, root), "title": title, "$defs": _sorted(definitions)}


def _sections(shape: Shape, seen: set[type[BaseModel]]) -> Iterator[Shape]:
    """Every section of the language, once."""
    if shape.model is not None:
        if shape.model in seen:
            return
        seen.add(shape.model)
        yield shape
        for child in shape.fields.values():
            yield from _sections(child, seen)
    elif shape.item is not None:
        yield from _sections(shape.item, seen)


def _section_schema(made: JsonSchema, shape: Shape) -> JsonSchema:
    """A map of known keys, with the forms that people may write each of them in."""
    properties: JsonSchema = {}
    for name, made_property in made["properties"].items():
        field = shape.fields[name]
        properties[name] = _property(made_property, field, required=name in made.get("required", ()))
        if field.kind is Kind.LIST:
            appended = _without_noise(made_property)
            properties[f"{name}+"] = {**appended, "description": f"appended to the `{name}` of the layers below"}
    found: JsonSchema = {key: made[key] for key in ("description", "required") if key in made}
    free = {"patternProperties": {"^x-": {}}, "additionalProperties": False}
    return {"type": "object", **found, "properties": properties, **free}


def _property(made: JsonSchema, shape: Shape, *, required: bool = False) -> JsonSchema:
    """One key's value: as the model has it, its short form, a variable, or null for the default."""
    made = _without_noise(made)
    notes: JsonSchema = {key: made.pop(key) for key in ("description", "default") if key in made}
    choices = [_entries(made, shape)]
    single = shape.kind is Kind.VALUE or (shape.kind is Kind.LIST and shape.replaces)
    if single and not _takes_any_text(made):
        choices.append(VARIABLE)
    return {**notes, **_any_of([*choices, NULL] if not required else choices)}


def _entries(made: JsonSchema, shape: Shape) -> JsonSchema:
    """The schema with sections in the places where pydantic sees free maps, and short forms of sections."""
    if shape.kind is Kind.SECTION and shape.model is not None:
        reference = {"$ref": f"#/$defs/{shape.model.__name__}"}
        others = [part for part in _alternatives(made) if "$ref" not in part and part.get("type") != "object"]
        return _any_of([reference, *others, *_short_form(shape)])
    if shape.kind is Kind.MAPPING and shape.item is not None:
        item = _entries(_without_noise(_map_part(made)["additionalProperties"]), shape.item)
        return {"type": "object", "additionalProperties": _any_of([item, NULL])}
    return made


def _map_part(made: JsonSchema) -> JsonSchema:
    return next(part for part in _alternatives(made) if part.get("type") == "object")


def _short_form(shape: Shape) -> list[JsonSchema]:
    if shape.short is None or shape.model is None:
        return []
    bare = shape.model.model_json_schema(ref_template="#/$defs/{model}")["properties"][shape.short]
    return [_property(bare, shape.fields[shape.short], required=True)]


def _any_of(parts: list[JsonSchema]) -> JsonSchema:
    """The alternatives without nesting and doubles, bare types in one."""
    flat = [alternative for part in parts for alternative in _alternatives(part)]
    types = [name for part in flat if part.keys() == {"type"} for name in _listed(part["type"])]
    kept: list[JsonSchema] = []
    for part in flat:
        if part.keys() != {"type"} and part not in kept:
            kept.append(part)
    if types:
        names = list(dict.fromkeys(types))
        kept.append({"type": names if len(names) > 1 else names[0]})
    return kept[0] if len(kept) == 1 else {"anyOf": kept}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _alternatives(made: JsonSchema) -> list[JsonSchema]:
    if made.keys() - {"description", "default"} != {"anyOf"}:
        return [made]
    return [alternative for part in made["anyOf"] for alternative in _alternatives(part)]


def _takes_any_text(made: JsonSchema) -> bool:
    return any(
        "string" in _listed(part.get("type")) and not {"pattern", "enum", "const"} & part.keys()
        for part in _alternatives(made)
    )


def _without_noise(made: JsonSchema) -> JsonSchema:
    """Without titles that repeat the key and defaults that say nothing."""
    made = copy.deepcopy(made)
    made.pop("title", None)
    if isinstance(made.get("default", ""), dict | list | None):
        made.pop("default")
    return made


def _sorted(definitions: JsonSchema) -> JsonSchema:
    return {name: {k: v for k, v in definitions[name].items() if k != "title"} for name in sorted(definitions)}
