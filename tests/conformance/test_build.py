"""Builds from Dockerfiles, by the official client's classic builder and by ours: the same files, the same images."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.engine import Engine

Build = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=["docker", "fairlead"])
def build(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> Iterator[Build]:
    """Builds the directory ``tmp_path`` as the image ``made``, by either client."""
    client = getattr(engine, request.param)

    def run(dockerfile: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        (tmp_path / "Dockerfile").write_text(dockerfile)
        done: subprocess.CompletedProcess[str] = client("build", "-t", "made", *words, str(tmp_path), check=check)
        return done

    yield run
    engine.docker("rmi", "-f", "made", check=False)
    engine.docker("image", "prune", "-f")


def out(engine: Engine, *command: str) -> str:
    return engine.docker("run", "--rm", "--network", "none", "made", *command).stdout


def test_steps_of_all_kinds(engine: Engine, build: Build, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "s.txt").write_text("s\n")
    (tmp_path / "skipped.log").write_text("x")
    (tmp_path / ".dockerignore").write_text("*.log\n")
    said = build(
        "ARG V=latest\n"
        "FROM busybox:$V AS base\n"
        'ENV A=1 B="two words"\n'
        "RUN echo $A $B > /made && mkdir /gone\n"
        "RUN rmdir /gone && ln -s /made /link\n"
        "COPY a.txt sub /x/\n"
        "COPY --chown=12:34 --chmod=600 a.txt /owned\n"
        "WORKDIR /w/z\n"
        "COPY . .\n"
        "FROM base\n"
        "ARG WHO=nobody\n"
        "COPY --from=base /x /fromx\n"
        "COPY --from=alpine /bin/busybox /other\n"
        "COPY <<END inline.txt\nfor $WHO\nEND\n"
        "RUN <<END\necho one > /lines\necho two >> /lines\nEND\n"
        "USER 65534\n"
        "EXPOSE 80/udp\n"
        "VOLUME /data\n"
        "LABEL l=1\n"
        'HEALTHCHECK --interval=5s CMD ["true"]\n'
        "STOPSIGNAL SIGINT\n"
        'ENTRYPOINT ["cat"]\n'
        'CMD ["/made"]\n',
        "--build-arg",
        "WHO=you",
        "--label",
        "extra=yes",
    ).stdout
    assert "Successfully built" in said
    assert "Successfully tagged made:latest" in said
    assert out(engine) == "1 two words\n"
    assert out(engine, "/x/a.txt", "/x/s.txt", "/fromx/a.txt", "/lines", "inline.txt") == (
        "hello\ns\nhello\none\ntwo\nfor you\n"
    )
    stat = engine.docker("run", "--rm", "--entrypoint", "stat", "made", "-c", "%u:%g %a", "/owned").stdout
    assert stat == "12:34 600\n"
    listed = engine.docker("run", "--rm", "--entrypoint", "ls", "made", "-a", "/w/z", "/").stdout
    assert "skipped.log" not in listed
    assert "gone" not in listed
    config = json.loads(engine.out("image", "inspect", "made"))[0]["Config"]
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("65534", "/w/z", "SIGINT")
    assert config["Labels"] == {"l": "1", "extra": "yes"}
    assert set(config["ExposedPorts"]) == {"80/udp"}
    assert config["Healthcheck"]["Test"] == ["CMD", "true"]


def test_the_cache_ends_where_something_changed(engine: Engine, build: Build, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    text = "FROM busybox\nRUN cat /proc/uptime > /one\nCOPY a /a\nRUN cat /proc/uptime > /two\n"
    build(text)
    before = out(engine, "cat", "/one", "/two").splitlines()
    assert build(text).stdout.count("Using cache") == 3
    assert out(engine, "cat", "/one", "/two").splitlines() == before
    os.utime(tmp_path / "a", (0, 0))
    assert build(text).stdout.count("Using cache") == 3
    (tmp_path / "a").write_text("2")
    assert build(text).stdout.count("Using cache") == 1
    after = out(engine, "cat", "/one", "/two").splitlines()
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert "Using cache" not in build(text, "--no-cache").stdout


def test_arguments_are_part_of_what_is_cached(engine: Engine, build: Build) -> None:
    text = "FROM busybox\nARG A\nRUN echo $A > /a\n"
    for value in ("x", "y", "x"):
        build(text, "--build-arg", f"A={value}")
        assert out(engine, "cat", "/a") == f"{value}\n"


def test_only_what_the_target_needs_is_built(engine: Engine, build: Build) -> None:
    text = "FROM busybox AS one\nRUN echo 1 > /n\nFROM busybox AS two\nRUN false\nFROM one AS three\nRUN echo 3 >> /n\n"
    build(text, "--target", "three")
    assert out(engine, "cat", "/n") == "1\n3\n"
    build(text, "--target", "ONE")
    assert out(engine, "cat", "/n") == "1\n"


def test_run_steps_are_on_the_network_that_was_asked_for(engine: Engine, build: Build) -> None:
    engine.docker("network", "create", "n")
    engine.docker("run", "-d", "--name", "web", "--network", "n", "nginx")
    engine.listens("web", 80)
    build("FROM busybox\nRUN wget -q -O /page http://web/\n", "--network", "n")
    assert "Welcome" in out(engine, "cat", "/page")
    build("FROM busybox\nRUN ip -o addr > /addr\n", "--network", "none")
    assert "eth0" not in out(engine, "cat", "/addr")


def test_triggers_of_the_base_image(engine: Engine, build: Build, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("from the context")
    build("FROM busybox\nONBUILD COPY a /a\nONBUILD RUN echo more >> /a\n")
    engine.docker("tag", "made", "base")
    build("FROM base\nCMD cat /a\n")
    assert out(engine) == "from the contextmore\n"
    assert json.loads(engine.out("image", "inspect", "made"))[0]["Config"].get("OnBuild") in (None, [])
    engine.docker("rmi", "-f", "base")


def test_a_layer_from_nothing_and_archives_unpacked(engine: Engine, build: Build, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("packed")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "f", "dir/f")
    build(
        "FROM scratch\n"
        "ADD a.tar.gz /\n"
        "COPY --from=busybox /bin/busybox /bin/sh\n"
        'CMD ["/bin/sh", "-c", "read x < /dir/f; echo $x"]\n'
    )
    assert out(engine) == "packed\n"


@pytest.mark.parametrize(
    ("dockerfile", "said"),
    [
        ("FROM busybox\nRUN exit 7\n", "The command '/bin/sh -c exit 7' returned a non-zero code: 7"),
        ("FROM busybox\nCOPY nothing /x\n", "COPY failed: file not found in build context"),
        ("FROM busybox\nNONSENSE\n", "dockerfile parse error line 2: unknown instruction: NONSENSE"),
        ("FROM busybox\nCOPY a\n", "COPY requires at least two arguments"),
        ("FROM busybox\nADD http://192.0.2.9/x /x\n", "remote sources are not fetched"),
        ("FROM no-such-image-anywhere.invalid/x\n", "no-such-image-anywhere.invalid"),
        ("FROM busybox\nCOPY --from=no-stage.invalid/x /a /b\n", "invalid from flag value no-stage.invalid/x"),
        ("FROM busybox\nCOPY --chown=nobody-here a /x\n", "unable to find user nobody-here"),
        ("FROM busybox\nRUN --mount=type=ssh true\n", "RUN --mount=type=ssh is not supported"),
        ("FROM busybox\nRUN touch /f\nCOPY a /f/x\n", "is no directory"),
    ],
)
def test_failures_are_said_and_leave_nothing(
    engine: Engine, build: Build, tmp_path: Path, dockerfile: str, said: str
) -> None:
    (tmp_path / "a").write_text("a")
    done = build(dockerfile, check=False)
    assert done.returncode == 1
    assert said in done.stderr + done.stdout
    assert not engine.out("ps", "-aq").strip()
    assert engine.docker("image", "inspect", "made", check=False).returncode


def test_a_context_cannot_lead_outside(engine: Engine, build: Build, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    (tmp_path / "up").symlink_to("../../../../etc")
    build("FROM busybox\nCOPY . /l/\nRUN mkdir -p /root/in && ln -s /root/in /alias\nCOPY Dockerfile /alias/d\n")
    shown = engine.docker("run", "--rm", "made", "ls", "-l", "/l", "/root/in").stdout
    assert "link -> /etc/hostname" in shown
    assert "up -> ../../../../etc" in shown
    assert " d\n" in shown
    assert build("FROM busybox\nCOPY ../../../../etc/hostname /h\n", check=False).returncode == 1


def test_secrets_are_in_no_layer(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    (tmp_path / ".dockerignore").write_text("token\n")
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox\n"
        'RUN --mount=type=secret,id=token test "$(wc -c < /run/secrets/token)" = 6\n'
        "RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/t touch /cache/x /t/y\n"
    )
    engine.fairlead("build", "-t", "made", "--secret", f"id=token,src={tmp_path / 'token'}", str(tmp_path))
    assert not {"cache", "t"} & set(out(engine, "ls", "/").split())
    assert "secrets" not in out(engine, "ls", "/run")
    assert "s3cret" not in engine.out("history", "--no-trunc", "made") + engine.out("image", "inspect", "made")
    saved = subprocess.run(["docker", "save", "made"], capture_output=True, check=True, env=engine.environment).stdout
    assert b"s3cret" not in saved
    done = engine.fairlead("build", "--secret", "id=other", str(tmp_path), check=False)
    assert "neither a file nor a variable" in done.stderr
    engine.docker("rmi", "-f", "made")
    engine.docker("image", "prune", "-f")
