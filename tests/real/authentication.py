"""Who our program is to real servers: OAuth 2.0 with oidc-provider, digests of Apache and lighttpd,
sessions of qBittorrent and Transmission."""

import base64
import hashlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from support import Failure, PROGRAM, ROOT, TARGET, equal, free_port, get, points, until

PROVIDER = "oidc-provider@8.8.1"

AUTHORIZATION_SERVER = """
import Provider from 'oidc-provider';
const [port, lifetime] = process.argv.slice(2).map(Number);
const of = (id, method) => ({
  client_id: id, client_secret: `hunter2-${id}`, token_endpoint_auth_method: method, scope: 'metrics.read',
  grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
});
new Provider(`http://127.0.0.1:${port}`, {
  clients: [of('collector', 'client_secret_basic'), of('posting', 'client_secret_post'), of('api', 'client_secret_basic')],
  scopes: ['metrics.read'],
  features: {
    clientCredentials: { enabled: true }, introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true, allowedPolicy: () => true }, devInteractions: { enabled: false },
  },
  ttl: { ClientCredentials: lifetime },
}).on('grant.success', () => console.log('granted')).listen(port, '127.0.0.1');
"""

# As many targets as there are paths. It asks about each token once.
FLEET = """
import http from 'node:http';
const [port, provider] = process.argv.slice(2);
const tokens = new Map(), asked = new Set();
const asks = async (token) => {
  const headers = { authorization: `Basic ${btoa('api:hunter2-api')}` };
  const answer = await fetch(`${provider}/token/introspection`, { method: 'POST', headers, body: new URLSearchParams({ token }) });
  return (await answer.json()).active;
};
http.createServer(async (request, response) => {
  if (request.url === '/asked') return response.end(`${asked.size}`);
  const [, token] = (request.headers.authorization ?? '').split('Bearer ');
  if (!tokens.has(token)) tokens.set(token, asks(token));
  const accepted = await tokens.get(token);
  if (accepted) asked.add(request.url);
  response.writeHead(accepted ? 200 : 401).end('{"value": 3}');
}).listen(port, '127.0.0.1');
"""


class Collector:
    """Our program, with one target, of which it sends what it found."""

    def __init__(self, stand, name, url, definition, extension, targets=1):
        self.name, self.stand = name, stand
        kind = extension.split(":", 1)[0].strip()
        self.pushed, self.log = stand.work / f"{name}.jsonl", stand.work / f"{name}.collector.log"
        path = stand.file(f"{name}.definition.yaml", definition)
        urls = [url] if targets == 1 else [f"{url}/{number}" for number in range(targets)]
        fleet = ", ".join(f"{{endpoint: '{of}', name: node{number or ''}}}" for number, of in enumerate(urls))
        self.config = stand.file(f"{name}.yaml", f"""
extensions:
  {extension}
receivers:
  http_json:
    auth: {{authenticator: {kind}}}
    collection_interval: {1 if targets == 1 else 60}s
    timeout: {900 if targets == 1 else 15000}ms
    retry: {{max_retries: 0}}
    target_metrics: detailed
    definition: '{path}'
    targets: [{fleet}]
exporters:
  {f"file: {{path: '{self.pushed}', flush_interval: 100ms}}" if targets == 1 else "debug:"}
service:
  extensions: [{kind}]
  telemetry: {{logs: {{level: {"debug" if targets == 1 else "error"}}}, metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [http_json], exporters: [{"file" if targets == 1 else "debug"}]}}}}
""")

    def __enter__(self):
        command = [PROGRAM, "run", "--config", self.config]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=self.log.open("w"), stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def waits_for(self, what, attempt):
        """Waits until `attempt` gives something for the points that were sent."""
        def sent():
            if self.process.poll() is not None:
                raise Failure(f"our program has ended:\n{self.log.read_text()}")
            return attempt(points(self.pushed.read_text())) if self.pushed.is_file() else None
        return until(f"{self.name}: {what}", sent)

    def polls(self, *outcomes):
        """How many polls came to one of these."""
        found = points(self.pushed.read_text()) if self.pushed.is_file() else {}
        results = {series: value for series, value in found.items() if series.startswith("http_json.poll.results{")}
        return sum(value for series, value in results.items() if any(f"outcome={outcome}" in series for outcome in outcomes))

    def sound(self):
        return self.polls("fresh", "not_modified")

    def has_no_failure(self):
        equal(f"{self.name}: failed polls", self.polls("missing", "stale"), 0)

    def makes(self, polls):
        """Waits for so many more polls that succeed."""
        goal = self.sound() + polls
        self.waits_for(f"{polls} sound polls", lambda _: self.sound() >= goal)

    def shows_nothing(self, *secrets):
        printed = subprocess.run([PROGRAM, "print-config", "--config", self.config], cwd=ROOT, capture_output=True, text=True)
        for where, text in [("log", self.log.read_text()), ("print-config", printed.stdout + printed.stderr)]:
            for secret in secrets:
                if secret in text:
                    raise Failure(f"{self.name}: the {where} shows {secret!r}")


def value(path="/value.json", more=""):
    return f"endpoints: {{value: {{path: '{path}'{more}}}}}\nmetrics: [{{name: value, instrument: gauge, value: $.value}}]\n"


def restarted(stand, process, start):
    """Ends a program and starts it again, so that it forgets its sessions."""
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(20)
    stand.started.remove(process)
    return start()


# OAuth 2.0

class Api(http.server.ThreadingHTTPServer):
    """An API that asks the authorization server about each token."""

    def __init__(self, provider):
        self.provider, self.tokens = provider, []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def ask(self, path, token, client, more=None):
        form = urllib.parse.urlencode({"token": token, **(more or {})}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if not more:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{client}:hunter2-{client}".encode()).decode()
        return get(f"{self.provider}{path}", form, headers)

    def accepts(self, token):
        return json.loads(self.ask("/token/introspection", token, "api"))["active"]

    def revoke(self, token, client):
        """Only the client that has a token can revoke it, and says who it is as it always does."""
        posted = {"client_id": client, "client_secret": f"hunter2-{client}"} if client == "posting" else None
        self.ask("/token/revocation", token, client, posted)
        equal("a revoked token", self.accepts(token), False)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        scheme, _, token = (self.headers["Authorization"] or "").partition(" ")
        try:
            accepted = scheme == "Bearer" and self.server.accepts(token)
        except OSError:
            accepted = token in self.server.tokens  # the authorization server is down
        if accepted and token not in self.server.tokens:
            self.server.tokens.append(token)
        body = b'{"value": 3}' if accepted else b""
        self.send_response(200 if accepted else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def oauth2(stand):
    home = TARGET / "e2e" / "real" / "oidc-provider"
    if not (home / "node_modules" / "oidc-provider").is_dir():
        if not shutil.which("npm"):
            raise Failure("no npm; run: apt-get install npm")
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", home, PROVIDER], check=True)
    (home / "server.mjs").write_text(AUTHORIZATION_SERVER)
    port, node = free_port(), shutil.which("node")
    start = lambda lifetime: (stand.start(node, home / "server.mjs", port, lifetime), stand.answers(f"http://127.0.0.1:{port}/.well-known/openid-configuration"))[0]
    server = start(4)
    api = Api(f"http://127.0.0.1:{port}")
    for client in ["collector", "posting"]:
        extension = f"oauth2client: {{client_id: {client}, client_secret: hunter2-{client}, token_url: 'http://127.0.0.1:{port}/token', scopes: [metrics.read], expiry_buffer: 1s}}"
        api.tokens.clear()
        with Collector(stand, f"oauth2-{client}", f"http://127.0.0.1:{api.server_port}", value(), extension) as ours:
            ours.waits_for("a value", lambda found: found.get("value") == 3)
            until("tokens expire", lambda: len(api.tokens) >= 3)
            # Revocation in the middle: the next request is repeated with another token.
            before, token = len(api.tokens), api.tokens[-1]
            api.revoke(token, client)
            until("another token", lambda: len(api.tokens) > before)
            ours.makes(2)
            ours.has_no_failure()
            # The authorization server goes away until tokens expire, and comes back without them.
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(20)
            stand.started.remove(server)
            of_tokens = lambda found: [series for series in found if series.startswith("http_json.poll.results{") and "error.type=credentials" in series]
            ours.waits_for("polls without a token", of_tokens)
            open_breakers = [series for series, state in points(ours.pushed.read_text()).items() if series.startswith("http_json.circuit_breaker.state{") and state]
            equal("open breakers", open_breakers, [])
            server = start(4)
            ours.makes(2)
            ours.shows_nothing("hunter2", *api.tokens)
    api.shutdown()
    # Many that need a token at once.
    many, said = 10_000, stand.work / f"{len(stand.started)}.log"
    port, fleet = free_port(), free_port()
    start(3600)
    stand.start(node, stand.file("fleet.mjs", FLEET), fleet, f"http://127.0.0.1:{port}")
    url = f"http://127.0.0.1:{fleet}"
    stand.answers(f"{url}/asked")
    extension = f"oauth2client: {{client_id: collector, client_secret: hunter2-collector, token_url: 'http://127.0.0.1:{port}/token', scopes: [metrics.read]}}"
    with Collector(stand, "oauth2-many", url, value(), extension, many):
        until(f"{many} targets were asked", lambda: json.loads(get(f"{url}/asked")) == many, 300)
    equal("tokens", said.read_text().count("granted"), 1)


# Digests

def apache(stand):
    port, modules = free_port(), stand.root / "usr/lib/apache2/modules"
    names = ["mpm_event", "authz_core", "authn_core", "authz_user", "authn_file", "auth_digest"]
    load = "\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in names)
    realm = "the fleet"
    hashed = hashlib.md5(f"fleet:{realm}:hunter2 apache".encode()).hexdigest()
    users = stand.file("apache.digest", f"fleet:{realm}:{hashed}\n")
    stand.file("apache/value.json", '{"value": 3}')
    config = stand.file("httpd.conf", f"""
ServerRoot {stand.work}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {stand.work}/httpd.pid
DefaultRuntimeDir {stand.work}
ErrorLog {stand.work}/error.log
{load}
DocumentRoot {stand.work}/apache
<Directory {stand.work}/apache>
  AuthType Digest
  AuthName "{realm}"
  AuthDigestNonceLifetime 1
  AuthUserFile {users}
  Require valid-user
</Directory>
""")
    stand.start("apache2", "-X", "-f", config)
    url = f"http://127.0.0.1:{port}"
    until("Apache answers", lambda: refuses(f"{url}/value.json", 401))
    extension = "digestauth: {username: fleet, password: hunter2 apache}"
    with Collector(stand, "apache", url, value(), extension) as ours:
        ours.waits_for("a value", lambda found: found.get("value") == 3)
        ours.makes(8)  # a nonce lives for a second: Apache says `stale`, or gives the next one
        ours.has_no_failure()
        ours.shows_nothing("hunter2", hashed)
    wrong = "digestauth: {username: fleet, password: hunter2 wrong}"
    with Collector(stand, "apache-wrong", url, value(), wrong) as ours:
        is_refused = lambda found: [of for of in found if of.startswith("http_json.poll.results{") and "error.type=401" in of]
        ours.waits_for("a refusal", is_refused)


def lighttpd(stand):
    for algorithm, name in [("sha256", "SHA-256"), ("md5", "MD5")]:
        port, realm = free_port(), "the fleet"
        hashed = hashlib.new(algorithm, f"fleet:{realm}:hunter2 lighttpd".encode()).hexdigest()
        users = stand.file(f"lighttpd-{algorithm}.digest", f"fleet:{realm}:{hashed}\n")
        stand.file("lighttpd/value.json", '{"value": 3}')
        config = stand.file(f"lighttpd-{algorithm}.conf", f"""
server.document-root = "{stand.work}/lighttpd"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ("mod_auth", "mod_authn_file")
auth.backend = "htdigest"
auth.backend.htdigest.userfile = "{users}"
auth.require = ("/" => ("method" => "digest", "algorithm" => "{name}", "realm" => "{realm}", "require" => "valid-user"))
""")
        stand.start("lighttpd", "-D", "-f", config, "-m", stand.root / "usr/lib/lighttpd")
        url = f"http://127.0.0.1:{port}"
        until("lighttpd answers", lambda: refuses(f"{url}/value.json", 401))
        extension = "digestauth: {username: fleet, password: hunter2 lighttpd}"
        with Collector(stand, f"lighttpd-{algorithm}", url, value(), extension) as ours:
            ours.waits_for("a value", lambda found: found.get("value") == 3)
            ours.makes(3)
            ours.has_no_failure()
            ours.shows_nothing("hunter2", hashed)


def refuses(url, status):
    """Whether a server answers a request without credentials with this status."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(url, timeout=5)
    except urllib.error.HTTPError as error:
        return error.code == status
    raise Failure(f"{url} needs no credentials")


# Sessions

def qbittorrent(stand):
    port = free_port()
    # The password of a fresh profile; it must be sent from this machine too.
    stand.file("profile/qBittorrent/config/qBittorrent.conf", f"""
[LegalNotice]
Accepted=true
[Preferences]
WebUI\\Address=127.0.0.1
WebUI\\Port={port}
WebUI\\LocalHostAuth=true
""")
    url = f"http://127.0.0.1:{port}"
    def start():
        process = stand.start("qbittorrent-nox", f"--profile={stand.work}/profile", f"--webui-port={port}")
        stand.answers(url)
        return process
    process = start()
    definition = """
endpoints: {transfer: {path: /api/v2/transfer/info}}
metrics: [{name: value, instrument: gauge, value: $.dht_nodes}]
"""
    extension = "session: {login: {path: /api/v2/auth/login, body: {form: {username: admin, password: adminadmin}}}}"
    with Collector(stand, "qbittorrent", url, definition, extension) as ours:
        ours.waits_for("a value", lambda found: "value" in found)
        ours.makes(3)
        ours.has_no_failure()
        restarted(stand, process, start)
        # It knows no session of before.
        before = ours.sound()
        ours.waits_for("a new session", lambda _: ours.sound() > before + 2)
        ours.shows_nothing("adminadmin", "SID=")
    wrong = extension.replace("adminadmin", "hunter2")
    with Collector(stand, "qbittorrent-wrong", url, definition, wrong) as ours:
        without = lambda found: [of for of in found if of.startswith("http_json.poll.results{") and "error.type=credentials" in of]
        ours.waits_for("no session", without)
        ours.shows_nothing("hunter2")
        said = "has no cookie"
        if said not in ours.log.read_text():
            raise Failure(f"the log does not say that the login {said}:\n{ours.log.read_text()[-2000:]}")


def transmission(stand):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    folder = stand.work / "transmission"
    folder.mkdir()
    def start():
        process = stand.start("transmission-daemon", "-f", "-g", folder, "-w", folder, "-p", port, "-r", "127.0.0.1", "-T", "-M", "-O", "-P", free_port())
        until("Transmission answers", lambda: refuses(f"{url}/transmission/rpc", 409))
        return process
    process = start()
    definition = """
endpoints: {stats: {path: /transmission/rpc, method: POST, body: {json: {method: session-stats}}}}
metrics: [{name: value, instrument: gauge, value: $.arguments.torrentCount}]
"""
    name = "X-Transmission-Session-Id"
    extension = f"session: {{token: {{header_of_answer: {name}, header: {name}}}, renew_on: [409]}}"
    with Collector(stand, "transmission", url, definition, extension) as ours:
        ours.waits_for("a value", lambda found: found.get("value") == 0)
        ours.makes(3)
        ours.has_no_failure()
        restarted(stand, process, start)
        before = ours.sound()
        ours.waits_for("the next token", lambda _: ours.sound() > before + 2)


def test(stand):
    stand.install("apache2-bin", "lighttpd", "qbittorrent-nox", "transmission-daemon")
    for part in [oauth2, apache, lighttpd, qbittorrent, transmission]:
        begun = time.monotonic()
        part(stand)
        print(f"  {part.__name__}: ok ({time.monotonic() - begun:.0f} s)", flush=True)
