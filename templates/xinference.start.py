"""Starts Xinference's server and, whenever it starts, the models that it is to serve: it remembers none by itself.

    start.py COMMAND...       the container's own process: the server, with its models launched beside it
    start.py --launch NAME    makes sure that one model is there; what is wrong is said in the container's log

Only the standard library, and nothing that Python 3.8 does not have: it runs in the backend's image.
"""

import contextlib
import fcntl
import functools
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

MODELS = Path(os.environ.get("DEPLOYER_MODELS", "/etc/deployer/models.json"))
LOCK = Path(os.environ.get("DEPLOYER_LOCK", "/tmp/deployer-models.lock"))
LOG = Path(os.environ.get("DEPLOYER_LOG", "/proc/1/fd/1"))  # the container's
LONGEST_LAUNCH = 6 * 3600  # seconds: weights and engines may have to be fetched
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failed(Exception):
    pass


def wanted():
    return json.loads(MODELS.read_text("utf-8"))


def ask(path, body=None, timeout=30.0):
    """The answer's JSON. Failed with what the server said; OSError where there is none."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(wanted()["endpoint"] + path, data, {"Content-Type": "application/json"})
    try:
        with DIRECT.open(request, timeout=timeout) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        text = error.read(4000).decode("utf-8", "replace")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = json.loads(text)["detail"]
        raise Failed(f"HTTP {error.code}: {text}") from None
    except (http.client.HTTPException, ValueError) as error:
        raise Failed(f"its answer cannot be read: {error!r}") from None


def is_there(name):
    return any(model.get("id") == name for model in ask("/v1/models").get("data", []))


def launch(name):
    """One at a time, whoever asks. True where it was there already."""
    with LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_there(name):
            return True
        ask("/v1/models?wait_ready=true", request_for(name), LONGEST_LAUNCH)
        return False


def request_for(name):
    """As `xinference launch` makes it of its flags."""
    request = dict(wanted()["models"][name], model_uid=name)
    if isinstance(request.get("gpu_idx"), str):
        request["gpu_idx"] = [int(index) for index in request["gpu_idx"].split(",")]
    if request.get("n_gpu") == "none":
        request["n_gpu"] = None
    return request


def launch_all():
    """Until all are there; what fails is tried again, later and later."""
    missing, pause = list(wanted()["models"]), FIRST_PAUSE
    while missing:
        for name in list(missing):
            try:
                was_there = launch(name)
            except OSError:
                break  # it does not answer yet
            except Failed as error:
                say(f"model `{name}` cannot be launched: {error}")
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                missing.remove(name)
                say(f"model `{name}` is {'there' if was_there else 'launched'}")
        time.sleep(pause if missing else 0)


def serve(command):
    """The server's exit code. As the container's first process it buries whatever else has ended in it."""
    early = []
    tell = early.append  # what is said before there is a server
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: tell(number))
    server = subprocess.Popen(command)
    tell = functools.partial(os.kill, server.pid)
    for number in early:
        tell(number)
    threading.Thread(target=launch_all, daemon=True).start()
    while True:
        pid, status = os.wait()
        if pid == server.pid:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def say(text, to=None):
    print("deployer: " + text, file=to or sys.stdout, flush=True)


def say_in_log(text):
    """The words of a program beside the container's own are lost otherwise."""
    try:
        with LOG.open("a") as log:
            say(text, log)
    except OSError:
        say(text)


def launch_one(name):
    """The exit code."""
    try:
        if not launch(name):
            say_in_log(f"model `{name}` is launched")
    except (Failed, OSError) as error:
        say_in_log(f"model `{name}` cannot be launched: {error}")
        return 1
    return 0


def main(arguments):
    return launch_one(arguments[1]) if arguments[:1] == ["--launch"] else serve(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
