"""Building images: Docker's classic builder over HTTP."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from fairlead.api.call import Call
from fairlead.api.images import progress
from fairlead.api.router import Route
from fairlead.errors import InvalidArgument, Unsupported
from fairlead.model.build import BuildSpec
from fairlead.wire import body

# Contents by id, for RUN --mount=type=secret. A header, since a query is written into logs.
SECRETS = "X-Fairlead-Build-Secrets"


async def build(call: Call) -> web.StreamResponse:
    if call.text("remote"):
        raise Unsupported("remote build contexts are not fetched: send the context in the request body")
    if call.text("version") == "2":
        raise Unsupported("BuildKit is not part of this engine: build with DOCKER_BUILDKIT=0")
    return await progress(call, call.engine.builds.build(call.blocks(), _spec(call)))


def _spec(call: Call) -> BuildSpec:
    return BuildSpec(
        dockerfile=call.text("dockerfile") or "Dockerfile",
        tags=call.texts("t"),
        arguments=_mapping(call, "buildargs"),
        labels={name: value or "" for name, value in _mapping(call, "labels").items()},
        target=call.text("target"),
        network=call.text("networkmode") or "default",
        extra_hosts=tuple(host for text in call.texts("extrahosts") for host in text.split(",") if host),
        platform=call.text("platform"),
        no_cache=call.flag("nocache"),
        pull=call.flag("pull"),
        remove=call.flag("rm", default=True),
        force_remove=call.flag("forcerm"),
        quiet=call.flag("q"),
        memory=call.number("memory") or 0,
        memory_swap=call.number("memswap") or 0,
        cpu_shares=call.number("cpushares") or 0,
        cpu_quota=call.number("cpuquota") or 0,
        cpu_period=call.number("cpuperiod") or 0,
        cpuset=call.text("cpusetcpus"),
        shm_size=call.number("shmsize") or 0,
        secrets=_secrets(call),
    )


def _mapping(call: Call, name: str) -> Mapping[str, str | None]:
    """A JSON object of texts and nulls in the query; raises InvalidArgument for anything else."""
    text = call.text(name)
    if not text:
        return {}
    given: Any = body.decode(text.encode())
    if not isinstance(given, dict) or not all(value is None or isinstance(value, str) for value in given.values()):
        raise InvalidArgument(f"{name} must be a JSON object of texts")
    return given


def _secrets(call: Call) -> Mapping[str, bytes]:
    header = call.request.headers.get(SECRETS, "")
    if not header:
        return {}
    try:
        given: Any = body.decode(base64.urlsafe_b64decode(header))
        return {name: base64.b64decode(text) for name, text in given.items()}
    except (binascii.Error, ValueError, AttributeError, TypeError) as error:
        raise InvalidArgument(f"{SECRETS} must be base64 of a JSON object of contents in base64") from error


ROUTES = (Route("POST", "/build", build),)
