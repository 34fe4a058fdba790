"""fairlead: a Docker-compatible container engine whose heart is container networking.

We compute what the kernel should hold, as values, and one reconciler makes it so. The map, from the bottom up; a
package imports only what stands above it here (import-linter holds this law):

    errors, ids, settings   the error tree; ids and name rules; one frozen Settings
    model/     what a thing is: network, endpoint, container, port, image, volume, event
    wire/      Docker's JSON <-> model, for server and client alike (pure)
    net/       what the kernel should hold: facts, plan, ruleset, addresses, drivers (pure)
    dns/       names for containers: message, zone, resolver (pure); server, the process
    kernel/    the hands: namespaces, netlink, nftables, sysctls, mounts, cgroups, ports
    store/     records in SQLite
    runtime/   OCI bundle (pure), crun, conmon, streams
    plugins/   Docker plugins: found, activated, asked
    images/    image store, layers, root filesystems, registry transfers
    engine/    the verbs: one module per noun, one function per verb of the API; reconcile; events
    api/       routes, hijacked streams, errors -> status and body
    boot.py    the first moments: one daemon per data root, the resolver process started, the rest loaded
    daemon.py  builds everything, hands it down, runs it: the only file that wires
    client/    HTTP client of the API
    compose/   projects of many containers: files, plan (pure), execution through client/ only
    cli/       the command line; speaks through client/ and compose/ only
"""

__version__ = "0.1.0"
