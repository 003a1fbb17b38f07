"""A bare fabric program: connects to all hosts at once, a thread each, and runs `true` there. SSH_CONFIG HOST..."""

import sys
from concurrent.futures import ThreadPoolExecutor

import fabric


def run_true(host: str) -> bool:
    with fabric.Connection(host, config=CONFIG) as connection:
        return connection.run("true", hide=True).ok


CONFIG = fabric.Config(runtime_ssh_path=sys.argv[1])
with ThreadPoolExecutor(len(sys.argv) - 2) as pool:
    assert all(pool.map(run_true, sys.argv[2:]))
