"""Docker's and registries' words, as moby 20.10 to 28 and distribution write them, and what is made of them."""

from __future__ import annotations

import pytest

from deployer.docker.failures import container_failure, pull_failure, taken_port

IMAGE, REGISTRY = "nvcr.io/nim/llama:1", "nvcr.io"

PULLS = [
    ("manifest for nvcr.io/nim/llama:1 not found: manifest unknown: manifest unknown", "image-not-found"),
    ("failed to resolve reference \"nvcr.io/nim/llama:1\": nvcr.io/nim/llama:1: not found", "image-not-found"),
    (
        "pull access denied for nvcr.io/nim/llama, repository does not exist or may require 'docker login': denied: "
        "requested access to the resource is denied",
        "image-not-found",
    ),
    (
        "pull access denied, repository does not exist or may require authorization: server message: "
        "insufficient_scope: authorization failed",
        "image-not-found",
    ),
    (
        "pull access denied, repository does not exist or may require authorization: authorization failed: "
        "no basic auth credentials",
        "registry-denied",
    ),
    ("unauthorized: authentication required", "registry-denied"),
    ('Head "https://nvcr.io/v2/nim/llama/manifests/1": no basic auth credentials', "registry-denied"),
    ('Get "https://nvcr.io/v2/": unauthorized: incorrect username or password', "registry-denied"),
    ("Error response from daemon: denied: denied", "registry-denied"),
    ('Get "https://nvcr.io/v2/": dial tcp: lookup nvcr.io: no such host', "registry-unreachable"),
    ('Get "https://nvcr.io/v2/": dial tcp 10.0.0.1:443: connect: connection refused', "registry-unreachable"),
    ('Get "https://nvcr.io/v2/": net/http: TLS handshake timeout', "registry-unreachable"),
    ('Get "https://nvcr.io/v2/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
     "registry-unreachable"),
    ("unexpected EOF", "registry-unreachable"),
    ("received unexpected HTTP status: 503 Service Unavailable", "registry-unreachable"),
    ('Get "https://nvcr.io/v2/": http: server gave HTTP response to HTTPS client', "registry-insecure"),
    ('Get "https://nvcr.io/v2/": x509: certificate signed by unknown authority', "registry-certificate"),
    ("toomanyrequests: You have reached your pull rate limit.", "registry-busy"),
    ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", "disk-full"),
    ("failed to register layer: ApplyLayer exit status 1: write /x: no space left on device", "disk-full"),
    ("no matching manifest for linux/arm64/v8 in the manifest list entries", "image-architecture"),
    ("invalid reference format", "bad-image-name"),
    ("something nobody has seen", "pull-failed"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code"), PULLS)
def test_pulls(text: str, code: str) -> None:
    for secret in (None, "ngc_key"):
        found = pull_failure(text, IMAGE, REGISTRY, secret)
        assert found.code == code
        assert found.evidence == (text,)
        assert found.hint
        assert "{" not in found.message + found.hint.replace('"insecure-registries": [', "")
        assert "not said" not in found.message + found.hint


def test_a_refused_login_names_its_secret() -> None:
    found = pull_failure("unauthorized: authentication required", IMAGE, REGISTRY, "ngc_key")
    assert found.message == "registry `nvcr.io` refuses the login (password: secret `ngc_key`)"
    assert found.hint == "correct `registries.nvcr.io` or the secret `ngc_key`"


def test_a_pull_without_login_says_how_to_log_in() -> None:
    found = pull_failure("repository does not exist or may require 'docker login'", IMAGE, REGISTRY, None)
    assert "or needs a login" in found.message
    assert found.hint == "correct the image's name and tag, or give `registries.nvcr.io` a login"


STARTS = [
    (
        "driver failed programming external connectivity on endpoint x (ab12): Bind for 0.0.0.0:8000 failed: "
        "port is already allocated",
        "port-taken", "port 8000",
    ),
    (
        "driver failed programming external connectivity on endpoint x (ab12): Error starting userland proxy: "
        "listen tcp4 127.0.0.1:8000: bind: address already in use",
        "port-taken", "port 8000",
    ),
    (
        "failed to set up container networking: driver failed programming external connectivity on endpoint x "
        "(ab12): failed to bind host port 127.0.0.1:8000/tcp: address already in use",
        "port-taken", "port 8000",
    ),
    (
        "failed to bind host port for 0.0.0.0:8000:172.17.0.2:80/tcp: address already in use",
        "port-taken", "port 8000",
    ),
    ("listen tcp4 10.9.9.9:80: bind: cannot assign requested address", "bad-bind-address", "no such address"),
    ('could not select device driver "" with capabilities: [[gpu]]', "gpu-runtime", "GPUs"),
    (
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create "
        "failed: unable to start container process: error during container init: error running prestart hook #0: "
        "exit status 1, stdout: , stderr: Auto-detected mode as 'legacy' nvidia-container-cli: device error: "
        "GPU-5f3c: unknown device: unknown",
        "gpu-runtime", "GPUs",
    ),
    ("nvidia-container-cli: initialization error: nvml error: driver/library version mismatch", "gpu-runtime", "GPUs"),
    ("failed to inject CDI devices: unresolvable CDI devices nvidia.com/gpu=7", "gpu-runtime", "GPUs"),
    ("unknown or invalid runtime name: nvidia", "runtime-missing", "`nvidia`"),
    ("Unknown runtime specified nvidia", "runtime-missing", "`nvidia`"),
    ('invalid mount config for type "bind": bind source path does not exist: /srv/my models', "path-missing",
     "`/srv/my models`"),
    ("error while creating mount source path '/srv/m': mkdir /srv/m: read-only file system", "path-missing",
     "`/srv/m`"),
    ('error gathering device information while adding custom device "/dev/kfd": no such file or directory',
     "device-missing", "`/dev/kfd`"),
    (
        'failed to create task for container: failed to create shim task: OCI runtime create failed: runc create '
        'failed: unable to start container process: exec: "vllm": executable file not found in $PATH: unknown',
        "bad-command", "`vllm`",
    ),
    ('exec: "/app/x": stat /app/x: no such file or directory: unknown', "bad-command", "`/app/x`"),
    ('exec: "/app/x": permission denied: unknown', "bad-command", "`/app/x`"),
    ('exec /bin/x: exec format error', "image-architecture", "processor"),
    ("error setting rlimits for ready process: error setting rlimit type 8: operation not permitted",
     "ulimit-refused", "ulimits"),
    ("unable to find user ops: no matching entries in passwd file", "bad-user", "`ops`"),
    ("network lab not found", "network-missing", "`lab`"),
    ("No such image: sha256:abc", "image-missing", "`img:1`"),
    ('Conflict. The container name "/x" is already in use by container "ab".', "name-taken", "`name`"),
    ("mkdir /var/lib/docker/overlay2/x: no space left on device", "disk-full", "no space"),
    ("runc create failed: mounting sysfs: operation not permitted", "permission-denied", "operation not permitted"),
    ("invalid CPU shares", "docker-refused", "refuses to start container `name`"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "part"), STARTS)
def test_starts(text: str, code: str, part: str) -> None:
    found = container_failure(text, "start", "name", "img:1")
    assert found.code == code
    assert part in found.message
    assert found.evidence == (text,)
    assert found.hint
    assert "not said" not in found.message + found.hint
    assert (taken_port(found) == 8000) == (code == "port-taken")


def test_a_port_that_docker_does_not_name() -> None:
    found = container_failure("port is already allocated", "start", "name", "img:1")
    assert found.code == "port-taken"
    assert taken_port(found) is None
