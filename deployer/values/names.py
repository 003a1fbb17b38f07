"""Names that are fixed by the contract: labels, container names, replica keys."""

from __future__ import annotations

import re

from deployer.dataclass import dataclass

NAME = re.compile(r"[a-z0-9][a-z0-9-]*\Z")  # projects, services, models, hosts' keys are laxer
CONTAINER = re.compile(
    r"(?P<project>[a-z0-9][a-z0-9-]*)_(?P<service>[a-z0-9][a-z0-9-]*)_(?P<replica>\d+)_(?P<revision>[0-9a-f]{12})\Z"
)
STATE_DIR = "/var/lib/deployer"  # fixed, so that no spec can move a lock
REVISION_LENGTH = 12  # hex digits of a revision that a name shows and compares

FOREIGN_PROJECT = "foreign-project"  # the problem that is a refusal: another owner's project of the same name

LABEL_PROJECT = "deployer.project"
LABEL_ID = "deployer.id"
LABEL_SERVICE = "deployer.service"
LABEL_REPLICA = "deployer.replica"
LABEL_MEMBER = "deployer.member"
LABEL_ROLE = "deployer.role"
LABEL_REVISION = "deployer.revision"
LABEL_DECISIONS = "deployer.decisions"
GPU_SHARE = "gpu_share"  # in the decisions of a replica that shares its GPUs: bytes of each
LABEL_SPEC = "deployer.spec"
LABEL_SECRETS = "deployer.secrets"
LABEL_VERSION = "deployer.version"
LABEL_APPLY = "deployer.apply"


@dataclass(frozen=True, slots=True, order=True)
class ReplicaKey:
    """One replica of one service of the project at hand."""

    service: str
    index: int

    def __str__(self) -> str:
        return f"{self.service}-{self.index}"


RETIRING = ".old"  # ends the name of a container whose successor has the same name, until it is removed


def container_name(project: str, key: ReplicaKey, revision: str) -> str:
    """The one name a replica's container of this revision can have on a host."""
    return f"{project}_{key.service}_{key.index}_{revision}"
