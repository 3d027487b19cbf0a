"""aria2 over JSON-RPC; a transfer of ours is what it has to tell."""

import http.server
import threading

from support import equal, free_port, get, until


class Slow(http.server.BaseHTTPRequestHandler):
    """Sends half of a file, and then nothing more until the test ends."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2097152")
        self.end_headers()
        self.wfile.write(b"x" * 1_048_576)
        self.server.ended.wait(60)

    def log_message(self, *_):
        pass


def call(url, method, *parameters):
    return get(f"{url}/jsonrpc", {"jsonrpc": "2.0", "id": "1", "method": method, "params": ["token:hunter2", *parameters]})


def start(stand):
    stand.install("aria2")
    port = free_port()
    stand.start("aria2c", "--enable-rpc", f"--rpc-listen-port={port}", "--rpc-listen-all=false", "--rpc-secret=hunter2", "--no-conf",
                "--disable-ipv6", "--all-proxy=", "--file-allocation=none", "-d", stand.work)
    url = f"http://127.0.0.1:{port}"
    until("aria2", lambda: call(url, "aria2.getVersion"))
    return url


def test(stand):
    url = start(stand)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.ended = threading.Event()
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    file = f"http://127.0.0.1:{server.server_port}/file"
    call(url, "aria2.addUri", [file], {"split": "1"})
    call(url, "aria2.addUri", [file], {"pause": "true"})
    until("half of the file", lambda: '"completedLength":"1048576"' in call(url, "aria2.tellActive"))
    found = stand.poll(url, receiver="parameters: { secret: hunter2 }")
    states = {state: found[f"aria2.transfers{{state={state}}}"] for state in ["active", "waiting", "stopped"]}
    equal("transfers", states, {"active": 1, "waiting": 1, "stopped": 0})
    of = lambda name: next(value for series, value in found.items() if series.startswith(f"aria2.transfer.{name}{{"))
    equal("transfer", (of("size"), of("completed"), of("connections")), (2_097_152, 1_048_576, 1))
    server.ended.set()
    server.shutdown()
