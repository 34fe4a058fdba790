"""One call to a plugin: HTTP over its socket, bounded in time and size; every failure names plugin and call."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import msgspec

from fairlead.errors import InvalidArgument, PluginAway, PluginError, PluginLacks, PluginRefused
from fairlead.plugins.discovery import Place, TlsFiles
from fairlead.wire import plugins as words

T = TypeVar("T")
Message = Mapping[str, Any]

# Only this version of the protocol exists.
_HEADERS = {
    "Accept": "application/vnd.docker.plugins.v1.2+json",
    "Content-Type": "application/vnd.docker.plugins.v1.2+json",
}
_LONGEST_ANSWER = 1 << 20
_SHOWN = 300  # characters of what it said, in an error
_OK, _NO_SUCH_CALL = 200, 404

_FIRST_PAUSE = 0.1  # seconds between two tries to connect, doubled each time


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a call may take in all, and of these until the plugin takes the connection."""

    answer: float
    connection: float


async def call(
    name: str, place: Place, method: str, message: Message, read: Callable[[bytes], T], *, limits: Limits
) -> T:
    """POST ``/method`` and read the answer.

    Raises PluginAway when there is none in time, PluginRefused with the plugin's words when it says no, PluginLacks
    when it does not know the call, PluginError for what cannot be understood.
    """
    where = f"plugin {name}: {method}"
    try:
        async with asyncio.timeout(limits.answer):
            status, text = await _connected(place, method, msgspec.json.encode(message), limits.connection)
    except TimeoutError as error:
        raise PluginAway(f"{where}: no answer within {limits.answer:g} seconds") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise PluginAway(f"{where}: {_reason(error)}") from error
    return _judge(where, status, text, read)


def _judge(where: str, status: int, text: bytes, read: Callable[[bytes], T]) -> T:
    if len(text) > _LONGEST_ANSWER:
        raise PluginError(f"{where}: the answer is longer than {_LONGEST_ANSWER >> 20} MiB")
    said = words.complaint(text)
    if status == _NO_SUCH_CALL and not said:
        raise PluginLacks(f"{where}: the plugin does not know this call")
    if status != _OK or said:
        shown = said or f"HTTP status {status}: {text[:_SHOWN].decode(errors='replace').strip()}"
        raise PluginRefused(f"{where}: remote: {shown[:_SHOWN]}")
    try:
        return read(text)
    except InvalidArgument as error:
        raise PluginError(f"{where}: the answer is not understood: {error}") from error


async def _connected(place: Place, method: str, message: bytes, patience: float) -> tuple[int, bytes]:
    """Tried again while nobody takes the connection: nothing has been asked yet."""
    end = asyncio.get_running_loop().time() + patience
    for pause in (_FIRST_PAUSE * 2**turn for turn in itertools.count()):
        try:
            return await _post(place, method, message)
        except aiohttp.ClientConnectorError:
            if asyncio.get_running_loop().time() + pause > end:
                raise
        await asyncio.sleep(pause)
    raise AssertionError("the loop above has no end")


async def _post(place: Place, method: str, message: bytes) -> tuple[int, bytes]:
    """A connection for each call: calls are few, and a plugin may be another one by the next."""
    connector: aiohttp.BaseConnector
    if place.socket:
        connector = aiohttp.UnixConnector(place.socket)
    else:
        connector = aiohttp.TCPConnector(ssl=_tls(place.tls) if place.tls is not None else False)
    host = "plugin" if place.socket else place.address
    scheme = "https" if place.tls is not None else "http"
    async with (
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session,
        session.post(f"{scheme}://{host}/{method}", data=message, headers=_HEADERS, allow_redirects=False) as answer,
    ):
        return answer.status, await _body(answer.content)


async def _body(content: aiohttp.StreamReader) -> bytes:
    """All of it, or one byte more than is allowed."""
    found = bytearray()
    while len(found) <= _LONGEST_ANSWER and (block := await content.read(_LONGEST_ANSWER + 1 - len(found))):
        found += block
    return bytes(found)


def _tls(files: TlsFiles) -> ssl.SSLContext:
    """As dockerd reads TLSConfig: without a CA file nobody is checked. Raises OSError (ssl.SSLError is one)."""
    context = ssl.create_default_context(cafile=files.ca or None)
    if files.insecure or not files.ca:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if files.cert:
        context.load_cert_chain(files.cert, files.key or None)
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        # Over TCP, asyncio puts the address where the reason should be.
        cause = error.os_error
        known = not isinstance(cause, ssl.SSLError) and cause.errno in errno.errorcode
        return f"cannot connect: {os.strerror(cause.errno or 0) if known else cause}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the plugin hung up without an answer"
    return str(error)[:_SHOWN] or type(error).__name__
