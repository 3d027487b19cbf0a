#!/usr/bin/env python3
"""The collector with a real Target Allocator and a real API server, all on loopback.

    COLLECTOR=target/debug/betanet-collector BIN=DIR scenarios.py WORKDIR [NAME…]

DIR holds kube-apiserver and otel-allocator, as `run` builds them. Each scenario whose name contains a
NAME is run; all of them take some eight minutes. What is polled is told by the nodes themselves."""
import json, os, re, shutil, signal, subprocess, sys, time
sys.path.insert(0, os.path.dirname(__file__))
from machines import ALLOCATOR, NAMESPACE, NODES, Cluster, Collector, Failed, Nodes, Programs, address, check, get, say, until

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
COUNT = 120       # nodes of the job `betanet`
PAIRS = range(COUNT, COUNT + 40)          # those of the job `pairs`: two addresses a name
POOL = range(COUNT + 40, COUNT + 46)      # those of one pool
PODS = range(COUNT + 46, COUNT + 86)      # those that are Pods
ALL = COUNT + 86
INTERVAL = 5.0    # of the polls, in seconds
# A node whose collector lives is polled at least this often, in seconds: an interval, and a margin
# for a machine that is busy.
GAP = 2 * INTERVAL + 2
REFRESH = '5s'


def endpoint(number):
    return f'{address(number)}:{NODES}'


def shared_selector():
    """The selector of the allocator that `deploy/kubernetes` installs."""
    text = open(f'{ROOT}/deploy/kubernetes-allocator/allocator.yaml').read()
    found = re.search(r'collector_selector:\n\s*matchlabels:\n\s*(\S+): (\S+)\n', text)
    return {found.group(1): found.group(2)}


class Rig:
    def __init__(self, folder, binaries, collector):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.folder, self.binaries, self.binary = folder, binaries, collector
        self.programs = Programs(folder)
        self.nodes = Nodes(ALL)
        self.cluster = Cluster(self.programs, binaries)
        self.cluster.write('nodes.yaml', 'endpoints: {e0: {path: /e0}}\nmetrics: [{name: fleet_e0_number, instrument: gauge, value: $.number}]\n')
        self.targets(range(COUNT))
        pairs = [{'targets': [endpoint(number)], 'labels': {'instance': f'pair-{(number - COUNT) // 2}'}} for number in PAIRS]
        self.cluster.write('pairs.json', json.dumps(pairs))
        self.cluster.write('pool.json', json.dumps([{'targets': [endpoint(number) for number in POOL], 'labels': {'__pool__': 'p1'}}]))
        jobs = [{'job_name': name, 'file_sd_configs': [{'files': [f'{folder}/{name}.json']}]} for name in ('betanet', 'pairs', 'pool')]
        self.cluster.write('allocator.yaml', json.dumps({
            'collector_namespace': NAMESPACE, 'collector_selector': {'matchlabels': shared_selector()},
            'allocation_strategy': 'consistent-hashing', 'filter_strategy': 'relabel-config', 'config': {'scrape_configs': jobs}}))
        for number in range(3):
            self.cluster.pod(f'collector-{number}', f'127.0.0.1{number}')
        # It is no collector: it has not the label that the selector names.
        self.cluster.pod('betanet-target-allocator-0', '127.0.0.20', {'app.kubernetes.io/name': 'betanet-target-allocator'})
        self.allocator()
        until('the allocator shares out', lambda: all(self.share(f'collector-{number}') for number in range(3)))

    def targets(self, numbers):
        self.wanted = set(numbers)
        self.cluster.write('betanet.json', json.dumps([{'targets': [endpoint(number) for number in numbers], 'labels': {'region': 'eu'}}]))

    def allocator(self, more=()):
        self.programs.start('allocator', [self.binaries + '/otel-allocator', '--config-file', 'allocator.yaml', '--kubeconfig-path',
                                          self.folder + '/kubeconfig', '--listen-addr', f'127.0.0.1:{ALLOCATOR}', *more])

    def share(self, collector, job='betanet'):
        groups = json.loads(get(f'http://127.0.0.1:{ALLOCATOR}/jobs/{job}/targets?collector_id={collector}'))
        return {target for group in groups for target in group['targets']}

    def keys(self, job='betanet', refresh=REFRESH, more=''):
        url = f'http://127.0.0.1:{ALLOCATOR}/jobs/{job}/targets?collector_id=${{env:POD_NAME}}'
        return f"    http_sd_configs: [{{ url: '{url}', refresh_interval: {refresh}{more} }}]"

    def collector(self, number, keys=None, **options):
        return Collector(self.programs, self.binary, number, keys or self.keys(), **options)

    def three(self):
        collectors = [self.collector(number) for number in range(3)]
        self.until_shared('each target is one collector\'s', collectors)
        return collectors

    def until_shared(self, what, collectors, seconds=60):
        """Until each target is shown by one collector, the one that the allocator chose."""
        def is_shared():
            shown = [collector.polled() for collector in collectors]
            union = set().union(*shown)
            chosen = [self.share(collector.name) for collector in collectors]
            return all(shown) and union == {endpoint(n) for n in self.wanted} and sum(map(len, shown)) == len(union) and shown == chosen
        return until(what, is_shared, seconds)

    def check_gaps(self, since, numbers=None, longest=GAP):
        gaps = {number: self.nodes.longest_gap(number, since) for number in (self.wanted if numbers is None else numbers)}
        worst = max(gaps.values())
        late = sorted(number for number, gap in gaps.items() if gap > longest)
        say(f'   longest gap of {len(gaps)} nodes: {worst:.1f} s')
        check(not late, f'{len(late)} nodes were not polled for more than {longest} s, the longest gap is {worst:.1f} s: {late[:10]}')


def stop(collectors):
    for collector in collectors:
        collector.stop()


def shares(rig):
    """F8: the allocator gives targets to collectors only, and each target to one."""
    collectors = rig.three()
    say('   shares', [len(collector.polled()) for collector in collectors])
    check(rig.share('betanet-target-allocator-0') == set(), 'a Pod without the label gets no target')
    begin = time.time()
    time.sleep(4 * INTERVAL)
    counts = [len(rig.nodes.times(number, begin)) for number in rig.wanted]
    say(f'   polls of a node in {4 * INTERVAL:.0f} s: {min(counts)} to {max(counts)}')
    check(3 <= min(counts) and max(counts) <= 5, 'each node is polled once an interval')
    stop(collectors)


def killed(rig):
    """A killed collector costs its own share only, until the others have it."""
    collectors = rig.three()
    lost = {number for number in rig.wanted if endpoint(number) in collectors[1].polled()}
    begin = time.time()
    collectors[1].stop(signal.SIGKILL)
    rig.cluster.delete_pod('collector-1')
    rig.until_shared('the others poll the share of the dead one', [collectors[0], collectors[2]])
    rig.check_gaps(begin, rig.wanted - lost)
    rig.check_gaps(begin, lost, 30)
    rig.cluster.pod('collector-1', '127.0.0.11')
    collectors[1].start()
    rig.until_shared('it is back', collectors)
    rig.targets(range(10, COUNT))
    rig.until_shared('ten targets are gone', collectors)
    begin = time.time()
    rig.targets(range(COUNT))
    rig.until_shared('they are back', collectors)
    rig.check_gaps(begin, range(10, COUNT))
    stop(collectors)


def restarts(rig):
    """F1: an allocator, and an API server, that restart cost no target."""
    collectors = rig.three()
    begin = time.time()
    rig.programs.stop('allocator')
    time.sleep(15)
    rig.allocator()
    time.sleep(20)
    rig.check_gaps(begin)
    rig.until_shared('the allocator is back', collectors)
    warned = sum('the target list is empty; the last one is kept' in collector.log() for collector in collectors)
    say(f'   {warned} of 3 collectors tell of an empty list')
    check(warned > 0, 'an empty list is told')
    begin = time.time()
    rig.cluster.stop()
    rig.programs.stop('allocator')
    rig.allocator()
    time.sleep(30)
    check(rig.share('collector-0') == set(), 'the allocator answers with empty lists')
    rig.check_gaps(begin)
    rig.cluster.start()
    rig.until_shared('the API server is back', collectors, 120)
    rig.check_gaps(begin)
    stop(collectors)


def empty_start(rig):
    """F3: a collector that begins with an empty list asks again soon, whatever its interval."""
    rig.cluster.delete_pod('collector-1')
    until('the allocator has forgotten it', lambda: not rig.share('collector-1'))
    collector = rig.collector(1, rig.keys(refresh='60s'))
    until('it answers', lambda: collector.ready()[0] == 503)
    check('has not answered' in collector.ready()[1] or collector.ready()[0] == 503, 'it is not ready without a list')
    rig.cluster.pod('collector-1', '127.0.0.11')
    until('it polls its share', lambda: collector.polled() == rig.share('collector-1') != set(), 30)
    stop([collector])


def nobody(rig):
    """F4 and F8: who gets nothing says so."""
    keys = rig.keys(more=', keep_on_empty: 3s')
    unnamed = rig.collector(1, keys, pod_name='')
    other = rig.collector(2, rig.keys(job='other', more=', keep_on_empty: 3s'))
    rule = "\n    relabel_configs: [{ source_labels: [__tmp_hash], regex: '$$(SHARD)', action: keep }]"
    dropping = rig.collector(0, rig.keys() + rule)
    for collector, said in [(unnamed, 'have named no target since the start'), (dropping, ' dropped')]:
        until(f'{collector.name} says why it polls nothing', lambda: said in collector.ready()[1])
        check(said in json.dumps(collector.health()), f'/health has it: {collector.health()}')
        check('the receiver has no discovered target' in collector.log(), 'the log has it')
    until('a job that does not exist is told', lambda: 'no target' in collector_says(other))
    stop([unnamed, other, dropping])


def collector_says(collector):
    return collector.ready()[1] + json.dumps(collector.health()) + collector.log()


def order(rig):
    """F2: the order of the allocator's answer means nothing."""
    limited = rig.collector(0, rig.keys(refresh='1s') + '\n    target_limit: 10')
    pairs = rig.collector(1, rig.keys('pairs', '1s'))
    until('ten targets are polled', lambda: len(limited.polled()) == 10)
    until('pairs are polled', lambda: len(pairs.polled()) > 0)
    first = limited.polled()
    time.sleep(2 * INTERVAL)
    begin = time.time()
    time.sleep(4 * INTERVAL)
    check(limited.polled() == first, 'the ten targets stay the same ones')
    share = rig.share('collector-1', 'pairs')
    both = [n for n in PAIRS if n % 2 == PAIRS[0] % 2 and {endpoint(n), endpoint(n + 1)} <= share]
    say(f'   {len(both)} of {len(PAIRS) // 2} pairs are of one collector')
    check(both, 'some pair is of one collector')
    for number in both:
        polled = [bool(rig.nodes.times(n, begin)) for n in (number, number + 1)]
        check(sum(polled) == 1, f'one of two addresses of one name is polled, always the same: {polled}')
    stop([limited, pairs])


def certificates(rig):
    """F5 and F6: certificates are read again; one that is no certificate is refused."""
    def make(name):
        def openssl(*arguments):
            subprocess.run(['openssl', *arguments], cwd=rig.folder, check=True, stderr=subprocess.DEVNULL)
        openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'ca.key', '-out', 'ca.new', '-days', '1', '-subj', f'/CN=authority {name}')
        for who in ('allocator', 'client'):
            openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', f'{who}.key.new', '-out', f'{who}.csr', '-subj', f'/CN={who}')
            rig.cluster.write('extensions', f'subjectAltName=DNS:{who}\nextendedKeyUsage=serverAuth,clientAuth\n')
            openssl('x509', '-req', '-in', f'{who}.csr', '-CA', 'ca.new', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '1',
                    '-extfile', 'extensions', '-out', f'{who}.crt.new')
        for file in ('ca', 'allocator.crt', 'allocator.key', 'client.crt', 'client.key'):
            os.rename(f'{rig.folder}/{file}.new', f'{rig.folder}/{file}')
    secure = ALLOCATOR + 1
    https = ['--enable-https-server', '--listen-addr-https', f'127.0.0.1:{secure}', '--https-ca-file', f'{rig.folder}/ca',
             '--https-tls-cert-file', f'{rig.folder}/allocator.crt', '--https-tls-key-file', f'{rig.folder}/allocator.key']
    make('one')
    rig.programs.stop('allocator')
    rig.allocator(https)
    files = f'ca_file: {rig.folder}/ca, cert_file: {rig.folder}/client.crt, key_file: {rig.folder}/client.key, server_name: allocator'
    url = f'https://127.0.0.1:{secure}/jobs/betanet/targets?collector_id=${{env:POD_NAME}}'
    collector = rig.collector(0, f"    http_sd_configs: [{{ url: '{url}', refresh_interval: 2s, tls_config: {{ {files} }} }}]")
    until('it polls over TLS', lambda: collector.polled() == rig.share('collector-0') != set())
    make('two')
    rig.programs.stop('allocator')
    rig.allocator(https)
    until('the allocator shares out again', lambda: rig.share('collector-0') != set())
    rig.targets(range(20, COUNT))
    until('it follows after the rotation', lambda: collector.polled() == rig.share('collector-0') != set(), 40)
    rig.targets(range(COUNT))
    stop([collector])
    garbage = rig.cluster.write('garbage.pem', 'garbage\n')
    config = rig.cluster.write('garbage.yaml', f"""
receivers: {{ betanet: {{ http_sd_configs: [{{ url: 'https://127.0.0.1:{secure}/', tls_config: {{ ca_file: {garbage} }} }}] }} }}
exporters: {{ debug: }}
service: {{ pipelines: {{ metrics: {{ receivers: [betanet], exporters: [debug] }} }} }}
""")
    refused = subprocess.run([rig.binary, 'validate', '--config', config], capture_output=True, text=True)
    say('  ', refused.stderr.strip())
    check(refused.returncode != 0, 'a file without a certificate is refused')


def pool(rig):
    """F7: a pool stays together in a receiver of its own with `shard`, as docs/scaling.md says."""
    def more(number):
        return f"""  http_json/pool:
    definition: {rig.folder}/nodes.yaml
    collection_interval: 5s
    file_sd_configs: [{{ files: ['{rig.folder}/pool.json'] }}]
    shard: {{ index: {number}, count: 3 }}"""
    collectors = [rig.collector(number, more=more(number)) for number in range(3)]
    def with_pool():
        return [number for number, collector in enumerate(collectors) if 'p1' in collector.polled()]
    until('one collector polls the pool', lambda: len(with_pool()) == 1)
    time.sleep(2 * INTERVAL)
    check(len(with_pool()) == 1, f'not several of them: {with_pool()}')
    begin = time.time()
    time.sleep(3 * INTERVAL)
    polls = sum(len(rig.nodes.times(number, begin)) for number in POOL)
    say(f'   polls of the pool in {3 * INTERVAL:.0f} s: {polls}')
    check(2 <= polls <= 4, 'the pool is polled once an interval')
    stop(collectors)


def kubernetes_sd(rig):
    """Targets follow their Pods within 5 s; an API server that is away keeps the list."""
    labels = {'app': 'node'}
    for number in PODS[:-2]:
        rig.cluster.pod(f'node-{number}', address(number), labels, 'nodes', NODES)
    rig.cluster.pod('other', '127.2.0.1', {'app': 'other'}, 'nodes', NODES)
    keys = f"""    kubernetes_sd_configs:
      - role: pod
        kubeconfig_file: {rig.folder}/kubeconfig
        namespaces: {{ names: [nodes] }}
        selectors: [{{ role: pod, label: app=node }}]
    relabel_configs:
      - {{ source_labels: [__meta_kubernetes_pod_name], target_label: instance }}"""
    collector = rig.collector(0, keys)
    until('all Pods are polled', lambda: collector.polled() == {f'node-{number}' for number in PODS[:-2]})
    late, later = PODS[-2], PODS[-1]
    begin = time.time()
    rig.cluster.pod(f'node-{late}', address(late), labels, 'nodes', NODES)
    took = until('a new Pod is polled', lambda: rig.nodes.times(late, begin))
    check(took < 5, f'within 5 s, and not after {took:.1f} s')
    gone = PODS[0]
    rig.cluster.delete_pod(f'node-{gone}', 'nodes')
    took = until('a Pod that is gone is no target', lambda: f'node-{gone}' not in collector.polled())
    check(took < 5, f'within 5 s, and not after {took:.1f} s')
    begin = time.time()
    rig.cluster.stop()
    until('/health tells of it', lambda: 'cannot list or watch pods' in json.dumps(collector.health()['discovery']))
    time.sleep(20)
    rig.check_gaps(begin, PODS[1:-1])
    check(collector.ready()[0] == 200, 'it stays ready')
    rig.cluster.start()
    until('/health is fine', lambda: 'cannot list' not in json.dumps(collector.health()['discovery']), 30)
    begin_new = time.time()
    rig.cluster.pod(f'node-{later}', address(later), labels, 'nodes', NODES)
    took = until('a new Pod is polled again', lambda: rig.nodes.times(later, begin_new))
    check(took < 5, f'within 5 s, and not after {took:.1f} s')
    rig.check_gaps(begin, PODS[1:-1])
    stop([collector])


SCENARIOS = [shares, killed, restarts, empty_start, nobody, order, certificates, pool, kubernetes_sd]


def main(folder, names):
    rig, failed, chosen = None, [], [s for s in SCENARIOS if not names or any(name in s.__name__ for name in names)]
    check(chosen, f'no scenario is called {names}')
    rig = Rig(os.path.abspath(folder), os.path.abspath(os.environ['BIN']), os.path.abspath(os.environ['COLLECTOR']))
    try:
        for scenario in chosen:
            say(f'== {scenario.__name__}: {scenario.__doc__}')
            try:
                scenario(rig)
                say(f'   passed: {scenario.__name__}')
            except (Failed, OSError, ValueError, KeyError) as error:
                failed.append(scenario.__name__)
                say(f'   FAILED: {scenario.__name__}: {error}')
                for name in [name for name in rig.programs.running if name.startswith('collector-')]:
                    print(f'--- the end of {name}.log ---', rig.programs.log(name)[-2000:], sep='\n')
                    rig.programs.stop(name, signal.SIGKILL)
    finally:
        rig.programs.stop_all()
    print(f'{len(chosen) - len(failed)} passed, {len(failed)} failed', flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2:]))
