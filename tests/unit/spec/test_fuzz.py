"""Whatever stands in a file, the answer is a project or a SpecError, and never takes long."""

import time
from pathlib import Path

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deployer.errors import Severity, SpecError
from deployer.spec.language import DeploySpec, Service
from deployer.spec.language.container import Container
from deployer.spec.language.options import OPTION_NAMES
from tests.unit.spec.texts import BASE, SERVICE, load_text

EVERYTHING = (Path(__file__).parent / "everything.yaml").read_text()
FILES = {"inventories/lab.yaml": "hosts: {gpu-b: {labels: {rack: r1}}}\n", "start.sh": "x"}
PATIENT = settings(deadline=None, max_examples=60)


def survives(text: str | bytes, **options) -> None:
    try:
        project = load_text(text, **options)
    except SpecError as error:
        diagnostics = error.diagnostics
    else:
        assert project.spec.version == 1
        return
    assert any(d.severity is Severity.ERROR for d in diagnostics)
    assert all(d.message and len(f"{d}") < 10_000 for d in diagnostics)
    assert all(d.where is None or d.where.line >= 1 for d in diagnostics)


@PATIENT
@given(st.binary(max_size=400))
@example(b"\xff\xfe")
@example(b"\xef\xbb\xbf")
@example(b"a: \r\rb: c")
@example(b"- \t- x")
@example(b"? ? ?")
@example(b"&a &b c: *a")
@example(b"<<: {<<: {a: b}}")
@example(b'"\\x')
@example(b"%TAG ! tag:x,2000:\n---\n!x a: b")
@example(b"a: !!binary x\n...\n")
def test_arbitrary_bytes(data):
    survives(data)


@PATIENT
@given(st.text(alphabet="ab:{}[],&*!|>'\"%@`#?-~ \n\t$.0123456789\r\\xu<é", max_size=200))
def test_arbitrary_yaml(text):
    survives(text)
    survives(SERVICE + "    " + text)


SNIPPETS = st.sampled_from([
    "", ":", "- ", "{", "}", "[", "]", "\n", "\t", "    ", "null", "~", "[]", "{}", "true", "-1", "1e999", "0x1F", "''",
    "${var.tag}", "${", "$${", "${host.name}", "&a ", "*a", "<<: *a", "!x ", "x-a", "+: ", "é", "\x00", "\u2028",
    "9" * 400, "services", "hosts", "{secret: s}", "version: 1", "---\n", "# ", "|", ">-", "? ", "hf_" + "a1" * 15,
])  # fmt: skip


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 30), SNIPPETS), min_size=1, max_size=6))
def test_mutations_of_a_whole_spec(edits):
    text = EVERYTHING
    for at, length, snippet in edits:
        start = int(at * len(text))
        text = text[:start] + snippet + text[start + length :]
    survives(text, files=FILES)


KNOWN_KEYS = {*DeploySpec.model_fields, *Service.model_fields, *Container.model_fields, *OPTION_NAMES}
OTHER_KEYS = {"args+", "x-a", "secret", "here", "tiny", "chat", "content", "path", "soft", "max", "expect", ""}
KEYS = st.sampled_from(sorted(KNOWN_KEYS | OTHER_KEYS))
VALUES = st.recursive(
    st.sampled_from(
        [None, True, 0, -1, 3, 2**70, 1.5, "", "x", "16g", "90s", "${var.a}", "${host.name}", "here", "tiny"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(KEYS, VALUES, max_size=6), st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_value_under_any_key(top, service):
    base = yaml.safe_load(BASE)
    survives(yaml.safe_dump({**base, "services": {"chat": {"model": "tiny", **service}}}))
    survives(yaml.safe_dump({**base, "services": {}, "profiles": {"p": service}, "defaults": {"service": service}}))
    survives(yaml.safe_dump({**base, "services": {"chat": service}, **top}))
    survives(yaml.safe_dump(top))
    survives(BASE + "services: {}\ninventory: i\n", files={"i": yaml.safe_dump({**top, "hosts": {"a": service}})})


def hostile(size: int) -> dict[str, str]:
    """Files of about that many characters that are meant to take long."""
    return {
        "unknown keys": BASE + "services: {}\n" + "".join(f"k{i}: 1\n" for i in range(size // 10)),
        "unknown models": BASE + "services:\n" + "".join(f"  s{i}: {{model: m{i}}}\n" for i in range(size // 24)),
        "one long line": BASE + "services: {a: {model: tiny, args: [" + "x, " * (size // 3) + "]}}\n",
        "wrong items in one line": BASE + "services: {a: {model: tiny, args: [" + "{}, " * (size // 4) + "]}}\n",
        "duplicate keys": BASE + "services: {}\n" + "a: 1\n" * (size // 5),
        "openers": "a: " + "[{" * (size // 2),
        "anchors": "".join(f"a{i}: &a{i} x\n" for i in range(size // 16)),
        "aliases": "a: &a [x, x, x, x, x, x, x, x]\nb: [" + "*a," * (size // 3) + "]\n",
        "dollars": SERVICE + "    args: ['" + "${" * (size // 2) + "']\n",
        "placeholders": SERVICE + "    args: ['" + "${host.name}" * (size // 12) + "']\n",
        "spaces": " " * size,
        "comment": "#" * size,
        "digits": SERVICE + "    replicas: " + "9" * size + "\n",
        "one key": "k" * size + ": 1\n",
        "secret": SERVICE + "    args: ['" + "sk-a" * (size // 4) + "']\n",
        "ports": BASE + "services:\n" + "".join(f"  s{i}: {{model: tiny, port: 1}}\n" for i in range(size // 30)),
    }


def test_hostile_files_end(record_property):
    for name, text in hostile(60_000).items():
        started = time.perf_counter()
        survives(text)
        record_property(name, round(time.perf_counter() - started, 2))


def test_a_hundred_hosts_and_services(record_property):
    """What it took is recorded, not judged: machines differ."""
    hosts = "".join(f"  h{i}: {{address: 10.0.0.{i}, labels: {{rack: r{i % 9}}}}}\n" for i in range(100))
    models = "".join(f"  m{i}: {{source: file:///srv/m{i}.gguf}}\n" for i in range(100))
    services = "".join(
        f"  s{i}: {{model: m{i}, backend: vllm, profiles: [p], options: {{dtype: bfloat16}}, args+: ['-x'],"
        f" placement: {{hosts: {{rack: r{i % 9}}}}}, port: {8000 + i}}}\n"
        for i in range(100)
    )
    profiles = "profiles: {p: {options: {context_length: 8192}, args: [a]}}\n"
    text = f"version: 1\nproject: big\nid: a\n{profiles}hosts:\n{hosts}models:\n{models}services:\n{services}"
    started = time.perf_counter()
    project = load_text(text)
    record_property("seconds", round(time.perf_counter() - started, 3))
    assert len(project.spec.services) == len(project.spec.hosts) == 100
