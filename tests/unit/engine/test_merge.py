"""engine.merge: Docker's rules for an image's configuration under a container's."""

import pytest

from fairlead.engine.merge import command_line, merge
from fairlead.errors import InvalidArgument
from fairlead.model.container import Config, Health

IMAGE = Config(
    env=("PATH=/bin", "LANG=C"),
    cmd=("serve", "--all"),
    entrypoint=("/entry",),
    labels={"a": "1", "b": "2"},
    exposed_ports={"80/tcp": {}},
    working_dir="/srv",
    user="web",
    healthcheck=Health(test=("CMD", "true"), retries=5),
)


def test_image_fills_what_was_not_asked() -> None:
    merged = merge(Config(image="x"), IMAGE)
    assert merged.cmd == ("serve", "--all")
    assert merged.entrypoint == ("/entry",)
    assert merged.working_dir == "/srv"
    assert merged.user == "web"
    assert merged.exposed_ports == {"80/tcp": {}}


def test_own_command_keeps_the_images_entrypoint() -> None:
    merged = merge(Config(cmd=("other",)), IMAGE)
    assert command_line(merged) == ("/entry", ("other",))


def test_own_entrypoint_drops_the_images_command() -> None:
    assert command_line(merge(Config(entrypoint=("sh",)), IMAGE)) == ("sh", ())


def test_empty_entrypoint_clears_the_images() -> None:
    merged = merge(Config(entrypoint=("",), cmd=("ls",)), IMAGE)
    assert command_line(merged) == ("ls", ())


def test_env_of_the_container_wins_by_name() -> None:
    merged = merge(Config(env=("LANG=de", "X=1")), IMAGE)
    assert merged.env == ("LANG=de", "X=1", "PATH=/bin")


def test_labels_and_ports_add_up() -> None:
    merged = merge(Config(labels={"b": "3"}, exposed_ports={"53/udp": {}}), IMAGE)
    assert merged.labels == {"a": "1", "b": "3"}
    assert set(merged.exposed_ports or {}) == {"80/tcp", "53/udp"}


def test_health_options_without_a_test_take_the_images() -> None:
    merged = merge(Config(healthcheck=Health(interval=7)), IMAGE)
    assert merged.healthcheck == Health(test=("CMD", "true"), interval=7, retries=5)


def test_nothing_to_run() -> None:
    with pytest.raises(InvalidArgument, match="no command specified"):
        command_line(Config())
