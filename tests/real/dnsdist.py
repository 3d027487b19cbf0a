"""dnsdist's API; its console is what it says."""

import importlib
import re
import sys

from support import between, equal, free_port, until

KEY = {"X-API-Key": "hunter2"}


def start(stand):
    stand.install("dnsdist")
    port, dns, back, console = free_port(), free_port(), free_port(), free_port()
    # The other server of this test is behind it.
    backend(stand, back)
    config = stand.file("dnsdist.conf", f"""
newServer({{address="127.0.0.1:{back}", name="back"}})
newServer({{address="127.0.0.1:{free_port()}", name="gone"}})
addAction("refused.example.", RCodeAction(DNSRCode.REFUSED))
setLocal("127.0.0.1:{dns}")
setSecurityPollSuffix("")
setKey("MXNeLFWHUe4363BBKrY06cAsH8NWNb+Se2eXU5+Bb74=")
controlSocket("127.0.0.1:{console}")
webserver("127.0.0.1:{port}")
setWebserverConfig({{password="hunter2", apiKey="hunter2", acl="127.0.0.0/8"}})
""")
    stand.start("dnsdist", "--supervised", "--disable-syslog", "-C", config)
    url = f"http://127.0.0.1:{port}"
    stand.answers(f"{url}/jsonstat?command=stats", {"X-API-Key": "hunter2"})
    stand.dns, stand.config = dns, config
    return url


def backend(stand, port):
    """A DNS server that says that it refuses each question; it runs until the test ends."""
    program = stand.file("backend.py", f"""
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", {port}))
while True:
    question, client = server.recvfrom(512)
    server.sendto(question[:2] + bytes([0x81, 0x85]) + question[4:], client)
""")
    stand.start(sys.executable, program)


def console(stand, command):
    return stand.run("dnsdist", "-C", stand.config, "-c", "-e", command)


def test(stand):
    url = start(stand)
    ask = importlib.import_module("powerdns").ask
    servers = lambda: {words[1]: words for words in (line.split() for line in console(stand, "showServers()").splitlines()) if len(words) > 5}
    until("health checks", lambda: (servers()["back"][3], servers()["gone"][3]) == ("up", "down"))
    for _ in range(5):
        until("an answer", lambda: ask(stand.dns))
    found = stand.poll(url, receiver="headers: { X-API-Key: hunter2 }")
    stats = dict(re.findall(r"([a-z][\w-]+)\s+(\d+)(?=\s|$)", console(stand, "dumpStats()")))
    for metric, name in {"queries": "queries", "responses": "responses", "downstream.timeouts": "downstream-timeouts"}.items():
        equal(name, found[f"dnsdist.{metric}"], int(stats[name]))
    between("queries", 5, found["dnsdist.queries"], 50)
    of = lambda metric, name: next(value for series, value in found.items() if series.startswith(f"dnsdist.server.{metric}{{dnsdist.server.name={name},"))
    equal("up", (of("up", "back"), of("up", "gone")), (1, 0))
    equal("questions to the server", of("queries", "back"), found["dnsdist.queries"])
