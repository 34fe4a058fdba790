"""Compose files that exist only in a test, loaded as if they were in /p."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fairlead.compose import loading
from fairlead.compose.loading import Origin
from fairlead.compose.project import Project, decide
from fairlead.compose.tree import Map


def origin(files: Mapping[str, str], variables: Mapping[str, str] | None = None) -> Origin:
    def read(path: str) -> str:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory")
        return files[path]

    return Origin(directory="/p", variables=variables or {}, read=read, warn=lambda _: None)


def load(*texts: str, variables: Mapping[str, str] | None = None, **others: str) -> Map:
    """``texts`` one over the other; ``others`` are further files, ``sub__x_yaml`` being /p/sub/x.yaml."""
    named = {f"/p/{number}.yaml": text for number, text in enumerate(texts)}
    rest = {"/p/" + name.replace("__", "/").replace("_", "."): text for name, text in others.items()}
    return loading.load(list(named), origin({**named, **rest}, variables))


def project(
    *texts: str, profiles: Sequence[str] = (), variables: Mapping[str, str] | None = None, **others: str
) -> Project:
    named = {f"/p/{number}.yaml": text for number, text in enumerate(texts)}
    rest = {"/p/" + name.replace("__", "/").replace("_", "."): text for name, text in others.items()}
    start = origin({**named, **rest}, variables)
    return decide(loading.load(list(named), start), start, name="demo", files=list(named), profiles=profiles)
