"""Docker's Engine API, one call after another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from fairlead.client.address import Address, Tls
from fairlead.client.errors import ApiError
from fairlead.client.http import Request, Response, Upgraded, decode, send
from fairlead.client.transport import connect

API_VERSION = "1.51"
_USER_AGENT = "fairlead-client"
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~/:@")

# A list is sent as the parameter repeated; None is not sent.
Query = Mapping[str, str | int | bool | list[str] | None]


class Client:
    """Calls to one engine. Every call has a connection of its own, so that calls may go on side by side."""

    def __init__(self, address: Address, tls: Tls | None = None, version: str = API_VERSION) -> None:
        self.address = address
        self.version = version
        self._tls = tls

    def get(self, path: str, query: Query | None = None) -> object:
        return self.json("GET", path, query)

    def post(self, path: str, query: Query | None = None, body: object = None) -> object:
        return self.json("POST", path, query, body)

    def delete(self, path: str, query: Query | None = None) -> object:
        return self.json("DELETE", path, query)

    def json(self, method: str, path: str, query: Query | None = None, body: object = None) -> object:
        """The decoded answer, None when it is empty; raises ApiError."""
        with self.stream(method, path, query, body) as response:
            return decode(response.read())

    def stream(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """An answer to read piece by piece; ``body`` is sent as JSON, or as it is when it yields bytes."""
        payload, kind = _encode(body)
        sent = {**kind, **(headers or {})}
        response = self._exchange(method, path, query, sent, payload)
        if response.status == 400 and isinstance(payload, bytes) and self._accept_version_of(response):
            response = self._exchange(method, path, query, sent, payload)
        if response.status >= 400:
            with response:
                raise _error(response)
        return response

    def hijack(self, path: str, query: Query | None = None, body: object = None) -> Upgraded:
        """The raw stream of attach and exec; raises ApiError when the engine does not give it."""
        headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
        response = self.stream("POST", path, query, body, headers)
        if response.status not in {101, 200}:
            response.close()
            raise ApiError(response.status, f"unable to upgrade to tcp, received {response.status}")
        return response.upgrade()

    def raw(self) -> Upgraded:
        """A connection to the engine on which nothing was said yet."""
        return Upgraded(connect(self.address, self._tls), b"")

    def _exchange(
        self,
        method: str,
        path: str,
        query: Query | None,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes],
    ) -> Response:
        base = {"Host": "fairlead", "User-Agent": _USER_AGENT}
        if "Upgrade" not in headers:
            base["Connection"] = "close"
        request = Request(method, f"/v{self.version}{quote(path)}{_query(query)}", {**base, **headers}, body)
        connection = connect(self.address, self._tls)
        try:
            send(connection, request)
            return Response(connection, request)
        except BaseException:
            connection.close()
            raise

    def _accept_version_of(self, response: Response) -> bool:
        """An older engine says which version it knows: from now on we speak that one."""
        known = response.headers.get("api-version", "")
        if not _is_older(known, self.version):
            return False
        response.close()
        self.version = known
        return True


def quote(text: str) -> str:
    """``text`` as it may stand in a path."""
    return "".join(char if char in _SAFE else _percent(char) for char in text)


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))


def _query(query: Query | None) -> str:
    pairs = [f"{name}={_value(item)}" for name, value in (query or {}).items() for item in _items(value)]
    return "?" + "&".join(pairs) if pairs else ""


def _items(value: str | int | bool | list[str] | None) -> Sequence[str | int | bool]:
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


def _value(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return "".join(char if char in _SAFE and char not in "/:@" else _percent(char) for char in str(value))


def _encode(body: object) -> tuple[bytes | Iterable[bytes], Mapping[str, str]]:
    if body is None:
        return b"", {}
    if isinstance(body, Mapping):
        return json.dumps(body, separators=(",", ":")).encode(), {"Content-Type": "application/json"}
    if isinstance(body, Iterable):
        return body, {"Content-Type": "application/x-tar"}
    raise TypeError(f"a body is a mapping or yields bytes, not {type(body).__name__}")


def _is_older(known: str, wanted: str) -> bool:
    try:
        return _numbers(known) < _numbers(wanted)
    except ValueError:
        return False


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _error(response: Response) -> ApiError:
    body = response.read()
    try:
        decoded = json.loads(body)
    except ValueError:
        decoded = None
    message = decoded.get("message") if isinstance(decoded, dict) else None
    text = message if isinstance(message, str) else body.decode("utf-8", "replace").strip()
    return ApiError(response.status, text.strip() or f"{response.status} {response.reason}".strip())
