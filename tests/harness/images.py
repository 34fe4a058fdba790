"""Image archives built from this machine's own programs, under the names the tutorials use.

Real programs and a real web server (busybox httpd), no registry: one docker-archive with all of them sharing layers.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BUSYBOX = "/bin/busybox"
CREATED = "2026-01-02T03:04:05Z"
PAGE = "<html><title>Welcome to nginx!</title><h1>Welcome to nginx!</h1></html>\n"
NOTEBOOK = "<html><title>Jupyter Notebook</title></html>\n"
# The web server says who asked: what a published port must preserve.
WHO = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n%s\\n' \"$REMOTE_ADDR\"\n"
PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n"
)
GROUP = "root:x:0:\nstaff:x:50:ann\nann:x:1000:\nnogroup:x:65534:\n"


class Layer:
    """A tar that is written file by file, always the same bytes for the same content."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._bytes, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115

    def _add(
        self, name: str, mode: int, kind: bytes, *, content: bytes = b"", target: str = "", owner: int = 0
    ) -> None:
        entry = tarfile.TarInfo(name)
        entry.mode, entry.type, entry.linkname = mode, kind, target
        entry.uid = entry.gid = owner
        entry.size = len(content)
        self._tar.addfile(entry, io.BytesIO(content))

    def file(self, name: str, content: bytes | str, mode: int = 0o644, owner: int = 0) -> Layer:
        data = content.encode() if isinstance(content, str) else content
        self._add(name, mode, tarfile.REGTYPE, content=data, owner=owner)
        return self

    def directory(self, name: str, mode: int = 0o755, owner: int = 0) -> Layer:
        self._add(name, mode, tarfile.DIRTYPE, owner=owner)
        return self

    def link(self, name: str, target: str) -> Layer:
        self._add(name, 0o777, tarfile.SYMTYPE, target=target)
        return self

    def program(self, path: str) -> Layer:
        """A program of this machine with the libraries it is linked to."""
        needed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        for found in [path, *re.findall(r"(/\S+)", needed)]:
            self.file(found.lstrip("/"), Path(found).read_bytes(), 0o755)
        return self

    def bytes(self) -> bytes:
        self._tar.close()
        return self._bytes.getvalue()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One image: its names, layers and the fields of its Config."""

    names: Sequence[str]
    layers: Sequence[bytes]
    config: Mapping[str, object] = field(default_factory=dict)

    def document(self) -> bytes:
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in self.layers]
        return json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "created": CREATED,
                "config": {"Env": [path], "Cmd": ["sh"], **self.config},
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
                "history": [
                    {"created": CREATED, "created_by": f"/bin/sh -c #(nop) ADD layer {n}"} for n in range(len(diff_ids))
                ],
            },
            sort_keys=True,
        ).encode()

    @property
    def id(self) -> str:
        return f"sha256:{hashlib.sha256(self.document()).hexdigest()}"


def base_layer() -> bytes:
    layer = Layer()
    for name in ("bin", "etc", "home", "root", "var", "var/log", "usr", "usr/bin", "usr/local", "usr/local/bin", "run"):
        layer.directory(name)
    layer.directory("tmp", 0o1777).directory("home/ann", 0o755, owner=1000)
    layer.file("bin/busybox", Path(BUSYBOX).read_bytes(), 0o755)
    for applet in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            layer.link(f"bin/{applet}", "busybox")
    layer.file("etc/passwd", PASSWD).file("etc/group", GROUP).file("etc/hostname", "image\n")
    return layer.bytes()


def web_layer() -> bytes:
    """Nginx by name: its entrypoint, its pages, its port."""
    layer = Layer()
    layer.directory("usr/share").directory("usr/share/nginx").directory("usr/share/nginx/html")
    layer.directory("usr/share/nginx/html/cgi-bin")
    layer.file("usr/share/nginx/html/index.html", PAGE).file("usr/share/nginx/html/cgi-bin/who", WHO, 0o755)
    layer.file("docker-entrypoint.sh", '#!/bin/sh\nexec "$@"\n', 0o755)
    layer.file("usr/local/bin/nginx", "#!/bin/sh\nexec httpd -f -p 80 -h /usr/share/nginx/html\n", 0o755)
    return layer.bytes()


def notebook_layer() -> bytes:
    layer = Layer()
    layer.directory("home/jovyan", owner=1000).file("home/jovyan/index.html", NOTEBOOK, owner=1000)
    start = '#!/bin/sh\necho "Serving notebooks with $*"\nexec httpd -f -p 8888 -h /home/jovyan\n'
    layer.file("usr/local/bin/start-notebook.sh", start, 0o755)
    return layer.bytes()


def recipes() -> list[Recipe]:
    base = base_layer()
    alpine = Layer().file("etc/os-release", 'NAME="Alpine Linux"\nID=alpine\n').bytes()
    debian = Layer().file("etc/os-release", 'NAME="Debian GNU/Linux"\nID=debian\n').program("/bin/bash").bytes()
    volumes = Layer().directory("data", owner=1000).file("data/seed", "from the image\n", owner=1000).bytes()
    return [
        Recipe(names=["busybox:latest"], layers=[base]),
        Recipe(names=["alpine:latest", "alpine:3"], layers=[base, alpine], config={"Cmd": ["/bin/sh"]}),
        Recipe(names=["debian:latest"], layers=[base, debian], config={"Cmd": ["bash"]}),
        Recipe(
            names=["nginx:latest", "my_image:latest", "myimg:latest"],
            layers=[base, web_layer()],
            config={
                "Entrypoint": ["/docker-entrypoint.sh"],
                "Cmd": ["nginx", "-g", "daemon off;"],
                "ExposedPorts": {"80/tcp": {}},
                "Labels": {"maintainer": "tests"},
                "StopSignal": "SIGKILL",
            },
        ),
        Recipe(
            names=["jupyter/minimal-notebook:latest"],
            layers=[base, notebook_layer()],
            config={"Cmd": ["start-notebook.sh"], "ExposedPorts": {"8888/tcp": {}}, "WorkingDir": "/home/jovyan"},
        ),
        Recipe(names=["nicolaka/netshoot:latest"], layers=[base, alpine], config={"Cmd": ["ip", "address"]}),
        Recipe(names=["seeded:latest"], layers=[base, volumes], config={"Volumes": {"/data": {}}, "User": "ann"}),
    ]


def archive(images: Sequence[Recipe]) -> bytes:
    """A docker-archive as `docker save` writes it."""
    out = Layer()
    written: set[str] = set()
    manifest = []
    for image in images:
        layers = []
        for layer in image.layers:
            name = f"{hashlib.sha256(layer).hexdigest()}/layer.tar"
            layers.append(name)
            if name not in written:
                written.add(name)
                out.file(name, layer)
        config = f"{image.id.removeprefix('sha256:')}.json"
        out.file(config, image.document())
        manifest.append({"Config": config, "RepoTags": list(image.names), "Layers": layers})
    out.file("manifest.json", json.dumps(manifest))
    return out.bytes()
