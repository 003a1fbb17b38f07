"""The group of commands, loaded when they are called, and the one place where failures become exit codes."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import click

from deployer import __version__
from deployer.errors import DeployerError, Diagnostic, InterruptedByUser

COMMANDS = {
    "init": "Write a deploy.yaml to begin with.",
    "validate": "Check the spec and all it names; run nothing.",
    "schema": "Print the JSON Schema of deploy.yaml, or of an output.",
    "render": "Print the exact `docker run` of each replica.",
    "facts": "Print everything observed on the hosts, as JSON.",
    "doctor": "Check that the hosts have what they need.",
    "estimate": "Say whether a model fits on GPUs, before anything is fetched.",
    "nim-profiles": "List the profiles of a service's NIM image, and say which one it takes.",
    "lock": "Write down what each model and image is: commits, hashes, digests.",
    "plan": "Show what apply would change, and why.",
    "apply": "Make the hosts what the spec says.",
    "destroy": "Remove all that the project runs, and only that.",
    "status": "Show what runs, service by service.",
    "verify": "Send every replica a real request and judge the answer.",
    "query": "Ask a service something and print the answer as it comes.",
    "cache": "Show, check, tidy up and fill the hosts' caches of weights.",
    "bundle": "Carry a whole deployment to hosts without internet.",
    "history": "Show who applied what, from the hosts' journals.",
    "rollback": "Bring back the last revision that worked.",
    "force-unlock": "Take the project's lock away from another apply.",
    "logs": "Show the log of a service's containers.",
    "exec": "Run a program in a service's container.",
    "start": "Start services again that were stopped, in the spec and on the hosts.",
    "stop": "Stop services, in the spec and on the hosts; containers and weights stay.",
    "scale": "Change how many replicas a service has, in the spec and on the hosts.",
    "watch": "Bring back what served and does not any more, again and again.",
    "completion": "Print what makes a shell complete commands and options.",
}
INTERRUPTED = 130
NEW_OBJECTS = 50_000  # before garbage is looked for among them: at 700 that was a tenth of a plan's time
OF_A_PLAN = 2_000_000  # likewise: nearly all that a plan makes stays until its end, and it ends soon
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class LazyGroup(click.Group):
    """Imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"deployer.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise click.UsageError(f"there is no command `{name}`{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings=CONTEXT, no_args_is_help=True)
@click.version_option(__version__, prog_name="deployer", message="%(prog)s %(version)s")
def deployer() -> None:
    """Terraform for LLM boxes: plan and apply model servers over SSH and Docker.

    Write which models must answer on which hosts into deploy.yaml, look at `deployer plan`, then `deployer apply`.
    """


def run_process(argv: list[str]) -> NoReturn:
    """Runs one command line as this process: SIGTERM is taken as Ctrl-C, and an interrupted one waits for nothing."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    gc.set_threshold(OF_A_PLAN if argv[:1] == ["plan"] else NEW_OBJECTS)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # or it reads what every installed package is, for some
    _end(run(argv))


def _end(code: int) -> NoReturn:
    """Ends the process at once: threads that still talk to hosts would hold it up, and taking all objects apart takes
    the interpreter a sixth of a plan's time."""
    if code != INTERRUPTED:
        atexit._run_exitfuncs()
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None: it was closed
            stream.flush()
    except (OSError, ValueError):
        if code != INTERRUPTED:
            sys.exit(code)  # says what cannot be written
    os._exit(code)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def run(argv: list[str]) -> int:
    """Runs one command line; returns its exit code."""
    try:
        result: Any = deployer.main(args=argv, prog_name="deployer", standalone_mode=False)
        return int(result or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 64
    except click.UsageError as error:
        _say_usage(error)
        return 64
    except click.Abort:
        return _failed(argv, InterruptedByUser(Diagnostic("interrupted", "interrupted; nothing was changed")))
    except DeployerError as error:
        return _failed(argv, error)
    except Exception as error:
        return _internal(argv, error)


def _say_usage(error: click.UsageError) -> None:
    path = error.ctx.command_path if error.ctx else "deployer"
    message = error.format_message().rstrip(".")
    click.echo(f"error[usage]: {message}", err=True)
    click.echo(f"hint: `{path} --help` lists what there is", err=True)


def _failed(argv: list[str], error: DeployerError) -> int:
    from deployer.cli.console import Console

    Console.of(no_colour="--no-color" in argv).problems(error.diagnostics)
    return error.exit_code


def _internal(argv: list[str], error: Exception) -> int:
    import traceback

    from deployer.cli.console import Console
    from deployer.view.page import Page

    console, verbose = Console.of(no_colour="--no-color" in argv), "-v" in argv or "--verbose" in argv
    hint = "this is a bug: please report it with the command and " + (
        "the traceback above" if verbose else "what the same command prints with `-v`"
    )
    if verbose:
        trace = "".join(traceback.format_exception(error)).rstrip("\n")
        console.say(Page([(line,) for line in trace.split("\n")]))  # a host's words may be in it
    said = Diagnostic("internal-error", f"deployer {__version__} failed: {type(error).__name__}: {error}", hint=hint)
    console.problems([said])
    return 1
