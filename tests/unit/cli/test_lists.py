"""ps, images, networks and volumes: tables, templates, and what is asked of the engine."""

from __future__ import annotations

import json
import time

import pytest

from fairlead.cli.container.ps import displayed_ports
from harness.fakeengine import FakeEngine, Reply
from unit.cli.conftest import Run

ID = "4e1243bd22c6" + "a" * 52


def container(**more: object) -> dict[str, object]:
    return {
        "Id": ID,
        "Names": ["/web", "/other/web"],
        "Image": "nginx:latest",
        "ImageID": "sha256:" + "ab" * 32,
        "Command": "/docker-entrypoint.sh nginx -g 'daemon off;'",
        "Created": int(time.time()) - 7300,
        "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
        "Labels": {"a": "b", "com.example.some-thing": "v"},
        "State": "running",
        "Status": "Up 2 hours",
        "NetworkSettings": {"Networks": {"n2": {}, "n1": {}}},
        "Mounts": [{"Type": "volume", "Name": "a" * 40, "Driver": "local"}, {"Type": "bind", "Source": "/tmp/x"}],
        **more,
    }


def test_ps_table(engine: FakeEngine, run: Run) -> None:
    engine.on("GET", "/containers/json", Reply([container()]))
    assert run("ps").out == (
        "CONTAINER ID   IMAGE          COMMAND                  CREATED       STATUS       PORTS"
        "                  NAMES\n"
        '4e1243bd22c6   nginx:latest   "/docker-entrypoint.…"   2 hours ago   Up 2 hours   0.0.0.0:8080->80/tcp   web\n'
    )
    assert engine.calls[0].query == {}


def test_ps_asks_for_what_is_wanted(engine: FakeEngine, run: Run) -> None:
    engine.on("GET", "/containers/json", Reply([]))
    run("ps", "-a", "-s", "-n", "3", "-f", "status=running", "--filter", "label=a=b", "--filter", "label=c")
    query = engine.calls[0].query
    assert (query["all"], query["size"], query["limit"]) == ("1", "1", "3")
    assert json.loads(query["filters"]) == {"status": {"running": True}, "label": {"a=b": True, "c": True}}
    run("ps", "-l")
    assert engine.calls[1].query == {"limit": "1"}


@pytest.mark.parametrize(
    ("template", "written"),
    [
        ("{{.ID}} {{.Names}} {{.Image}}", "4e1243bd22c6 web nginx:latest\n"),
        ('{{.Labels}}|{{.Label "a"}}|{{.Label "zz"}}', "a=b,com.example.some-thing=v|b|\n"),
        ("{{.Networks}} {{.LocalVolumes}} {{.Mounts}}", "n1,n2 1 aaaaaaaaaaaaaa…,/tmp/x\n"),
        ("{{.State}}/{{.Status}}/{{.RunningFor}}", "running/Up 2 hours/2 hours ago\n"),
        ("table {{.ID}}\\t{{.Names}}", "CONTAINER ID   NAMES\n4e1243bd22c6   web\n"),
        ('table {{.Names}}\\t{{.Label "com.example.some-thing"}}', "NAMES     some thing\nweb       v\n"),
        ("{{upper .Names}}", "WEB\n"),
    ],
)
def test_ps_formats(engine: FakeEngine, run: Run, template: str, written: str) -> None:
    engine.on("GET", "/containers/json", Reply([container()]))
    assert run("ps", "--format", template).out == written


def test_ps_in_full(engine: FakeEngine, run: Run) -> None:
    engine.on("GET", "/containers/json", Reply([container(SizeRw=12345, SizeRootFs=123456789)]))
    assert run("ps", "-q").out == "4e1243bd22c6\n"
    assert run("ps", "-q", "--no-trunc").out == f"{ID}\n"
    assert run("ps", "--no-trunc", "--format", "{{.Names}} {{.Command}}").out == (
        "web,other/web \"/docker-entrypoint.sh nginx -g 'daemon off;'\"\n"
    )
    assert run("ps", "--format", "{{.Size}}").out == "12.3kB (virtual 123MB)\n"
    assert engine.calls[-1].query == {"size": "1"}
    row = json.loads(run("ps", "--format", "json").out)
    assert list(row) == sorted(row)
    assert row["Ports"] == "0.0.0.0:8080->80/tcp"


def test_images_without_a_name_are_shown_by_id(engine: FakeEngine, run: Run) -> None:
    nameless = container(Image="sha256:" + "ab" * 32)
    engine.on(
        "GET", "/containers/json", Reply([nameless, container(Image="x@sha256:" + "cd" * 32), container(Image="")])
    )
    assert run("ps", "--format", "{{.Image}}").out == "abababababab\nx\n<no image>\n"


def test_ports_that_follow_each_other_are_a_range() -> None:
    ports = [{"IP": "0.0.0.0", "PrivatePort": n, "PublicPort": n, "Type": "tcp"} for n in (91, 90, 92, 95)]
    ports += [{"PrivatePort": 443, "Type": "tcp"}, {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "udp"}]
    assert displayed_ports(ports) == "0.0.0.0:90-92->90-92/tcp, 0.0.0.0:95->95/tcp, 443/tcp, [::]:8080->80/udp"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--format", "{{.ID"], 1, "failed to parse template: template: :1: unclosed action\n"),
        (
            ["--format", "{{.Foo}}"],
            1,
            (
                'failed to execute template: template: :1:2: executing "" at <.Foo>: '
                "can't evaluate field Foo in type *formatter.ContainerContext\n"
            ),
        ),
        (
            ["--filter", "foo"],
            125,
            (
                'invalid argument "foo" for "-f, --filter" flag: bad format of filter (expected name=value)\n\n'
                "Usage:  fairlead ps [OPTIONS]\n\nRun 'fairlead ps --help' for more information\n"
            ),
        ),
        (
            ["x"],
            1,
            (
                "fairlead: 'fairlead ps' accepts no arguments\n\n"
                "Usage:  fairlead ps [OPTIONS]\n\nRun 'fairlead ps --help' for more information\n"
            ),
        ),
    ],
)
def test_ps_mistakes(engine: FakeEngine, run: Run, words: list[str], code: int, message: str) -> None:
    engine.on("GET", "/containers/json", Reply([container()]))
    outcome = run("ps", *words)
    assert (outcome.code, outcome.err) == (code, message)


def test_networks_are_sorted_by_name(engine: FakeEngine, run: Run) -> None:
    networks = [
        {"Name": "zeta", "Id": "b" * 64, "Driver": "bridge", "Scope": "local", "EnableIPv4": True, "EnableIPv6": False,
         "Internal": True, "Labels": {"x": "y"}, "Created": "2026-01-02T03:04:05.5Z"},
        {"Name": "bridge", "Id": "a" * 64, "Driver": "bridge", "Scope": "local"},
    ]  # fmt: skip
    engine.on("GET", "/networks", Reply(networks))
    assert run("network", "ls").out == (
        "NETWORK ID     NAME      DRIVER    SCOPE\n"
        "aaaaaaaaaaaa   bridge    bridge    local\n"
        "bbbbbbbbbbbb   zeta      bridge    local\n"
    )
    shown = run("network", "ls", "--format", "{{.IPv4}} {{.IPv6}} {{.Internal}} {{.Labels}} {{.CreatedAt}}").out
    assert shown.splitlines()[1] == "true false true x=y 2026-01-02 03:04:05.5 +0000 UTC"


def test_volumes(engine: FakeEngine, run: Run) -> None:
    volumes = [{"Name": "v2", "Driver": "local", "Labels": {"x": "y"}}, {"Name": "v1", "Driver": "local"}]
    engine.on("GET", "/volumes", Reply({"Volumes": volumes}))
    assert run("volume", "ls").out == "DRIVER    VOLUME NAME\nlocal     v1\nlocal     v2\n"
    assert run("volume", "ls", "-q").out == "v1\nv2\n"
    assert (
        run("volume", "ls", "--format", "table {{.Name}}\t{{.Size}}").out
        == "VOLUME NAME   SIZE\nv1            N/A\nv2            N/A\n"
    )


def test_images_one_row_for_each_name(engine: FakeEngine, run: Run) -> None:
    digest = "sha256:" + "11" * 32
    images = [
        {"Id": "sha256:" + "ab" * 32, "RepoTags": ["nginx:1", "reg.io:5000/a:v1"], "RepoDigests": [f"nginx@{digest}"],
         "Created": int(time.time()) - 86400 * 3, "Size": 123456789},
        {"Id": "sha256:" + "cd" * 32, "RepoTags": [], "RepoDigests": [], "Created": 0, "Size": 5},
    ]  # fmt: skip
    engine.on("GET", "/images/json", Reply(images))
    assert run("images").out.splitlines()[:3] == [
        "REPOSITORY      TAG       IMAGE ID       CREATED        SIZE",
        "nginx           1         abababababab   3 days ago     123MB",
        "reg.io:5000/a   v1        abababababab   3 days ago     123MB",
    ]
    assert run("images", "--format", "{{.Repository}} {{.Digest}}").out == (
        f"nginx {digest}\nreg.io:5000/a <none>\n<none> <none>\n"
    )
    run("images", "-a", "nginx")
    assert json.loads(engine.calls[-1].query["filters"]) == {"reference": {"nginx": True}}
