"""PowerDNS' API; `pdns_control` is what PowerDNS says."""

import socket
import threading

from support import between, equal, free_port, until

KEY = {"X-API-Key": "hunter2"}

# Of a hundred statistics.
WANTED = [
    "tcp-answers", "udp-answers", "tcp-queries", "udp-queries", "backend-queries", "packetcache-hit", "packetcache-miss", "query-cache-hit", "query-cache-miss",
    "corrupt-packets", "servfail-packets", "timedout-packets", "*-msec", "latency", "qsize-q", "real-memory-usage", "security-status",
]


def start(stand):
    stand.install("pdns-server", "pdns-backend-bind")
    port, dns = free_port(), free_port()
    zones = stand.file("named.conf", "")
    stand.file("pdns.conf", f"""
launch=bind
bind-config={zones}
module-dir={next(stand.root.glob("usr/lib/*/pdns"))}
socket-dir={stand.work}
daemon=no
guardian=no
local-address=127.0.0.1
local-port={dns}
api=yes
api-key=hunter2
webserver=yes
security-poll-suffix=
webserver-address=127.0.0.1
webserver-port={port}
""")
    stand.start("pdns_server", f"--config-dir={stand.work}")
    url = f"http://127.0.0.1:{port}"
    stand.answers(f"{url}/api/v1/servers/localhost/statistics", KEY)
    stand.dns = dns
    return url


def ask(port):
    """Asks for the address of example.org, and gives the answer."""
    question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
        to.settimeout(1)
        to.sendto(question, ("127.0.0.1", port))
        return to.recv(512)


def test(stand):
    url = start(stand)
    for _ in range(5):
        until("an answer", lambda: ask(stand.dns))
    says = lambda name: int(stand.run("pdns_control", f"--config-dir={stand.work}", f"--socket-dir={stand.work}", "show", name))
    before = says("uptime")
    found = stand.poll(url, receiver="headers: { X-API-Key: hunter2 }")
    equal("questions", found["powerdns.queries{network.transport=udp}"], says("udp-queries"))
    between("questions", 5, found["powerdns.queries{network.transport=udp}"], 50)
    equal("answers", found["powerdns.answers{network.transport=udp}"], says("udp-answers"))
    for cache, name in {"packetcache": "packetcache", "query_cache": "query-cache"}.items():
        for result in ["hit", "miss"]:
            equal(f"{name}-{result}", found[f"powerdns.{cache}.lookups{{result={result}}}"], says(f"{name}-{result}"))
    equal("corrupt", found["powerdns.corrupt_packets"], says("corrupt-packets"))
    between("processor time", 0, found["powerdns.cpu.time{cpu.mode=user}"], says("user-msec") / 1000)
    between("uptime", before, before, says("uptime"))
    timer = threading.Timer(1, lambda: ask(stand.dns))
    timer.start()
    stand.suggest([url], ["/api/v1/servers/localhost/statistics"], "powerdns", WANTED, KEY)
    timer.join()
