"""Names for containers: the embedded DNS, the process that serves it and holds host ports, and the way to speak to it.

    view       the values both sides speak of: View, EndpointNames, HeldPort
    message    DNS messages on the wire (pure)
    zone       the names of every network, answers already encoded (pure)
    resolver   what to answer (pure)
    cache      what upstream servers said, as long as they said it holds (pure)
    loop       the process's one loop: descriptors and timers
    listeners  the UDP and TCP sockets inside a sandbox
    upstream   questions passed on to other servers
    hostconf   the host's resolv.conf, followed live
    learning   names that policies speak of, put into the firewall's sets
    relay      the few published ports the kernel cannot translate
    server     all of it together; ``python -m fairlead.dns`` runs it
    protocol   frames on the control socket
    control    the daemon's side of that socket

The process must stay small and start fast: apart from ``control``, nothing here imports asyncio, dataclasses or
logging.
"""
