"""Transmission's RPC; `transmission-remote` is what Transmission says."""

import hashlib
import re
import urllib.error

from support import equal, free_port, get, until


def session(url):
    """The header that each request needs."""
    try:
        get(f"{url}/transmission/rpc", {"method": "session-stats"})
    except urllib.error.HTTPError as error:
        return {"X-Transmission-Session-Id": error.headers["X-Transmission-Session-Id"]}


def start(stand):
    stand.install("transmission-daemon", "transmission-cli")
    port, peers = free_port(), free_port()
    stand.start("transmission-daemon", "-f", "-g", stand.work / "config", "-w", stand.work / "files", "-p", port, "-P", peers, "-a", "127.0.0.1",
                "-r", "127.0.0.1", "-i", "127.0.0.1", "-T", "-M", "--no-dht", "--no-lpd", "--no-utp", "--no-incomplete-dir")
    url = f"http://127.0.0.1:{port}"
    until("Transmission", lambda: session(url))
    stand.port = port
    return url


def torrent(stand):
    """A torrent of a file that is there, so that it is seeded."""
    content = b"x" * 65536
    stand.file("files/hello.txt", content.decode())
    pieces = hashlib.sha1(content).digest()
    info = b"d6:lengthi65536e4:name9:hello.txt12:piece lengthi65536e6:pieces20:" + pieces + b"e"
    path = stand.work / "hello.torrent"
    path.write_bytes(b"d4:info" + info + b"e")
    return path


def remote(stand, *words):
    return stand.run("transmission-remote", f"127.0.0.1:{stand.port}", *words)


def test(stand):
    url = start(stand)
    remote(stand, "--add", torrent(stand))
    # What is seeded and has no peers is idle, once it is checked.
    until("the torrent is checked", lambda: "State: Idle" in remote(stand, "--torrent", "1", "--info"))
    name = "X-Transmission-Session-Id"
    found = stand.poll(url, session=f"{{token: {{header_of_answer: {name}, header: {name}}}, renew_on: [409]}}")
    shown = remote(stand, "--torrent", "1", "--info")
    size = re.search(r"Total size: ([\d.]+) kB", shown).group(1)
    of = "{torrent=hello.txt"
    equal("size", round(found[f"transmission.torrent.size{of}}}"] / 1000, 2), float(size))
    equal("share", found[f"transmission.torrent.done{of}}}"], 1)
    equal("torrents", found["transmission.torrents"], len(remote(stand, "--list").splitlines()) - 2)
    equal("state", found["transmission.torrent.status{state=seed,torrent=hello.txt}"], 1)
