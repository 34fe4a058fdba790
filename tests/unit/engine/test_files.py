"""engine.files: hosts and resolv.conf as containers get them."""

import os
from pathlib import Path

import pytest

from fairlead.engine import files


def test_parse_resolv_conf_last_search_wins_and_comments_go() -> None:
    text = "domain a\nsearch b c # x\nnameserver 192.0.2.1\nnameserver ::1 ;y\noptions ndots:2 rotate\n"
    conf = files.parse_resolv_conf(text)
    assert conf == files.ResolvConf(servers=("192.0.2.1", "::1"), search=("b", "c"), options=("ndots:2", "rotate"))


def test_reachable_leaves_out_loopback_and_falls_back() -> None:
    assert files.reachable(("127.0.0.53", "192.0.2.1", "::1", "rubbish")) == ("192.0.2.1",)
    assert files.reachable(("127.0.0.53",)) == ("8.8.8.8", "8.8.4.4")


def test_embedded_dns_sets_ndots_unless_set() -> None:
    assert files.with_embedded_dns(files.ResolvConf(search=("x",))).options == ("ndots:0",)
    assert files.with_embedded_dns(files.ResolvConf(options=("ndots:3",))).options == ("ndots:3",)


def test_render_search_dot_means_none() -> None:
    assert files.render_resolv_conf(files.ResolvConf(servers=("1.1.1.1",), search=(".",))) == "nameserver 1.1.1.1\n"


def test_hosts_without_ipv6() -> None:
    text = files.render_hosts([("172.17.0.2", "web")], ipv6=False)
    assert text == "127.0.0.1\tlocalhost\n172.17.0.2\tweb\n"
    assert "ip6-loopback" in files.render_hosts([])


@pytest.mark.parametrize(
    ("host", "domain", "names"),
    [("web", "", "web"), ("web", "example.org", "web.example.org web"), ("a.b", "", "a.b a")],
)
def test_host_names(host: str, domain: str, names: str) -> None:
    assert files.host_names(host, domain) == names


def test_write_in_place_keeps_the_inode(tmp_path: Path) -> None:
    path = str(tmp_path / "hosts")
    files.write_in_place(path, "a much longer text\n")
    before = os.stat(path).st_ino
    files.write_in_place(path, "short\n")
    assert Path(path).read_text(encoding="utf-8") == "short\n"
    assert os.stat(path).st_ino == before


def test_write_in_place_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("keep", encoding="utf-8")
    (tmp_path / "hosts").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="Too many levels"):
        files.write_in_place(str(tmp_path / "hosts"), "x")
    assert (tmp_path / "victim").read_text(encoding="utf-8") == "keep"
