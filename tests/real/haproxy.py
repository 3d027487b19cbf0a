"""HAProxy's CSV; its runtime API on a socket is what HAProxy says."""

import csv
import socket

from support import between, equal, free_port, get, until


def start(stand):
    stand.install("haproxy")
    port, stats = free_port(), free_port()
    config = stand.file("haproxy.cfg", f"""
global
  stats socket {stand.work}/admin.sock level admin
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend web
  bind 127.0.0.1:{port}
  default_backend app
backend app
  server s1 127.0.0.1:{stats} check inter 200ms
  server s2 127.0.0.1:{free_port()} check inter 200ms
frontend stats
  bind 127.0.0.1:{stats}
  stats enable
  stats uri /stats
""")
    stand.start("haproxy", "-db", "-f", config)
    url = f"http://127.0.0.1:{stats}"
    stand.answers(f"{url}/stats;csv")
    return url, f"http://127.0.0.1:{port}"


def runtime(stand):
    with socket.socket(socket.AF_UNIX) as to:
        to.connect(str(stand.work / "admin.sock"))
        to.sendall(b"show stat\n")
        text = b"".join(iter(lambda: to.recv(65536), b"")).decode()
    rows = csv.DictReader(text.removeprefix("# ").strip().splitlines())
    return {(row["pxname"], row["svname"]): row for row in rows}


def test(stand):
    url, web = start(stand)
    # s2 does not answer and is taken out.
    until("s2 is down", lambda: runtime(stand)["app", "s2"]["status"] == "DOWN")
    for _ in range(20):
        get(f"{web}/stats;csv")
    found = stand.poll(url)
    says = runtime(stand)
    of = lambda metric, proxy, service, more="": found[f"haproxy.{metric}{{proxy_name={proxy},service_name={service}{more}}}"]
    equal("requests", of("requests.total", "web", "FRONTEND", ",status_code=2xx"), int(says["web", "FRONTEND"]["hrsp_2xx"]))
    equal("selections", of("server_selected.total", "app", "s1"), int(says["app", "s1"]["lbtot"]))
    for metric, column in {"bytes.input": "bin", "bytes.output": "bout", "sessions.count": "scur"}.items():
        for proxy, service in [("web", "FRONTEND"), ("app", "BACKEND"), ("app", "s1")]:
            equal(column, of(metric, proxy, service), int(says[proxy, service][column]))
    equal("s1 up", of("server.up", "app", "s1"), 1)
    equal("s2 up", of("server.up", "app", "s2"), 0)
    between("errors", 0, of("responses.errors", "app", "s1"), 0)
