"""Our own command beside the official one: the same words in, the same lines and exit codes out."""

from __future__ import annotations

import re
import subprocess
import time

import pytest

from harness.engine import FAIRLEAD, Engine, wait_until
from harness.terminal import Terminal


@pytest.fixture
def world(engine: Engine) -> Engine:
    """Containers in several states, networks, a volume: something to list."""
    engine.docker("network", "create", "--label", "team=red", "n")
    engine.docker("volume", "create", "vol")
    argv = ["-p", "8080:80", "-p", "127.0.0.1:7000-7002:7000-7002/udp", "--network", "n", "-v", "vol:/v"]
    engine.docker("run", "-d", "--name", "web", *argv, "nginx")
    engine.docker("run", "--name", "ended", "busybox", "sh", "-c", "echo said; exit 3", check=False)
    engine.docker("create", "--name", "new", "alpine")
    return engine


SAME = [
    [
        "ps",
        "-a",
        "--format",
        "{{.ID}} {{.Image}} {{.Command}} {{.Names}} {{.Ports}} {{.State}} {{.Networks}} {{.Mounts}}",
    ],
    ["ps", "-aq", "--no-trunc"],
    ["ps", "-a", "--format", "table {{.Names}}\t{{.Image}}"],
    ["ps", "-a", "--filter", "status=exited", "--format", "{{json .Names}}"],
    ["container", "ls", "-a", "--no-trunc", "--format", "{{.Command}}"],
    ["images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}"],
    ["images", "-q", "--no-trunc"],
    ["images", "--digests", "nginx"],
    ["history", "nginx"],
    ["history", "--no-trunc", "-q", "alpine"],
    ["network", "ls"],
    ["network", "ls", "--filter", "label=team=red", "--format", "{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}}"],
    ["network", "inspect", "n"],
    ["network", "inspect", "-f", "{{range $id, $c := .Containers}}{{$c.Name}} {{$c.IPv4Address}}{{end}}", "n"],
    ["volume", "ls"],
    ["volume", "inspect", "vol"],
    ["inspect", "web"],
    ["inspect", "-f", "{{.Name}} {{.State.Status}} {{len .NetworkSettings.Ports}}", "web", "ended"],
    ["inspect", "-f", "{{range $k, $v := .NetworkSettings.Networks}}{{$k}}={{$v.IPAddress}}{{end}}", "web"],
    ["inspect", "-f", '{{json .Config.Env}} {{index .Config.Cmd 0}} {{printf "%q" .Name}}', "web"],
    ["inspect", "-f", "{{with .Config.Labels}}{{.maintainer}}{{end}}", "nginx"],
    ["inspect", "-f", "{{.Nothing}}", "web"],
    ["inspect", "-f", "{{", "web"],
    ["inspect", "nothing"],
    ["image", "inspect", "-f", "{{.RepoTags}}", "nginx"],
    ["port", "web"],
    ["port", "web", "80/tcp"],
    ["port", "web", "81"],
    ["logs", "ended"],
    ["logs", "nothing"],
    ["diff", "ended"],
    ["top", "web", "-o", "pid,comm"],
    ["wait", "ended"],
    ["start", "nothing"],
    ["stop", "nothing"],
    ["rm", "web"],
    ["rmi", "nothing"],
    ["kill", "ended"],
    ["rename", "new", "web"],
    ["network", "rm", "nothing"],
    ["network", "create", "n"],
    ["network", "connect", "n", "nothing"],
    ["volume", "rm", "vol"],
    ["exec", "web", "sh", "-c", "echo out; echo err >&2; exit 4"],
    ["exec", "ended", "true"],
    ["exec", "web", "nothing"],
    ["run", "--rm", "busybox", "sh", "-c", "echo out; exit 5"],
    ["run", "--rm", "busybox", "nothing"],
    ["run", "--rm", "busybox", "/etc/passwd"],
    ["run", "--rm", "--network", "nothing", "busybox"],
    ["run", "--rm", "--no-such-flag", "busybox"],
    ["run"],
    ["system", "df"],
    ["cp", "web:/nothing", "-"],
]


@pytest.mark.parametrize("argv", SAME, ids=" ".join)
def test_the_same(world: Engine, argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # An older client is not told all that a newer one is.
    monkeypatch.setenv("DOCKER_API_VERSION", world.out("version", "--format", "{{.Client.APIVersion}}"))
    theirs = world.docker(*argv, check=False)
    ours = world.fairlead(*argv, check=False)
    assert ours.returncode == theirs.returncode, ours.stderr
    # The official client walks an image's names in the order of a Go map: another one each time.
    order = sorted if argv[0] == "images" else list
    assert order(ours.stdout.splitlines()) == order(theirs.stdout.splitlines())
    # Words may differ; where there is a sentence there, there is one here, and none where it keeps quiet.
    assert bool(ours.stderr.strip()) == bool(theirs.stderr.strip())


@pytest.mark.parametrize(
    "argv", [["ps", "-a"], ["images"], ["stats", "--no-stream"], ["info"], ["version"]], ids=" ".join
)
def test_the_same_headings(world: Engine, argv: list[str]) -> None:
    """Lines that carry times or our own name: the columns are the same."""
    theirs, ours = (client(*argv).stdout.splitlines()[0] for client in (world.docker, world.fairlead))
    assert ours.split() == theirs.split()


def test_standard_input(engine: Engine) -> None:
    text = "".join(f"{n}\n" for n in range(20000))
    assert engine.fairlead("run", "--rm", "-i", "busybox", "cat", text=text).stdout == text


def test_terminal_and_detach_keys(engine: Engine) -> None:
    with Terminal(
        [FAIRLEAD, "run", "-it", "--name", "box", "busybox", "sh"], engine.environment, rows=31, columns=90
    ) as screen:
        screen.expect("# ")
        screen.type("stty size\n")
        screen.expect("31 90")
        screen.type(b"\x10\x11")
        assert screen.end() == 0
    with Terminal([FAIRLEAD, "exec", "-it", "box", "sh", "-c", "read x; exit $x"], engine.environment) as screen:
        screen.type("7\n")
        assert screen.end() == 7
    with Terminal([FAIRLEAD, "attach", "box"], engine.environment) as screen:
        screen.type("exit 3\n")
        assert screen.end() == 3


def test_copies_and_archives(engine: Engine) -> None:
    source = engine.base / "copied"
    source.write_text("content\n")
    engine.fairlead("create", "--name", "box", "busybox")
    engine.fairlead("cp", str(source), "box:/root/file")
    engine.fairlead("cp", "box:/root/file", str(engine.base / "back"))
    assert (engine.base / "back").read_text() == "content\n"
    saved = engine.base / "saved.tar"
    engine.fairlead("tag", "alpine", "saved:1")
    engine.fairlead("save", "-o", str(saved), "saved:1")
    engine.fairlead("rmi", "saved:1")
    assert engine.fairlead("load", "-i", str(saved)).stdout == "Loaded image: saved:1\n"
    engine.fairlead("rmi", "saved:1")


def test_events_follow(engine: Engine) -> None:
    reader = subprocess.Popen(
        [FAIRLEAD, "events", "--filter", "type=container", "--format", "{{.Action}}"],
        env=engine.environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(0.5)
    engine.docker("run", "--rm", "busybox", "true")
    assert reader.stdout is not None
    assert [reader.stdout.readline().strip() for _ in range(5)] == ["create", "attach", "start", "die", "destroy"]
    reader.terminate()
    reader.wait()
    reader.stdout.close()


def test_prune(world: Engine) -> None:
    shown = world.fairlead("system", "prune", "-f").stdout
    assert re.search(r"Deleted Containers:\n[0-9a-f]{64}\n[0-9a-f]{64}\n", shown)
    assert world.out("ps", "-aq", "--filter", "status=created") == ""


def test_completion(engine: Engine) -> None:
    script = engine.fairlead("completion", "bash").stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_an_engine_that_is_not_there(engine: Engine) -> None:
    done = engine.fairlead("-H", "unix:///nowhere.sock", "ps", check=False)
    assert done.returncode == 1
    assert "nowhere.sock" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_starts_quickly(engine: Engine) -> None:
    """The whole of `fairlead ps`; the bound is generous for a busy machine."""
    engine.fairlead("ps")
    best = min(_timed(engine) for _ in range(5))
    assert best < 0.25, best


def _timed(engine: Engine) -> float:
    began = time.monotonic()
    engine.fairlead("ps")
    return time.monotonic() - began


def test_the_daemon_stays_after_all_that(engine: Engine) -> None:
    wait_until(lambda: engine.call("GET", "/version")[0] == 200, "it answers")
