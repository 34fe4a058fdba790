"""nftables through libnftables: text in, one atomic transaction; our table's elements out.

A context belongs to the network namespace it was created in, and libnftables aborts the process when it is created
while the next free descriptor is beyond FD_SETSIZE: the daemon makes its one context first thing.
"""

from __future__ import annotations

import ctypes
import json
import re
import threading
from typing import Any

from fairlead.net import ruleset

_TABLE = f"{ruleset.FAMILY} {ruleset.TABLE}"
_USER_TABLE = f"{ruleset.FAMILY} {ruleset.USER_TABLE}"

_JSON_OUTPUT = 1 << 4
# One set or map of a listing, with its elements; elements stand last in it and end with " }".
_CONTAINER = re.compile(r"^\t(?:set|map) (\S+) \{\n(.*?)^\t\}", re.MULTILINE | re.DOTALL)
_ELEMENTS = re.compile(r"\belements = \{ (.*?) \}\n", re.DOTALL)
_SEPARATOR = re.compile(r",\s+")


class NftError(Exception):
    """nft refused a transaction; the text is its own message."""

    @property
    def missing(self) -> bool:
        """Something named is not there (ENOENT)."""
        return "No such file or directory" in str(self)

    @property
    def exists(self) -> bool:
        """Something added is there already with another value (EEXIST)."""
        return "File exists" in str(self)


class Nft:
    """One libnftables context of the namespace it is created in; safe to use from several threads."""

    def __init__(self) -> None:
        self._library = _load_library()
        self._context = ctypes.c_void_p(self._library.nft_ctx_new(0))
        if not self._context:
            raise NftError("libnftables gives no context")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            if self._context:
                self._library.nft_ctx_free(self._context)
                self._context = ctypes.c_void_p(None)

    def run(self, commands: str) -> None:
        """All of it or nothing; raises NftError with nft's message."""
        self._run(commands, 0)

    def check(self, commands: str) -> None:
        """Whether the kernel would take it; nothing is changed."""
        with self._lock:
            self._library.nft_ctx_set_dry_run(self._context, True)
        try:
            self._run(commands, 0)
        finally:
            with self._lock:
                self._library.nft_ctx_set_dry_run(self._context, False)

    def listing(self, what: str = "ruleset") -> str:
        """The text of ``list <what>``."""
        return self._run(f"list {what}", 0)

    def list_json(self, what: str = "ruleset") -> list[dict[str, Any]]:
        """The objects of ``nft --json list <what>``."""
        listed: list[dict[str, Any]] = json.loads(self._run(f"list {what}", _JSON_OUTPUT))["nftables"]
        return listed

    def load(self, table: str) -> None:
        """Replace our tables as a whole by ``net.ruleset.load``'s text."""
        self.run(table)

    def elements(self) -> dict[str, dict[str, str]]:
        """Container -> key -> value ("" in sets) of our table, in nft's text form; {} when the table is gone."""
        try:
            listing = self.listing(f"table {_TABLE}")
        except NftError as error:
            if error.missing:
                return {}
            raise
        return parse_elements(listing)

    def has_tables(self) -> bool:
        """Whether all of ours are there."""
        return set(ruleset.TABLES) <= self._tables()

    def our_listing(self) -> str:
        """The text of our tables, one behind the other."""
        return "".join(self.listing(f"table {table}") for table in ruleset.TABLES)

    def ensure_user_table(self) -> None:
        """Make the administrators' table where there is none; one that is there is theirs."""
        if _USER_TABLE not in self._tables():
            self.run(ruleset.USER_RULESET)

    def _tables(self) -> set[str]:
        """Family and name of every table there is."""
        found = (each["table"] for each in self.list_json("tables") if "table" in each)
        return {f"{table['family']} {table['name']}" for table in found}

    def _run(self, commands: str, output_flags: int) -> str:
        with self._lock:
            if not self._context:
                raise NftError("the nftables context is closed")
            self._library.nft_ctx_output_set_flags(self._context, output_flags)
            refused = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
            output: bytes = self._library.nft_ctx_get_output_buffer(self._context)
            message: bytes = self._library.nft_ctx_get_error_buffer(self._context)
        if refused:
            raise NftError(message.decode(errors="replace").strip() or "nft refused without a word")
        return output.decode(errors="replace")


def _load_library() -> ctypes.CDLL:
    library = ctypes.CDLL("libnftables.so.1")
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_ctx_set_dry_run.argtypes = [ctypes.c_void_p, ctypes.c_bool]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


def parse_elements(listing: str) -> dict[str, dict[str, str]]:
    """The elements in nft's listing of one table; containers without elements are there, empty."""
    found: dict[str, dict[str, str]] = {}
    for name, body in _CONTAINER.findall(listing):
        match = _ELEMENTS.search(body)
        found[name] = dict(map(_pair, _SEPARATOR.split(match[1]))) if match else {}
    return found


def _pair(element: str) -> tuple[str, str]:
    """An IPv6 address has colons too, but none with blanks around it."""
    key, _, value = element.partition(" : ")
    return key.strip(), value.strip()
