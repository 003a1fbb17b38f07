"""The fake engine's HTTP API on a Unix socket, as the Docker SDK and http.client speak it."""

from __future__ import annotations

import base64
import http.server
import io
import json
import re
import socketserver
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.fakeengine import Answer, FakeContainer, FakeEngine, now

API = "1.41"


class EngineServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves until `end`; connections are dropped while `is_down`."""

    daemon_threads = True

    def __init__(self, socket: Path, engine: FakeEngine) -> None:
        super().__init__(str(socket), EngineHandler)
        self.engine = engine
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that left in the middle of an answer


Route = Callable[["EngineHandler", str], None]


class EngineHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: EngineServer

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._route()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def _route(self) -> None:
        url = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = self._chunks()
        path = re.sub(r"^/v1\.\d+(?=/)", "", url.path)
        self.server.engine.requests.append(f"{self.command} {path}")
        try:
            for method, pattern, route in ROUTES:
                found = re.fullmatch(pattern, path)
                if method == self.command and found:
                    return route(self, unquote(found[1]) if found.groups() else "")
            raise Answer(404, "page not found")
        except Answer as answer:
            self.send(answer.status, {"message": answer.message})

    def _chunks(self) -> bytes:
        data = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    # --- answers ---------------------------------------------------------------------

    def send(self, status: int, data: Any = None, raw: bytes | None = None, **headers: str) -> None:
        body = raw if raw is not None else b"" if data is None else json.dumps(data, separators=(",", ":")).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status not in (204, 304):
            kind = "application/json" if raw is None else "application/octet-stream"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status not in (204, 304):
            self.wfile.write(body)

    def version(self, _: str) -> None:
        self.send(200, {"ApiVersion": API, "MinAPIVersion": "1.12", "Version": "20.10.24", "Os": "linux"})

    def ping(self, _: str) -> None:
        self.send(200, raw=b"OK", API_Version=API)

    def image(self, reference: str) -> None:
        image = self.server.engine.image(reference)
        names = [name for name, known in self.server.engine.images.items() if known.id == image.id]
        config = {"Labels": dict(image.labels) or None, "Cmd": list(image.command)}
        tags, digests = [n for n in names if ":" in n and "@" not in n], [n for n in names if "@" in n]
        layers = {"Type": "layers", "Layers": list(image.diff_ids)}
        known = {"Id": image.id, "RepoTags": tags, "RepoDigests": digests, "Config": config, "Size": 1024}
        self.send(200, {**known, "RootFS": layers})

    def images(self, _: str) -> None:
        wanted = json.loads(self.query.get("filters", "{}")).get("label", [])
        listed = []
        for image in {image.id: image for image in self.server.engine.images.values()}.values():
            if all(f"{key}={value}" in wanted for key, value in image.labels.items()) or not wanted:
                listed.append({"Id": image.id, "Labels": dict(image.labels), "RepoTags": [], "RepoDigests": []})
        self.send(200, [entry for entry in listed if not wanted or entry["Labels"]])

    def info(self, _: str) -> None:
        kind = [["driver-type", "io.containerd.snapshotter.v1"]] if self.server.engine.containerd else []
        said = {"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"], *kind], "SystemTime": now()}
        self.send(200, said)

    def load(self, _: str) -> None:
        try:
            name = self.server.engine.load(self.body)
            lines = [{"status": "Loading layer", "progressDetail": {}}, {"stream": f"Loaded image: {name}\n"}]
            lines += [{"stream": f"Error unpacking image {name}: {why}\n"} for why in self.server.engine.unpacking]
        except ValueError as error:
            lines = [{"errorDetail": {"message": str(error)}, "error": str(error)}]
        self.send(200, raw=b"".join(json.dumps(line).encode() + b"\r\n" for line in lines))

    def tag(self, reference: str) -> None:
        self.server.engine.tag(reference, f"{self.query['repo']}:{self.query.get('tag', 'latest')}")
        self.send(201)

    def untag(self, name: str) -> None:
        images = self.server.engine.images
        gone = [known for known, image in images.items() if name in (known, image.id)]
        if not gone:
            raise Answer(404, f"No such image: {name}")
        for known in gone:
            del images[known]
        self.send(200, [{"Untagged": known} for known in gone])

    def pull(self, _: str) -> None:
        header = self.headers.get("X-Registry-Auth")
        login = None
        if header:
            given = json.loads(base64.urlsafe_b64decode(header))
            login = f"{given['username']}:{given['password']}"
        name, tag = self.query["fromImage"].removeprefix("docker.io/library/"), self.query.get("tag", "latest")
        messages = self.server.engine.pull(name, tag, login)
        lines = [json.dumps(message).encode() + b"\r\n" for message in messages]
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        registry = self.server.engine.registries[name.partition("/")[0]]
        for number, line in enumerate(lines):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            if number == 0:
                self.wfile.flush()
                registry.hangs.wait(30)
                if registry.breaks_off:
                    self.close_connection = True
                    return
        self.wfile.write(b"0\r\n\r\n")

    def containers(self, _: str) -> None:
        filters = json.loads(self.query.get("filters", "{}"))
        self.send(200, self.server.engine.listing((filters.get("publish") or [None])[0], self.query.get("all") == "1"))

    def create(self, _: str) -> None:
        container = self.server.engine.create(self.query["name"], json.loads(self.body))
        self.send(201, {"Id": container.id, "Warnings": []})

    def inspect(self, reference: str) -> None:
        self.send(200, self.server.engine.inspect(reference))

    def start(self, reference: str) -> None:
        self.send(204 if self.server.engine.start(reference) else 304)

    def stop(self, reference: str) -> None:
        self.send(204 if self.server.engine.stop(reference) else 304)

    def pause(self, reference: str) -> None:
        self.server.engine.pause(reference, paused=True)
        self.send(204)

    def unpause(self, reference: str) -> None:
        self.server.engine.pause(reference, paused=False)
        self.send(204)

    def rename(self, reference: str) -> None:
        self.server.engine.rename(reference, self.query["name"])
        self.send(204)

    def update(self, reference: str) -> None:
        policy = json.loads(self.body).get("RestartPolicy") or {}
        if self.server.engine.is_full:
            raise Answer(500, "Cannot update container: write .tmp-config.v2.json1: no space left on device")
        container = self.server.engine.find(reference)
        container.policy, container.retries = policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0
        self.send(200, {"Warnings": None})

    def remove(self, reference: str) -> None:
        self.server.engine.remove(reference, self.query.get("force", "") in ("1", "True", "true"))
        self.send(204)

    def exec_create(self, reference: str) -> None:
        self.send(201, {"Id": self.server.engine.exec_create(reference, json.loads(self.body)["Cmd"])})

    def exec_start(self, id_: str) -> None:
        self.server.engine.exec_start(id_)
        self.send(200)

    def exec_inspect(self, id_: str) -> None:
        found = self.server.engine.execs.get(id_)
        if found is None:
            raise Answer(404, f"No such exec instance: {id_}")
        running = found.started and found.code is None
        self.send(200, {"ID": id_, "Running": running, "ExitCode": found.code, "ContainerID": found.container.id})

    def put_archive(self, reference: str) -> None:
        self.server.engine.put_files(reference, self.body)
        self.send(200)

    def get_archive(self, reference: str) -> None:
        info, data = self.server.engine.file(reference, self.query["path"])
        stat = {"name": info.name, "size": len(data), "mode": info.mode, "mtime": "", "linkTarget": ""}
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            tar.addfile(info, io.BytesIO(data))
        encoded = base64.b64encode(json.dumps(stat).encode()).decode()
        self.send(200, raw=out.getvalue(), X_Docker_Container_Path_Stat=encoded)

    def logs(self, reference: str) -> None:
        container = self.server.engine.find(reference)
        if self.query.get("follow") not in ("1", "True", "true"):
            return self.send(200, raw=b"".join(self._frames(container)))
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        sent = 0
        while True:
            frames = self._frames(container)
            self.wfile.write(b"".join(frames[sent:]))
            sent = len(frames)
            if container.ended.wait(0.05) or not container.is_live:
                self.wfile.write(b"".join(self._frames(container)[sent:]))
                self.close_connection = True
                return None

    def _frames(self, container: FakeContainer) -> list[bytes]:
        lines = list(container.log)
        if self.query.get("tail", "all") != "all" and self.query.get("follow") not in ("1", "True", "true"):
            lines = lines[-int(self.query["tail"]) :]
        stamped = self.query.get("timestamps") in ("1", "True", "true")
        texts = [f"{time} {line}\n" if stamped else f"{line}\n" for time, line in lines]
        return [b"\x01\0\0\0" + len(t.encode()).to_bytes(4, "big") + t.encode() for t in texts]

    def stats(self, reference: str) -> None:
        read = self.server.engine.find(reference).bytes_read
        disk = [{"major": 8, "minor": 0, "op": "Read", "value": read}]
        self.send(200, {"blkio_stats": {"io_service_bytes_recursive": disk}, "networks": {"eth0": {"rx_bytes": 0}}})


ROUTES: tuple[tuple[str, str, Route], ...] = (
    ("GET", r"/version", EngineHandler.version),
    ("GET", r"/_ping", EngineHandler.ping),
    ("HEAD", r"/_ping", EngineHandler.ping),
    ("GET", r"/info", EngineHandler.info),
    ("GET", r"/images/json", EngineHandler.images),
    ("POST", r"/images/load", EngineHandler.load),
    ("POST", r"/images/(.+)/tag", EngineHandler.tag),
    ("GET", r"/images/(.+)/json", EngineHandler.image),
    ("DELETE", r"/images/(.+)", EngineHandler.untag),
    ("POST", r"/images/create", EngineHandler.pull),
    ("GET", r"/containers/json", EngineHandler.containers),
    ("POST", r"/containers/create", EngineHandler.create),
    ("GET", r"/containers/([^/]+)/json", EngineHandler.inspect),
    ("POST", r"/containers/([^/]+)/start", EngineHandler.start),
    ("POST", r"/containers/([^/]+)/stop", EngineHandler.stop),
    ("POST", r"/containers/([^/]+)/pause", EngineHandler.pause),
    ("POST", r"/containers/([^/]+)/unpause", EngineHandler.unpause),
    ("POST", r"/containers/([^/]+)/rename", EngineHandler.rename),
    ("POST", r"/containers/([^/]+)/update", EngineHandler.update),
    ("DELETE", r"/containers/([^/]+)", EngineHandler.remove),
    ("POST", r"/containers/([^/]+)/exec", EngineHandler.exec_create),
    ("POST", r"/exec/([^/]+)/start", EngineHandler.exec_start),
    ("GET", r"/exec/([^/]+)/json", EngineHandler.exec_inspect),
    ("PUT", r"/containers/([^/]+)/archive", EngineHandler.put_archive),
    ("GET", r"/containers/([^/]+)/archive", EngineHandler.get_archive),
    ("GET", r"/containers/([^/]+)/logs", EngineHandler.logs),
    ("GET", r"/containers/([^/]+)/stats", EngineHandler.stats),
)
