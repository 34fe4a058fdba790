"""Archives to a file or to standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator

from fairlead.cli.errors import CommandError

_CHUNK = 256 * 1024


def save(path: str, pieces: Iterable[bytes], *, command: str, flag: str = "-o") -> None:
    """Writes to ``path``, complete or not at all; to standard output without one, unless that is a terminal."""
    if path:
        _to_file(path, pieces)
        return
    if sys.stdout.isatty():
        raise CommandError(f"cowardly refusing to {command} to a terminal. Use the {flag} flag or redirect")
    out = sys.stdout.buffer
    for piece in pieces:
        out.write(piece)
    out.flush()


def _to_file(path: str, pieces: Iterable[bytes]) -> None:
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise CommandError(f'invalid output path: directory "{folder}" does not exist')
    if os.path.exists(path) and not os.path.isfile(path):
        # A device or a pipe is written as it is: there is nothing to put in its place.
        with open(path, "wb") as file:
            file.writelines(pieces)
        return
    unfinished = os.path.join(folder, f".tmp-{os.path.basename(path)}-{os.getpid()}")
    try:
        with open(unfinished, "wb") as file:
            file.writelines(pieces)
        os.replace(unfinished, path)
    except OSError as wrong:
        raise CommandError(f"open {path}: {os.strerror(wrong.errno or 0).lower()}") from wrong
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)


def read_chunks(path: str) -> Iterator[bytes]:
    """The bytes of a file, or of standard input for ``-``; raises CommandError when it cannot be opened."""
    try:
        file = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115 - closed by the with below
    except OSError as wrong:
        raise CommandError(f"open {path}: {os.strerror(wrong.errno or 0).lower()}") from wrong
    return _chunks(file)


def _chunks(file: object) -> Iterator[bytes]:
    from io import BufferedReader  # noqa: PLC0415 - for the type only

    assert isinstance(file, BufferedReader)
    with file:
        while data := file.read1(_CHUNK):
            yield data
