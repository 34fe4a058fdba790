"""Records in SQLite: what must outlive the daemon, saved before the kernel is touched."""

from fairlead.store.records import Store, Table

__all__ = ["Store", "Table"]
