"""A libnetwork IPAM plugin: pools of 10.77.0.0/16 and fd77::/48 unless asked for others, addresses from the end.

It keeps nothing on disk. In the environment: MAC (it asks for MAC addresses), REPLAY (and for replay).
"""

from __future__ import annotations

import os
from ipaddress import ip_address, ip_network
from itertools import count
from typing import Any

from plugin_server import Answer, Refused, serve

Message = dict[str, Any]

pools: dict[str, Any] = {}
taken: dict[str, set[Any]] = {}


def capabilities(_: Message) -> Answer:
    return {"RequiresMACAddress": "MAC" in os.environ, "RequiresRequestReplay": "REPLAY" in os.environ}


def spaces(_: Message) -> Answer:
    return {"LocalDefaultAddressSpace": "TestLocal", "GlobalDefaultAddressSpace": "TestGlobal"}


def request_pool(message: Message) -> Answer:
    if message["Pool"]:
        pool = ip_network(message["Pool"])
    else:
        pattern = "fd77:0:0:{}::/64" if message["V6"] else "10.77.{}.0/24"
        pool = next(p for n in count(1) if (p := ip_network(pattern.format(n))) not in pools.values())
    if pool in pools.values():
        raise Refused(f"pool {pool} is taken")
    identifier = f"{message['AddressSpace']}/{pool}"
    pools[identifier], taken[identifier] = pool, set()
    return {"PoolID": identifier, "Pool": str(pool), "Data": {}}


def find(message: Message) -> Any:
    if message["PoolID"] not in pools:
        raise Refused(f"pool {message['PoolID']} is not known")
    return pools[message["PoolID"]]


def release_pool(message: Message) -> Answer:
    find(message)
    if left := taken[message["PoolID"]]:
        raise Refused(f"addresses of {message['PoolID']} are in use: {sorted(map(str, left))}")
    del pools[message["PoolID"]], taken[message["PoolID"]]
    return {}


def request_address(message: Message) -> Answer:
    pool, used = find(message), taken[message["PoolID"]]
    if "MAC" in os.environ and not message["Options"]:
        raise Refused("a MAC address is required")
    last = int(pool.broadcast_address)
    wanted = message["Address"]
    address = ip_address(wanted) if wanted else next(a for n in count(1) if (a := ip_address(last - n)) not in used)
    if address in used:
        raise Refused(f"address {address} is taken")
    used.add(address)
    return {"Address": f"{address}/{pool.prefixlen}", "Data": {}}


def release_address(message: Message) -> Answer:
    find(message)
    address = ip_address(message["Address"])
    if address not in taken[message["PoolID"]]:
        raise Refused(f"address {address} is not taken")
    taken[message["PoolID"]].remove(address)
    return {}


def state(_: Message) -> Answer:
    """For the tests: what is held."""
    return {pool: sorted(map(str, addresses)) for pool, addresses in taken.items()}


CALLS = {
    "GetCapabilities": capabilities,
    "GetDefaultAddressSpaces": spaces,
    "RequestPool": request_pool,
    "ReleasePool": release_pool,
    "RequestAddress": request_address,
    "ReleaseAddress": release_address,
}

if __name__ == "__main__":
    calls = {f"IpamDriver.{name}": call for name, call in CALLS.items()}
    serve(["IpamDriver"], {"Plugin.State": state, **calls}, "Error")
