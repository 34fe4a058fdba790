"""Registries, spoken to by skopeo: raw manifests, single blobs as streams, credentials put to the test.

Blobs come through ``skopeo experimental-image-proxy`` (a stable interface in spite of its name: bootc lives on it),
which hands us a pipe for each blob: so progress is in bytes, layers that are here are not fetched, and image ids stay
what they are, where ``skopeo copy`` would convert Docker's configs.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from types import TracebackType
from typing import Any, Self

from fairlead.errors import EngineError, NotFound, Unauthorized, Unavailable
from fairlead.images.reference import DEFAULT_DOMAIN, Reference
from fairlead.model.image import RegistryAuth
from fairlead.settings import Settings

_MESSAGE = 1 << 16
_CHUNK = 1 << 18
_POLICY = "/etc/containers/policy.json"


class Registry:
    """One registry as one caller sees it: with its credentials and our settings. Close it to stop what still runs."""

    def __init__(self, domain: str, auth: RegistryAuth | None, settings: Settings) -> None:
        self._domain = domain
        self._directory = tempfile.TemporaryDirectory(prefix="fairlead-registry-")
        self._auth_file = os.path.join(self._directory.name, "auth.json")
        with open(self._auth_file, "w", encoding="utf-8") as file:
            json.dump({"auths": _auths(domain, auth)}, file)
        self._global = _global_options(self._directory.name, settings)
        self._options = ["--authfile", self._auth_file]
        if is_insecure(domain, settings.insecure_registries):
            self._options.append("--tls-verify=false")
        if auth is not None and auth.registry_token:
            self._options.append(f"--registry-token={auth.registry_token}")
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Also from another thread, to end calls that wait for a registry that says nothing."""
        for process in self._running:
            process.kill()
        self._directory.cleanup()

    def manifest(self, ref: Reference) -> bytes:
        """The manifest's or index's bytes as the registry has them; raises EngineError in Docker's words."""
        try:
            return self._output(["inspect", "--raw", *self._options, f"docker://{ref.full}"])
        except SkopeoError as error:
            raise translate(str(error), ref) from error

    def tags(self, ref: Reference) -> Sequence[str]:
        """All tags of the repository; raises EngineError in Docker's words."""
        try:
            listed = json.loads(self._output(["list-tags", *self._options, f"docker://{ref.name}"]))
        except SkopeoError as error:
            raise translate(str(error), ref) from error
        return [str(tag) for tag in listed["Tags"] or ()]

    def login(self, auth: RegistryAuth) -> None:
        """Raises Unauthorized when the registry refuses the credentials."""
        options = ["login", "--authfile", self._auth_file, "--username", auth.username, "--password-stdin"]
        if "--tls-verify=false" in self._options:
            options.append("--tls-verify=false")
        try:
            self._output([*options, self._domain], auth.password.encode())
        except SkopeoError as error:
            text = str(error)
            if "invalid username/password" in text or "unauthorized" in text.lower():
                raise Unauthorized(f'Get "https://{self._domain}/v2/": unauthorized: {text}') from error
            raise EngineError(text) from error

    @contextmanager
    def image(self, ref: Reference) -> Iterator[Blobs]:
        """The blobs of an image; raises EngineError in Docker's words."""
        blobs = Blobs(lambda: self._channel(ref))
        try:
            yield blobs
        except SkopeoError as error:
            raise translate(str(error), ref) from error
        finally:
            blobs.close()

    def _channel(self, ref: Reference) -> Channel:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there:
            arguments = ["experimental-image-proxy", "--sockfd", str(there.fileno()), *self._options]
            process = self._start(arguments, pass_fds=(there.fileno(),), stderr=subprocess.DEVNULL)
        return Channel(here, process, f"docker://{ref.full}")

    def _start(self, arguments: Sequence[str], *, pass_fds: Sequence[int] = (), stderr: int) -> subprocess.Popen[bytes]:
        try:
            process = subprocess.Popen(
                ["skopeo", *self._global, *arguments],
                stdin=subprocess.PIPE if not pass_fds else subprocess.DEVNULL,
                stdout=subprocess.PIPE if not pass_fds else subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=pass_fds,
            )
        except FileNotFoundError as error:
            raise Unavailable("skopeo, which fetches images, is not installed: apt-get install skopeo") from error
        self._running.append(process)
        return process

    def _output(self, arguments: Sequence[str], given: bytes = b"") -> bytes:
        with self._start(arguments, stderr=subprocess.PIPE) as process:
            output, errors = process.communicate(given)
        if process.returncode != 0:
            raise SkopeoError(_last_message(errors.decode(errors="replace")))
        return output


class SkopeoError(Exception):
    """What skopeo complained of."""


class Channel:
    """A proxy process with one image open. For one blob at a time."""

    def __init__(self, link: socket.socket, process: subprocess.Popen[bytes], name: str) -> None:
        self._link, self._process = link, process
        try:
            self._request("Initialize")
            self._image = self._request("OpenImage", name)[0]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._link.close()
        self._process.kill()
        self._process.wait()

    def read(self, digest: str, size: int, take: Callable[[bytes], None]) -> None:
        """Give the blob to ``take``, piece by piece; raises SkopeoError at the end when its digest is another."""
        _, pipe, identifier = self._request("GetBlob", self._image, digest, size)
        if pipe is None:
            raise SkopeoError(f"no content for {digest}")
        with os.fdopen(pipe, "rb", buffering=0) as file:
            # The proxy ends the pipe only when it is asked how the blob went: ask first, hear the answer afterwards.
            self._send("FinishPipe", identifier)
            while data := file.read(_CHUNK):
                take(data)
        self._receive()

    def _request(self, method: str, *arguments: object) -> tuple[Any, int | None, int]:
        self._send(method, *arguments)
        return self._receive()

    def _send(self, method: str, *arguments: object) -> None:
        try:
            self._link.send(json.dumps({"method": method, "args": arguments}).encode())
        except OSError as error:
            raise SkopeoError(f"skopeo has ended: {error.strerror}") from error

    def _receive(self) -> tuple[Any, int | None, int]:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._link, _MESSAGE, 1)
        except OSError as error:
            raise SkopeoError(f"skopeo has ended: {error.strerror}") from error
        if not message:
            raise SkopeoError("skopeo has ended")
        reply = json.loads(message)
        if not reply["success"]:
            for descriptor in descriptors:
                os.close(descriptor)
            raise SkopeoError(reply["error"])
        return reply["value"], descriptors[0] if descriptors else None, reply["pipeid"]


class Blobs:
    """The blobs of one image, for as many threads as want some: each gets a channel that is idle, or a new one."""

    def __init__(self, connect: Callable[[], Channel]) -> None:
        self._connect = connect
        self._idle: queue.SimpleQueue[Channel] = queue.SimpleQueue()

    def read(self, digest: str, size: int, take: Callable[[bytes], None]) -> None:
        """Give the blob to ``take``, piece by piece; raises SkopeoError at the end when its digest is another."""
        try:
            channel = self._idle.get_nowait()
        except queue.Empty:
            channel = self._connect()
        try:
            channel.read(digest, size, take)
        except BaseException:
            channel.close()
            raise
        self._idle.put(channel)

    def close(self) -> None:
        """When no thread reads any more."""
        while not self._idle.empty():
            self._idle.get_nowait().close()


def translate(text: str, ref: Reference) -> EngineError:
    """The registry's refusal as dockerd would tell it."""
    lower = text.lower()
    if "manifest unknown" in lower or "name unknown" in lower:
        return NotFound(f"manifest for {ref.with_default_tag().familiar} not found: manifest unknown: manifest unknown")
    if "denied" in lower or "unauthorized" in lower or "authentication required" in lower:
        return NotFound(
            f"pull access denied for {ref.familiar_name}, repository does not exist or may require 'docker login': "
            "denied: requested access to the resource is denied",
        )
    # "Error parsing image name …: pinging container registry …: " stands before what dockerd would say.
    start = text.find('Get "')
    return EngineError(text[start:] if start > 0 else text)


def is_insecure(domain: str, insecure: Sequence[str]) -> bool:
    """Whether plain HTTP and unknown certificates will do: loopback, as in Docker, and what is configured."""
    host = _host(domain)
    if host == "localhost" or domain in insecure or host in insecure:
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if address.is_loopback:
        return True
    return any(address in ip_network(one, strict=False) for one in insecure if "/" in one)


def _host(domain: str) -> str:
    if domain.startswith("["):
        return domain[1:].partition("]")[0]
    return domain.partition(":")[0]


def _auths(domain: str, auth: RegistryAuth | None) -> dict[str, dict[str, str]]:
    """An auth file of our own in any case: root's own logins are not the caller's."""
    if auth is None or not (auth.username or auth.identity_token):
        return {}
    secret = base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()
    entry = {"auth": secret}
    if auth.identity_token:
        entry["identitytoken"] = auth.identity_token
    return {domain: entry}


def _global_options(directory: str, settings: Settings) -> list[str]:
    options = [] if os.path.exists(_POLICY) else ["--insecure-policy"]
    if settings.registry_mirrors:
        path = os.path.join(directory, "registries.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(mirrors_conf(settings.registry_mirrors))
        options += ["--registries-conf", path]
    return options


def mirrors_conf(mirrors: Sequence[str]) -> str:
    """containers-registries.conf(5) for Docker's mirrors, which stand in for Docker Hub only."""
    blocks = [f'[[registry]]\nprefix = "{DEFAULT_DOMAIN}"\nlocation = "{DEFAULT_DOMAIN}"\n']
    for mirror in mirrors:
        scheme, _, rest = mirror.rpartition("://")
        location = json.dumps(rest.rstrip("/"))
        insecure = "true" if scheme == "http" else "false"
        blocks.append(f"[[registry.mirror]]\nlocation = {location}\ninsecure = {insecure}\n")
    return "\n".join(blocks)


def _last_message(errors: str) -> str:
    """The ``msg`` of skopeo's last log line, in which quotes are escaped."""
    lines = [line for line in errors.strip().splitlines() if line.strip()]
    if not lines:
        return "skopeo failed without a word"
    _, mark, message = lines[-1].partition("msg=")
    if not mark:
        return lines[-1]
    return message.strip().strip('"').replace('\\"', '"')
