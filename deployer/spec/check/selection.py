"""Hosts that are named or selected: groups, placement, GPU pools, secrets."""

from __future__ import annotations

from collections.abc import Mapping, Set

from deployer.dataclass import replace
from deployer.errors import Diagnostic
from deployer.spec.check.context import Checked
from deployer.spec.language import DeploySpec
from deployer.spec.nodes import KeyPath
from deployer.spec.substitution import HOST_VARIABLE, names_in
from deployer.spec.suggestions import listing

Selection = Mapping[str, str] | tuple[str, ...] | None


def check_hosts(checked: Checked) -> None:
    spec = checked.spec
    known = frozenset(checked.names("hosts"))
    for group, members in spec.groups.items():
        for index, name in enumerate(members.hosts):
            if name not in known:
                checked.unknown("host", name, known, ("groups", group, "hosts", index))
    written = checked.root.at("hosts")
    if spec.services and (written is None or written.value == {}):
        hint = "add `hosts: {here: {connection: local}}`, or an inventory with `-i`"
        checked.error("no-hosts", "the spec has services and no hosts", ("services",), hint)
        return
    _check_variables(checked)
    for name, secret in spec.secrets.items():
        _check_selection(checked, secret.hosts, ("secrets", name, "hosts"))
    for name, service in spec.services.items():
        _check_selection(checked, service.placement.hosts, ("services", name, "placement", "hosts"))
        if isinstance(service.placement.gpus, tuple):
            _check_pool(checked, service.placement.gpus, ("services", name, "placement", "gpus"))
    _check_replaced(checked)


def _check_variables(checked: Checked) -> None:
    """`${host.vars.NAME}` that no host defines, or that a host where it may be used cannot give."""
    known = {name for host in checked.spec.hosts.values() for name in host.vars}
    for section in ("services", "backends"):
        node = checked.root.at(section)
        for path, child in node.walk((section,)) if node is not None else ():
            if isinstance(child.value, str) and "${" + HOST_VARIABLE in child.value:
                for name in sorted(set(names_in(child.value))):
                    if name.startswith(HOST_VARIABLE):
                        _check_variable(checked, name.removeprefix(HOST_VARIABLE), known, path)


def _check_variable(checked: Checked, name: str, known: Set[str], path: KeyPath) -> None:
    reason = _why_withheld(checked, name, path)
    if reason is not None:
        evidence = (f"`${{{HOST_VARIABLE}{name}}}` is used at {checked.where(path)}",)
        checked.problems.add(replace(reason, evidence=evidence))
    elif name not in known:
        names = [HOST_VARIABLE + other for other in (known | checked.withheld.names) - {name}]
        checked.unknown("host variable", HOST_VARIABLE + name, names, path)


def _why_withheld(checked: Checked, name: str, path: KeyPath) -> Diagnostic | None:
    """Why one of the hosts on which this would be used has no plain text under that name."""
    spec = checked.spec
    service = spec.services.get(str(path[1])) if path[0] == "services" else None
    missing = [host for host, reasons in checked.withheld.reasons.items() if name in reasons]
    hosts = selected(checked, service.placement.hosts if service is not None else None) if missing else ()
    host = next((host for host in missing if host in hosts and name not in spec.hosts[host].vars), None)
    return checked.withheld.reasons[host][name] if host is not None else None


def selected(checked: Checked, selection: Selection) -> frozenset[str]:
    """The hosts that a selector or a list of hosts and groups names."""
    key = frozenset(selection.items()) if isinstance(selection, Mapping) else selection
    if key not in checked.selections:
        if isinstance(selection, tuple):
            names = [name for entry in selection for name in _members(checked.spec, entry)]
        else:
            names = [*checked.labels.selected(selection or {})]
        checked.selections[key] = frozenset(names)
    return checked.selections[key]


def _members(spec: DeploySpec, entry: str) -> tuple[str, ...]:
    if entry in spec.groups:
        return spec.groups[entry].hosts
    return (entry,) if entry in spec.hosts else ()


def _check_selection(checked: Checked, selection: Selection, path: KeyPath) -> None:
    known = checked.hosts_and_groups
    if isinstance(selection, tuple):
        for index, entry in enumerate(selection):
            if entry not in known:
                checked.unknown("host", entry, known, (*path, index))
    elif selection is not None and not selected(checked, selection):
        wanted = ", ".join(f"`{key}={value}`" for key, value in selection.items())
        labels = {f"{key}={value}" for host in checked.spec.hosts.values() for key, value in host.labels.items()}
        checked.error(
            "no-host-selected", f"no host has the labels {wanted}", path, f"the labels are: {listing(labels)}"
        )


def _check_replaced(checked: Checked) -> None:
    """Hand-made containers that services take over from: each once, on a host of the spec."""
    seen: dict[str, str] = {}
    for service, spec in checked.spec.services.items():
        for index, entry in enumerate(spec.replaces):
            path: KeyPath = ("services", service, "replaces", index)
            host, separator, name = entry.partition(":")
            if not separator or not name:
                checked.error("bad-value", f"`{entry}` is not `HOST:CONTAINER`", path, "write it as `gpu-a:old-vllm`")
            elif host not in checked.names("hosts"):
                checked.unknown("host", host, checked.names("hosts"), path)
            elif entry in seen:
                message = f"`{seen[entry]}` takes over from `{entry}` too"
                checked.error("doubled-takeover", message, path, "let one service take it over")
            seen.setdefault(entry, service)


def _check_pool(checked: Checked, pool: tuple[object, ...], path: KeyPath) -> None:
    for index, entry in enumerate(pool):
        if isinstance(entry, tuple):
            _check_pool(checked, entry, (*path, index))
            continue
        host, separator, gpu = str(entry).partition(":")
        if not separator or not gpu:
            message = f"`{entry}` is not `HOST:GPU`"
            checked.error("bad-value", message, (*path, index), "write it as `gpu-a:0` or `gpu-a:GPU-5f3c...`")
        elif host not in checked.names("hosts"):
            checked.unknown("host", host, checked.names("hosts"), (*path, index))
