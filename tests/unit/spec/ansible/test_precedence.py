"""Which value of a variable counts, and where it is looked for."""

import pytest

from deployer.errors import SpecError
from deployer.spec.load import LoadOptions, load
from tests.unit.spec.ansible.inventories import PLAIN, host_of, problems_of, spec_of, using
from tests.unit.spec.texts import load_text

LAYERS = [  # lowest first, as "Understanding variable precedence" of Ansible's user guide has it
    ("inv", "[all:vars]\nx=all\n"),
    ("inv", "[outer:vars]\nx=outer\n"),
    ("inv", "[inner:vars]\nx=inner\n"),
    ("group_vars/all.yml", "x: all file\n"),
    ("group_vars/outer", "x: outer file\n"),
    ("group_vars/inner.yaml", "x: inner file\n"),
    ("inv", "[other]\nh x=host\n"),
    ("host_vars/h.json", '{"x": "host file"}'),
]
BASE = "[inner]\nh\n[outer:children]\ninner\n"


@pytest.mark.parametrize("top", range(1, len(LAYERS) + 1))
def test_each_layer_is_on_top_of_those_before(top):
    texts = {"inv": BASE}
    for file, text in LAYERS[:top]:
        texts[file] = texts.get(file, "") + text
    inventory = texts.pop("inv")
    expected = LAYERS[top - 1][1].replace('"', "").split("x")[-1].strip("=: }\n")
    assert host_of(inventory, spec=using("x"), files=texts)["vars"]["x"] == expected


def test_groups_of_one_depth_by_priority_then_name():
    inventory = "[b]\nh\n[a]\nh\n[a:vars]\nx=a\n[b:vars]\nx=b\n"
    assert host_of(inventory, spec=using("x"))["vars"] == {"x": "b"}
    assert host_of(inventory + "[a:vars]\nansible_group_priority=2\n", spec=using("x"))["vars"] == {"x": "a"}


def test_the_longest_way_counts_for_depth():
    inventory = "[z]\nh\n[m]\nh\n[top:children]\nmid\nz\n[mid:children]\nm\n[z:vars]\nx=z\n[m:vars]\nx=m\n"
    assert host_of(inventory, spec=using("x"))["vars"] == {"x": "m"}


def test_several_inventories_count_as_one():
    files = {
        "a/one": "[gpu]\nh\n",
        "b/two": "[gpu]\ni\n[gpu:vars]\nansible_user=u\n",
        "a/group_vars/gpu.yml": "x: a\n",
        "b/group_vars/gpu.yml": "x: b\n",
        "b/host_vars/h.yml": "ansible_port: 5\n",
    }
    spec = load_text(using("x"), files=files, inventories=("a/one", "b/two")).spec
    assert spec.groups["gpu"].hosts == ("h", "i")
    assert spec.hosts["h"].model_dump(exclude_unset=True) == {"user": "u", "port": 5, "vars": {"x": "b"}}


def test_the_spec_wins_key_by_key_and_adds_what_ansible_has_no_word_for():
    text = PLAIN + (
        "hosts: {h: {user: me, labels: {rack: r1}}}\n"
        "groups: {gpu: {defaults: {cache_dir: /data, port: 7}}}\ninventory: [own.yaml, inv]\n"
    )
    files = {
        "inv": "[gpu]\nh ansible_user=you ansible_host=10.0.0.1\ni\n",
        "own.yaml": "hosts: {h: {user: o, key: k}}\n",
    }
    project = load_text(text, files=files)
    host = project.spec.hosts["h"]
    assert (host.user, host.address, host.key, host.cache_dir, host.port) == ("me", "10.0.0.1", "k", "/data", 7)
    assert project.spec.groups["gpu"].hosts == ("h", "i")
    assert str(project.where("hosts", "h", "address")) == "inv:2:20"
    assert project.origin("hosts", "h", "address").layer == "inventory"


def test_groups_are_places():
    spec = using("x").replace("    env:", "    placement: {hosts: [gpu]}\n    env:")
    assert spec_of("[gpu]\nh x=1\n[cpu]\ni x=[1]\n", spec=spec).services["chat"].placement.hosts == ("gpu",)


def folders(files):
    """A reader that also tells the names in folders, as the one for disks does."""

    def read(path: str) -> bytes:
        if path in files:
            return files[path].encode()
        below = {name[len(path.rstrip("/")) + 1 :] for name in files if name.startswith(path.rstrip("/") + "/")}
        if below and path.endswith("/"):
            return "\n".join({name.partition("/")[0] for name in below}).encode()
        if below:
            raise IsADirectoryError(21, "Is a directory", path)
        raise (
            NotADirectoryError(20, "Not a directory", path) if path.endswith("/") else FileNotFoundError(2, "No", path)
        )

    return read


def test_folders_of_variables():
    files = {
        "deploy.yaml": using("a", "b", "c"),
        "inv": "[gpu]\nh\n",
        "group_vars/gpu/10.yml": "a: first\nb: first\n",
        "group_vars/gpu/20": "b: second\n",
        "group_vars/gpu/sub/x.yml": "c: below\n",
        "group_vars/gpu/.hidden": "b: hidden\n",
        "group_vars/gpu/old.yml~": "b: backup\n",
        "group_vars/gpu/readme.md": "{{ no yaml",
        "group_vars/gpu.yml": "a: not read beside a folder\n",
        "host_vars/h.yml": "",
    }
    spec = load(["deploy.yaml"], folders(files), LoadOptions(inventories=("inv",))).spec
    assert dict(spec.hosts["h"].vars) == {"a": "first", "b": "second", "c": "below"}


def test_variables_that_cannot_be_read_are_an_error():
    def read(path: str) -> bytes:
        if path == "group_vars/all.yml":
            raise PermissionError(13, "Permission denied", path)
        return folders({"deploy.yaml": PLAIN, "inv": "[g]\nh\n", "group_vars/all.yml": ""})(path)

    with pytest.raises(SpecError, match="unreadable-file: the variables `group_vars/all"):
        load(["deploy.yaml"], read, LoadOptions(inventories=("inv",)))


def test_variables_outside_the_folder_are_not_read_for_a_stranger():
    files = {"../inv": "[g]\nh\n", "../group_vars/all.yml": "ansible_user: u\n"}
    text = PLAIN + "inventory: ../inv\n"
    assert load_text(text, files=files).spec.hosts["h"].user == "u"
    with pytest.raises(SpecError, match="outside-folder"):
        load_text(text, files=files, confined=True)


def test_names_never_lead_out_of_the_folder():
    assert problems_of("[..]\nh\n[../x]\ni\n", files={"x.yml": "ansible_user: u\n", "group_vars/../x.yml": "{"})
