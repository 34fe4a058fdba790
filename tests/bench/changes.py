"""Changes while containers run, on a network that fills: one endpoint, a hundred, a thousand."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping

from bench.engines import Fairlead, Peer
from bench.jobs import Row, Samples, api, create, eight, remove, run, timed

# The kernel takes no bridge port beyond the 1,023rd.
FULL = {"fairlead": 1000}
ROUNDS = 15

CHANGES = ("policy", "port", "alias", "membership")
SIZES = (1, 100, 1000)


def title(change: str, size: int) -> str:
    words = {"policy": "policy changed", "port": "port published", "alias": "alias given", "membership": "joined"}
    return f"{words[change]}, {size:,} endpoint{'s' if size > 1 else ''} there"


STARTS = "start on a bridge: the last ten of 1,000 against the first ten"
ROWS = (
    *(Row(title(change, size), "ms", 5) for change in CHANGES for size in SIZES),
    Row(STARTS, "x", 1.3),
)


def changes(peer: Peer) -> Samples:
    """A network with ``size`` containers; another one, on a network of its own as well, is what changes."""
    api(peer, "POST", "/networks/create", {"Name": "big", "IPAM": {"Config": [{"Subnet": "10.64.0.0/16"}]}})
    run(peer, "one", NetworkMode="big")
    there = ["one"]
    create(peer, "guest")
    api(peer, "POST", "/containers/guest/start")
    starts: list[float] = []
    for size in SIZES:
        if size > FULL.get(peer.title, 100):
            break
        starts += fill(peer, there, size)
        for change, samples in measured(peer):
            yield title(change, size), samples
    if len(there) == SIZES[-1]:
        yield STARTS, [statistics.median(starts[-10:]) / statistics.median(starts[:10])]
    eight(lambda name: remove(peer, name), [*there, "guest"])
    api(peer, "DELETE", "/networks/big")


def fill(peer: Peer, there: list[str], size: int) -> list[float]:
    """Containers until there are ``size``: the first and the last ten one by one, with the time of their starts."""
    names = [f"e{number}" for number in range(len(there), size)]
    alone, crowd = (names[:10] + names[-10:], names[10:-10]) if len(names) >= 20 else (names, [])
    took = [start(peer, name) for name in alone[:10]]
    eight(lambda name: run(peer, name, NetworkMode="big"), crowd)
    took += [start(peer, name) for name in alone[10:]]
    there += names
    return took


def start(peer: Peer, name: str) -> float:
    create(peer, name, NetworkMode="big")
    return timed(lambda: api(peer, "POST", f"/containers/{name}/start"))


def measured(peer: Peer) -> Iterator[tuple[str, list[float]]]:
    """Only joining and leaving have a call at the peers."""
    if isinstance(peer, Fairlead):
        for change, there, back in (("policy", put_policy, clear_policy), ("port", publish, withdraw)):
            yield change, alternating(lambda there=there: there(peer), lambda back=back: back(peer))
        yield "alias", alternating(lambda: alias(peer, "AddAliases"), lambda: alias(peer, "RemoveAliases"))
    body = {"Container": "guest"}
    yield (
        "membership",
        alternating(
            lambda: api(peer, "POST", "/networks/big/connect", body),
            lambda: api(peer, "POST", "/networks/big/disconnect", body),
        ),
    )


def alternating(there: Callable[[], object], back: Callable[[], object]) -> list[float]:
    samples = []
    for _ in range(ROUNDS):
        samples.append(timed(there))
        back()
    return samples


POLICY: Mapping[str, object] = {
    "Default": "deny",
    "Rules": [{"Action": "allow", "From": "network", "To": "name:one", "Ports": ["80/tcp"]}],
}


def put_policy(peer: Peer) -> None:
    """A rule more in a policy that is there: the first one also makes the network's chains."""
    api(peer, "PUT", "/fairlead/networks/big/policy", POLICY)


def clear_policy(peer: Peer) -> None:
    api(peer, "PUT", "/fairlead/networks/big/policy", {**POLICY, "Rules": []})


def publish(peer: Peer) -> None:
    api(peer, "POST", "/fairlead/containers/one/ports", {"Publish": ["8099:80/tcp"]})


def withdraw(peer: Peer) -> None:
    api(peer, "DELETE", "/fairlead/containers/one/ports?publish=8099:80/tcp")


def alias(peer: Peer, verb: str) -> None:
    api(peer, "POST", "/fairlead/networks/big/endpoints/one", {verb: ["www"]})


GROUPS: tuple[Callable[[Peer], Samples], ...] = (changes,)
