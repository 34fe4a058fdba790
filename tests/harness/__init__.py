"""The ground conformance, fault and bench tests stand on: engines under test in machines of their own.

machine.py    a "host": network and mount namespace, an outer link to a second host, an upstream DNS server
engine.py     `fairlead daemon` in such a host, and the official docker CLI, docker-py and raw HTTP against it
images.py     image archives built from this machine's own programs, under the names the tutorials use
upstream.py   the DNS server of the second host (its own process, standard library only)
inside.py     run a function, fetch a page or connect from inside a namespace
probes.py     100 questions a second against DNS, neighbours and published ports, counting what is lost
snapshot.py   everything an engine may leave behind, as a value that can be compared
terminal.py   a command on a pty: type, expect, press detach keys
"""
