"""qBittorrent's Web API; its log-in, and a torrent of ours, are what it has to tell."""

import http.cookiejar
import importlib
import json
import urllib.parse
import urllib.request

from support import equal, free_port, until

PASSWORD = "adminadmin"  # its default


def opener(url):
    """Something that is logged in."""
    cookies = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(cookies))
    form = urllib.parse.urlencode({"username": "admin", "password": PASSWORD}).encode()
    request = urllib.request.Request(f"{url}/api/v2/auth/login", form, {"Referer": url})
    with opener.open(request, timeout=10) as answer:
        equal("log-in", answer.read(), b"Ok.")
    return opener


def start(stand):
    stand.install("qbittorrent-nox")
    port, peers = free_port(), free_port()
    stand.file("profile/qBittorrent/config/qBittorrent.conf", f"""
[LegalNotice]
Accepted=true
[Preferences]
WebUI\\Address=127.0.0.1
WebUI\\Port={port}
WebUI\\LocalHostAuth=true
[BitTorrent]
Session\\Port={peers}
Session\\Interface=lo
Session\\DHTEnabled=false
Session\\LSDEnabled=false
Session\\PeXEnabled=false
""")
    stand.start("qbittorrent-nox", f"--profile={stand.work}/profile", f"--webui-port={port}", environment={"QT_QPA_PLATFORM": "offscreen"})
    url = f"http://127.0.0.1:{port}"
    until("qBittorrent", lambda: opener(url))
    return url


def add(stand, client, url):
    """Adds a torrent of a file that is there, so that it is seeded."""
    torrent = importlib.import_module("transmission").torrent(stand).read_bytes()
    boundary = "betanet"
    body = b"".join([
        f'--{boundary}\r\nContent-Disposition: form-data; name="savepath"\r\n\r\n{stand.work}/files\r\n'.encode(),
        f'--{boundary}\r\nContent-Disposition: form-data; name="torrents"; filename="hello.torrent"\r\nContent-Type: application/x-bittorrent\r\n\r\n'.encode(),
        torrent, f"\r\n--{boundary}--\r\n".encode(),
    ])
    request = urllib.request.Request(f"{url}/api/v2/torrents/add", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    with client.open(request, timeout=10) as answer:
        equal("add", answer.read(), b"Ok.")


def test(stand):
    url = start(stand)
    client = opener(url)
    add(stand, client, url)
    ask = lambda path: json.loads(client.open(f"{url}/api/v2/{path}", timeout=10).read())
    until("the torrent is checked", lambda: ask("torrents/info")[0]["progress"] == 1)
    found = stand.poll(url, session=f"{{login: {{path: /api/v2/auth/login, body: {{form: {{username: admin, password: {PASSWORD}}}}}}}}}")
    (torrent,) = ask("torrents/info")
    equal("size", found["qbittorrent.torrent.size{torrent=hello.txt}"], torrent["size"])
    equal("share", found["qbittorrent.torrent.done{torrent=hello.txt}"], torrent["progress"])
    equal("state", found[f"qbittorrent.torrent.state{{state={torrent['state']},torrent=hello.txt}}"], 1)
    transfer = ask("transfer/info")
    equal("download", found["qbittorrent.downloaded"], transfer["dl_info_data"])
    equal("connection", found[f"qbittorrent.connection{{state={transfer['connection_status']}}}"], 1)
