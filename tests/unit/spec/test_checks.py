"""What a spec that parses can still get wrong: names, references, ports, keys not built yet, and warnings."""

import pytest

from deployer import __version__
from deployer.errors import Severity
from deployer.spec.check.requires import satisfies
from deployer.spec.masking import mask_line
from deployer.view.diagnostics import render_diagnostics
from tests.unit.spec.texts import BASE, SERVICE, codes, load_text, only_problem, problems

TOKEN = "hf_" + "abcdefghij" * 3


def top(text: str) -> str:
    return BASE + "services: {}\n" + text


REFERENCES = [
    (BASE + "services: {chat: {model: tny}}\n", "unknown-model", 8, "did you mean `tiny`?"),
    (BASE + "services: {chat: {}}\n", "missing-key", 8, "add `model: NAME`"),
    (SERVICE + "    backend: vlm\n", "unknown-backend", 11, "did you mean `vllm`?"),
    (SERVICE + "    profiles: [fast]\n", "unknown-profile", 11, "there is none yet"),
    (SERVICE + "    profiles: [fast]\nprofiles: {fats: {}}\n", "unknown-profile", 11, "did you mean `fats`?"),
    (top("defaults: {service: {profiles: x}}\n").replace("{}", "{a: {model: tiny}}", 1), "unknown-profile", 9, ""),
    (top("profiles: {a: {profiles: [b]}, b: {}}\n"), "nested-profiles", 9, "in the service"),
    (top("backends: {mine: {image: x}}\n"), "unknown-backend", 9, "extends"),
    (top("backends: {mine: {extends: vlm}}\n"), "unknown-backend", 9, "did you mean `vllm`?"),
    (top("backends: {vllm: {extends: vllm}}\n"), "circular-extends", 9, "break"),
    (SERVICE + "    env: {A: {secret: tokn}}\nsecrets: {token: {env: T}}\n", "unknown-secret", 11, "`token`"),
    (SERVICE + "    options: {api_key: {secret: k}}\n", "unknown-secret", 11, "there is none yet"),
    (SERVICE + "    container: {secret_files: {/run/k: k}}\n", "unknown-secret", 11, "there is none yet"),
    (top("registries: {r.io: {password: {secret: k}}}\n"), "unknown-secret", 9, "there is none yet"),
    (top("backends: {vllm: {env: {A: {secret: k}}}}\n"), "unknown-secret", 9, "there is none yet"),
    (top("groups: {g: [here, hre]}\n"), "unknown-host", 9, "did you mean `here`?"),
    (top("secrets: {s: {env: A, hosts: [hre]}}\n"), "unknown-host", 9, "did you mean `here`?"),
    (top("secrets: {s: {env: A, hosts: {tier: dev}}}\n"), "no-host-selected", 9, "`tier=prod`"),
    (SERVICE + "    placement: {hosts: [hre]}\n", "unknown-host", 11, "did you mean `here`?"),
    (SERVICE + "    placement: {hosts: hre}\n", "unknown-host", 11, "did you mean `here`?"),
    (SERVICE + "    placement: {hosts: {tier: dev}}\n", "no-host-selected", 11, "`tier=prod`"),
    (SERVICE + "    placement: {gpus: ['hre:0']}\n", "unknown-host", 11, "did you mean `here`?"),
    (SERVICE + "    placement: {gpus: [['here:0'], ['hre:0']]}\n", "unknown-host", 11, "did you mean `here`?"),
    (SERVICE + "    placement: {gpus: [here]}\n", "bad-value", 11, "gpu-a:0"),
    (BASE.replace("hosts:\n  here", "x-hosts:\n  here") + "services: {chat: {model: tiny}}\n", "no-hosts", 8, "-i"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "line", "hint"), REFERENCES)
def test_references(text, code, line, hint):
    problem = only_problem(text)
    assert (problem.code, problem.where.line) == (code, line)
    assert hint in problem.hint


def test_a_circle_of_backends():
    assert codes(top("backends: {a: {extends: b}, b: {extends: a}}\n")) == ["circular-extends"] * 2


def test_one_backend_under_two_names():
    problem = only_problem(top("backends: {llama-server: {version: b1}, llama.cpp: {version: b2}}\n"))
    assert (problem.code, problem.where.key) == ("doubled-backend", 'backends["llama.cpp"]')


def test_what_exists_is_accepted():
    text = SERVICE + (
        "    backend: mine\n    profiles: [p]\n"
        "    placement: {hosts: [here, all-of-them], gpus: ['here:0', 'here:GPU-1']}\n"
        "    env: {A: {secret: s}}\n"
        "groups: {all-of-them: [here]}\nprofiles: {p: {}}\nsecrets: {s: {env: A, hosts: {tier: prod}}}\n"
        "backends: {mine: {extends: VLLM}}\n"
    )
    assert codes(text) == []


NAMES = [
    ("services: {Chat: {model: tiny}}", "services.Chat"),
    ("services: {chat_1: {model: tiny}}", "services.chat_1"),
    ("services: {'-a': {model: tiny}}", "services.-a"),
    ("services: {'': {model: tiny}}", "services"),
    ("services: {'a\\nb': {model: tiny}}", "services"),
    (f"services: {{{'a' * 64}: {{model: tiny}}}}", "services"),
    ("services: {}\ngroups: {'a b': [here]}", "groups"),
    ("services: {}\nsecrets: {'$x': {env: A}}", "secrets"),
    ("services: {}\nprofiles: {'../x': {}}", "profiles"),
]


@pytest.mark.parametrize(("line", "key"), NAMES)
def test_bad_names(line, key):
    problem = only_problem(BASE + line + "\n")
    assert problem.code == "bad-name"
    assert problem.where.key.startswith(key)


def test_bad_names_of_hosts_and_models():
    text = BASE.replace("  here:", "  '-oProxyCommand=x':").replace("  tiny:", "  Tiny:") + "services: {}\n"
    assert codes(text) == ["bad-name", "bad-name"]
    assert codes(top("groups: {here: [here]}\n")) == ["name-taken"]


PORTS = [
    ("a: {model: tiny, port: 8000}\n  b: {model: tiny, port: 8000}", ["b"]),
    ("a: {model: tiny, port: 8000, replicas: 2}", ["a"]),
    ("a: {model: tiny, port: 8000}\n  b: {model: tiny, port: {number: 8000, bind: 0.0.0.0}}", ["b"]),
    ("a: {model: tiny, port: 8000}\n  b: {model: tiny, port: {number: 8000, bind: 10.0.0.1}}", []),
    ("a: {model: tiny, port: 8000}\n  b: {model: tiny, port: 8001}", []),
    ("a: {model: tiny, port: 8000}\n  b: {model: tiny, port: {number: 8000, on_conflict: next}}", []),
    ("a: {model: tiny, port: 8000}\n  b: {model: tiny, port: 8000, state: stopped}", []),
    ("a: {model: tiny, port: 8000, replicas: 0}\n  b: {model: tiny, port: 8000}", []),
    ("a: {model: tiny, replicas: 5}", []),
]


@pytest.mark.parametrize(("services", "refused"), PORTS)
def test_one_port_for_more_replicas_than_hosts(services, refused):
    text = BASE + f"services:\n  {services}\n"
    found = [p for p in problems(text) if p.severity is Severity.ERROR]
    assert [(p.code, p.where.key.split(".")[1]) for p in found] == [("port-taken-twice", name) for name in refused]


def test_two_hosts_have_a_port_twice():
    text = BASE.replace("models:", "  there: {labels: {tier: prod}}\nmodels:") + "services:\n"
    two = "  a: {model: tiny, port: 8000}\n  b: {model: tiny, port: 8000}\n"
    assert codes(text + two) == []
    assert codes(text + two + "  c: {model: tiny, port: 8000}\n") == ["port-taken-twice"]
    assert codes(text + two.replace("8000", "8000, placement: {hosts: [here]}")) == ["port-taken-twice"]
    assert "`a` and `b`" in problems(text + two.replace("8000", "8000, placement: {hosts: [here]}"))[0].message


REPLACED = [
    ("replaces: ['here:old']", []),
    ("replaces: here:old", []),
    ("replaces: [old]", ["bad-value"]),
    ("replaces: ['here:']", ["bad-value"]),
    ("replaces: ['heer:old']", ["unknown-host"]),
    ("replaces: ['here:old', 'here:old']", ["doubled-takeover"]),
]


@pytest.mark.parametrize(("line", "found"), REPLACED)
def test_hand_made_containers_are_named_once_on_a_known_host(line, found):
    assert codes(SERVICE + f"    {line}\n") == found


NOT_YET = [
    ("    placement: {distributed: true}\n", "distributed", "one host"),
    ("hubs: {ngc: {endpoint: x}}\n", "hubs.ngc", "env"),
    ("defaults: {service: {placement: {distributed: true}}}\n", "distributed", "one host"),
]


@pytest.mark.parametrize(("line", "key", "hint"), NOT_YET)
def test_keys_that_are_not_built_yet(line, key, hint):
    problem = only_problem(SERVICE + line)
    assert (problem.code, problem.where.line) == ("not-supported-yet", 11)
    assert problem.where.key.endswith(key)
    assert hint in problem.hint


def test_host_keys_of_groups_that_are_wrong():
    text = top("groups: {g: {hosts: [here], defaults: {reserve: {memory: much}}}}\n")
    assert (only_problem(text).code, only_problem(text).where.line) == ("bad-value", 9)


@pytest.mark.parametrize("scheme", ["hf", "modelscope", "https", "local"])
def test_weights_that_are_fetched(scheme):
    assert codes(BASE.replace("file://", f"{scheme}://") + "services: {}\n") == []


def test_several_sources_of_a_model():
    text = BASE.replace("{source: file:///srv/models/tiny.gguf}", "{source: ['file:///a', 'file:///b']}")
    assert codes(text + "services: {}\n") == ["not-supported-yet"]
    assert (
        codes(text.replace("file:///a", "hf://a/b").replace("file:///b", "modelscope://a/b") + "services: {}\n") == []
    )


def test_defaults_written_out_are_no_use_of_a_key():
    text = (
        SERVICE
        + "    placement: {share: false, distributed: false}\n    overrides: []\n    rollout: {strategy: rolling}\n"
    )
    text += "policy: {unreachable: {max: 0}, deny: []}\nhubs: {}\n"
    assert codes(text.replace("connection: local", "connection: local, state: active, model_dirs: []")) == []


@pytest.mark.parametrize(
    ("version", "requires", "meets"),
    [
        ("0.4.0", ">=0.4", True), ("0.4", "==0.4.0", True), ("0.10", ">=0.9", True), ("1.0", ">=0.4,<1", False),
        ("0.3.9", ">=0.4", False), ("0.4.1", "!=0.4", True), ("2", "<=2.0", True), ("0.5.dev1", ">0.4", True),
    ],
)  # fmt: skip
def test_version_clauses(version, requires, meets):
    assert satisfies(version, requires) is meets


def test_requires():
    problem = only_problem(top("requires: '>=99'\n"))
    assert (problem.code, problem.where.line) == ("wrong-version", 9)
    assert __version__ in problem.message
    assert only_problem(top("requires: newest\n")).code == "bad-value"
    assert codes(top(f"requires: '>={__version__}'\n")) == []


SECRETS = [TOKEN, "nvapi-" + "aB3-_" * 8, "sk-" + "a1B2" * 8, "sk-proj-" + "a1B2" * 8, "x" + " " + TOKEN]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "line",
    [
        "    env: {A: '%s'}\n",
        "    args: [--key, 'k=%s']\n",
        "x-note: '%s'\n",
        "vars: {t: '%s'}\n",
        "    env: {'%s': x}\n",
        "    served_name: [a, '%s', b: c]\n",
        "foo: '%s'\n",
        "id: '%s\n",
    ],
)
def test_literal_secrets_are_named_and_never_shown(secret, line):
    found = problems(SERVICE + line % secret)
    if "id:" not in line:
        assert "literal-secret" in [p.code for p in found]
    shown = f"{found}"
    assert secret.split()[-1] not in shown
    assert secret.split()[-1][3:20] not in shown


IN_PLACE_OF_A_SECRET = [
    top("secrets: {key: hunter2-x}\n"),
    top("secrets:\n  key: hunter2-x\n"),
    top("secrets:\n  key:\n    value: hunter2-x\n"),
    top("secrets: {key: {env: A}, other: hunter2-x}\n"),
    top("secrets: [hunter2-x]\n"),
    top("registries: {r.io: {username: u, \"password\": 'hunter2-x'}}\n"),
    top("registries:\n  r.io:\n    password: hunter2-x, y\n    usernam: u\n"),
    top("registries: {r.io: {password: hunter2-x, usernam: u}}\n"),
    top("hubs: {hf: {token: hunter2-x}}\n"),
    SERVICE + "    options: {api_key: [{secert: hunter2-x}]}\n",
    SERVICE + "    options: {api_key: hunter2-x, contxt: 3}\n",
    SERVICE + "    nev: {API_KEY: hunter2-x}\n",
    SERVICE + "    env: {HF_TOKEN: hunter2-x, : }\n",
    SERVICE + "    env: {DB_PASSWORD: hunter2-x, A: [1]}\n",
    SERVICE + "    args: [--api-key, hunter2-x, {}]\n",
    SERVICE + "    args: ['--api-key=hunter2-x', {}]\n",
    SERVICE + "    container: {secret_files: {/run/k: {secret: {a: hunter2-x}}}}\n",
]


@pytest.mark.parametrize("text", IN_PLACE_OF_A_SECRET)
def test_what_stands_in_the_place_of_a_secret_is_not_shown(text):
    found = problems(text)
    assert [p for p in found if p.severity == "error"]
    assert "hunter2" not in render_diagnostics(found).render()


@pytest.mark.parametrize(
    "line",
    [
        "env: {API_KEY: {secret: api_key}}, replicsa: 2",
        "options: {api_key: [{secret: a}, {secret: b}], max_tokens: 64}",
        "speculative: {model: draft, tokens: 4}",
        'secret_files: {/run/k: {secret: k, mode: "0400"}}',
        "chat_template: a/b:c",
    ],
)
def test_a_line_with_references_is_shown_whole(line):
    assert mask_line(line, ("services", "chat", "env")) == line
    sources = "secrets: {a: {env: A}, b: {command: 'pass show x'}}"
    assert mask_line(sources, ("secrets", "a")) == sources


def test_a_secret_that_comes_in_by_a_variable():
    text = "vars: {t: x}\n" + SERVICE + "    env: {A: 'Bearer ${var.t}'}\n"
    problem = only_problem(text, variables={"t": TOKEN})
    assert (problem.code, problem.where.line) == ("literal-secret", 12)
    assert TOKEN not in f"{problem}"


@pytest.mark.parametrize(
    "text", ["hf_transfer", "sk-learn-is-a-library-of-models", "disk-0123456789abcdef0123", "nvapi-x"]
)
def test_what_only_looks_like_a_secret(text):
    assert codes(SERVICE + f"    env: {{A: '{text}'}}\n") == []


WARNINGS = [
    (BASE.replace("id: abc123\n", "") + "services: {}\n", "no-id", 2),
    (SERVICE + "    port: {bind: 0.0.0.0}\n", "open-port-without-key", 11),
    (SERVICE + "    port: {bind: '::'}\n", "open-port-without-key", 11),
    (SERVICE + "    port: {bind: gateway}\n", "open-port-without-key", 11),
    (SERVICE + "    container: {ipc: host, shm_size: 1g}\n", "shm-size-ignored", 11),
    (SERVICE + "    options: {trust_remote_code: true}\n", "trust-remote-code", 11),
]


@pytest.mark.parametrize(("text", "code", "line"), WARNINGS)
def test_warnings(text, code, line):
    (warning,) = load_text(text).warnings
    assert (warning.severity, warning.code, warning.where.line) == (Severity.WARNING, code, line)
    assert warning.hint


RULES = [
    ("    image: reg.local/llama\n", "latest-tag", "without a tag"),
    ("    image: reg.local:5000/llama:latest\n", "latest-tag", "whose tag `latest` moves"),
    ("    overrides: [{gpu: {model: A40}, image: llama}]\n", "latest-tag", "without a tag"),
    ("    container: {privileged: true}\n", "privileged", "privileged container"),
    ("    container: {network: host}\n", "host-network", "host's network"),
    ("    options: {trust_remote_code: true}\n", "trust-remote-code", "comes with its model"),
    ("    port: {bind: 0.0.0.0}\n", "open-port-without-key", "without an API key"),
]


@pytest.mark.parametrize(("line", "rule", "words"), RULES)
def test_the_policys_rules(line, rule, words):
    problem = only_problem(SERVICE + line + f"policy: {{deny: [{rule}], warn: [{rule}]}}\n")
    assert (problem.severity, problem.code, problem.where.line) == (Severity.ERROR, rule, 11)
    assert words in problem.message
    assert problem.message.endswith("which the policy denies")
    (warning,) = load_text(SERVICE + line + f"policy: {{warn: {rule}}}\n").warnings
    assert (warning.severity, warning.code) == (Severity.WARNING, rule)
    assert load_text(SERVICE + line + "policy: {warn: []}\n").warnings == ()


@pytest.mark.parametrize(
    "image", ["llama:b1", "reg.local:5000/llama@sha256:" + "0" * 64, "llama:latest@sha256:" + "0" * 64]
)
def test_images_that_stay_what_they_are(image):
    assert codes(SERVICE + f"    image: {image}\npolicy: {{deny: [latest-tag]}}\n") == []


def test_a_rule_that_does_not_exist():
    problem = only_problem(SERVICE + "policy: {deny: [latest]}\n")
    assert "latest-tag" in problem.hint or "latest-tag" in problem.message


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.0.0.2", "'::1'", "localhost"])
def test_local_ports_and_keys_are_no_reason_to_warn(bind):
    assert codes(SERVICE + f"    port: {{bind: {bind}}}\n") == []
    text = SERVICE + "    port: {bind: 0.0.0.0}\n    options: {api_key: {secret: k}}\nsecrets: {k: {env: K}}\n"
    assert codes(text) == []


def test_one_warning_for_one_default_that_opens_many_ports():
    text = BASE + "defaults: {service: {port: {bind: 0.0.0.0}}}\nservices: {a: {model: tiny}, b: {model: tiny}}\n"
    (warning,) = load_text(text).warnings
    assert "`a`, `b`" in warning.message
    assert warning.where.line == 8
