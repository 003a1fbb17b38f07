"""`models`: weights and where they come from."""

from typing import Literal

from pydantic import Field, field_validator

from deployer.spec.language.base import Section, Text, Texts

FETCHED = ("hf", "modelscope", "https", "local")  # deployer brings the files into the hosts' caches
SCHEMES = ("hf", "modelscope", "ngc", "ollama", "https", "file", "local", "builtin")
Category = Literal["llm", "embedding", "reranker", "speech-to-text", "text-to-speech", "image"]


class Model(Section):
    """Weights. What serves them is a backend."""

    source: Texts = Field(description="URL with one of the schemes " + ", ".join(f"{s}://" for s in SCHEMES))
    revision: Text | None = None
    include: Texts = ()
    exclude: Texts = ()
    category: Category | None = Field(None, description="detected when absent")
    allow_pickle: bool = False

    @field_validator("source", mode="after")
    @classmethod
    def known_scheme(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("a model needs a source")
        for source in value:
            scheme, separator, rest = source.partition("://")
            if not separator or scheme not in SCHEMES or not rest:
                raise ValueError(
                    f"`{source}` is not a source; write it as `file:///path/on/the/host` or with one of "
                    + ", ".join(f"{s}://" for s in SCHEMES)
                )
            if scheme == "file" and not rest.startswith("/"):
                raise ValueError(f"`{source}` is not absolute; write it as `file:///path/on/the/host`")
        return value

    @property
    def scheme(self) -> str:
        return self.source[0].partition("://")[0]

    @property
    def is_fetched(self) -> bool:
        return self.scheme in FETCHED

    def each(self) -> "tuple[Model, ...]":
        """The model from each of its sources alone. Only the first knows its revision by that name."""
        first, *others = self.source
        alone = (self.model_copy(update={"source": (source,), "revision": None}) for source in others)
        return (self.model_copy(update={"source": (first,)}), *alone)

    @property
    def reference(self) -> str:
        """What is looked up for it; models that differ in what they include share that."""
        return f"{' '.join(self.source)}@{self.revision or ''}"

    @property
    def location(self) -> str:
        """What follows `scheme://`: of `file:///srv/m.gguf` the path `/srv/m.gguf`."""
        return self.source[0].partition("://")[2]
