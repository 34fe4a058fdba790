"""Registry credentials as Docker keeps them: ``config.json`` and its credential helpers."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

_HUB = "https://index.docker.io/v1/"


def registry_auth(image: str, environment: Mapping[str, str]) -> str:
    """The X-Registry-Auth header for the registry of ``image``; empty when nothing is known about it."""
    registry = registry_of(image)
    found = _credentials(_config(environment), registry)
    if not found:
        return ""
    return base64.urlsafe_b64encode(json.dumps({**found, "serveraddress": registry}).encode()).decode()


def registry_of(image: str) -> str:
    """The first part of a name is a registry when it looks like a host."""
    first, slash, _ = image.partition("/")
    if (
        slash
        and ("." in first or ":" in first or first == "localhost")
        and first not in {"docker.io", "index.docker.io"}
    ):
        return first
    return _HUB


def _config(environment: Mapping[str, str]) -> Mapping[str, Any]:
    folder = environment.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _credentials(config: Mapping[str, Any], registry: str) -> dict[str, str]:
    helper = (config.get("credHelpers") or {}).get(registry) or config.get("credsStore")
    if helper:
        return _from_helper(str(helper), registry)
    stored = (config.get("auths") or {}).get(registry) or {}
    if stored.get("identitytoken"):
        return {"identitytoken": str(stored["identitytoken"])}
    try:
        user, _, password = base64.b64decode(stored.get("auth") or "").decode().partition(":")
    except ValueError:
        return {}
    return {"username": user, "password": password.rstrip("\0")} if user else {}


def _from_helper(helper: str, registry: str) -> dict[str, str]:
    import subprocess  # noqa: PLC0415 - only with a helper

    try:
        asked = subprocess.run(
            [f"docker-credential-{helper}", "get"], input=registry.encode(), capture_output=True, check=True,
        )  # fmt: skip
        answer = json.loads(asked.stdout)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return {}
    if answer.get("Username") == "<token>":
        return {"identitytoken": str(answer.get("Secret", ""))}
    return {"username": str(answer.get("Username", "")), "password": str(answer.get("Secret", ""))}
