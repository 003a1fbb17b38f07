"""Tables of flags: what they say of a release, and what is no table."""

from __future__ import annotations

from importlib import resources

import pytest

from deployer import backends
from deployer.backends.base import FlagRange
from deployer.backends.flag_tables import FlagTable, parse_table

TABLE = """
# of a server
releases 1.0 1.2 1.9
  2.0
.. --always -a
1.2.. --newer
  --newest
..1.2 --older
1.2..1.9 --between
1.2..1.2 --once
"""
FILES = sorted(f.name for f in resources.files("deployer.backends").joinpath("flags").iterdir() if f.name.endswith("t"))


def test_a_table_says_which_releases_have_a_flag() -> None:
    assert parse_table(TABLE, {"--older": "`--newer`"}) == {
        "--always": FlagRange(),
        "-a": FlagRange(),
        "--newer": FlagRange(since="1.2", after="1.0"),
        "--newest": FlagRange(since="1.2", after="1.0"),
        "--older": FlagRange(gone="1.9", instead="`--newer`"),
        "--between": FlagRange(since="1.2", gone="2.0", after="1.0"),
        "--once": FlagRange(since="1.2", gone="1.9", after="1.0"),
    }


@pytest.mark.parametrize("text", ["", "--a --b", "releases 1.0 1.1..: --a", "releases 1.0 .. --a 1.0.. --a"])
def test_what_is_no_table(text: str) -> None:
    with pytest.raises(ValueError):
        parse_table(text, {})


@pytest.mark.parametrize("name", FILES)
def test_a_table_of_ours(name: str) -> None:
    table = FlagTable(name.removesuffix(".txt"))
    assert len(table) == len(set(table)) > 10
    assert all(flag.startswith("-") for flag in table)


def test_every_table_is_of_a_backend_and_every_successor_of_a_flag() -> None:
    tables = {b.flags.name: b.flags for b in backends.load_all() if isinstance(b.flags, FlagTable)}
    assert sorted(f"{name}.txt" for name in tables) == FILES
    for table in tables.values():
        for flag, known in table.items():
            assert known.instead is None or known.gone is not None, flag
