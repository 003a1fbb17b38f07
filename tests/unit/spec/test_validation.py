"""Values that the language does not take: one problem each, with what is allowed."""

import pytest

from tests.unit.spec.texts import BASE, SERVICE, codes, load_text, only_problem, problems

BAD_VALUES = [
    ("replica: 2", "unknown-key", "did you mean `replicas`?"),
    ("context_length: 2", "unknown-key", "did you mean `options.context_length`?"),
    ("zzz: 2", "unknown-key", "`args`"),
    ("replicas: two", "wrong-type", "correct it"),
    ("replicas: '2'", "wrong-type", "without quotes"),
    ("replicas: 2.5", "wrong-type", "correct it"),
    ("replicas: true", "wrong-type", "correct it"),
    ("replicas: [2]", "wrong-type", "correct it"),
    ("replicas: -1", "bad-value", "correct it"),
    ("protect: yes", "wrong-type", "`true` or `false`"),
    ("protect: 1", "wrong-type", "correct it"),
    ("state: runing", "bad-value", "did you mean `running`?"),
    ("state: 1", "bad-value", "correct it"),
    ("options: fast", "wrong-type", "correct it"),
    ("options: [a]", "wrong-type", "correct it"),
    ("options: {dtype: 16}", "wrong-type", 'quote it: `"16"`'),
    ("options: {dtype: 1.10}", "wrong-type", 'quote it: `"1.10"`'),
    ("options: {gpu_memory_fraction: 1.5}", "bad-value", "correct it"),
    ("options: {gpu_memory: big}", "bad-value", "correct it"),
    (f"options: {{gpu_memory: {'9' * 400}g}}", "bad-value", "correct it"),
    ("health: {ready_timeout: soon}", "bad-value", "correct it"),
    (f"health: {{ready_timeout: {'9' * 60}h}}", "bad-value", "correct it"),
    ("health: {probe: never}", "bad-value", "write one of"),
    ("health: {probe: {promt: x}}", "unknown-key", "did you mean `prompt`?"),
    ("port: {number: 70000}", "bad-value", "correct it"),
    ("port: web", "wrong-type", "correct it"),
    ("args: {a: b}", "wrong-type", "correct it"),
    ("args: [[a]]", "wrong-type", "correct it"),
    ("env: [A=1]", "wrong-type", "correct it"),
    ("env: {A: [1]}", "wrong-type", "correct it"),
    ("options: {api_key: [[a]]}", "wrong-type", "under `secrets`"),
    ("env: {A: {sercet: x}}", "bad-value", "correct it"),
    ("placement: {gpus: -1}", "bad-value", "correct it"),
    ("placement: {gpus: some}", "bad-value", "write one of"),
    ("placement: {gpus: [1]}", "wrong-type", 'quote it: `"1"`'),
    ("placement: {gpu: {cc: high}}", "bad-value", "correct it"),
    ("container: {ulimits: {nofile: {soft: 1}}}", "missing-key", "add `hard: ...`"),
    ("container: {ulimits: {nofile: many}}", "wrong-type", "correct it"),
    ("container: {restart: never}", "bad-value", "write one of"),
    ("container: {files: {/a: {content: x, mode: 755}}}", "bad-value", "correct it"),
    ("container: {files: {/a: {path: deploy.yaml, content: y}}}", "bad-value", "correct it"),
    ("container: {files: {/a: {mode: '0755'}}}", "bad-value", "correct it"),
    ("container: {healthcheck: {retries: 0}}", "bad-value", "correct it"),
]


@pytest.mark.parametrize(("line", "code", "hint"), BAD_VALUES, ids=[case[0][:60] for case in BAD_VALUES])
def test_one_problem_with_its_line_and_a_hint(line, code, hint):
    problem = only_problem(SERVICE + f"    {line}\n")
    assert (problem.code, problem.where.line) == (code, 11)
    assert hint in problem.hint


BAD_TOPS = [
    ("hosts: [a]", "wrong-type", "hosts"),
    ("hosts: {a: {port: 0}}", "bad-value", "hosts.a.port"),
    ("hosts: {a: {ports: 9-1}}", "bad-value", "hosts.a.ports"),
    ("hosts: {a: {conection: ssh}}", "unknown-key", "hosts.a.conection"),
    ("models: {m: {}}", "missing-key", "models.m"),
    ("models: {m: {source: /srv/x}}", "bad-value", "models.m.source"),
    ("models: {m: {source: 'file://srv/x'}}", "bad-value", "models.m.source"),
    ("models: {m: {source: []}}", "bad-value", "models.m.source"),
    ("secrets: {s: {}}", "bad-value", "secrets.s"),
    ("secrets: {s: {env: A, file: b}}", "bad-value", "secrets.s"),
    ("secrets: {s: {env: 1}}", "wrong-type", "secrets.s.env"),
    ("secrets: {s: 12}", "wrong-type", "secrets.s"),
    ("groups: {g: {host: [a]}}", "unknown-key", "groups.g.host"),
    ("project: Demo", "bad-value", "project"),
    ("project: 12", "wrong-type", "project"),
    ("id: 'a b'", "bad-value", "id"),
    ("requires: 0.4", "wrong-type", "requires"),
    ("version: '1'", "bad-value", "version"),
    ("version: true", "unknown-edition", "version"),
    ("services: [chat]", "wrong-type", "services"),
    ("services: {chat: 1}", "wrong-type", "services.chat"),
    ("vars: [a]", "wrong-type", "vars"),
    ("vars: {a: [b]}", "wrong-type", "vars.a"),
    ("inventory: {a: b}", "wrong-type", "inventory"),
    ("policy: {unreachable: 1}", "wrong-type", "policy.unreachable"),
    ("profiles: {p: [a]}", "wrong-type", "profiles.p"),
    ("defaults: {services: {}}", "unknown-key", "defaults.services"),
]


@pytest.mark.parametrize(("line", "code", "key"), BAD_TOPS)
def test_sections_of_the_spec(line, code, key):
    top = line.split(":")[0]
    kept = [text for text in (*BASE.splitlines(), "services: {}") if not text.startswith(f"{top}:")]
    if top in ("hosts", "models"):
        kept = [text for text in kept if not text.startswith(("  here", "  tiny"))]
        kept = [text for text in kept if text != ("  tiny" if top == "models" else "  here")]
        kept = [text for text in kept if text not in ("models:", "hosts:")]
    problem = only_problem("\n".join([*kept, line]) + "\n")
    assert (problem.code, problem.where.key, problem.where.line) == (code, key, len(kept) + 1)


def test_what_every_spec_needs():
    problem = problems("hosts: {here: {}}\n")[0]
    assert problem.code == "missing-key"
    assert problem.message == "the spec lacks `project` and `services` and `version`"
    assert "`version: 1`" in problem.hint


def test_a_newer_edition_hides_everything_else():
    problem = only_problem("version: 2\nservces: {}\n")
    assert (problem.code, problem.where.line) == ("unknown-edition", 1)
    assert "newer deployer" in problem.hint


def test_a_password_in_the_place_of_a_secret_is_not_shown():
    for line in ("options: {api_key: hunter2}", "options: {api_key: [hunter2]}"):
        problem = only_problem(SERVICE + f"    {line}\n")
        assert problem.code == "wrong-type"
        assert "{secret: NAME}" in problem.hint
        assert "hunter2" not in f"{problem}"
    problem = only_problem(BASE + "services: {}\nregistries: {r: {username: u, password: hunter2}}\n")
    assert "hunter2" not in f"{problem}"


def test_values_next_to_wrong_ones_are_still_checked():
    text = SERVICE + "    modle: tiny\n    backend: vlm\n    replicas: x\n  other: {model: tny}\n"
    assert codes(text) == ["unknown-key", "unknown-backend", "wrong-type", "unknown-model"]


def test_a_thousand_problems_are_cut_with_a_count():
    found = problems(BASE + "services:\n" + "".join(f"  s{i}: {{model: tiny, repl: 1}}\n" for i in range(1000)))
    assert len(found) == 201
    assert found[-1].message == "800 problems more, at least, are not shown"


def test_zero_numbers_and_booleans_are_values():
    service = load_text(
        SERVICE + "    replicas: 0\n    protect: false\n    options: {prefix_cache: false}\n"
    ).spec.services
    assert (service["chat"].replicas, service["chat"].protect, service["chat"].options.prefix_cache) == (
        0,
        False,
        False,
    )


def test_free_maps_keep_lists_as_lists():
    text = SERVICE + "    container: {extra: {HostConfig: {Binds: [a, [b]], N: 1.10, X: null}}}\n"
    extra = load_text(text).spec.services["chat"].container.extra
    assert extra == {"HostConfig": {"Binds": ["a", ["b"]], "N": 1.1}}
