"""A plan as Markdown: whatever hosts and specs say, the document keeps its shape, and it fits into a comment."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from deployer.view.markdown import Section, fitted, size
from deployer.view.plan_markdown import LIMIT, render_markdown
from tests.unit.view.hostile import NASTY, hostile_plan
from tests.unit.view.plans import creation, everything, impossible

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
# What GitHub and GitLab look for in what was rendered, outside of `code` and `pre`.
REFERENCES = re.compile(r"[@#!~$%&]\w|\bGH-\d|://|\bwww\.|:[a-z]\w*:", re.IGNORECASE)
OWN_TAGS = {"h3", "h4", "p", "strong", "em", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "details",
            "summary", "pre", "code"}  # fmt: skip


class Shape(HTMLParser):
    """Tags in order, but `code`; the text of each element apart from `pre`; comments."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.comments: list[str] = []
        self._inside: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside.append(tag)
        self.names.add(tag)
        self.attributes += attrs
        self.tags += [tag] if tag != "code" else []

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag
        self.tags += [f"/{tag}"] if tag != "code" else []

    def handle_data(self, data: str) -> None:
        if "pre" not in self._inside:
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def shape(markdown: str) -> Shape:
    return Shape(READER.render(markdown))


def test_the_reader_sees_what_forges_would() -> None:
    """The oracle itself: raw Markdown of this kind does change the document."""
    assert shape("a | b\n--|--\n<b>x</b> | `|`\n").names > {"table", "b"}


BENIGN = shape(render_markdown(hostile_plan(("word",))))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(NASTY) | st.text(max_size=30), min_size=1, max_size=12))
def test_foreign_text_is_never_markup(texts: list[str]) -> None:
    seen = shape(render_markdown(hostile_plan(texts)))
    assert seen.tags == BENIGN.tags
    assert seen.names <= OWN_TAGS
    assert set(seen.attributes) == {("lang", "diff")}
    assert seen.comments == [" deployer plan demo "]
    assert [text for text in seen.texts if REFERENCES.search(text)] == []


@pytest.mark.parametrize("text", NASTY)
def test_each_nasty_text_everywhere(text: str) -> None:
    markdown = render_markdown(hostile_plan((text,)))
    assert shape(markdown).tags == BENIGN.tags
    assert "\x1b" not in markdown
    assert not re.search(r"##\w*\[|^\s*::|^/", markdown, re.MULTILINE)
    markdown.encode()


def test_text_is_still_readable() -> None:
    seen = "".join(shape(render_markdown(hostile_plan(("a<b>_c_|d",)))).texts)
    assert "a<b>_c_|d" in seen


def many(count: int) -> str:
    plan = hostile_plan(("word " * 20,))
    return render_markdown(
        type(plan)(**{f: getattr(plan, f) for f in plan.__slots__} | {"changes": plan.changes * count})
    )


def test_it_fits_into_a_comment_and_says_what_was_cut() -> None:
    markdown = many(400)
    assert LIMIT // 2 < size(markdown) <= LIMIT
    (note,) = [line for line in markdown.splitlines() if line.startswith("_Cut to fit a comment: ")]
    assert re.search(r"\d+ of 1200 changes, \d+ of 1200 field diffs", note)
    seen = shape(markdown)
    assert seen.names <= OWN_TAGS
    assert seen.tags.count("details") == seen.tags.count("/details") > 0


def test_what_fits_is_whole() -> None:
    assert "_Cut" not in many(3)


@given(st.lists(st.integers(0, 200), max_size=30), st.integers(600, 3000))
def test_sections_never_exceed_the_limit(sizes: list[int], limit: int) -> None:
    items = tuple("é" * (n // 2) + "x\n" for n in sizes)
    text = fitted("top\n", [Section("things", "Head\n\n", items), Section("more", "", items)], limit)
    assert size(text) <= limit
    assert text.startswith("top\n")
    assert ("_Cut" in text) or text.count("x\n") == 2 * len(items)


@pytest.mark.parametrize("plan", [creation(), everything(), impossible()])
def test_our_own_plans_render_to_our_own_tags(plan: object) -> None:
    assert shape(render_markdown(plan)).names <= OWN_TAGS  # type: ignore[arg-type]
