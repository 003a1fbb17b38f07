from __future__ import annotations

import pytest

from deployer.planning.render_mounts import merged_mounts, parse_volume
from deployer.values.container import Mount


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/a:/b", Mount("/a", "/b")),
        ("/a:/b:ro", Mount("/a", "/b", read_only=True)),
        ("/a:/b:rw", Mount("/a", "/b")),
        ("/a:/b:ro,rslave", Mount("/a", "/b", read_only=True, propagation="rslave")),
        ("/a:/b:z", Mount("/a", "/b", relabel="z")),
        ("/a:/b:ro,Z", Mount("/a", "/b", read_only=True, relabel="Z")),
        ("data:/b", Mount("data", "/b", kind="volume")),
        ("data:/b:nocopy", Mount("data", "/b", kind="volume", no_copy=True)),
        ("/a b:/c d", Mount("/a b", "/c d")),
        ("/a:/b:cached", Mount("/a", "/b")),
    ],
)
def test_volumes_as_docker_reads_them(text: str, mount: Mount) -> None:
    assert parse_volume(text) == mount


@pytest.mark.parametrize(
    "text",
    [
        "/a",
        "",
        ":/b",
        "/a:",
        "./a:/b",
        "../a:/b",
        "a/b:/c",
        "~/a:/b",
        "~:/b",
        "/a:b",
        "/a:/",
        "/a://",
        "/a:/b:rx",
        "/a:/b:ro:x",
    ],
)
def test_volumes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="`"):
        parse_volume(text)


def test_the_spec_replaces_ours_by_target() -> None:
    ours = [Mount("/m", "/models/x"), Mount("/c", "/cache")]
    assert merged_mounts(ours, [Mount("/mine", "/cache/")]) == (Mount("/m", "/models/x"), Mount("/mine", "/cache/"))


def test_one_target_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two volumes go to `/x`"):
        merged_mounts([], [Mount("/a", "/x"), Mount("/b", "/x/")])
