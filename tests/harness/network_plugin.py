"""A libnetwork network plugin: a bridge of its own for each network, a veth pair for each endpoint, ports by nftables.

Options of its networks (``-o``): ``gateway=none`` (Join names none), ``service=off`` (nor may the engine give one),
``prefix``, ``name`` (of the interface inside), ``mac=plugin`` (it chooses), ``address=CIDR`` (it gives the first
endpoint this one), ``route=CIDR[,VIA]``, ``engine=SOCKET`` (Join asks the engine there what the network is called, as
Weave's plugin does, and EndpointOperInfo tells). With GLOBAL in the environment its scope is that.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plugin_server import Answer, Refused, serve

Message = dict[str, Any]

FILE = Path(sys.argv[2]).with_suffix(".state")

networks: dict[str, Message]
endpoints: dict[str, Message]
networks, endpoints = json.loads(FILE.read_text()) if FILE.exists() else ({}, {})


def kept(call: Callable[[Message], Answer]) -> Callable[[Message], Answer]:
    """What the call changed outlives this program."""

    def keeping(message: Message) -> Answer:
        try:
            return call(message)
        finally:
            FILE.write_text(json.dumps([networks, endpoints]))

    return keeping


def run(*argv: str, check: bool = True, text: str | None = None) -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise Refused(f"{' '.join(argv)}: {done.stderr.strip()}")


def capabilities(_: Message) -> Answer:
    return {"Scope": "global" if os.environ.get("GLOBAL") else "local", "ConnectivityScope": ""}


def options_of(network: str) -> dict[str, str]:
    if network not in networks:
        raise Refused(f"network {network[:8]} is not known")
    return dict(networks[network]["Options"].get("com.docker.network.generic") or {})


def bridge(network: str) -> str:
    return f"pb{network[:8]}"


def create_network(message: Message) -> Answer:
    network = message["NetworkID"]
    networks[network] = message
    run("ip", "link", "add", bridge(network), "type", "bridge")
    run("ip", "link", "set", bridge(network), "up")
    for data in [*message["IPv4Data"], *message["IPv6Data"]]:
        if data.get("Gateway"):
            run("ip", "address", "add", data["Gateway"], "dev", bridge(network))
    return {}


def delete_network(message: Message) -> Answer:
    network = message["NetworkID"]
    options_of(network)
    if any(endpoint["NetworkID"] == network for endpoint in endpoints.values()):
        raise Refused("the network has endpoints")
    del networks[network]
    run("ip", "link", "delete", bridge(network), check=False)
    return {}


def create_endpoint(message: Message) -> Answer:
    options, given = options_of(message["NetworkID"]), message["Interface"]
    endpoints[message["EndpointID"]] = message
    chosen = {}
    if options.get("mac") == "plugin" and not given["MacAddress"]:
        chosen["MacAddress"] = "02:AA:00:00:00:01"
    if options.get("address") and not given["Address"]:
        chosen["Address"] = options["address"]
    return {"Interface": chosen} if chosen else {}


def find(message: Message) -> Message:
    if message["EndpointID"] not in endpoints:
        raise Refused(f"endpoint {message['EndpointID'][:8]} is not known")
    return endpoints[message["EndpointID"]]


def gateway(network: str, family: str) -> str:
    return next((str(data["Gateway"]).partition("/")[0] for data in networks[network][family] if "Gateway" in data), "")


def join(message: Message) -> Answer:
    endpoint = find(message)
    network, short = message["NetworkID"], message["EndpointID"][:8]
    options = options_of(network)
    if options.get("engine"):
        endpoint["asked"] = asked(options["engine"], f"/networks/{network}")["Name"]
    run("ip", "link", "add", f"pe{short}", "type", "veth", "peer", "name", f"pc{short}")
    run("ip", "link", "set", f"pe{short}", "master", bridge(network), "up")
    names = {"SrcName": f"pc{short}", "DstPrefix": options.get("prefix", "eth"), "DstName": options.get("name", "")}
    answer: Answer = {"InterfaceName": names}
    if options.get("gateway") != "none":
        answer |= {"Gateway": gateway(network, "IPv4Data"), "GatewayIPv6": gateway(network, "IPv6Data")}
    if options.get("service") == "off":
        answer["DisableGatewayService"] = True
    if options.get("route"):
        prefix, _, via = options["route"].partition(",")
        answer["StaticRoutes"] = [{"Destination": prefix, "RouteType": 0 if via else 1, "NextHop": via}]
    return answer


def asked(socket_path: str, path: str) -> Any:
    """What the engine answers to a GET: it must not wait for us meanwhile."""
    link = http.client.HTTPConnection("localhost", timeout=2)
    link.sock = socket.socket(socket.AF_UNIX)
    link.sock.connect(socket_path)
    link.request("GET", path)
    return json.loads(link.getresponse().read())


def leave(message: Message) -> Answer:
    find(message)
    return {}


def delete_endpoint(message: Message) -> Answer:
    find(message)
    del endpoints[message["EndpointID"]]
    # By the end that was in the sandbox: the engine must have handed it back under its name.
    run("ip", "link", "delete", f"pc{message['EndpointID'][:8]}", check=False)
    return {}


def operational(message: Message) -> Answer:
    endpoint = find(message)
    told = {"test.plugin": "says so", "test.asked": endpoint.get("asked", "")}
    return {"Value": {**told, "com.docker.network.portmap": endpoint.get("ports", [])}}


def publish(message: Message) -> Answer:
    endpoint = find(message)
    asked = message["Options"].get("com.docker.network.portmap") or []
    endpoint["ports"] = [{**port, "HostPort": port["HostPort"] or 40000} for port in asked]
    address = endpoint["Interface"]["Address"].partition("/")[0]
    chain = f"ip plugin{message['EndpointID'][:8]} nat"
    rules = [
        f"add rule {chain} tcp dport {port['HostPort']} dnat to {address}:{port['Port']}" for port in endpoint["ports"]
    ]
    hook = f"add chain {chain} {{ type nat hook prerouting priority -100; }}"
    run("nft", "-f", "-", text="\n".join((f"add table {chain.removesuffix(' nat')}", hook, *rules, "")))
    return {}


def withdraw(message: Message) -> Answer:
    find(message).pop("ports", None)
    run("nft", "delete", "table", "ip", f"plugin{message['EndpointID'][:8]}", check=False)
    return {}


def state(_: Message) -> Answer:
    """For the tests: what is held."""
    held = {"networks": sorted(networks), "endpoints": sorted(endpoints)}
    return held if networks or endpoints else {}


CALLS = {
    "GetCapabilities": capabilities,
    "CreateNetwork": create_network,
    "DeleteNetwork": delete_network,
    "CreateEndpoint": create_endpoint,
    "DeleteEndpoint": delete_endpoint,
    "EndpointOperInfo": operational,
    "Join": join,
    "Leave": leave,
    "ProgramExternalConnectivity": publish,
    "RevokeExternalConnectivity": withdraw,
}

if __name__ == "__main__":
    calls = {f"NetworkDriver.{name}": kept(call) for name, call in CALLS.items()}
    serve(["NetworkDriver"], {"Plugin.State": state, **calls}, "Err")
