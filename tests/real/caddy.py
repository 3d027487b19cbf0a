"""Caddy's admin API about its reverse proxies."""

import socket

from support import equal, free_port


def start(stand):
    stand.install("caddy")
    admin, web, app, gone = (free_port() for _ in range(4))
    config = stand.file("Caddyfile", f"""
{{
  admin 127.0.0.1:{admin}
  auto_https off
}}
http://127.0.0.1:{web} {{
  reverse_proxy 127.0.0.1:{app} 127.0.0.1:{gone} {{
    lb_policy first
    fail_duration 1m
  }}
}}
""")
    stand.start("caddy", "run", "--config", config, "--adapter", "caddyfile")
    url = f"http://127.0.0.1:{admin}"
    stand.answers(f"{url}/config/")
    stand.web, stand.app, stand.gone = web, app, gone
    return url


def test(stand):
    url = start(stand)
    # An upstream that never answers: what it has to handle is what we have sent.
    with socket.create_server(("127.0.0.1", stand.app)) as upstream:
        clients = []
        for _ in range(3):
            client = socket.create_connection(("127.0.0.1", stand.web))
            client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            clients.append(client)
        accepted = [upstream.accept() for _ in range(3)]
        found = stand.poll(url)
        of = lambda name, port: found[f"caddy.upstream.{name}{{upstream=127.0.0.1:{port}}}"]
        equal("requests", (of("requests", stand.app), of("requests", stand.gone)), (3, 0))
        equal("fails", (of("fails", stand.app), of("fails", stand.gone)), (0, 0))
        stand.suggest([url], ["/reverse_proxy/upstreams"], "caddy")
        for connection in [*clients, *(connection for connection, _ in accepted)]:
            connection.close()
