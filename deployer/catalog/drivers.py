"""NVIDIA's driver branches for Linux: the newest CUDA that each speaks, and which of them are over.

Sources: NVIDIA CUDA Toolkit release notes, table of toolkit and minimum driver versions; NVIDIA Data Center Drivers,
supported software branches. Versions compare as numbers: 580.65.06 is newer than 575.57.08.
"""

from __future__ import annotations

from collections.abc import Mapping

from deployer.pattern import pattern

CudaVersion = tuple[int, int]
BRANCHES: Mapping[int, CudaVersion] = {
    450: (11, 0), 455: (11, 1), 460: (11, 2), 465: (11, 3), 470: (11, 4), 495: (11, 5), 510: (11, 6), 515: (11, 7),
    520: (11, 8), 525: (12, 0), 530: (12, 1), 535: (12, 2), 545: (12, 3), 550: (12, 4), 555: (12, 5), 560: (12, 6),
    565: (12, 7), 570: (12, 8), 575: (12, 9), 580: (13, 0), 590: (13, 1), 595: (13, 2), 610: (13, 3), 615: (13, 4),
}  # fmt: skip
FIRST_OF_MAJOR: Mapping[int, int] = {11: 450, 12: 525, 13: 580}  # with these an image of that major may run
TAGGED = pattern(r"(?:\A|[-_.])cu(?:da)?-?(?P<major>1[0-9])(?:\.?(?P<minor>\d))?(?![0-9])")


def parse_cuda(text: str | None) -> CudaVersion | None:
    """(12, 4) of `12.4`; None of anything else."""
    major, dot, minor = (text or "").partition(".")
    return (int(major), int(minor)) if dot and major.isdigit() and minor.isdigit() else None


def newest_cuda(driver: str | None) -> CudaVersion | None:
    """That a driver of this version speaks; None of a branch that is older than all that are known."""
    head = (driver or "").partition(".")[0]
    known = [branch for branch in BRANCHES if head.isdigit() and branch <= int(head)]
    return BRANCHES[max(known)] if known else None


def driver_for(cuda: CudaVersion) -> int | None:
    """The first branch that speaks it."""
    return min((branch for branch, speaks in BRANCHES.items() if speaks >= cuda), default=None)


def cuda_of_tag(tag: str) -> CudaVersion | None:
    """What an image's tag says it was built for: (12, 8) of `v0.16.0-cu12.8`, (12, 0) of `cuda-12`; None: nothing."""
    match = TAGGED.search(tag)
    return (int(match["major"]), int(match["minor"] or 0)) if match else None
