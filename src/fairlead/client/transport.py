"""Connected stream sockets to an address."""

from __future__ import annotations

import errno
import os
import socket
from typing import assert_never

from fairlead.client.address import Address, SshAddress, TcpAddress, Tls, UnixAddress
from fairlead.client.errors import Unreachable

_CONNECT_TIMEOUT = 32.0


def connect(address: Address, tls: Tls | None = None) -> socket.socket:
    """A connected socket; raises Unreachable."""
    try:
        match address:
            case UnixAddress(path=path):
                return _unix(path)
            case TcpAddress():
                return _tcp(address, tls)
            case SshAddress():
                return _ssh(address)
            case _:
                assert_never(address)
    except OSError as wrong:
        raise Unreachable(_sentence(address, wrong)) from wrong


def show(address: Address) -> str:
    match address:
        case UnixAddress(path=path):
            return f"unix://{path}"
        case TcpAddress(host=host, port=port):
            return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
        case SshAddress(destination=destination, port=port):
            return f"ssh://{destination}" + (f":{port}" if port else "")
        case _:
            assert_never(address)


def _sentence(address: Address, wrong: OSError) -> str:
    where = show(address)
    if wrong.errno == errno.EACCES:
        return (
            f"permission denied while trying to connect to the fairlead daemon socket at {where}: "
            "become root or a member of the group that owns it"
        )
    if wrong.errno in {errno.ENOENT, errno.ECONNREFUSED, None}:
        return f"Cannot connect to the fairlead daemon at {where}. Is the fairlead daemon running?"
    return f"Cannot connect to the fairlead daemon at {where}: {(wrong.strerror or str(wrong)).lower()}"


def _unix(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _tcp(address: TcpAddress, tls: Tls | None) -> socket.socket:
    connection = socket.create_connection((address.host, address.port), timeout=_CONNECT_TIMEOUT)
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is None:
        return connection
    try:
        return _wrap(connection, address, tls)
    except BaseException:
        connection.close()
        raise


def _wrap(connection: socket.socket, address: TcpAddress, tls: Tls) -> socket.socket:
    import ssl  # noqa: PLC0415 - 15 ms that only TLS needs

    context = ssl.create_default_context(cafile=tls.ca if tls.verify and tls.ca else None)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert and os.path.exists(tls.cert):
        context.load_cert_chain(tls.cert, tls.key or None)
    return context.wrap_socket(connection, server_hostname=address.host)


def _ssh(address: SshAddress) -> socket.socket:
    """``ssh … docker system dial-stdio`` on the far side joins its streams to the engine's socket."""
    import subprocess  # noqa: PLC0415 - only ssh needs it

    ours, theirs = socket.socketpair()
    port = ("-p", str(address.port)) if address.port else ()
    remote = ("docker", *(("--host", f"unix://{address.socket}") if address.socket else ()), "system", "dial-stdio")
    with theirs:
        subprocess.Popen(
            ["ssh", "-o", "ConnectTimeout=30", "-T", *port, "--", address.destination, *remote],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            start_new_session=True,
        )
    return ours
