"""One call of the API: its version, the variables of its path, its query and its body."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import ClientPayloadError, hdrs, web

from fairlead.api.connection import connection_of
from fairlead.api.problems import TooLarge
from fairlead.errors import InvalidArgument
from fairlead.model.requests import Filters
from fairlead.wire.filters import parse_filters
from fairlead.wire.versions import ApiVersion

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

# A create request with ten thousand published ports has 0.6 MB.
BODY_LIMIT = 8 << 20
_BLOCK = 1 << 20
_BROKEN_OFF = "unexpected EOF: the request body broke off"

_FALSE = frozenset({"", "0", "no", "false", "none"})


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler works from."""

    engine: Engine
    request: web.BaseRequest
    version: ApiVersion
    args: dict[str, str]

    def text(self, name: str, default: str = "") -> str:
        return self.request.query.get(name, default)

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(self.request.query.getall(name, ()))

    def flag(self, name: str, default: bool = False) -> bool:
        """Docker's booleans: everything but 0, no, false, none and "" is true."""
        value = self.request.query.get(name)
        return default if value is None else value.strip().lower() not in _FALSE

    def number(self, name: str, default: int | None = None) -> int | None:
        """Raises InvalidArgument for what is no decimal number."""
        value = self.request.query.get(name, "")
        if not value:
            return default
        digits = value[1:] if value[0] in "+-" else value
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
            raise InvalidArgument(f'invalid value for {name}: strconv.Atoi: parsing "{value}": invalid syntax')
        return int(value)

    def filters(self) -> Filters:
        return parse_filters(self.request.query.get("filters", ""))

    async def body(self) -> bytes:
        """The whole JSON body; raises TooLarge, and InvalidArgument for another content type."""
        request = self.request
        if (request.content_length or 0) > BODY_LIMIT:
            raise _too_large()
        body = bytearray()
        async for block in self.blocks():
            body += block
            if len(body) > BODY_LIMIT:
                raise _too_large()
        if body and request.content_type != "application/json":
            given = request.headers.get(hdrs.CONTENT_TYPE, "")
            raise InvalidArgument(f"unsupported Content-Type header ({given}): must be 'application/json'")
        return bytes(body)

    async def blocks(self) -> AsyncIterator[bytes]:
        """The body as it comes (archives); raises InvalidArgument when it breaks off."""
        try:
            async for block in self.request.content.iter_chunked(_BLOCK):
                yield block
        except (ClientPayloadError, ConnectionError) as error:
            raise InvalidArgument(_BROKEN_OFF) from error
        if connection_of(self.request).truncated:
            raise InvalidArgument(_BROKEN_OFF)


def _too_large() -> TooLarge:
    return TooLarge(f"request body too large: the limit is {BODY_LIMIT >> 20} MiB")
