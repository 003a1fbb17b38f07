"""What is taken at first sight is what pydantic takes, and has the values that pydantic makes of it."""

import copy
import subprocess
import sys

import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deployer.spec.language import Host, Inventory, Service
from deployer.spec.language.accept import Refused, accepted
from deployer.spec.language.base import Section
from deployer.spec.language.container import Container
from deployer.spec.language.judge import judged
from deployer.values.secrets import SecretRef
from tests.unit.spec.test_examples import EVERYTHING, FILES, HERE

SCALARS = (
    None, True, False, 0, 1, 2, -1, 65535, 65536, 1000, 1001, 2**70, 0.0, 0.5, 1.0, 1.5, -0.0, float("inf"),
    float("nan"), "", "x", "1", "1.0", "16g", "90s", "0755", "755", "none", "auto", "no", "always", "none\n", "/a",
    "/a\n", "/a\x1cb", "1-2", "1-2\n", "70000-1", "\u0661-2", ">=40GiB", ">=8.9", ">=\x1c40", "a-b", "a-b\n", "A" * 65,
    "\ud800", "hf://a/b", "file:///m", "file://m", "http://p:1", "ssh", "rolling", "latency", "latest-tag", "running",
    "reg:5000/a", SecretRef("s"),
)  # fmt: skip
SECTIONS = sorted(Section.__subclasses__(), key=lambda section: section.__name__)
KEYS = sorted({name for section in SECTIONS for name in section.model_fields})
VALUES = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
        | st.fixed_dictionaries({"secret": inner})
    ),
    max_leaves=6,
)


def written(section: type[Section]) -> st.SearchStrategy[dict[str, object]]:
    """Some of its keys, each with anything."""
    names = st.sampled_from(sorted(section.model_fields))
    return st.dictionaries(names, VALUES, max_size=3)


def agrees(section: type[Section], data: object, strict: bool) -> bool:
    """Whether it was taken at first sight; then pydantic must take it too, and make the same of it."""
    try:
        taken = accepted(section, data, strict=strict)
    except Refused:
        return False
    found = judged(section, data, strict=strict)
    assert repr(taken) == repr(found)  # 1, 1.0 and True are equal, but not the same
    assert taken.model_fields_set == found.model_fields_set
    return True


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_each_scalar_under_each_key_of_each_section(section: type[Section]) -> None:
    for name in section.model_fields:
        for value in SCALARS:
            for shaped in (value, (value,), [value], {"a": value}, ((value,),), (value, value)):
                for strict in (True, False):
                    agrees(section, {name: shaped}, strict)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(SECTIONS).flatmap(lambda section: st.tuples(st.just(section), written(section))), st.booleans())
@example((Container, {"extra": {"a": [1, (2, "x")]}}), True)
@example((Service, {"model": "m", "models": ({"model": "n"},)}), True)
def test_anything_under_any_key(case: tuple[type[Section], dict[str, object]], strict: bool) -> None:
    agrees(*case, strict)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_unknown_and_missing_keys_are_refused(section: type[Section]) -> None:
    assert not agrees(section, {"nothing": 1}, True)
    if any(info.is_required for info in section.model_fields.values()):
        assert not agrees(section, {}, True)


@pytest.mark.parametrize("spec", [EVERYTHING, (HERE / "shortest.yaml").read_text()], ids=["everything", "shortest"])
def test_a_spec_without_mistakes_is_taken_at_first_sight(spec: str) -> None:
    code = (
        "import sys; from tests.unit.spec.texts import problems; "
        f"problems(sys.stdin.read(), files={FILES!r}); print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=spec, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_what_pydantic_takes_beyond_that_is_taken() -> None:
    assert Host.model_validate({"port": "22"}).port == 22
    assert Inventory(hosts={"a": {"port": 22.0}}).hosts["a"].port == 22
    with pytest.raises(pydantic.ValidationError):
        Host.model_validate({"port": "x"})


def test_a_section_cannot_be_changed_and_its_copies_know_what_was_given() -> None:
    host = Host(port=22)
    with pytest.raises(AttributeError):
        host.port = 23
    copied = host.model_copy(update={"user": "root"})
    assert (copied.port, copied.user, copied.model_fields_set) == (22, "root", {"port", "user"})
    assert (host.user, host.model_dump(exclude_unset=True)) == (None, {"port": 22})
    assert copy.deepcopy(host) is host
    assert host == Host.model_validate(host)
    assert host != copied
    assert repr(Host.usual().docker) == "DockerEndpoint(socket='/var/run/docker.sock')"
