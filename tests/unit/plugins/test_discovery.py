"""Where plugins are looked for, in which order, and what their files may say."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fairlead.errors import NotFound, PluginError
from fairlead.plugins.discovery import TlsFiles, find, scan


@contextmanager
def listening(path: Path) -> Iterator[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        yield str(path)
    path.unlink()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_sockets_come_before_files_whatever_the_directory(tmp_path: Path) -> None:
    run, etc = str(tmp_path / "run"), str(tmp_path / "etc")
    write(tmp_path / "run" / "weave.spec", "tcp://127.0.0.1:1")
    with listening(tmp_path / "etc" / "weave" / "weave.sock") as path:
        assert find("weave", (run, etc)).socket == path
        with listening(tmp_path / "run" / "weave.sock") as first:
            assert find("weave", (run, etc)).socket == first
    assert find("weave", (run, etc)).address == "127.0.0.1:1"


def test_a_new_socket_under_the_old_name_is_another_place(tmp_path: Path) -> None:
    with listening(tmp_path / "p.sock"):
        old = find("p", (str(tmp_path),))
        assert find("p", (str(tmp_path),)) == old
    with listening(tmp_path / "p.sock"):
        assert find("p", (str(tmp_path),)) != old


def test_a_file_that_is_no_socket_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "p.sock").write_text("")
    with pytest.raises(NotFound, match="could not find plugin p in v1 plugin registry: plugin not found"):
        find("p", (str(tmp_path), "/nosuch"))


@pytest.mark.parametrize("name", ["", "../etc/passwd", "a/b", ".hidden", "a\0b"])
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        find(name, (str(tmp_path),))


def test_what_files_say(tmp_path: Path) -> None:
    directory = (str(tmp_path),)
    write(tmp_path / "a.spec", "unix:///run/a.sock\n")
    write(tmp_path / "b" / "b.spec", "tcp://[::1]:99")
    write(tmp_path / "c.json", '{"Name": "c", "Addr": "https://host:8080/", "TLSConfig": {"CAFile": "/ca.pem"}}')
    write(tmp_path / "d.json", '{"Addr": "tcp://host:1", "TLSConfig": {"InsecureSkipVerify": true, "CertFile": "/c"}}')
    write(tmp_path / "e.spec", "https://host:1")
    assert find("a", directory).socket == "/run/a.sock"
    assert (find("b", directory).address, find("b", directory).tls) == ("[::1]:99", None)
    assert (find("c", directory).address, find("c", directory).tls) == ("host:8080", TlsFiles(ca="/ca.pem"))
    assert find("d", directory).tls == TlsFiles(insecure=True, cert="/c")
    assert find("e", directory).tls == TlsFiles()


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ("spec", ""),
        ("spec", "here"),
        ("spec", "unix://relative"),
        ("spec", "tcp://host"),
        ("spec", "tcp://host:99999"),
        ("spec", "ftp://host:1"),
        ("spec", "\udcff"),
        ("json", ""),
        ("json", "[]"),
        ("json", "{}"),
        ("json", '{"Addr": 7}'),
        ("json", '{"Addr": "unix:///a", "TLSConfig": "yes"}'),
    ],
)
def test_files_that_do_not_say_where_it_is(tmp_path: Path, ending: str, text: str) -> None:
    (tmp_path / f"p.{ending}").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(PluginError, match=rf"plugin p: .*p\.{ending} does not say where it is"):
        find("p", (str(tmp_path),))


def test_all_there_may_be(tmp_path: Path) -> None:
    write(tmp_path / "etc" / "b.json", "{}")
    write(tmp_path / "etc" / "c" / "c.spec", "")
    write(tmp_path / "etc" / "c" / "other.spec", "")
    write(tmp_path / "etc" / "notes.txt", "")
    with listening(tmp_path / "run" / "a.sock"):
        assert scan((str(tmp_path / "run"), str(tmp_path / "etc"), "/nosuch")) == ["a", "b", "c"]
