"""A CNI plugin that acts as it is told. First of a chain it makes a veth pair; later it hands on what it got.

Its configuration: ``calls`` is the file it writes every call to; ``on`` says by command what to do instead of its job;
``speaks`` which versions; ``address`` what it gives.
"""

import json
import os
import subprocess
import sys
import time

ALL = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
env = {key: value for key, value in os.environ.items() if key.startswith("CNI_")}
text = sys.stdin.read()
given = json.loads(text) if text.strip() else {}
command = env["CNI_COMMAND"]


def note():
    if "calls" in given:
        with open(given["calls"], "a") as file:
            file.write(json.dumps({"env": env, "input": given, "at": time.time()}) + "\n")


def refuse(code, message="told to", details=""):
    print(json.dumps({"cniVersion": given.get("cniVersion"), "code": code, "msg": message, "details": details}))
    sys.exit(1)


def once():
    """True the first time this is asked of this network: for failures that pass."""
    mark = os.path.join(given["dataDir"], f"{given['name']}-{given['type']}-{command}")
    if os.path.exists(mark):
        return False
    open(mark, "w").close()
    return True


def misbehave(way):
    if way == "fail":
        refuse(101, "the actor fails", "because it was told to")
    if way == "fail once" and once():
        refuse(101, "the actor fails once")
    if way == "later once" and once():
        refuse(11)
    if way == "later":
        refuse(11)
    if way == "unknown":
        refuse(3)
    if way == "not ready":
        refuse(50)
    if way == "die":
        sys.stderr.write("panic: actor\n")
        sys.exit(2)
    if way == "rubbish":
        print("ready! {")
        sys.exit(0)
    if way == "nothing":
        sys.exit(0)
    if way == "list":
        print("[1, 2]")
        sys.exit(0)
    if way == "huge":
        while True:
            sys.stdout.write("x" * 65536)
    if way == "slow":
        time.sleep(1)
    if way == "hang":
        time.sleep(600)
    if way == "orphan":
        # Somebody keeps our pipes open after us.
        subprocess.Popen(["sleep", "2"], stdin=subprocess.DEVNULL)
    if way == "wrong version":
        print(json.dumps({"cniVersion": "9.0.0"}))
        sys.exit(0)
    if way == "no link":
        print(json.dumps({"cniVersion": given["cniVersion"]}))
        sys.exit(0)


def inside(*words):
    subprocess.run(["nsenter", f"--net={env['CNI_NETNS']}", "ip", *words], check=True, capture_output=True)


def host(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def near_end():
    return f"act{env['CNI_CONTAINERID'][:6]}{env['CNI_IFNAME'][-1]}"


def add():
    if "prevResult" in given:
        print(json.dumps(given["prevResult"]))
        return
    near, ifname = near_end(), env["CNI_IFNAME"]
    host("link", "add", near, "type", "veth", "peer", "name", f"p{near}")
    host("link", "set", f"p{near}", "netns", env["CNI_NETNS"])
    inside("link", "set", f"p{near}", "name", ifname)
    inside("address", "add", given.get("address", "10.99.0.2/24"), "dev", ifname)
    inside("link", "set", ifname, "up")
    host("link", "set", near, "up")
    for route in given.get("routes", ()):
        inside("route", "add", *route.split())
    print(json.dumps(answer(near, ifname)))


def answer(near, ifname):
    address, version = given.get("address", "10.99.0.2/24"), given["cniVersion"]
    if version in ("0.1.0", "0.2.0"):
        return {"cniVersion": version, "ip4": {"ip": address}}
    entry = {"address": address, "interface": 1}
    if version.startswith("0."):
        entry["version"] = "4"
    links = [{"name": near}, {"name": ifname, "sandbox": env["CNI_NETNS"]}]
    return {"cniVersion": version, "interfaces": links, "ips": [entry], "dns": given.get("dns", {})}


def delete():
    subprocess.run(["ip", "link", "delete", near_end()], check=False, capture_output=True)


if command == "VERSION":
    print(json.dumps({"cniVersion": "1.1.0", "supportedVersions": ALL}))
    sys.exit(0)
note()
misbehave(given.get("on", {}).get(command))
if "delegate" in given:
    places = [os.path.join(place, given["delegate"]["type"]) for place in env["CNI_PATH"].split(":")]
    path = next(place for place in places if os.path.exists(place))
    done = subprocess.run([path], check=False, input=json.dumps(given["delegate"]), text=True)
    sys.exit(done.returncode)
if command == "ADD":
    add()
elif command == "DEL":
    delete()
