"""A daemon's first moments: one per data root, limits raised, the resolver process under way, then the rest loaded.

The resolver takes 50 ms to be up and the engine's modules take 300 to load: they do so side by side.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import logging
import os
import resource
import sys
from collections.abc import Iterator
from types import ModuleType

from fairlead.dns.birth import is_listening, spawner
from fairlead.errors import EngineError
from fairlead.settings import Settings

log = logging.getLogger("fairlead")

_LEVELS = {"warn": "WARNING", "fatal": "CRITICAL"}


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; containers stay as they are. The process's exit code."""
    level = "DEBUG" if settings.debug else _LEVELS.get(settings.log_level, settings.log_level.upper())
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    if os.geteuid() != 0:
        log.error("the engine makes network namespaces and mounts: run it as root")
        return 1
    _prepare_directories(settings)
    _raise_descriptor_limit()
    try:
        with _single_instance(settings):
            start_resolver = spawner(resolver_socket(settings), log_file=f"{settings.exec_root}/resolver.log")
            if not is_listening(resolver_socket(settings)):
                start_resolver()
            _load().serve(settings, start_resolver)
    except EngineError as error:
        log.error("%s", error)  # noqa: TRY400 (one sentence for the user, not a traceback)
        return 1
    return 0


def resolver_socket(settings: Settings) -> str:
    return os.path.join(settings.exec_root, "resolver.sock")


def _prepare_directories(settings: Settings) -> None:
    """The data and exec roots, only root may enter."""
    roots = (settings.data_root, settings.exec_root)
    for path in (*roots, *(f"{settings.data_root}/{name}" for name in ("containers", "images", "volumes"))):
        os.makedirs(path, mode=0o711, exist_ok=True)


def _raise_descriptor_limit() -> None:
    """Thousands of claimed ports and sandboxes are thousands of descriptors."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def _single_instance(settings: Settings) -> Iterator[None]:
    """One daemon per data root, held by a lock that the kernel gives back however the daemon ends."""
    path = os.path.join(settings.data_root, "lock")
    with open(path, "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EngineError(
                f"another daemon uses {settings.data_root}: stop it, or choose another --data-root"
            ) from None
        os.makedirs(os.path.dirname(settings.pidfile), exist_ok=True)
        with open(settings.pidfile, "w", encoding="ascii") as pidfile:
            pidfile.write(f"{os.getpid()}\n")
        try:
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(settings.pidfile)


def _load() -> ModuleType:
    """The daemon's modules, as fast as may be.

    aiohttp's client reads all of the system's certificates when it is imported; the daemon only serves (registries
    are skopeo's), so they are hidden meanwhile. Nothing that is imported is ever garbage.
    """
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = os.devnull
    gc.disable()
    try:
        from fairlead import daemon  # noqa: PLC0415
    finally:
        gc.enable()
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before
    gc.freeze()
    return daemon
