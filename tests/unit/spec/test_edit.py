"""An edit changes one setting of a service and not one other byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.errors import SpecError
from deployer.spec.edit import edited

WRITTEN = """\
services:   # what answers
  chat:
    replicas: 2   # weekdays
    model: "tiny"
  embed: {model: tiny}
  ask: {replicas: 1, model: tiny}
"""


def after(text: str, service: str, setting: str = "replicas", value: str = "3") -> str:
    made = edited([("deploy.yaml", text)], service, setting, value)
    assert made is not None
    return made.text


@pytest.mark.parametrize(
    ("service", "old", "new"),
    [
        ("chat", "replicas: 2   # weekdays", "replicas: 3   # weekdays"),
        ("embed", "{model: tiny}\n  ask", "{replicas: 3, model: tiny}\n  ask"),
        ("ask", "{replicas: 1,", "{replicas: 3,"),
    ],
)
def test_nothing_but_the_setting(service: str, old: str, new: str) -> None:
    assert after(WRITTEN, service) == WRITTEN.replace(old, new)


def test_a_setting_that_nobody_wrote_comes_first() -> None:
    text = "services:\n  chat: # ours\n\n    # the model\n    model: tiny\n"
    assert after(text, "chat", "state", "stopped") == text.replace("model: tiny", "state: stopped\n    model: tiny")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "services:\n  chat:\n    replicas:\n    model: tiny\n",
            "services:\n  chat:\n    replicas: 3\n    model: tiny\n",
        ),
        ("services:\n  chat: {}\n", "services:\n  chat: {replicas: 3}\n"),
        (
            "services:\r\n  chat:\r\n    model: tiny\r\n",
            "services:\r\n  chat:\r\n    replicas: 3\r\n    model: tiny\r\n",
        ),
        ("\ufeffservices: {chat: {model: 语}}\n", "\ufeffservices: {chat: {replicas: 3, model: 语}}\n"),
        ("services:\n  chat:\n    'replicas': '2'\n", "services:\n  chat:\n    'replicas': 3\n"),
    ],
)
def test_other_ways_to_write_it(text: str, expected: str) -> None:
    assert after(text, "chat") == expected


def test_what_is_so_already_is_no_edit() -> None:
    assert edited([("deploy.yaml", WRITTEN)], "chat", "replicas", "2") is None


def test_the_file_that_counts_is_edited() -> None:
    over = "services:\n  chat: {model: big}\n"
    made = edited([("deploy.yaml", WRITTEN), ("prod.yaml", over)], "chat", "replicas", "3")
    assert made is not None
    assert (made.file, made.line, made.before) == ("deploy.yaml", 3, "2")
    made = edited([("deploy.yaml", WRITTEN), ("prod.yaml", over)], "chat", "state", "stopped")
    assert made is not None
    assert (made.file, made.line, made.before) == ("prod.yaml", 2, None)


@pytest.mark.parametrize(
    "text",
    [
        "services:\n  chat:\n    replicas: ${var.n}\n",
        "vars: {n: &n 2}\nservices:\n  chat:\n    replicas: *n\n",
        "profiles: {p: &p {replicas: 2}}\nservices:\n  chat: *p\n",
        "services:\n  chat:\n",
        "services: {}\n",
        "version: 1\n",
    ],
)
def test_what_has_no_words_of_its_own_is_not_guessed(text: str) -> None:
    with pytest.raises(SpecError):
        edited([("deploy.yaml", text)], "chat", "replicas", "3")


@given(
    st.dictionaries(st.sampled_from(["model", "replicas", "port", "state"]), st.sampled_from(["1", "a b", "~", "[]"])),
    st.booleans(),
    st.text("# \n", max_size=6),
)
def test_an_edit_is_found_again(settings: dict[str, str], is_flow: bool, gap: str) -> None:
    """Whatever stands around it: the same edit again changes nothing, and the way back gives the same text."""
    if is_flow:
        body = " {" + ", ".join(f"{name}: {value}" for name, value in settings.items()) + "}\n"
    else:
        body = "\n" + "".join(f"    {name}: {value}\n" for name, value in settings.items())
    text = f"services:\n  chat:{body}# {gap.replace(chr(10), ' ')}\n"
    if (not settings and not is_flow) or settings.get("replicas") == "[]":
        return
    made = edited([("f", text)], "chat", "replicas", "7")
    assert made is not None
    assert edited([("f", made.text)], "chat", "replicas", "7") is None
    if made.before is not None:
        back = edited([("f", made.text)], "chat", "replicas", made.before)
        assert back is not None
        assert back.text == text
