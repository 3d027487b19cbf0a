"""NATS; a client of its own, in its text protocol, is what was sent."""

import socket

from support import equal, free_port


def start(stand):
    stand.install("nats-server")
    port, monitor = free_port(), free_port()
    stand.start("nats-server", "-a", "127.0.0.1", "-p", port, "-m", monitor, "-js", "-sd", stand.work / "js")
    url = f"http://127.0.0.1:{monitor}"
    stand.answers(f"{url}/varz")
    stand.nats = port
    return url


def test(stand):
    url = start(stand)
    with socket.create_connection(("127.0.0.1", stand.nats)) as client:
        lines = client.makefile("rwb")
        # Two messages of 5 bytes, of which the client receives both.
        lines.write(b'CONNECT {"verbose":false}\r\nSUB news 1\r\nPUB news 5\r\nhello\r\nPUB news 5\r\nworld\r\nPING\r\n')
        lines.flush()
        while lines.readline() != b"PONG\r\n":
            pass
        found = stand.poll(url)
    for direction in ["receive", "transmit"]:
        equal(f"messages, {direction}", found[f"nats.server.messages{{network.io.direction={direction}}}"], 2)
        equal(f"bytes, {direction}", found[f"nats.server.io{{network.io.direction={direction}}}"], 10)
    equal("connections", (found["nats.server.connections"], found["nats.server.connections.accepted"]), (1, 1))
    equal("slow consumers", found["nats.server.slow_consumers"], 0)
    equal("JetStream", (found["nats.jetstream.storage"], found["nats.jetstream.api.errors"]), (0, 0))
