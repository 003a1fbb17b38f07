"""`backends`: pins and extensions of the built-in backends."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from deployer.spec.language.base import Section, Text, TextOrSecret, Texts
from deployer.spec.language.services import ApiPaths, Image, Port, short_image, short_port


class BackendPin(Section):
    """What a spec says of a backend; the name is a built-in one (or its alias) unless `extends` is given."""

    extends: str | None = None
    version: Text | None = None
    image: Annotated[Image, BeforeValidator(short_image)] | None = None
    template: str | None = None  # file beside the spec, rendered in a sandbox
    args: Texts = ()
    env: dict[str, TextOrSecret] = Field(default_factory=dict)
    port: Annotated[Port, BeforeValidator(short_port)] = Port.usual()
    api: ApiPaths = ApiPaths.usual()
