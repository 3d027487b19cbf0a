"""lighttpd with `mod_status`; its page for programs of another kind is what lighttpd says."""

from support import between, equal, free_port, get


def start(stand):
    stand.install("lighttpd")
    port = free_port()
    config = stand.file("lighttpd.conf", f"""
server.document-root = "{stand.work}"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ("mod_status")
status.status-url = "/server-status"
""")
    stand.start("lighttpd", "-D", "-f", config, "-m", stand.root / "usr/lib/lighttpd")
    url = f"http://127.0.0.1:{port}"
    stand.answers(f"{url}/server-status?auto")
    return url


def test(stand):
    url = start(stand)
    auto = lambda: dict(line.split(": ", 1) for line in get(f"{url}/server-status?auto").splitlines() if ": " in line)
    for _ in range(20):
        get(f"{url}/server-status")
    before = int(auto()["Total Accesses"])
    found = stand.poll(url)
    after = auto()
    between("requests", before, found["lighttpd.requests"], int(after["Total Accesses"]))
    # Which connections are busy changes with each request; how many there may be does not.
    busy, idle = (found[f"lighttpd.workers{{state={state}}}"] for state in ["busy", "idle"])
    equal("connections", busy + idle, int(after["BusyServers"]) + int(after["IdleServers"]))
    between("busy connections", 1, busy, 5)
    between("traffic", 0, found["lighttpd.traffic"], (int(after["Total kBytes"]) + 1) * 1024)
