"""`deployer bundle create`, `inspect` and `load`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from deployer.cli.console import Console
from deployer.cli.options import OUTPUT, Shared, failures_shown, shared_options
from deployer.cli.permits import ALLOWED, Permits, permits
from deployer.errors import Diagnostic, UsageError

PATH = click.argument("path", metavar="PATH")


@click.group(name="bundle", short_help="Carry a whole deployment to hosts without internet.")
def command() -> None:
    """Carry a whole deployment to hosts without internet: weights, images, the spec and its lock, signed and hashed."""


@command.command(short_help="Make a bundle, where hub and registry can be reached.")
@click.option("-o", "--output", required=True, metavar="PATH", help="A folder, or a tar if it ends in `.tar`.")
@click.option("--since", metavar="OLD", help="Leave out what this older bundle has; only its index is read.")
@click.option("--facts", metavar="FILE", help="Leave out what the hosts have, by `deployer facts` on the inside.")
@click.option("--split", metavar="SIZE", help="Parts of a tar that are each smaller than this: 4g for FAT disks.")
@click.option("--key", metavar="FILE", help="The SSH key to sign with, or its public half if an agent holds it.")
@click.option("--unsigned", is_flag=True, help="Do not sign it.")
@click.option("--sequence", type=click.IntRange(0, 10**15 - 1), metavar="N", help="Its number.  [default: the time]")
@click.option("--wheels", metavar="FOLDER", help="Take these wheels with it, from `pip wheel deployer -w FOLDER`.")
@shared_options(hosts=False)
def create(shared: Shared, output: str, facts: str | None, split: str | None, **form: object) -> int:
    """Bring everything an apply would bring to hosts that have nothing, and write it as one signed bundle.

    Every model must be in deploy.lock. Killed at any time, the next run goes on from what was brought.
    """
    from deployer.cli.audience import reporter_for
    from deployer.cli.planfile import read_bytes
    from deployer.view.bundles import bundle_json, render_bundle
    from deployer.weights.bundles.writing import Target
    from deployer.workflow import bundling

    if form["key"] is not None and form["unsigned"]:
        raise UsageError(Diagnostic("usage", "`--key` and `--unsigned` exclude each other", hint="leave one out"))
    target = Target(Path(output.rstrip("/") or "/"), _size(split))
    if target.split is not None and not target.is_tar:
        raise UsageError(Diagnostic("usage", "`--split` makes parts of a tar", hint="write `-o NAME.tar`"))
    making = bundling.Making(target, read_bytes(facts) if facts is not None else None, **form)  # type: ignore[arg-type]
    with reporter_for(shared.console) as reporter:
        made = bundling.create(shared.inputs, making, reporter.emit)
    if shared.json:
        shared.console.data(bundle_json(made.bundle, made.signer))
    else:
        shared.console.result(render_bundle(made.bundle, made.signer))
    return 0


@command.command(short_help="Show what is in a bundle, and who signed it.")
@PATH
@click.option("--check", is_flag=True, help="Read every file, and see that it is as the index says.")
@failures_shown(ALLOWED, *OUTPUT)
def inspect(console: Console, path: str, check: bool, allowed_signers: str | None, json: bool, **_: bool) -> int:
    """Show what is in a bundle, who signed it, and what it needs from an older one. Uses nothing of it."""
    from deployer.cli.audience import reporter_for
    from deployer.view.bundles import bundle_json, render_bundle
    from deployer.weights.bundles.opening import Allowed
    from deployer.workflow import bundles

    allowed = Allowed.of(allowed_signers, dict(os.environ))
    with reporter_for(console) as reporter:
        opened = bundles.inspect(path, allowed, check=check, report=reporter.emit)
    if json:
        console.data(bundle_json(opened.bundle, opened.signer, check))
    else:
        console.result(render_bundle(opened.bundle, opened.signer, check))
    return 0


@command.command(short_help="Check a bundle and keep what is in it on this machine.")
@PATH
@permits
@failures_shown(*OUTPUT)
def load(console: Console, path: str, given: Permits, json: bool, **_: bool) -> int:
    """Check a bundle and keep what is in it on this machine, for `deployer apply --bundle PROJECT`.

    It is kept in ~/.local/share/deployer/store, or where DEPLOYER_STORE says. All of it is kept, or nothing.
    """
    from deployer.cli.audience import reporter_for
    from deployer.view.bundles import bundle_json, render_bundle
    from deployer.weights.bundles.store import Store
    from deployer.workflow.bundles import load_bundle

    environment = dict(os.environ)
    with reporter_for(console) as reporter:
        opened = load_bundle(path, given.allowed(environment), Store.of(environment), reporter.emit)
    if json:
        console.data(bundle_json(opened.bundle, opened.signer, True))
    else:
        console.result(render_bundle(opened.bundle, opened.signer, True))
    return 0


def _size(text: str | None) -> int | None:
    from deployer.spec.language.base import parse_size
    from deployer.weights.bundles.writing import LEAST_PART

    try:
        size = None if text is None else parse_size(text)
    except ValueError as error:
        raise UsageError(Diagnostic("usage", f"`--split`: {error}", hint="write it as `4g`")) from None
    if size is not None and size < LEAST_PART:
        least = f"{LEAST_PART >> 20}m"
        raise UsageError(Diagnostic("usage", f"`--split`: parts have at least {least}", hint=f"give {least} or more"))
    return size
