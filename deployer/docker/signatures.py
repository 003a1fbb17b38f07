"""Docker's and the registries' error texts, in the order they are tried: data for `failures`, and nothing else.

The texts are those of moby (daemon, libnetwork, runc, nvidia-container-toolkit) and of distribution, 20.10 to 28.
"""

from __future__ import annotations

import re

from deployer.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Signature:
    """`message` and `hint` are filled with the text's named groups and what the caller knows."""

    code: str
    text: re.Pattern[str]
    message: str
    hint: str


def _signature(code: str, text: str, message: str, hint: str) -> Signature:
    return Signature(code, re.compile(text, re.IGNORECASE), message, hint)


EVERYWHERE = (
    _signature(
        "disk-full",
        r"no space left on device|disk quota exceeded",
        "no space left on the host's disk",
        "free space on the host: `docker system df` shows what Docker keeps, `docker image prune -a` removes it",
    ),
)

PULL = (
    *EVERYWHERE,
    _signature(
        "registry-insecure",
        r"server gave HTTP response to HTTPS client",
        "registry `{registry}` speaks HTTP where the host's Docker wants HTTPS",
        'add "insecure-registries": ["{registry}"] to the host\'s /etc/docker/daemon.json and restart Docker',
    ),
    _signature(
        "registry-certificate",
        r"x509:|certificate signed by unknown authority",
        "the host's Docker does not trust the certificate of registry `{registry}`",
        "put its CA into /etc/docker/certs.d/{registry}/ca.crt on the host",
    ),
    _signature(
        "registry-busy",
        r"toomanyrequests|rate limit|\b429\b",
        "registry `{registry}` allows no more pulls for now",
        "log in with `registries.{registry}`, or apply again later",
    ),
    _signature(
        "image-architecture",
        r"no matching manifest for (?P<platform>\S+)",
        "image `{image}` does not exist for {platform}",
        "name an image that is built for this host's processor",
    ),
    _signature(
        "image-not-found",
        r"manifest unknown|manifest for \S+ not found|name unknown|repository name not known"
        r"|repository does not exist(?!.*no basic auth credentials)|repository \S+ not found|\b404\b"
        r"|failed to resolve reference .*not found",
        "image `{image}` is not at `{registry}`{or_denied}",
        "correct the image's name and tag{or_login}",
    ),
    _signature(
        "registry-denied",
        r"unauthorized|denied|no basic auth credentials|authentication required|\b40[13]\b|incorrect username",
        "registry `{registry}` refuses {login}",
        "{login_hint}",
    ),
    _signature(
        "registry-unreachable",
        r"(?P<cause>no such host|connection refused|i/o timeout|TLS handshake timeout|network is unreachable"
        r"|no route to host|connection reset by peer|Client\.Timeout exceeded|context deadline exceeded"
        r"|proxyconnect|server misbehaving|unexpected EOF|\bEOF\b|\b50[0234]\b)",
        "the host cannot reach registry `{registry}`: {cause}",
        "check from the host: `curl -sS https://{registry}/v2/`",
    ),
    _signature(
        "bad-image-name",
        r"invalid reference format|invalid repository name",
        "`{image}` is no image name",
        "write it as REGISTRY/NAME:TAG",
    ),
)

CONTAINER = (
    *EVERYWHERE,
    _signature(
        "port-taken",
        r"Bind for \S*?:(?P<port>\d+) failed: port is already allocated"
        r"|listen (?:tcp|udp)[46]? \S*?:(?P<port2>\d+): bind: address already in use"
        r"|failed to bind host port (?:for )?\S*?:(?P<port3>\d+)(?:/|:)\S+ address already in use"
        r"|port is already allocated|address already in use",
        "port {port} of the host is already taken",
        "free the port or give the service another `port`; where none is fixed, apply again picks another",
    ),
    _signature(
        "bad-bind-address",
        r"cannot assign requested address",
        "the host has no such address to publish a port on",
        "set `port.bind` to an address of this host",
    ),
    _signature(
        "runtime-missing",
        r"unknown or invalid runtime name: (?P<runtime>\S+)|unknown runtime specified (?P<runtime2>\S+)",
        "the host's Docker has no runtime `{runtime}`",
        "install it (for `nvidia` the NVIDIA Container Toolkit: `nvidia-ctk runtime configure`), then restart Docker",
    ),
    _signature(
        "gpu-runtime",
        r"could not select device driver .*gpu|nvidia-container-cli|nvidia-container-runtime|nvml error"
        r"|unknown device|CDI device|failed to discover GPU",
        "Docker cannot give the container its GPUs",
        "check `nvidia-smi` and the NVIDIA Container Toolkit on the host (`nvidia-ctk runtime configure`)",
    ),
    _signature(
        "path-missing",
        r"bind source path does not exist: (?P<path>/.*?)\s*$"
        r"|error while creating mount source path '(?P<path2>[^']+)'|stat (?P<path3>/\S+): no such file .*mount",
        "path `{path}` is not on the host",
        "correct the path in the spec, or put the files there",
    ),
    _signature(
        "device-missing",
        r"error gathering device information while adding custom device \"(?P<path>[^\"]+)\"",
        "device `{path}` is not on the host",
        "correct `container.devices`",
    ),
    _signature(
        "image-architecture",
        r"exec format error|exec user process caused.*format",
        "the image is built for another processor than this host's",
        "name an image for this host's architecture",
    ),
    _signature(
        "bad-command",
        r"exec: \"(?P<command>[^\"]*)\".*(?:not found|no such file|permission denied|is a directory)"
        r"|no command specified",
        "the image has no program `{command}` to start",
        "correct `container.command` or `container.entrypoint`, or the image",
    ),
    _signature(
        "ulimit-refused",
        r"error setting rlimit|rlimits? .*(?:not permitted|invalid)|nofile|ulimit",
        "the host allows no such `container.ulimits`",
        "lower `container.ulimits`, or raise the limits of the host's Docker service",
    ),
    _signature(
        "bad-user",
        r"unable to find (?:user|group) (?P<user>\S+?):",
        "the image has no user or group `{user}`",
        "write `container.user` as numbers, as `1000:1000`",
    ),
    _signature(
        "network-missing",
        r"network (?P<network>\S+) not found|no such network:? (?P<network2>\S+)",
        "the host's Docker has no network `{network}`",
        "make it with `docker network create`, or correct `container.network`",
    ),
    _signature(
        "image-missing",
        r"no such image",
        "image `{image}` is no longer on the host",
        "apply again: it is pulled first",
    ),
    _signature(
        "name-taken",
        r"container name .* is already in use|Conflict\. The container name",
        "another container has the name `{name}`",
        "remove or rename that container, then apply again",
    ),
    _signature(
        "permission-denied",
        r"(?P<what>operation not permitted|permission denied)",
        "the host refuses what the container asks for: {what}",
        "look at `container.cap_add`, `security_opt`, `devices` and `sysctls` of the service",
    ),
)
