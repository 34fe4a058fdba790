"""Published SCTP ports by traffic, and the same cells as for TCP and UDP: this kernel has the sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import lab as laboratory
from harness.lab import HOST4, HOST6, SECOND4, SECOND6, Lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with laboratory.opened() as lab:
        lab.network("front", ipv6=True)
        lab.network("back", ipv6=True)
        lab.container(
            "web",
            "front",
            "8080:80/sctp",
            "9000-9009:9000-9009/sctp",
            "127.0.0.1:8081:80/sctp",
            f"{HOST4}:8082:80/sctp",
            f"[{HOST6}]:8082:80/sctp",
        )
        lab.container("neighbour", "front")
        lab.container("other", "back")
        lab.serve("web", "80/sctp", "9005/sctp", "9999/sctp")
        yield lab


@pytest.mark.docker_option("-p …/sctp", section="publishing", shows="every form, from everywhere but [::1]")
@pytest.mark.parametrize("port", [8080, 9005, 8082])
def test_published_from_everywhere(lab: Lab, port: int) -> None:
    assert lab.ask("second", HOST4, port, "sctp") == f"web {SECOND4}"
    assert lab.ask("second", HOST6, port, "sctp") == f"web {SECOND6}"
    for who in ("host", "web", "neighbour", "other"):
        assert lab.ask(who, HOST4, port, "sctp").startswith("web "), who
        assert lab.ask(who, HOST6, port, "sctp").startswith("web "), who


def test_on_loopback_for_the_host_only(lab: Lab) -> None:
    assert lab.ask("host", "127.0.0.1", 8081, "sctp").startswith("web ")
    assert lab.ask("host", "127.0.0.1", 8080, "sctp").startswith("web ")
    assert lab.ask("second", HOST4, 8081, "sctp") == ""
    assert lab.ask("other", HOST4, 8081, "sctp") == ""


def test_what_is_not_published_is_not_reached(lab: Lab) -> None:
    assert lab.ask("second", HOST4, 9999, "sctp") == ""
    assert lab.ask("second", lab.address("web"), 80, "sctp") == ""
    assert lab.ask("other", lab.address("web"), 80, "sctp") == ""
    assert lab.ask("second", HOST4, 8080, "tcp") == ""
