"""deploy.yaml as a whole: the project, its secrets, registries and policy."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from deployer.spec.language.backends import BackendPin
from deployer.spec.language.base import NotYet, Secret, Section, Text, Texts, one_or_more
from deployer.spec.language.hosts import Group, Host, short_group
from deployer.spec.language.models import Model
from deployer.spec.language.services import Service


class SecretSource(Section):
    """Where the controller finds a secret: exactly one of `env`, `file`, `command`."""

    env: str | None = None
    file: str | None = None
    command: str | None = None
    hosts: dict[str, Text] | Texts | None = Field(None, description="only ever sent to these hosts")

    @model_validator(mode="after")
    def one_source(self) -> Self:
        if sum(s is not None for s in (self.env, self.file, self.command)) != 1:
            raise ValueError("a secret has exactly one of `env`, `file` and `command`")
        return self


MIRROR = r"^[A-Za-z0-9.\[\]:-]+(/[a-z0-9._-]+)*$"


class Registry(Section):
    username: Text | None = None
    password: Secret | None = None
    mirror: str | None = Field(
        None, pattern=MIRROR, description="asked instead of it, by hosts too: REGISTRY or REGISTRY/PREFIX"
    )
    ca: str | None = Field(None, description="file of its CA on the controller; Docker's own place for it is looked at")
    plain_http: bool = Field(False, description="it has no TLS; the hosts' Docker has to know that too")


class Hub(Section):
    endpoint: str | None = Field(None, description="a mirror, as `https://hf-mirror.local`")
    token: Secret | None = Field(None, description="sent to the endpoint, by the controller and by hosts")
    ca: str | None = Field(
        None, description="file of its CA on the controller; believed besides the system's, by the controller and hosts"
    )


class Hubs(Section):
    hf: Hub = Hub.usual()
    modelscope: Hub = Hub.usual()
    ngc: Annotated[Hub, NotYet("use `env` of the service")] = Hub.usual()


class UnreachablePolicy(Section):
    max: int = Field(0, ge=0)


Rule = Literal["latest-tag", "trust-remote-code", "privileged", "open-port-without-key", "host-network"]
RULES: tuple[Rule, ...] = get_args(Rule)
Rules = Annotated[tuple[Rule, ...], *one_or_more({"enum": list(RULES)})]


class Policy(Section):
    """Rules whose breach is an error or a warning; `deny` counts where one is in both."""

    unreachable: UnreachablePolicy = UnreachablePolicy.usual()
    deny: Rules = ()
    warn: Rules = ("trust-remote-code", "open-port-without-key")


class Defaults(Section):
    service: dict[str, Any] = Field(default_factory=dict, description="under every service")


class DeploySpec(Section):
    """A whole project; `services` are merged, `hosts` have their groups' and the inventory's settings in them."""

    version: Literal[1]
    requires: str | None = Field(None, description="versions of deployer this spec is for, as `>=0.4`")
    project: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=63)
    id: Text | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$", max_length=64)
    inventory: Texts = ()
    vars: dict[str, Text] = Field(default_factory=dict)
    secrets: dict[str, SecretSource] = Field(default_factory=dict)
    registries: dict[str, Registry] = Field(default_factory=dict)
    hubs: Hubs = Hubs.usual()
    policy: Policy = Policy.usual()
    hosts: dict[str, Host] = Field(default_factory=dict)
    groups: dict[str, Annotated[Group, BeforeValidator(short_group)]] = Field(default_factory=dict)
    models: dict[str, Model] = Field(default_factory=dict)
    backends: dict[str, BackendPin] = Field(default_factory=dict)
    profiles: dict[str, dict[str, Any]] = Field(default_factory=dict, description="any service settings under a name")
    services: dict[str, Service]
    defaults: Defaults = Defaults.usual()
