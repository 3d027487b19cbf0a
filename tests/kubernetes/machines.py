"""What the scenarios run: nodes that count who polls them, etcd, an API server, allocators and
collectors, all on loopback. Ports lie below those that the system gives to clients."""
import asyncio, json, os, secrets, signal, ssl, subprocess, threading, time, urllib.request, urllib.error

BASE = 27000
ETCD, PEER, API, ALLOCATOR, NODES = BASE + 379, BASE + 380, BASE + 443, BASE + 80, BASE + 100
COLLECTOR, OWN = BASE + 210, BASE + 240
NAMESPACE = 'betanet'
LABELS = {'app.kubernetes.io/name': 'betanet-collector'}
BEGIN = time.time()


def say(*what):
    print('%6.1f s ' % (time.time() - BEGIN), *what, flush=True)


class Failed(Exception):
    pass


def check(is_met, what):
    if not is_met:
        raise Failed(what)


def until(what, met, seconds=60):
    """Waits until `met` is true; errors of the network mean that it is not yet."""
    begin = time.time()
    while time.time() - begin < seconds:
        try:
            if met():
                took = time.time() - begin
                say(f'{what}: after {took:.1f} s')
                return took
        except (OSError, urllib.error.HTTPError, ValueError, KeyError, IndexError):
            pass
        time.sleep(0.1)
    raise Failed(f'{what}: not within {seconds} s')


def get(url, context=None):
    return urllib.request.urlopen(url, timeout=10, context=context).read().decode()


def address(number):
    return f'127.1.{number >> 8}.{number & 255}'


class Nodes:
    """One server an address, each of which answers with a number and notes when it was asked."""

    def __init__(self, count):
        self.count = count
        self.asked = [[] for _ in range(count)]
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        threading.Thread(target=self._run, args=(started,), daemon=True).start()
        check(started.wait(20), 'the nodes start')

    def _run(self, started):
        asyncio.set_event_loop(self.loop)
        for number in range(self.count):
            serve = asyncio.start_server(lambda r, w, n=number: self._serve(n, r, w), address(number), NODES)
            self.loop.run_until_complete(serve)
        started.set()
        self.loop.run_forever()

    async def _serve(self, number, reader, writer):
        try:
            while True:
                request = await reader.readuntil(b'\r\n\r\n')
                if b' /e0' in request.split(b'\r\n')[0]:
                    self.asked[number].append(time.time())
                body = json.dumps({'number': 1000 + number}).encode()
                writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def times(self, number, since):
        return [at for at in list(self.asked[number]) if at >= since]

    def polled(self, since):
        """Which nodes were polled since a time."""
        return {number for number in range(self.count) if self.times(number, since)}

    def longest_gap(self, number, since, end=None):
        """The longest time between two polls, from `since` to `end`."""
        end = end or time.time()
        times = [since] + [at for at in self.times(number, since) if at <= end] + [end]
        return max(b - a for a, b in zip(times, times[1:]))


class Programs:
    """Runs programs in a folder; each writes to NAME.log."""

    def __init__(self, folder):
        self.folder, self.running = folder, {}

    def start(self, name, arguments, environment=None, without=()):
        variables = {k: v for k, v in os.environ.items() if k not in without}
        variables.update(environment or {})
        log = open(os.path.join(self.folder, name + '.log'), 'ab')
        self.running[name] = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                              cwd=self.folder, env=variables)

    def stop(self, name, by=signal.SIGTERM):
        process = self.running.pop(name)
        process.send_signal(by)
        process.wait(40)

    def log(self, name):
        return open(os.path.join(self.folder, name + '.log'), errors='replace').read()

    def stop_all(self):
        for name in list(self.running)[::-1]:
            try:
                self.stop(name, signal.SIGKILL)
            except Exception:
                pass


class Cluster:
    """etcd and an API server, with the objects that the scenarios make."""

    def __init__(self, programs, binaries):
        self.programs, self.binaries, self.folder = programs, binaries, programs.folder
        self.token, self.tls = secrets.token_hex(16), ssl._create_unverified_context()
        os.makedirs(self.folder + '/certs')
        subprocess.run(['openssl', 'genrsa', '-out', self.folder + '/certs/sa.key', '2048'], check=True, stderr=subprocess.DEVNULL)
        self.write('tokens.csv', f'{self.token},admin,admin,system:masters\n')
        self.write('kubeconfig', json.dumps({
            'apiVersion': 'v1', 'kind': 'Config', 'current-context': 'c',
            'contexts': [{'name': 'c', 'context': {'cluster': 'c', 'user': 'u'}}],
            'clusters': [{'name': 'c', 'cluster': {'server': f'https://127.0.0.1:{API}', 'insecure-skip-tls-verify': True}}],
            'users': [{'name': 'u', 'user': {'token': self.token}}]}))
        urls = [f'http://127.0.0.1:{port}' for port in (ETCD, PEER)]
        programs.start('etcd', ['etcd', '--data-dir', 'etcd', '--listen-client-urls', urls[0], '--advertise-client-urls', urls[0],
                                '--listen-peer-urls', urls[1], '--initial-advertise-peer-urls', urls[1],
                                '--initial-cluster', f'default={urls[1]}', '--unsafe-no-fsync'])
        self.start()
        for namespace in (NAMESPACE, 'nodes'):
            self.ask('POST', '/api/v1/namespaces', {'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': namespace}})

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path + '.new', 'w') as file:
            file.write(text)
        os.rename(path + '.new', path)
        return path

    def start(self):
        self.programs.start('api', [
            self.binaries + '/kube-apiserver', f'--etcd-servers=http://127.0.0.1:{ETCD}', '--bind-address=127.0.0.1', f'--secure-port={API}',
            '--cert-dir=certs', '--advertise-address=192.0.2.1', '--endpoint-reconciler-type=none', '--service-cluster-ip-range=10.0.0.0/24',
            '--service-account-issuer=https://rig', '--service-account-key-file=certs/sa.key', '--service-account-signing-key-file=certs/sa.key',
            '--token-auth-file=tokens.csv', '--authorization-mode=AlwaysAllow', '--disable-admission-plugins=ServiceAccount'])
        until('the API server is ready', lambda: self.ask('GET', '/readyz') == b'ok', 120)

    def stop(self):
        # It does not end by SIGTERM while there are watches.
        self.programs.stop('api', signal.SIGKILL)

    def ask(self, method, path, body=None, kind='application/json'):
        request = urllib.request.Request(f'https://127.0.0.1:{API}{path}', method=method, data=json.dumps(body).encode() if body else None,
                                         headers={'Authorization': 'Bearer ' + self.token, 'Content-Type': kind})
        return urllib.request.urlopen(request, context=self.tls, timeout=10).read()

    def pod(self, name, ip, labels=LABELS, namespace=NAMESPACE, port=None):
        """A Pod that runs. Nobody starts it: there is no kubelet."""
        now = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
        container = {'name': 'main', 'image': 'x'}
        if port:
            container['ports'] = [{'name': 'api', 'containerPort': port}]
        self.ask('POST', f'/api/v1/namespaces/{namespace}/pods', {
            'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': name, 'labels': labels},
            'spec': {'nodeName': 'node-1', 'containers': [container]}})
        self.ask('PATCH', f'/api/v1/namespaces/{namespace}/pods/{name}/status', {'status': {
            'phase': 'Running', 'podIP': ip, 'podIPs': [{'ip': ip}], 'startTime': now,
            'conditions': [{'type': 'Ready', 'status': 'True', 'lastTransitionTime': now}]}}, 'application/strategic-merge-patch+json')

    def delete_pod(self, name, namespace=NAMESPACE):
        self.ask('DELETE', f'/api/v1/namespaces/{namespace}/pods/{name}?gracePeriodSeconds=0')


class Collector:
    """A collector of some number, with a receiver of these keys."""

    def __init__(self, programs, binary, number, keys, pod_name=None, more=''):
        self.programs, self.name, self.port, self.own = programs, f'collector-{number}', COLLECTOR + number, OWN + number
        config = f"""
receivers:
  http_json:
    definition: {programs.folder}/nodes.yaml
    collection_interval: 5s
    initial_delay: 0s
{keys}
{more}
exporters: {{ prometheus: {{ endpoint: '127.0.0.1:{self.port}' }} }}
extensions: {{ health_check: {{ endpoint: '127.0.0.1:{self.port}' }} }}
service:
  extensions: [health_check]
  pipelines: {{ metrics: {{ receivers: [http_json{', http_json/pool' if more else ''}], exporters: [prometheus] }} }}
  telemetry: {{ metrics: {{ readers: [{{ pull: {{ exporter: {{ prometheus: {{ host: 127.0.0.1, port: {self.own} }} }} }} }}] }} }}
"""
        path = os.path.join(programs.folder, self.name + '.yaml')
        with open(path, 'w') as file:
            file.write(config)
        self.arguments = [binary, '--config', path]
        self.environment = {'POD_NAME': self.name if pod_name is None else pod_name}
        self.start()

    def start(self):
        without = ('POD_NAME',)
        environment = self.environment if self.environment['POD_NAME'] else {}
        self.programs.start(self.name, self.arguments, environment, without)

    def stop(self, by=signal.SIGTERM):
        self.programs.stop(self.name, by)

    def log(self):
        return self.programs.log(self.name)

    def polled(self):
        """The targets that it shows: each node tells its number, which says which one it is."""
        lines = get(f'http://127.0.0.1:{self.port}/metrics').splitlines()
        return {line.split('target="')[1].split('"')[0] for line in lines if line.startswith('fleet_e0_number{')}

    def ready(self):
        try:
            return 200, get(f'http://127.0.0.1:{self.port}/readyz')
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def health(self):
        try:
            return json.loads(get(f'http://127.0.0.1:{self.port}/health'))
        except urllib.error.HTTPError as error:
            return json.loads(error.read().decode())
