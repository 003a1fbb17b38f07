"""How Ansible would reach a host, as the keys that the language has for it; what it has no key for is refused."""

from __future__ import annotations

import re
from functools import lru_cache

from deployer.errors import warning
from deployer.spec.ansible.needed import LONGEST, Needed
from deployer.spec.ansible.ssh_options import SshOptions, parse_ssh_options
from deployer.spec.nodes import Node, shown

TEXTS = {  # the last that is set counts, as for Ansible's ssh connection
    "address": ("ansible_host", "ansible_ssh_host"),
    "user": ("ansible_user", "ansible_ssh_user"),
    "key": ("ansible_private_key_file", "ansible_ssh_private_key_file"),
}
PORT = ("ansible_port", "ansible_ssh_port")
SSH_ARGUMENTS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")  # in ssh's order
PASSWORDS = {
    **dict.fromkeys(
        ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password"),
        "remove it, and give the host a key with `ansible_ssh_private_key_file`",
    ),
    **dict.fromkeys(
        ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass", "ansible_su_pass"),
        "remove it, and let the user run `sudo -n` (NOPASSWD in sudoers)",
    ),
    **dict.fromkeys(
        ("ansible_private_key", "ansible_ssh_private_key"),
        "remove it, and name a file with `ansible_ssh_private_key_file`",
    ),
    **dict.fromkeys(
        ("ansible_private_key_passphrase", "ansible_ssh_private_key_passphrase"),
        "remove it, and load the key into an ssh-agent",
    ),
}
UNSUPPORTED = ("ansible_ssh_executable", "ansible_ssh_pkcs11_provider")
SSH = frozenset({"ssh", "smart", "paramiko", "paramiko_ssh"})
_parsed = lru_cache(64)(parse_ssh_options)  # one text is that of many hosts
BUILT_IN = re.compile(r"\Aansible\.(?:builtin|legacy|netcommon)\.")


def connection_keys(needed: Needed) -> dict[str, Node]:
    """The keys of a host: address, user, port, key, jump, known_hosts, connection, become."""
    _refuse_passwords(needed)
    connection = needed.text("ansible_connection")
    kind = BUILT_IN.sub("", str(connection.value)) if connection is not None else "ssh"
    if connection is not None and kind != "local" and kind not in SSH:
        message = f"the connection `{shown(kind, LONGEST)}` is not one of deployer's"
        hint = "use `ssh` or `local`, or name an inventory without this host"
        needed.refuse("ansible-connection", message, connection, hint)
        return {}
    keys = _become(needed)
    if connection is not None and kind == "local":
        return {**keys, "connection": connection.with_value("local")}
    for key, names in TEXTS.items():
        node = needed.text(*names)
        if node is not None:
            keys[key] = node
    _add_port(keys, needed.text(*PORT), needed)
    for name in SSH_ARGUMENTS:
        node = needed.text(name)
        if node is not None:
            _add_options(keys, node, needed)
    _check_verifying(needed)
    for name in UNSUPPORTED:
        node = needed.text(name)
        if node is not None:
            needed.refuse("ansible-unsupported", f"`{name}` is not supported", node, "remove it")
    return keys


def _refuse_passwords(needed: Needed) -> None:
    for name in PASSWORDS:
        node = needed.variables.get(name)
        if node is not None and node.value not in (None, ""):
            message = f"`{name}` is set, and deployer uses no passwords"
            needed.refuse("ansible-password", message, node, PASSWORDS[name])


def _become(needed: Needed) -> dict[str, Node]:
    if not needed.flag("ansible_become"):
        return {}
    method = needed.text("ansible_become_method")
    if method is not None and BUILT_IN.sub("", str(method.value)) != "sudo":
        message = f"`ansible_become_method` is `{shown(str(method.value), LONGEST)}`"
        needed.refuse("ansible-unsupported", message, method, "write `sudo`, the only one there is")
    user = needed.text("ansible_become_user")
    if user is not None and user.value != "root":
        message = f"`ansible_become_user` is `{shown(str(user.value), LONGEST)}`"
        needed.refuse("ansible-unsupported", message, user, "write `root`, whom deployer becomes")
    program = needed.text("ansible_become_exe")
    if program is not None and str(program.value).rpartition("/")[2] != "sudo":
        needed.refuse("ansible-unsupported", "`ansible_become_exe` is not `sudo`", program, "remove it")
    return {"become": needed.variables["ansible_become"].with_value("sudo")}


def _add_port(keys: dict[str, Node], node: Node | None, needed: Needed) -> None:
    if node is None or "port" in keys:
        return
    text = str(node.value)
    if re.fullmatch(r"[1-9][0-9]{0,4}", text) and int(text) <= 65535:
        keys["port"] = node.with_value(int(text))
    else:
        needed.refuse("bad-value", f"`{shown(text, LONGEST)}` is no port", node, "write a number from 1 to 65535")


def _check_verifying(needed: Needed) -> None:
    node = needed.text("ansible_host_key_checking", "ansible_ssh_host_key_checking")
    if node is not None and not needed.flag("ansible_host_key_checking", "ansible_ssh_host_key_checking"):
        _warn_unverified(node, needed)


def _warn_unverified(node: Node, needed: Needed) -> None:
    message = "host keys are always verified, whatever this says"
    hint = "put the host's key into known_hosts, as `ssh-keyscan` and a look at the host give it"
    needed.report(warning("ansible-host-keys", message, node.where, hint))


def _add_options(keys: dict[str, Node], node: Node, needed: Needed) -> None:
    """What ssh's arguments say, under what the variables say."""
    options = _parsed(str(node.value))
    refused = [*options.refused, *options.words, *([f"-W {options.forward}"] if options.forward else [])]
    for written in refused:
        message = f"the ssh option `{shown(written, 2 * LONGEST)}` has no counterpart here"
        needed.refuse("ansible-ssh-option", message, node, "put it into ~/.ssh/config for this host, and remove it")
    if options.unverified:
        _warn_unverified(node, needed)
    for key in ("user", "key", "known_hosts"):
        value = getattr(options, key)
        if value is not None:
            keys.setdefault(key, node.with_value(value))
    _add_port(keys, node.with_value(options.port) if options.port is not None else None, needed)
    _check_inner_key(keys, options, node, needed)
    if options.jump is not None and "jump" not in keys:
        _add_jump(keys, options.jump, node, needed)


def _add_jump(keys: dict[str, Node], jump: str, node: Node, needed: Needed) -> None:
    user = keys.get("user")
    if "%r@" in jump and user is None:
        hint = "set `ansible_user`, or name the user of the jump host"
        needed.refuse("ansible-ssh-option", "`%r` stands for a user that is not set", node, hint)
        return
    hops = jump.replace("%r@", f"{user.value}@") if user is not None else jump
    keys["jump"] = node.with_value([node.with_value(hop) for hop in hops.split(",") if hop])


def _check_inner_key(keys: dict[str, Node], options: SshOptions, node: Node, needed: Needed) -> None:
    own = keys.get("key")
    if options.inner_key is not None and (own is None or own.value != options.inner_key):
        message = f"the jump host has a key of its own, `{shown(options.inner_key, LONGEST)}`"
        hint = "give it to the jump host as `IdentityFile` in ~/.ssh/config, and remove it here"
        needed.refuse("ansible-ssh-option", message, node, hint)
