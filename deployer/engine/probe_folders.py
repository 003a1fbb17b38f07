"""What a probe says of the files in folders that it was asked about: sizes and times by name. Never raises."""

from __future__ import annotations

from collections.abc import Sequence

from deployer.formats.text import one_line, whole_number


def parse_folders(text: str, folders: Sequence[str]) -> dict[str, dict[str, tuple[int, int]]]:
    """Lines of SIZE TIME PATH; whatever else stands there is somebody's name with a newline."""
    found: dict[str, dict[str, tuple[int, int]]] = {folder: {} for folder in folders}
    for line in text.split("\n"):
        size, _, rest = line.partition(" ")
        time, _, path = rest.partition(" ")
        folder, _, name = path.rpartition("/")
        stamp = whole_number(size), whole_number(time)
        if folder in found and name and stamp[0] is not None and stamp[1] is not None:
            found[folder][one_line(name, 300)] = (stamp[0], stamp[1])
    return found
