"""`backends`: pins and extensions of the built-in backends."""

from __future__ import annotations

from pydantic import Field

from deployer.spec.language.base import Section, Text, TextOrSecret, Texts


class BackendPin(Section):
    """What a spec says of a backend; the name is a built-in one (or its alias) unless `extends` is given."""

    extends: str | None = None
    version: Text | None = None
    image: Text | None = None
    template: str | None = None  # file beside the spec, rendered in a sandbox
    args: Texts = ()
    env: dict[str, TextOrSecret] = Field(default_factory=dict)
