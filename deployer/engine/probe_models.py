"""What the beginnings of model files say of the models, added to the facts of their paths. Never raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deployer.dataclass import replace
from deployer.formats.model_files import config_says, gguf_says
from deployer.formats.text import whole_number
from deployer.values.facts import PathFact

Said = tuple[tuple[str, ...], bytes]  # words of the heading, body


def with_models(
    found: dict[str, PathFact], sections: Mapping[str, Sequence[Said]], paths: Sequence[str]
) -> dict[str, PathFact]:
    for name, read in (("gguf", gguf_says), ("config", config_says)):
        for words, body in sections.get(name, ()):
            position = whole_number(words[0], len(paths) - 1) if words and paths else None
            if position is not None and paths[position] in found:
                found[paths[position]] = replace(found[paths[position]], **read(body))
    return found
