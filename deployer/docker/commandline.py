"""ContainerSpec -> the `docker run` that a person can paste. Holds no secret: variables are named instead."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import posixpath
import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping

from deployer.values.container import ContainerSpec, Healthcheck, Mount, PortBinding, SecretFile
from deployer.values.secrets import SecretRef

Flags = Iterator[tuple[str, str | None]]
END = "END_OF_FILE"
LINE = 100  # characters of base64 a line
UNITS = ((2**30, "g"), (2**20, "m"), (2**10, "k"))


def render_docker_run(spec: ContainerSpec, name: str, labels: Mapping[str, str] | None = None) -> str:
    """A shell script: one `docker run`, or `docker create`, copies and `docker start` where files go in first.

    Comments say which variable must hold which secret, and what no flag can express. `labels` are given besides the
    spec's own.
    """
    has_files = bool(spec.files or spec.secret_files)
    parts = ["docker create" if has_files else "docker run -d"]
    for flag, value in _flags(spec, name, {**spec.labels, **(labels or {})}):
        parts.append(flag if value is None else f"{flag} {quoted(value)}")
    parts.append(quoted(spec.image))
    tail = (*(spec.entrypoint or ())[1:], *spec.command)
    parts += [" ".join(map(quoted, words)) for words in _lines_of(tail)]
    commands = [*_directories(spec), " \\\n  ".join(parts)]
    if has_files:
        commands += [*_copies(spec, name), f"docker start {quoted(name)}"]
    return "".join(f"{note}\n" for note in _notes(spec)) + " &&\n".join(commands) + "\n"


def quoted(text: str) -> str:
    """For a shell. Control characters but newlines are written out, as `$'...'`, so that no terminal acts on them."""
    if not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", text):
        return shlex.quote(text)
    written = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b"\\'" else f"\\{byte:03o}" for byte in text.encode()
    )
    return f"$'{written}'"


def _lines_of(words: Iterable[str]) -> list[list[str]]:
    """The arguments in lines: a flag with its values."""
    lines: list[list[str]] = []
    for word in words:
        if word.startswith("-") or not lines or not lines[-1][0].startswith("-"):
            lines.append([word])
        else:
            lines[-1].append(word)
    return lines


def _flags(spec: ContainerSpec, name: str, labels: Mapping[str, str]) -> Flags:
    yield "--name", name
    yield "--restart", spec.restart
    yield from _resources(spec)
    yield from _network(spec)
    yield from (_mount(mount) for mount in spec.mounts)
    yield from (("--tmpfs", f"{path}:{options}" if options else path) for path, options in sorted(spec.tmpfs.items()))
    for variable, value in spec.env.items():
        yield "--env", variable if isinstance(value, SecretRef) else f"{variable}={value}"
    yield from _process(spec)
    if spec.healthcheck is not None:
        yield from _health(spec.healthcheck)
    if spec.log_driver is not None:
        yield "--log-driver", spec.log_driver
    yield from (("--log-opt", f"{key}={value}") for key, value in sorted(spec.log_options.items()))
    yield from (("--label", f"{key}={value}") for key, value in sorted(labels.items()))
    if spec.entrypoint is not None:
        yield "--entrypoint", spec.entrypoint[0] if spec.entrypoint else ""


def _resources(spec: ContainerSpec) -> Flags:
    if spec.gpus:
        yield "--gpus", _gpus(spec.gpus)
    yield from _one("--runtime", spec.runtime)
    yield from _one("--shm-size", _size(spec.shm_size))
    yield from _one("--memory", _size(spec.memory))
    yield from _one("--memory-swap", "-1" if spec.memory_swap == -1 else _size(spec.memory_swap))
    yield from _one("--cpus", None if spec.cpus is None else f"{spec.cpus:g}")
    yield from _one("--cpuset-cpus", spec.cpuset_cpus)
    yield from _one("--cpuset-mems", spec.cpuset_mems)
    yield from _one("--pids-limit", spec.pids_limit)
    yield from _one("--oom-score-adj", spec.oom_score_adj)
    yield from (("--ulimit", f"{name}={u.soft}:{u.hard}") for name, u in sorted(spec.ulimits.items()))
    yield from (("--device", device) for device in spec.devices)


def _network(spec: ContainerSpec) -> Flags:
    if spec.network != "bridge":
        yield "--network", spec.network
    yield from (("--network-alias", alias) for alias in spec.network_aliases)
    yield from _one("--hostname", spec.hostname)
    yield from (("--publish", _publish(binding)) for binding in spec.ports)
    yield from (("--dns", server) for server in spec.dns)
    yield from (("--add-host", entry) for entry in spec.extra_hosts)
    yield from _one("--ipc", spec.ipc)
    yield from _one("--pid", spec.pid)
    yield from _one("--uts", spec.uts)


def _process(spec: ContainerSpec) -> Flags:
    yield from _one("--user", spec.user)
    yield from (("--group-add", group) for group in spec.group_add)
    yield from _one("--workdir", spec.working_dir)
    yield from (("--cap-add", name) for name in spec.cap_add)
    yield from (("--cap-drop", name) for name in spec.cap_drop)
    yield from (("--security-opt", option) for option in spec.security_opt)
    yield from (("--sysctl", f"{name}={value}") for name, value in sorted(spec.sysctls.items()))
    switches = {"--privileged": spec.privileged, "--read-only": spec.read_only, "--init": spec.init}
    yield from ((flag, None) for flag, is_on in switches.items() if is_on)
    yield from _one("--stop-timeout", None if spec.stop_grace is None else math.ceil(spec.stop_grace))
    yield from _one("--stop-signal", spec.stop_signal)


def _one(flag: str, value: object) -> Flags:
    if value is not None:
        yield flag, str(value)


def _gpus(gpus: tuple[str, ...]) -> str:
    """Docker reads the value as CSV: with a comma in it, the quotes are part of it."""
    if "all" in gpus:
        return "all"
    return f"device={gpus[0]}" if len(gpus) == 1 else f'"device={",".join(gpus)}"'


def _size(size: int | None) -> str | None:
    if not size:
        return None if size is None else "0"
    return next((f"{size // unit}{letter}" for unit, letter in UNITS if size % unit == 0), str(size))


def _publish(binding: PortBinding) -> str:
    address = f"[{binding.bind}]" if ":" in binding.bind else binding.bind
    protocol = "" if binding.protocol == "tcp" else f"/{binding.protocol}"
    return f"{address}:{binding.host}:{binding.container}{protocol}"


def _mount(mount: Mount) -> tuple[str, str]:
    if mount.relabel is not None:
        words = (
            "ro" if mount.read_only else "",
            mount.relabel,
            mount.propagation or "",
            "nocopy" if mount.no_copy else "",
        )
        return "--volume", f"{mount.source}:{mount.target}:" + ",".join(word for word in words if word)
    fields = [f"type={mount.kind}", f"src={mount.source}", f"dst={mount.target}"]
    fields += ["readonly"] if mount.read_only else []
    fields += [f"bind-propagation={mount.propagation}"] if mount.propagation else []
    fields += ["volume-nocopy=true"] if mount.no_copy else []
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return "--mount", line.getvalue()


def _health(check: Healthcheck) -> Flags:
    if check.test == ():
        yield "--no-healthcheck", None
        return
    if check.test:
        yield "--health-cmd", check.test[1] if check.test[0] == "CMD-SHELL" else shlex.join(check.test[1:])
    durations = {"interval": check.interval, "timeout": check.timeout, "start-period": check.start_period}
    yield from ((f"--health-{name}", f"{value:g}s") for name, value in durations.items() if value is not None)
    yield from _one("--health-retries", check.retries)


def _notes(spec: ContainerSpec) -> Iterator[str]:
    for variable, value in spec.env.items():
        if isinstance(value, SecretRef):
            yield f"# {_plain(variable)} must be exported; it holds the secret `{_plain(value.secret)}`"
    for path, file in sorted(spec.secret_files.items()):
        for secret in (file.secret, *file.more):
            yield f"# {_variable(secret)} must be set; it holds the secret `{_plain(secret.secret)}` for {_plain(path)}"
    if spec.extra:
        yield f"# what no flag can say, for the body of the Docker API: {json.dumps(spec.extra, sort_keys=True)}"


def _plain(text: str) -> str:
    """In one line of a comment."""
    return json.dumps(text)[1:-1]


def _variable(secret: SecretRef) -> str:
    return "SECRET_" + re.sub(r"[^A-Z0-9]", "_", secret.secret.upper())


def _directories(spec: ContainerSpec) -> Iterator[str]:
    made = [quoted(mount.source) for mount in spec.mounts if mount.create]
    if made:
        yield "mkdir -p " + " ".join(made)


def _copies(spec: ContainerSpec, name: str) -> Iterator[str]:
    """Files go in as a tar, which alone says owner and mode; secrets are put into theirs by the shell."""
    for path, file in sorted(spec.files.items()):
        yield _copy(path, _fill(path, base64.b64decode(file.data)), (file.mode, file.uid, file.gid), name)
    for path, secret in sorted(spec.secret_files.items()):
        fill = f"{_print(secret)} > {_inside(path)} &&"
        yield _copy(path, fill, (secret.mode, secret.uid, secret.gid), name)


def _fill(path: str, data: bytes) -> str:
    """Text as it is, for people to read; all else as base64."""
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        lines = []
    if lines[1:] and lines.pop() == "" and END not in lines and all(map(_is_plain, lines)):
        return "\n".join([f"cat > {_inside(path)} <<'{END}' &&", *lines, END])
    content = textwrap.wrap(base64.b64encode(data).decode(), LINE)
    return "\n".join([f"base64 -d > {_inside(path)} <<'{END}' &&", *content, END])


def _is_plain(line: str) -> bool:
    return line.replace("\t", "").isprintable()


def _print(file: SecretFile) -> str:
    """The shell command that prints what the file holds."""
    values = [f'"${{{_variable(reference)}:?}}"' for reference in (file.secret, *file.more)]
    if file.content is None:
        form = "%s" + r"\n%s" * len(file.more)
        return f"printf {quoted(form)} {' '.join(values)}"
    form = file.content.replace("\\", r"\\").replace("%", "%%").replace("{secret}", '"%s"')
    escaped = rf"""$(printf %s {values[0]} | sed 's/[\\"]/\\&/g')"""
    return f': {values[0]} && printf {quoted(form)} "{escaped}"'


def _inside(path: str) -> str:
    return f'"$dir"/{quoted(path.lstrip("/"))}'


def _copy(path: str, fill: str, owned: tuple[int, int, int], name: str) -> str:
    mode, uid, gid = owned
    file, target = quoted("./" + path.lstrip("/")), quoted(f"{name}:/")
    return "\n".join(
        [
            f"(umask 077; dir=$(mktemp -d) && mkdir -p {_inside(posixpath.dirname(path))} &&",
            fill,
            f'tar -C "$dir" --owner={uid} --group={gid} --mode={mode:o} -cf - {file} | docker cp - {target}',
            'status=$?; rm -rf "$dir"; exit $status)',
        ]
    )
