"""What reaches the command line of the system's ssh."""

from __future__ import annotations

import pytest

from deployer.errors import HostError
from deployer.spec.language import Host
from deployer.transport.base import ConnectOptions
from deployer.transport.hops import Hops
from deployer.transport.master import options_of


def options(**host: object) -> list[str]:
    checked, quiet = Host.model_validate({"connection": "openssh", **host}), ConnectOptions(ssh_config="/dev/null")
    return [*options_of("gpu-a", checked, quiet), *Hops(quiet).way("ssh", "gpu-a", checked)]


@pytest.mark.parametrize(
    "host",
    [
        {"address": "-oProxyCommand=touch /tmp/x"},
        {"address": "-oProxyCommand=touch /tmp/x;@h"},
        {"address": "-oProxyCommand=touch /tmp/x;@h", "user": "ops"},
        {"address": "ops@-oProxyCommand=x"},
        {"address": "h", "user": "-oProxyCommand=x"},
        {"address": "h", "jump": ["-oProxyCommand=x@j"]},
    ],
)
def test_nothing_that_ssh_would_take_for_an_option(host: dict[str, object]) -> None:
    with pytest.raises(HostError) as caught:
        options(**host)
    assert caught.value.diagnostic.code == "bad-address"


def test_a_login_name_may_stand_in_the_address() -> None:
    assert "-l" not in options(address="ops@10.0.0.1")
    assert options(address="ops@10.0.0.1", user="root")[-2:] == ["-l", "root"]
