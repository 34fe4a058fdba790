"""Tables of frozen values: read from memory, saved to SQLite in one transaction each.

WAL with ``synchronous=NORMAL``: a killed process loses nothing that ``save`` returned for; a power cut may lose the
last transactions, never consistency (sqlite.org/pragma.html#pragma_synchronous). After a power cut no container runs
any more, so nothing in the kernel contradicts an older record.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import msgspec

from fairlead.errors import EngineError
from fairlead.model import codec
from fairlead.model.container import Container
from fairlead.model.debt import Debt
from fairlead.model.network import Network
from fairlead.model.volume import Volume

T = TypeVar("T")

_SCHEMA_VERSION = 1


class Table(Generic[T]):
    """Records of one kind by key. Iteration is in order of first saving."""

    def __init__(self, database: sqlite3.Connection, name: str, kind: type[T], key: Callable[[T], str]) -> None:
        self._database, self._name, self._kind, self._key = database, name, kind, key
        database.execute(f"CREATE TABLE IF NOT EXISTS {name} (key TEXT PRIMARY KEY, body BLOB NOT NULL)")
        self._records: dict[str, T] = {
            row[0]: self._decode(row)
            for row in database.execute(f"SELECT key, body FROM {name} ORDER BY rowid")  # noqa: S608 (our own table names)
        }

    def _decode(self, row: tuple[str, bytes]) -> T:
        try:
            return codec.decode(row[1], self._kind)
        except msgspec.DecodeError as error:
            raise EngineError(f"record {row[0]} in table {self._name} cannot be read: {error}") from error

    def get(self, key: str) -> T | None:
        return self._records.get(key)

    def __contains__(self, key: str) -> bool:
        return key in self._records

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)

    def keys(self) -> tuple[str, ...]:
        return tuple(self._records)

    def save(self, record: T) -> T:
        """Insert or replace; on disk when it returns."""
        key = self._key(record)
        self._database.execute(
            f"INSERT INTO {self._name} VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET body = excluded.body",  # noqa: S608
            (key, codec.encode(record)),
        )
        self._records[key] = record
        return record

    def delete(self, key: str) -> None:
        """Removing what is gone is success."""
        self._database.execute(f"DELETE FROM {self._name} WHERE key = ?", (key,))  # noqa: S608
        self._records.pop(key, None)


class Store:
    """All records of one daemon, in ``path``. Used from the event loop's thread only."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            self._database.execute(f"PRAGMA {pragma}")
        self._check_version(path)
        self.containers = Table(self._database, "containers", Container, lambda c: c.id)
        self.networks = Table(self._database, "networks", Network, lambda n: n.id)
        self.volumes = Table(self._database, "volumes", Volume, lambda v: v.name)
        self.debts = Table(self._database, "debts", Debt, lambda d: d.key)
        self._database.execute("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")

    def _check_version(self, path: str) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version not in (0, _SCHEMA_VERSION):
            raise EngineError(
                f"{path} was written by another version of fairlead (schema {version}, this one reads "
                f"{_SCHEMA_VERSION}): start that version, or point --data-root elsewhere",
            )
        self._database.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is saved in the body is on disk when it ends, all of it or, after a crash, nothing."""
        self._database.execute("BEGIN")
        try:
            yield
        finally:
            # In memory it is saved already, so what the body did before it failed counts too.
            self._database.execute("COMMIT")

    def get_meta(self, key: str) -> str | None:
        row = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        self._database.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value", (key, value)
        )

    def close(self) -> None:
        self._database.close()
