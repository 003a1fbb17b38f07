"""`deployer init`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from deployer.cli.console import Console
from deployer.errors import DeployerError, Diagnostic

SPEC = """\
# `deployer plan` shows what would change, `deployer apply` does it.
# Everything that may stand here: `deployer schema`, or the README.
version: 1
project: {project}
id: {id}                       # hosts know the project by its name and this: keep both

hosts:
{hosts}
models:
  qwen:
    source: "hf://Qwen/Qwen2.5-0.5B-Instruct-GGUF"   # file:///path for files on the hosts
    include: ["*q4_k_m.gguf"]

services:
  chat:
    model: qwen
    backend: llama.cpp                 # left out, it is chosen by the model and the host's GPUs
    replicas: 1
    # port: 8000                       # left out, the first free one of the host's `ports`
    options:
      context_length: 4096
    placement:
      gpus: none                       # a count, or `auto`
"""
LOCAL = "  here: {connection: local}           # over SSH: a name of ~/.ssh/config, or address, user, key\n"


@click.command(short_help="Write a deploy.yaml to begin with.")
@click.argument("hosts", metavar="[HOST...]", nargs=-1)
@click.option("-f", "--file", "path", default="deploy.yaml", metavar="FILE", help="Where to.  [default: deploy.yaml]")
@click.option("--project", metavar="NAME", help="Its name.  [default: that of the folder]")
@click.option("--no-color", "no_color", is_flag=True, help="No colours; NO_COLOR does so too.")
def command(hosts: tuple[str, ...], path: str, project: str | None, no_color: bool) -> int:
    """Write a deploy.yaml to begin with: a small model on this machine, or on HOSTs of ~/.ssh/config.

    It has an id of its own, by which hosts tell it from another project of the same name. A file that is there is left
    as it is.
    """
    console = Console.of(no_colour=no_color)
    try:
        _write(Path(path), _text(_name(project), hosts))
    except DeployerError as error:
        console.problems(error.diagnostics)
        return error.exit_code
    console.text(f"wrote {path}; edit it, then `deployer plan`\n")
    return 0


def _name(project: str | None) -> str:
    if project is not None:
        if re.fullmatch("[a-z0-9][a-z0-9-]{0,62}", project) is None:
            raise click.UsageError("`--project` is made of small letters, digits and `-`")
        return project
    return re.sub("[^a-z0-9]+", "-", Path.cwd().name.lower()).strip("-")[:63].strip("-") or "demo"


def _text(project: str, hosts: tuple[str, ...]) -> str:
    import secrets

    for host in hosts:
        if re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]*", host) is None:
            raise click.UsageError(f"`{host}` is no name of a host; write it into the file with its `address`")
    lines = "".join(f"  {host}: {{}}\n" for host in hosts) or LOCAL
    return SPEC.format(project=project, id=secrets.token_hex(4), hosts=lines)


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        hint = "edit it, or name another file with `-f`"
        raise DeployerError(Diagnostic("file-exists", f"`{path}` is there already", hint=hint)) from None
    except OSError as error:
        message = f"`{path}` cannot be written: {error.strerror}"
        raise DeployerError(Diagnostic("cannot-write", message, hint="name another file with `-f`")) from None
