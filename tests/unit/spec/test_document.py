"""What is refused before a spec is looked at: encodings, syntax, and YAML that says more than it should."""

import pytest

from tests.unit.spec.texts import BASE, SERVICE, codes, load_text, only_problem, problems

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)

BAD = [
    ("empty", b"", "empty-file", 1, "version: 1"),
    ("only comments", b"# nothing\n", "empty-file", 1, "version: 1"),
    ("a list", b"- a\n", "not-a-map", 1, "version: 1"),
    ("a scalar", b"hello\n", "not-a-map", 1, "version: 1"),
    ("tab", BASE + "services:\n\tchat: {}\n", "tab-indentation", 9, "spaces"),
    ("colon in text", "project: a: b\n", "yaml-syntax", 1, "quote"),
    ("unclosed bracket", BASE + "services: {chat: [\n", "yaml-syntax", 8, "close"),
    ("unclosed quote", BASE + "services: {}\nid: 'abc\n", "yaml-syntax", 9, "close"),
    ("bare substitution in a flow map", SERVICE + "    env: {A: ${var.x}}\n", "yaml-syntax", 11, "quote"),
    ("forbidden start", BASE + "services: {}\nid: @x\n", "yaml-syntax", 9, "quote"),
    ("unknown alias", BASE + "services: *none\n", "unknown-alias", 8, "&"),
    ("alias as key", "a: &a x\n*a : y\n", "key-not-text", 2, "write the key"),
    ("map as key", "? {a: b}\n: c\n", "key-not-text", 1, "quote"),
    ("recursive alias", "a: &a [*a]\n", "recursive-alias", 1, "write it out"),
    ("python tag", BASE + "services: !!python/object:os.system {}\n", "yaml-tag", 8, "without a tag"),
    ("own tag", BASE + "services:\n  chat: {model: !secret tiny}\n", "yaml-tag", 9, "without a tag"),
    ("plain tag", BASE + "services: {}\nrequires: !!str 12\n", "yaml-tag", 9, "without a tag"),
    ("duplicate key", SERVICE + "    model: tiny\n", "duplicate-key", 11, "keep one"),
    ("leading zero", SERVICE + "    replicas: 012\n", "leading-zero", 11, '"012"'),
    ("integer key", BASE + "services:\n  8000: {model: tiny}\n", "key-not-text", 9, '"8000"'),
    ("boolean key", BASE + "services:\n  true: {model: tiny}\n", "key-not-text", 9, '"true"'),
    ("second document", BASE + "services: {}\n---\na: 1\n", "several-documents", 9, "one file"),
    ("YAML 1.1", "%YAML 1.1\n---\n" + BASE + "services: {}\n", "yaml-version", 1, "%YAML"),
    ("Latin-1", (BASE + "services: {}\n").encode() + b"# caf\xe9\n", "not-utf8", 9, "UTF-8"),
    ("UTF-16", BASE.encode("utf-16"), "not-utf8", 1, "UTF-8"),
    ("UTF-32", BASE.encode("utf-32"), "not-utf8", 1, "UTF-8"),
    ("NUL", BASE.encode() + b"services: {}\n# \0\n", "control-character", 9, "remove"),
    ("escape", BASE.encode() + b"services: {}\n# \x1b[31m\n", "control-character", 9, "remove"),
    ("line separator", BASE + "services: {} # \u2028\n", "control-character", 8, "remove"),
    ("billion laughs", LAUGHS, "too-many-values", None, "aliases"),
    ("deep nesting", "a: " + "[" * 41 + "]" * 41, "nested-too-deeply", 1, "flatten"),
    ("absurd nesting", "a: " + "[" * 300_000, "nested-too-deeply", 1, "flatten"),
    ("deep block nesting", "".join(" " * i + "a:\n" for i in range(100)), "nested-too-deeply", None, "flatten"),
    ("bad merge key", BASE + "services: {}\nx-a: {<<: 1}\n", "bad-merge-key", 9, "anchor"),
    ("too large", "#" * 1_000_001, "file-too-large", None, "-f"),
    ("NUL by an escape", SERVICE + '    args: ["a\\0b"]\n', "control-character", 11, "escape"),
    ("NUL in a key", SERVICE + '    env: {"a\\x00b": c}\n', "control-character", 11, "escape"),
    ("bad escape", 'a: "\\UFFFFFFFF"\n', "yaml-syntax", 1, ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "line", "hint"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_refused_with_its_place_and_a_remedy(text, code, line, hint):
    problem = next(p for p in problems(text) if p.code == code)
    assert (problem.where.line if problem.where else None) == line or line is None
    assert hint in (problem.hint or "")


def test_syntax_errors_stop_only_their_own_file():
    files = {"broken.yaml": "hosts: [", "more.yaml": "services: {chat: {modle: tiny}}\n"}
    found = codes(BASE, files=files, inventories=("broken.yaml", "more.yaml"))
    assert found.count("yaml-syntax") == 1
    assert "unknown-key" in found


def test_all_problems_of_a_file_at_once_in_its_order():
    text = SERVICE + "    replicas: 007\n    modle: x\n    model: other\n    port: {number: 70000}\nfoo: 1\n"
    found = problems(text)
    assert [p.code for p in found] == [
        "leading-zero", "unknown-key", "duplicate-key", "bad-value", "unknown-key",
    ]  # fmt: skip
    assert [p.where.line for p in found] == [11, 12, 13, 14, 15]


def test_both_lines_of_a_doubled_key_are_named():
    problem = only_problem(BASE + "services: {}\nmodels: {}\n")
    assert "line 6" in problem.message
    assert "line 9" in problem.message
    assert problem.where.key == "models"


def test_a_place_has_line_column_text_and_key():
    where = only_problem(SERVICE + "    options: {tensor_paralel: 2}\n").where
    assert str(where) == "deploy.yaml:11:15"
    assert where.text == "    options: {tensor_paralel: 2}"
    assert where.key == "services.chat.options.tensor_paralel"


def test_list_items_and_odd_keys_in_key_paths():
    text = SERVICE + "    args: [a, {b: c}]\n    container: {files: {/etc/x: {mode: 755, path: x}}}\n"
    keys = {p.where.key for p in problems(text, files={"x": "1"})}
    assert keys == {"services.chat.args[1]", 'services.chat.container.files["/etc/x"].mode'}


def test_a_file_of_bytes_with_a_mark_and_windows_line_ends_is_fine():
    data = ("\ufeff" + (SERVICE + "    replica: 2\n").replace("\n", "\r\n")).encode()
    problem = only_problem(data)
    assert (problem.where.line, problem.where.column) == (11, 5)
    assert problem.where.text == "    replica: 2"


def test_long_lines_are_shown_in_part():
    text = SERVICE + "    args: [" + "x, " * 1000 + "{}]\n"
    assert len(only_problem(text).where.text) < 250


def test_yaml_1_1_words_are_text():
    project = load_text(SERVICE + "    env: {A: yes, B: off, C: n, D: 1_000, E: 0b1, F: 12:30:00, G: .inf}\n")
    assert list(project.spec.services["chat"].env.values()) == ["yes", "off", "n", "1_000", "0b1", "12:30:00", ".inf"]


def test_numbers_stay_as_typed_where_text_is_meant():
    text = (
        SERVICE + "    version: 1.10\n    env: {A: 1e3, B: 0x1F, C: +5, D: True, E: 1.0, F: 12345678901234567890123}\n"
    )
    service = load_text(text).spec.services["chat"]
    assert service.version == "1.10"
    assert list(service.env.values()) == ["1e3", "0x1F", "+5", "true", "1.0", "12345678901234567890123"]


def test_anchors_aliases_and_merge_keys():
    text = BASE + (
        "x-base: &base {model: tiny, replicas: 2, options: &options {context_length: 512}}\n"
        "services:\n"
        "  a: {<<: *base, replicas: 3}\n"
        "  b:\n"
        "    <<: [{version: b1}, *base]\n"
        "  c: {model: tiny, options: *options}\n"
    )
    services = load_text(text).spec.services
    assert (services["a"].replicas, services["a"].options.context_length) == (3, 512)
    assert (services["b"].version, services["b"].replicas) == ("b1", 2)
    assert services["c"].options.context_length == 512


def test_errors_in_an_alias_are_placed_where_the_text_is():
    text = BASE + "x-o: &o\n  contxt_length: 1\nservices:\n  a: {model: tiny, options: *o}\n"
    problem = only_problem(text)
    assert problem.where.line == 9
    assert problem.where.key == "services.a.options.contxt_length"


def test_x_keys_are_free_in_every_section():
    text = SERVICE + "    x-note: 1\n    options: {x-y: [1]}\nx-top: {a: !x b}\n"
    assert codes(text) == ["yaml-tag"]
    assert codes(text.replace("!x ", "")) == []


def test_a_missing_or_unreadable_spec():
    def directory(path):
        raise IsADirectoryError(21, "Is a directory")

    def denied(path):
        raise PermissionError(13, "Permission denied")

    from deployer.errors import SpecError
    from deployer.spec.load import load

    for read, code in ((directory, "is-a-directory"), (denied, "unreadable-file")):
        with pytest.raises(SpecError) as caught:
            load(["deploy.yaml"], read)
        assert [d.code for d in caught.value.diagnostics] == [code]
    assert codes("", files={}) == ["empty-file"]
