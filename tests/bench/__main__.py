"""Measures deployer beside other programs: `python -m tests.bench`, from the repository, as root. See README.md.

Prints a table; exits with 1 only when a program failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import groups, peers
from tests.bench.hosts import NETWORK, PREFIX, hosts
from tests.bench.measure import Program, Result, measured
from tests.bench.table import machine, table

BUILD = Path("build/bench")


def main() -> int:
    given = arguments()
    print(machine(), flush=True)
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary)
        if "start" in given.groups:
            failures += show("start", groups.start(), given.runs * 3, folder)
        if "planning" in given.groups:
            failures += show("planning on recorded facts", groups.planning(given.sizes, BUILD), 1, folder)
        if {"noop", "apply"} & set(given.groups):
            failures += on_hosts(given, folder)
        if "fanout" in given.groups:
            failures += passing_on(given, folder)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("--groups", nargs="+", default=["start", "noop", "apply", "fanout", "planning"])
    parser.add_argument("--runs", type=int, default=5, help="how often each program runs")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000], help="hosts to plan for")
    parser.add_argument("--megabytes", type=int, default=60, help="of the model that is passed on")
    parser.add_argument("--mbit", type=int, default=8, help="of each host's link that it is passed on over")
    parser.add_argument("--prefix", default=PREFIX, help="of the lab")
    parser.add_argument("--network", default=NETWORK, help="of the lab: the first three numbers of its addresses")
    return parser.parse_args()


def on_hosts(given: argparse.Namespace, folder: Path) -> list[str]:
    programs = peers.install(BUILD.absolute())
    failures = []
    with hosts(given.prefix, given.network) as lab:
        if "apply" in given.groups:
            failures += show("cold apply, 8 hosts", groups.cold_apply(lab, programs, folder), given.runs, folder)
        if "noop" in given.groups:
            failures += show("no-op plan, 8 hosts", groups.no_op(lab, programs, folder), given.runs, folder)
    return failures


def passing_on(given: argparse.Namespace, folder: Path) -> list[str]:
    from tests.bench.fanout import programs

    with hosts(given.prefix, given.network) as lab, programs(lab, folder, given.megabytes, given.mbit) as found:
        title = f"{given.megabytes} MB to 1 to 8 hosts, links of {given.mbit} Mbit/s"
        return show(title, found, 1, folder)


def show(title: str, programs: Sequence[Program], times: int, folder: Path) -> list[str]:
    results: list[Result] = measured(programs, times, folder)
    print("\n" + table(title, results), flush=True)
    return [failure for result in results for failure in result.failures]


if __name__ == "__main__":
    sys.exit(main())
