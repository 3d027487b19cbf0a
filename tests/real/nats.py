"""NATS; a client of its own, in its text protocol, is what was sent."""

import contextlib
import socket
import threading

from support import equal, free_port


def start(stand):
    stand.install("nats-server")
    port, monitor = free_port(), free_port()
    stand.start("nats-server", "-a", "127.0.0.1", "-p", port, "-m", monitor, "-js", "-sd", stand.work / "js")
    url = f"http://127.0.0.1:{monitor}"
    stand.answers(f"{url}/varz")
    stand.nats = port
    return url


def without_jetstream(stand):
    """Another server, which is no member of a cluster with the first one."""
    monitor = free_port()
    stand.start("nats-server", "-a", "127.0.0.1", "-p", free_port(), "-m", monitor)
    url = f"http://127.0.0.1:{monitor}"
    stand.answers(f"{url}/varz")
    return url


@contextlib.contextmanager
def traffic(port):
    """A client that sends and receives a message all the time."""
    ended = threading.Event()

    def send():
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b'CONNECT {"verbose":false}\r\nSUB news 1\r\n')
            while not ended.wait(0.05):
                client.sendall(b"PUB news 5\r\nhello\r\n")
                client.recv(4096)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


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
        equal(f"messages, {direction}", found[f"nats.messages{{network.io.direction={direction}}}"], 2)
        equal(f"bytes, {direction}", found[f"nats.io{{network.io.direction={direction}}}"], 10)
    equal("connections", (found["nats.connections"], found["nats.connections.accepted"]), (1, 1))
    equal("slow consumers", found["nats.slow_consumers"], 0)
    equal("JetStream", (found["nats.jetstream.storage"], found["nats.jetstream.api.errors"]), (0, 0))
    with traffic(stand.nats):
        stand.suggest([url, without_jetstream(stand)], ["/varz"], "nats")
