"""A small synchronous client of the Engine API."""

from __future__ import annotations

from fairlead.client.client import API_VERSION, Client, Query
from fairlead.client.errors import ApiError, BrokenAnswer, ClientError, Unreachable
from fairlead.client.http import Response, Upgraded

__all__ = [
    "API_VERSION",
    "ApiError",
    "BrokenAnswer",
    "Client",
    "ClientError",
    "Query",
    "Response",
    "Unreachable",
    "Upgraded",
]
