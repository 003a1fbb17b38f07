"""How a package is installed on a host: which tool comes in which package of which distribution. Only words.

Names of packages as Debian, Fedora and RHEL, openEuler, SUSE, Alpine and Arch have them.
"""

from __future__ import annotations

from collections.abc import Iterable

from deployer.values.facts import HostFacts

INSTALL = {
    "debian": "apt-get install -y",
    "rhel": "dnf install -y",
    "suse": "zypper install -y",
    "alpine": "apk add",
    "arch": "pacman -S --noconfirm",
}
FAMILIES = {
    "debian": ("debian", "ubuntu", "deepin", "uos"),
    "rhel": ("rhel", "fedora", "centos", "rocky", "almalinux", "ol", "amzn", "openeuler", "anolis", "alinux", "kylin",
             "tencentos", "opencloudos", "hce", "bclinux"),
    "suse": ("suse", "sles", "opensuse"),
    "alpine": ("alpine",),
    "arch": ("arch",),
}  # fmt: skip
PACKAGES = {
    "curl": "curl", "flock": "util-linux", "logger": "util-linux", "awk": "gawk", "grep": "grep", "sed": "sed",
    "ss": "iproute2",
}  # fmt: skip
ELSEWHERE = {
    ("ss", "rhel"): "iproute", ("logger", "debian"): "bsdutils", ("logger", "alpine"): "util-linux-misc",
    ("flock", "alpine"): "flock",
}  # fmt: skip
DOCKER_DOCS = "https://docs.docker.com/engine/install/"
TOOLKIT_DOCS = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"
# Docker's own packages are built for these (its documentation); others take those of the CentOS that they are like.
DOCKER_BUILDS = ("centos", "fedora", "rhel")


def family_of(host: HostFacts) -> str | None:
    """`debian`, `rhel`, `suse`, `alpine`, `arch`; None for a distribution that is not known."""
    for word in host.distribution:
        for family, names in FAMILIES.items():
            if word in names or word.partition("-")[0] in names:
                return family
    return None


def as_root(host: HostFacts, command: str) -> str:
    return command if host.uid == 0 else f"sudo {command}"


def install(host: HostFacts, packages: Iterable[str]) -> str:
    """What to do so that these packages are there."""
    names = " ".join(dict.fromkeys(packages))
    family = family_of(host)
    if family is None:
        return f"install {names} with the host's package manager"
    return f"run on the host: `{as_root(host, f'{INSTALL[family]} {names}')}`"


def install_tools(host: HostFacts, tools: Iterable[str]) -> str:
    family = family_of(host) or ""
    return install(host, (ELSEWHERE.get((tool, family)) or PACKAGES.get(tool, "coreutils") for tool in tools))


def install_docker(host: HostFacts) -> str:
    """Debian and its like have a Docker that is new enough; the others' own is old, or is podman in disguise."""
    family = family_of(host)
    if family == "debian":
        return install(host, ["docker.io"])
    if family == "rhel":
        build = next((word for word in host.distribution if word in DOCKER_BUILDS), "centos")
        repository = f"https://download.docker.com/linux/{build}/docker-ce.repo"
        add = as_root(host, f"curl -fsSLo /etc/yum.repos.d/docker-ce.repo {repository}")
        then = as_root(host, "dnf install -y docker-ce") + " && " + as_root(host, "systemctl enable --now docker")
        wrong = " (where $releasever of this distribution is not CentOS's, set it in that file)"
        return f"run on the host: `{add} && {then}`" + (wrong if build != host.distribution[0] else "")
    if family is not None:
        return install(host, ["docker"])
    return f"install Docker Engine on it: {DOCKER_DOCS}"


def install_toolkit(host: HostFacts) -> str:
    """The NVIDIA container toolkit, which no distribution has: its repository first."""
    restart = as_root(host, "nvidia-ctk runtime configure --runtime=docker")
    restart += " && " + as_root(host, "systemctl restart docker")
    family = family_of(host)
    if host.tools.get("nvidia-ctk"):
        return f"run on the host: `{restart}`"
    if family not in ("debian", "rhel", "suse"):
        return f"install the NVIDIA container toolkit on it: {TOOLKIT_DOCS}"
    command = as_root(host, f"{INSTALL[family]} nvidia-container-toolkit")
    return f"add NVIDIA's repository ({TOOLKIT_DOCS}), then run on the host: `{command} && {restart}`"
