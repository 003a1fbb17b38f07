"""Specs with Ansible inventories for tests: loading from texts, the short way to what came of a host."""

from deployer.errors import Diagnostic
from tests.unit.spec.texts import Texts, load_text, problems

HEAD = "version: 1\nproject: demo\nid: abc123\nmodels: {tiny: {source: file:///srv/tiny.gguf}}\n"
PLAIN = HEAD + "services: {}\n"


def using(*names: str) -> str:
    """A spec with a service that uses these variables of its host."""
    env = "".join(f"\n      {name.upper()}: ${{host.vars.{name}}}" for name in names)
    return HEAD + f"services:\n  chat:\n    model: tiny\n    env:{env}\n"


def spec_of(inventory: str, *, spec: str = PLAIN, files: Texts | None = None, name: str = "inv"):
    """The spec with one inventory given on the command line."""
    return load_text(spec, files={name: inventory, **(files or {})}, inventories=(name,)).spec


def host_of(inventory: str, host: str = "h", **options) -> dict:
    """The keys that one host got."""
    return spec_of(inventory, **options).hosts[host].model_dump(exclude_unset=True)


def problems_of(inventory: str, *, spec: str = PLAIN, files: Texts | None = None, name: str = "inv"):
    return problems(spec, files={name: inventory, **(files or {})}, inventories=(name,))


def only_problem_of(inventory: str, **options) -> Diagnostic:
    found = problems_of(inventory, **options)
    assert len(found) == 1, [f"{d.code}: {d.message} {d.where}" for d in found]
    return found[0]
