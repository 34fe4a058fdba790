"""Plugins over TCP and TLS, found by their files; and activation: once, and again for another program."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fairlead.errors import NotFound, PluginAway, PluginRefused
from fairlead.plugins.registry import IPAM, NETWORK, Plugins
from fairlead.wire import plugins as words


class Served:
    """An HTTP server of one answer for every call; ``calls`` are those it got."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.answers: dict[str, Any] = {"Plugin.Activate": {"Implements": [NETWORK]}}
        self.headers: dict[str, str] = {}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        await reader.readexactly(int(self.headers["Content-Length"]))
        method = head.split()[1].removeprefix("/")
        self.calls.append(method)
        body = json.dumps(self.answers.get(method, {})).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()


@asynccontextmanager
async def on_tcp(served: Served, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(served.answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def on_socket(served: Served, path: Path) -> AsyncIterator[None]:
    path.unlink(missing_ok=True)
    async with await asyncio.start_unix_server(served.answer, str(path)):
        yield


def plugins(directory: Path, seconds: float = 2) -> Plugins:
    return Plugins((str(directory),), seconds)


def create(found: Plugins) -> Any:
    return found.call("p", "NetworkDriver.CreateNetwork", {"NetworkID": "n"}, words.nothing)


def test_over_tcp(tmp_path: Path) -> None:
    async def main() -> None:
        served = Served()
        async with on_tcp(served) as port:
            (tmp_path / "p.spec").write_text(f"tcp://127.0.0.1:{port}\n")
            await create(plugins(tmp_path))
        assert served.calls == ["Plugin.Activate", "NetworkDriver.CreateNetwork"]
        assert served.headers["Accept"] == "application/vnd.docker.plugins.v1.2+json"

    asyncio.run(main())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and server and client certificates by it."""
    directory = tmp_path_factory.mktemp("tls")

    def openssl(*argv: str) -> None:
        subprocess.run(["openssl", *argv], cwd=directory, check=True, capture_output=True, timeout=30)

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    openssl(*new, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem")
    for name in ("server", "client"):
        by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
        openssl(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem", *by)
    return directory


def server_context(certificates: Path, *, clients: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    if clients:
        context.load_verify_locations(certificates / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def over_tls(tmp_path: Path, certificates: Path, tls: dict[str, Any], *, clients: bool) -> Served:
    served = Served()

    async def main() -> None:
        async with on_tcp(served, server_context(certificates, clients=clients)) as port:
            spec = {"Name": "p", "Addr": f"https://127.0.0.1:{port}", "TLSConfig": tls}
            (tmp_path / "p.json").write_text(json.dumps(spec))
            await create(plugins(tmp_path))

    asyncio.run(main())
    return served


def test_over_tls_with_certificates_of_both(tmp_path: Path, certificates: Path) -> None:
    tls = {f"{kind}File": str(certificates / name) for kind, name in (
        ("CA", "ca.pem"), ("Cert", "client.pem"), ("Key", "client.key"),
    )}  # fmt: skip
    assert len(over_tls(tmp_path, certificates, tls, clients=True).calls) == 2


def test_over_tls_nobody_is_checked_without_a_ca(tmp_path: Path, certificates: Path) -> None:
    assert len(over_tls(tmp_path, certificates, {}, clients=False).calls) == 2
    wrong = {"CAFile": str(certificates / "client.pem"), "InsecureSkipVerify": True}
    assert len(over_tls(tmp_path, certificates, wrong, clients=False).calls) == 2


@pytest.mark.parametrize("tls", [{"CAFile": "client.pem"}, {"CAFile": "nosuch.pem"}, {"CertFile": "ca.key"}])
def test_over_tls_what_does_not_fit(tmp_path: Path, certificates: Path, tls: dict[str, str]) -> None:
    files = {key: str(certificates / name) for key, name in tls.items()}
    with pytest.raises(PluginAway, match=r"plugin p: Plugin\.Activate: "):
        over_tls(tmp_path, certificates, files, clients=False)


def test_over_tls_without_the_certificate_that_is_wanted(tmp_path: Path, certificates: Path) -> None:
    with pytest.raises(PluginAway, match=r"plugin p: Plugin\.Activate: "):
        over_tls(tmp_path, certificates, {"CAFile": str(certificates / "ca.pem")}, clients=True)


def test_activated_once_and_again_when_it_is_another_program(tmp_path: Path) -> None:
    async def main() -> None:
        found, first, second = plugins(tmp_path), Served(), Served()
        async with on_socket(first, tmp_path / "p.sock"):
            await create(found)
            generation = await found.generation("p")
            await create(found)
            assert first.calls.count("Plugin.Activate") == 1
            assert await found.generation("p") == generation
        async with on_socket(second, tmp_path / "p.sock"):
            await create(found)
            assert second.calls == ["Plugin.Activate", "NetworkDriver.CreateNetwork"]
            assert await found.generation("p") != generation
            assert await found.answering() == {"p": frozenset({NETWORK})}

    asyncio.run(main())


def test_what_it_is_not_and_what_it_says(tmp_path: Path) -> None:
    async def main() -> None:
        found, served = plugins(tmp_path), Served()
        served.answers["NetworkDriver.CreateNetwork"] = {"Err": "x" * 1000}
        async with on_socket(served, tmp_path / "p.sock"):
            with pytest.raises(NotFound, match="plugin p does not implement IpamDriver: it implements NetworkDriver"):
                await found.call("p", f"{IPAM}.RequestPool", {}, words.nothing)
            with pytest.raises(PluginRefused, match=r"^plugin p: NetworkDriver\.CreateNetwork: remote: x{300}$"):
                await create(found)
        with pytest.raises(NotFound, match="could not find plugin q in v1 plugin registry"):
            await found.call("q", "NetworkDriver.CreateNetwork", {}, words.nothing)

    asyncio.run(main())


def within(seconds: float, call: Callable[[], Any]) -> None:
    async def main() -> None:
        async with asyncio.timeout(seconds):
            await call()

    asyncio.run(main())


def test_nobody_behind_the_socket(tmp_path: Path) -> None:
    """Waited for, since it may be starting, but not long."""

    async def main() -> None:
        (tmp_path / "p.spec").write_text("tcp://127.0.0.1:9")
        with pytest.raises(PluginAway, match=r"plugin p: Plugin\.Activate: cannot connect: Connection refused"):
            await create(plugins(tmp_path, 1))
        assert await plugins(tmp_path, 1).answering() == {"p": frozenset()}

    within(5, main)


def test_one_that_comes_up_late_is_waited_for(tmp_path: Path) -> None:
    served = Served()

    async def main() -> None:
        async with on_tcp(served) as port:
            pass
        (tmp_path / "p.spec").write_text(f"tcp://127.0.0.1:{port}")
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(create(plugins(tmp_path)))
            await asyncio.sleep(0.25)
            server = await asyncio.start_server(served.answer, "127.0.0.1", port)
            async with server:
                await asking

    asyncio.run(main())
    assert served.calls == ["Plugin.Activate", "NetworkDriver.CreateNetwork"]
