"""nginx with `stub_status`; the page itself is what nginx says."""

import re

from support import between, equal, free_port, get


def start(stand):
    stand.install("nginx")
    port = free_port()
    config = stand.file("nginx.conf", f"""
daemon off; pid nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{ listen 127.0.0.1:{port}; location /nginx_status {{ stub_status; }} location / {{ return 200 ok; }} }}
}}
""")
    stand.start("nginx", "-p", stand.work, "-c", config)
    url = f"http://127.0.0.1:{port}"
    stand.answers(url)
    return url


def test(stand):
    url = start(stand)
    numbers = lambda: [int(number) for number in re.findall(r"\d+", get(f"{url}/nginx_status"))]
    for _ in range(20):
        get(url)
    _, accepted, handled, requests, *_ = numbers()
    found = stand.poll(url)
    _, accepted_after, handled_after, requests_after, *_ = numbers()
    between("requests", requests, found["nginx.requests"], requests_after)
    between("accepted", accepted, found["nginx.connections_accepted"], accepted_after)
    between("handled", handled, found["nginx.connections_handled"], handled_after)
    # The one connection is that of our own poll, which waits for nothing else.
    states = {state: found[f"nginx.connections_current{{state={state}}}"] for state in ["active", "reading", "writing", "waiting"]}
    equal("connections by state", states, {"active": 1, "reading": 0, "writing": 1, "waiting": 0})
