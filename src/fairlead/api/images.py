"""Images."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
from aiohttp import web

from fairlead.api.answers import (
    JSON_HEADERS,
    TAR_HEADERS,
    answer,
    closed_behind,
    empty,
    encode,
    open_stream,
    stream_bytes,
    until_gone,
)
from fairlead.api.call import Call
from fairlead.api.router import Route
from fairlead.errors import EngineError, InvalidArgument
from fairlead.model.container import Config
from fairlead.model.image import Progress, RegistryAuth
from fairlead.model.requests import CommitSpec, ImportSpec
from fairlead.wire import body
from fairlead.wire.images import history, image_inspect, image_summary, images_pruned, offer, progress_line, removals

_FROM_BODY = "-"
_REFERENCE_FILTER = (1, 41)  # before, clients gave the pattern in a parameter of its own


async def list_all(call: Call) -> web.StreamResponse:
    filters = call.filters()
    if call.version < _REFERENCE_FILTER and (pattern := call.text("filter")):
        filters = replace(filters, terms={**filters.terms, "reference": (*filters.get("reference"), pattern)})
    found = await call.engine.images.list(filters, call.flag("all"))
    shared = await call.engine.images.shared() if call.flag("shared-size") else {}
    return answer([image_summary(image, call.version, shared=shared.get(image.id, -1)) for image in found])


async def inspect(call: Call) -> web.StreamResponse:
    return answer(image_inspect(call.engine.images.find(call.args["name"]), call.version))


async def image_history(call: Call) -> web.StreamResponse:
    image = call.engine.images.find(call.args["name"])
    return answer(history(image, image.history, call.engine.images.ancestors(image)))


async def tag(call: Call) -> web.StreamResponse:
    await call.engine.images.tag(call.args["name"], call.text("repo"), call.text("tag"))
    return empty(201)


async def remove(call: Call) -> web.StreamResponse:
    done = await call.engine.images.remove(call.args["name"], call.flag("force"), call.flag("noprune"))
    return answer(removals(done))


async def prune(call: Call) -> web.StreamResponse:
    return answer(images_pruned(await call.engine.images.prune(call.filters())))


async def load(call: Call) -> web.StreamResponse:
    return await progress(call, call.engine.images.load(call.blocks(), call.flag("quiet")))


async def save(call: Call) -> web.StreamResponse:
    names = call.texts("names")
    if not names:
        raise InvalidArgument("no image to save: names is empty")
    return await stream_bytes(call.request, call.engine.images.save(names), TAR_HEADERS)


async def save_one(call: Call) -> web.StreamResponse:
    return await stream_bytes(call.request, call.engine.images.save((call.args["name"],)), TAR_HEADERS)


async def create(call: Call) -> web.StreamResponse:
    """Pull (``fromImage``) or import (``fromSrc``)."""
    source = call.text("fromSrc")
    if source and source != _FROM_BODY:
        raise InvalidArgument(f"cannot import from {source}: send the archive in the request body (fromSrc=-)")
    if source:
        return await progress(call, call.engine.images.import_(call.blocks(), _import_spec(call)))
    name = call.text("fromImage")
    if not name:
        raise InvalidArgument("no image to pull: fromImage is empty")
    reference = _with_tag(name, call.text("tag"))
    return await progress(call, call.engine.images.pull(reference, call.text("platform"), registry_auth(call)))


async def look_up(call: Call) -> web.StreamResponse:
    return answer(offer(await call.engine.images.look_up(call.args["name"], registry_auth(call))))


def _import_spec(call: Call) -> ImportSpec:
    repo = call.text("repo")
    return ImportSpec(
        ref=_with_tag(repo, call.text("tag")) if repo else "",
        message=call.text("message"),
        changes=call.texts("changes"),
        platform=call.text("platform"),
    )


def _with_tag(name: str, tag_or_digest: str) -> str:
    if not tag_or_digest:
        return name
    return f"{name}@{tag_or_digest}" if ":" in tag_or_digest else f"{name}:{tag_or_digest}"


class AuthHeader(msgspec.Struct, frozen=True, kw_only=True):
    username: str = ""
    password: str = ""
    auth: str = ""
    serveraddress: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


def registry_auth(call: Call) -> RegistryAuth | None:
    """Credentials from X-Registry-Auth; one that cannot be read counts as none, as in dockerd."""
    header = call.request.headers.get("X-Registry-Auth", "")
    if not header:
        return None
    try:
        text = base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))
        given = body.parse(text, AuthHeader)
        username, password = _credentials(given)
    except (InvalidArgument, binascii.Error, UnicodeDecodeError):
        return None
    if "\0" in username + password + given.identitytoken + given.registrytoken:
        return None
    return RegistryAuth(
        username=username,
        password=password,
        identity_token=given.identitytoken,
        registry_token=given.registrytoken,
        server=given.serveraddress,
    )


def _credentials(given: AuthHeader) -> tuple[str, str]:
    if given.username or not given.auth:
        return given.username, given.password
    username, _, password = base64.b64decode(given.auth).decode().partition(":")
    return username, password


async def commit(call: Call) -> web.StreamResponse:
    container = call.text("container")
    if not container:
        raise InvalidArgument("no container to commit: container is empty")
    text = await call.body()
    repo = call.text("repo")
    spec = CommitSpec(
        ref=_with_tag(repo, call.text("tag")) if repo else "",
        comment=call.text("comment"),
        author=call.text("author"),
        pause=call.flag("pause", default=True),
        changes=call.texts("changes"),
        config=_commit_config(text),
    )
    image = await call.engine.images.commit(container, spec)
    return answer({"Id": image.id}, 201)


def _commit_config(text: bytes) -> Config | None:
    """The CLI sends ``null`` or ``{}`` when nothing is changed."""
    given = body.decode(text) if text.strip() else None
    return body.convert(given, Config) if given else None


async def progress(call: Call, lines: AsyncIterator[Progress]) -> web.StreamResponse:
    """A JSON stream. A problem before the first line is an ordinary one, a later one is told in the stream."""
    async with until_gone(call.request), closed_behind(lines):
        first = await anext(lines, None)
        response = await open_stream(call.request, JSON_HEADERS)
        if first is not None:
            await response.write(_line(first))
        try:
            async for line in lines:
                await response.write(_line(line))
        except EngineError as error:
            await response.write(_line(Progress(error=str(error))))
        await response.write_eof()
    return response


def _line(progress: Progress) -> bytes:
    return encode(progress_line(progress)).rstrip() + b"\r\n"


ROUTES = (
    Route("GET", "/images/json", list_all),
    Route("POST", "/images/load", load),
    Route("GET", "/images/get", save),
    Route("POST", "/images/create", create),
    Route("POST", "/images/prune", prune),
    Route("POST", "/commit", commit),
    Route("GET", "/distribution/{name:.*}/json", look_up),
    Route("GET", "/images/{name:.*}/json", inspect),
    Route("GET", "/images/{name:.*}/history", image_history),
    Route("GET", "/images/{name:.*}/get", save_one),
    Route("POST", "/images/{name:.*}/tag", tag),
    Route("DELETE", "/images/{name:.*}", remove),
)
