"""Streams byte by byte: attach, exec, logs, wait, events, stats."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator

import pytest

from fairlead.errors import Conflict
from unit.api.conftest import Api, read_all
from unit.api.fake_engine import LogLine

MULTIPLEXED = b"application/vnd.docker.multiplexed-stream"
RAW = b"application/vnd.docker.raw-stream"


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxI", stream, len(data)) + data


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        stream, size = struct.unpack(">BxxxI", data[:8])
        found.append((stream, data[8 : 8 + size]))
        data = data[8 + size :]
    return found


def attach(api: Api, identifier: str, version: str = "/v1.51", query: str = "stdin=1&", **kwargs: bool):
    path = f"{version}/containers/{identifier}/attach?stream=1&{query}stdout=1&stderr=1"
    return api.hijack(path, **kwargs)


def test_attach_answers_the_upgrade_byte_for_byte(api: Api) -> None:
    identifier = api.container("cat", start=False, OpenStdin=True, StdinOnce=True)
    sock, head = attach(api, identifier)
    assert head == (
        b"HTTP/1.1 101 UPGRADED\r\nContent-Type: " + MULTIPLEXED + b"\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    )
    sock.close()


def test_attach_without_upgrade_is_a_plain_200(api: Api) -> None:
    identifier = api.container("cat", start=False)
    sock, head = attach(api, identifier, upgrade=False)
    assert head == b"HTTP/1.1 200 OK\r\nContent-Type: " + MULTIPLEXED + b"\r\n\r\n"
    sock.close()


def test_content_type_is_raw_before_1_42_and_with_a_tty(api: Api) -> None:
    for version, tty in (("/v1.41", False), ("/v1.51", True)):
        sock, head = attach(api, api.container("cat", start=False, Tty=tty), version)
        assert RAW in head
        sock.close()


def test_output_of_both_streams_is_framed(api: Api) -> None:
    identifier = api.container("fail", "oh", "no", start=False)
    sock, _ = attach(api, identifier)
    api.call("POST", f"/containers/{identifier}/start")
    assert read_all(sock) == frame(1, b"out\n") + frame(2, b"oh no\n")


def test_output_of_a_tty_is_raw(api: Api) -> None:
    identifier = api.container("echo", "hi", start=False, Tty=True)
    sock, _ = attach(api, identifier)
    api.call("POST", f"/containers/{identifier}/start")
    assert read_all(sock) == b"hi\n"


def test_half_close_ends_stdin_and_output_goes_on(api: Api) -> None:
    identifier = api.container("cat", start=False, OpenStdin=True, StdinOnce=True)
    sock, _ = attach(api, identifier)
    sock.sendall(b"before start, ")
    api.call("POST", f"/containers/{identifier}/start")
    sock.sendall(b"after")
    sock.shutdown(socket.SHUT_WR)
    assert b"".join(data for _, data in frames(read_all(sock))) == b"before start, after"


def test_input_sent_together_with_the_request_is_not_lost(api: Api) -> None:
    identifier = api.container("cat", OpenStdin=True, StdinOnce=True)
    sock = api.raw()
    request = (
        f"POST /containers/{identifier}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\n"
        "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
    )
    sock.sendall(request.encode() + b"early bytes")
    sock.shutdown(socket.SHUT_WR)
    assert read_all(sock).endswith(b"\r\n\r\n" + frame(1, b"early bytes"))


def test_stdin_that_stays_open_outlives_the_client(api: Api) -> None:
    identifier = api.container("cat", OpenStdin=True)
    sock, _ = attach(api, identifier)
    sock.shutdown(socket.SHUT_WR)
    assert read_all(sock) == b""
    assert api.call("GET", f"/containers/{identifier}/json").json["State"]["Running"] is True


def test_a_client_without_stdin_may_half_close(api: Api) -> None:
    identifier = api.container("echo", "on", start=False, OpenStdin=True)
    sock, _ = attach(api, identifier, query="")
    sock.shutdown(socket.SHUT_WR)
    api.call("POST", f"/containers/{identifier}/start")
    assert read_all(sock) == frame(1, b"on\n")


def test_four_megabytes_arrive_whole(api: Api) -> None:
    identifier = api.container("bytes", str(4 << 20), start=False)
    sock, _ = attach(api, identifier)
    api.call("POST", f"/containers/{identifier}/start")
    data = b"".join(chunk for _, chunk in frames(read_all(sock)))
    assert data == bytes(index % 251 for index in range(4 << 20))


def test_large_input_comes_back_whole(api: Api) -> None:
    identifier = api.container("cat", OpenStdin=True, StdinOnce=True)
    sock, _ = attach(api, identifier)
    sent = bytes(range(32, 256)) * (3 << 12)

    def feed() -> None:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=feed)
    thread.start()
    received = b"".join(chunk for _, chunk in frames(read_all(sock)))
    thread.join()
    assert received == sent


def test_detach_keys_close_the_stream_and_leave_the_container(api: Api) -> None:
    identifier = api.container("cat", OpenStdin=True, StdinOnce=True, Tty=True)
    sock, _ = attach(api, identifier)
    sock.sendall(b"\x10\x11")
    assert read_all(sock) == b""
    assert api.call("GET", f"/containers/{identifier}/json").json["State"]["Running"] is True


def test_a_client_that_goes_away_leaves_nothing_behind(api: Api) -> None:
    identifier = api.container("sleep", start=False)
    sessions = api.engine.containers.running[identifier].sessions
    reset, _ = attach(api, identifier)
    closed, _ = attach(api, identifier)
    half, _ = attach(api, identifier, query="")
    half.shutdown(socket.SHUT_WR)
    reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    reset.close()
    closed.close()
    assert api.settles(lambda: [s.closed for s in sessions] == [True, True, False])
    half.close()
    assert api.settles(lambda: all(session.closed for session in sessions))
    assert api.settles(lambda: api.connections == 0)


def test_a_client_that_leaves_a_flood_frees_it(api: Api) -> None:
    identifier = api.container("flood", start=False)
    sock, _ = attach(api, identifier)
    api.call("POST", f"/containers/{identifier}/start")
    sock.recv(1000)
    sock.close()
    assert api.settles(lambda: api.engine.containers.running[identifier].sessions[0].closed)
    api.call("POST", f"/containers/{identifier}/kill")


def test_attach_refused_is_text_with_the_status(api: Api) -> None:
    answer = api.call("POST", "/containers/nope/attach?stream=1", headers={"Upgrade": "tcp", "Connection": "Upgrade"})
    assert (answer.status, answer.body) == (404, b"No such container: nope\r\n")
    assert answer.headers["Content-Type"] == RAW.decode()


def test_websocket_attach_is_not_framed(api: Api) -> None:
    identifier = api.container("cat", OpenStdin=True, StdinOnce=True)
    sock = api.raw()
    sock.sendall(
        f"GET /v1.51/containers/{identifier}/attach/ws?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 101")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    sock.sendall(b"\x82\x85\x00\x00\x00\x00hello")  # binary, masked with zeros
    assert sock.recv(7) == b"\x82\x05hello"
    sock.close()
    assert api.settles(lambda: api.engine.containers.running[identifier].sessions[0].closed)


def exec_create(api: Api, identifier: str, *cmd: str, **fields: object) -> str:
    body = {"Cmd": list(cmd), "AttachStdout": True, "AttachStderr": True, **fields}
    answer = api.call("POST", f"/containers/{identifier}/exec", body)
    assert answer.status == 201
    return answer.json["Id"]


def test_exec_attached_with_input(api: Api) -> None:
    started = exec_create(api, api.container("sleep"), "cat", AttachStdin=True)
    sock, head = api.hijack(f"/v1.51/exec/{started}/start", b'{"Detach":false,"Tty":false}')
    assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: " + MULTIPLEXED)
    sock.sendall(b"line\n")
    sock.shutdown(socket.SHUT_WR)
    assert read_all(sock) == frame(1, b"line\n")
    shown = api.call("GET", f"/exec/{started}/json").json
    assert (shown["ExitCode"], shown["Running"], shown["Pid"]) == (0, False, 77)


def test_exec_that_cannot_start_tells_it_in_the_stream(api: Api) -> None:
    started = exec_create(api, api.container("sleep"), "missing")
    sock, head = api.hijack(f"/exec/{started}/start", b"{}")
    assert head.startswith(b"HTTP/1.1 101")
    assert frames(read_all(sock)) == [(1, b"OCI runtime exec failed: executable file not found in $PATH\r\n")]
    assert api.call("GET", f"/exec/{started}/json").json["ExitCode"] == 127


def test_exec_detached(api: Api) -> None:
    started = exec_create(api, api.container("sleep"), "echo", "x")
    answer = api.call("POST", f"/exec/{started}/start", {"Detach": True})
    assert (answer.status, answer.body) == (200, b"")
    assert api.settles(lambda: api.call("GET", f"/exec/{started}/json").json["ExitCode"] == 0)


def test_exec_unknown_is_a_plain_404(api: Api) -> None:
    for path in ("start", "resize?h=1&w=1"):
        answer = api.call("POST", f"/exec/nope/{path}", {})
        assert (answer.status, answer.message) == (404, "No such exec instance: nope")


def test_logs_frames_tail_timestamps(api: Api) -> None:
    identifier = api.container("fail", "bad")
    api.call("POST", f"/containers/{identifier}/wait")
    answer = api.call("GET", f"/v1.51/containers/{identifier}/logs?stdout=1&stderr=1")
    assert frames(answer.body) == [(1, b"out\n"), (2, b"bad\n")]
    assert answer.headers["Content-Type"] == MULTIPLEXED.decode()
    assert frames(api.call("GET", f"/containers/{identifier}/logs?stdout=1&stderr=1&tail=1").body) == [(2, b"bad\n")]
    stamped = frames(api.call("GET", f"/containers/{identifier}/logs?stderr=1&timestamps=1").body)[0][1]
    assert stamped[:4].isdigit()
    assert stamped[29:] == b"Z bad\n"


def test_logs_of_a_tty_are_raw_and_detailed(api: Api) -> None:
    host = {"LogConfig": {"Type": "json-file", "Config": {"labels": "team", "env": "A"}}}
    identifier = api.container("echo", "x", Tty=True, Labels={"team": "net"}, Env=["A=b c"], HostConfig=host)
    api.call("POST", f"/containers/{identifier}/wait")
    answer = api.call("GET", f"/containers/{identifier}/logs?stdout=1&details=1")
    assert answer.body == b"A=b+c,team=net x\n"
    assert answer.headers["Content-Type"] == RAW.decode()


def test_logs_follow_until_the_end(api: Api) -> None:
    identifier = api.container("cat", OpenStdin=True, StdinOnce=True)
    sock, _ = attach(api, identifier)
    sock.sendall(b"one\n")
    timer = threading.Timer(0.1, lambda: (sock.sendall(b"two\n"), sock.shutdown(socket.SHUT_WR)))
    timer.start()
    answer = api.call("GET", f"/containers/{identifier}/logs?stdout=1&follow=1")
    assert b"".join(data for _, data in frames(answer.body)) == b"one\ntwo\n"
    timer.join()


def test_a_stream_that_fails_midway_has_no_end(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    identifier = api.container("fail")

    async def logs(*_: object) -> AsyncIterator[list[LogLine]]:
        yield [LogLine(1, 1, b"first\n")]
        raise Conflict("the log is gone")

    api.engine.containers.logs = logs  # type: ignore[method-assign]
    sock = api.raw()
    sock.sendall(f"GET /containers/{identifier}/logs?stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    told = read_all(sock)
    assert b"first\n" in told
    assert not told.endswith(b"0\r\n\r\n")
    assert told.count(b"HTTP/1.1") == 1
    assert "stream broken off: the log is gone" in caplog.text


def test_logs_without_a_stream(api: Api) -> None:
    answer = api.call("GET", f"/containers/{api.container('echo')}/logs")
    assert (answer.status, answer.message) == (400, "Bad parameters: you must choose at least one stream")


def test_logs_of_driver_none(api: Api) -> None:
    identifier = api.container("echo", HostConfig={"LogConfig": {"Type": "none"}})
    container = api.engine.containers.known[identifier]
    object.__setattr__(container, "log_driver", "none")
    answer = api.call("GET", f"/containers/{identifier}/logs?stdout=1")
    assert (answer.status, answer.message) == (501, "configured logging driver does not support reading")


def test_wait_sends_its_header_before_the_container_starts(api: Api) -> None:
    identifier = api.container("fail", start=False)
    sock = api.raw()
    sock.sendall(f"POST /containers/{identifier}/wait?condition=next-exit HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = sock.recv(4096)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"StatusCode" not in head
    api.call("POST", f"/containers/{identifier}/start")
    rest = b""
    while not rest.endswith(b"0\r\n\r\n"):
        rest += sock.recv(4096)
    assert b'{"StatusCode":3}\n' in rest
    sock.close()


def test_wait_removed_and_not_running(api: Api) -> None:
    identifier = api.container("fail")
    assert api.call("POST", f"/containers/{identifier}/wait").json == {"StatusCode": 3}
    assert api.call("POST", f"/containers/{identifier}/wait?condition=not-running").body == b'{"StatusCode":3}\n'
    timer = threading.Timer(0.05, lambda: api.call("DELETE", f"/containers/{identifier}"))
    timer.start()
    assert api.call("POST", f"/containers/{identifier}/wait?condition=removed").json == {"StatusCode": 3}
    timer.join()


def test_wait_refuses_what_it_does_not_know(api: Api) -> None:
    assert api.call("POST", "/containers/nope/wait").status == 404
    answer = api.call("POST", f"/containers/{api.container('echo')}/wait?condition=later")
    assert (answer.status, answer.message) == (400, 'invalid condition: "later"')


def test_a_waiter_that_goes_away_is_noticed(api: Api) -> None:
    identifier = api.container("sleep")
    for path in (
        f"POST /containers/{identifier}/wait",
        f"GET /containers/{identifier}/logs?follow=1&stdout=1",
        "GET /events",
    ):
        sock = api.raw()
        sock.sendall(f"{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert sock.recv(12) == b"HTTP/1.1 200"
        sock.close()
    assert api.settles(lambda: api.connections == 0)
    assert api.settles(lambda: not api.engine.events.queues)


def test_events_are_flushed_one_by_one(api: Api) -> None:
    sock = api.raw()
    filters = '{"type":["network"]}'.replace('"', "%22").replace("{", "%7B").replace("}", "%7D")
    sock.sendall(f"GET /v1.51/events?filters={filters} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = sock.recv(4096)
    assert b"application/json" in head
    api.call("POST", "/volumes/create", {"Name": "vol"})
    identifier = api.call("POST", "/networks/create", {"Name": "net"}).json["Id"]
    size, _, rest = sock.recv(4096).partition(b"\r\n")
    happened = json.loads(rest[: int(size, 16)])
    assert rest[: int(size, 16)].endswith(b"\n")
    assert (happened["Type"], happened["Action"], happened["Actor"]["ID"]) == ("network", "create", identifier)
    assert happened["Actor"]["Attributes"] == {"name": "net", "type": "bridge"}
    sock.close()


def test_events_of_the_past_end_with_until(api: Api) -> None:
    identifier = api.container("echo")
    now = time.time()
    answer = api.call("GET", f"/events?since={now - 60:.9f}&until={now:.3f}")
    first = json.loads(answer.body.splitlines()[0])
    assert (first["status"], first["id"], first["from"]) == ("create", identifier, "busybox")
    assert first["timeNano"] // 10**9 == first["time"]


def test_events_refuse_bad_moments_and_filters(api: Api) -> None:
    assert api.call("GET", "/events?since=never").status == 400
    assert "cannot be after" in api.call("GET", "/events?since=20&until=10").message
    assert api.call("GET", "/events?filters=%7B%22x%22%3A%5B%22y%22%5D%7D").message == "invalid filter 'x'"


def test_stats_once_and_streamed(api: Api) -> None:
    identifier = api.container("sleep")
    once = api.call("GET", f"/containers/{identifier}/stats?stream=0&one-shot=1").json
    assert (once["id"], once["precpu_stats"]["cpu_usage"]["total_usage"]) == (identifier, 0)
    assert once["networks"]["eth0"]["rx_bytes"] == 7
    sock = api.raw()
    sock.sendall(f"GET /containers/{identifier}/stats HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    samples: list[dict[str, dict[str, dict[str, int]]]] = []
    buffer = b""
    while len(samples) < 2:
        buffer += sock.recv(65536)
        samples = [json.loads(line) for line in buffer.split(b"\r\n") if line.startswith(b"{") and line.endswith(b"\n")]
    assert samples[1]["precpu_stats"]["cpu_usage"] == samples[0]["cpu_stats"]["cpu_usage"]
    sock.close()
    assert api.settles(lambda: api.connections == 0)


def test_stats_of_a_stopped_container_are_zero_at_once(api: Api) -> None:
    identifier = api.container("sleep", start=False)
    answer = api.call("GET", f"/containers/{identifier}/stats?stream=false").json
    assert (answer["read"], answer["memory_stats"]) == ("0001-01-01T00:00:00Z", {})


def test_export_streams_in_blocks(api: Api) -> None:
    answer = api.call("GET", f"/containers/{api.container('echo')}/export")
    assert (len(answer.body), answer.headers["Content-Type"]) == (64 * 65536, "application/x-tar")
    assert api.call("GET", "/containers/nope/export").status == 404


def test_http_1_0_gets_a_stream_that_ends_with_the_connection(api: Api) -> None:
    identifier = api.container("echo", "x", Tty=True)
    api.call("POST", f"/containers/{identifier}/wait")
    sock = api.raw()
    sock.sendall(f"GET /containers/{identifier}/logs?stdout=1 HTTP/1.0\r\n\r\n".encode())
    assert read_all(sock).endswith(b"\r\n\r\nx\n")
