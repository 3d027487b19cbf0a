"""etcd's JSON gateway; `etcdctl` is what etcd says."""

import json

from support import between, equal, free_port


def start(stand):
    stand.install("etcd-server", "etcd-client")
    url, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    stand.start("etcd", "--data-dir", stand.work / "data", "--listen-client-urls", url, "--advertise-client-urls", url,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}")
    stand.answers(f"{url}/health")
    return url


def test(stand):
    url = start(stand)
    control = lambda *words: stand.run("etcdctl", "--endpoints", url, *words, environment={"ETCDCTL_API": "3"})
    for number in range(10):
        control("put", f"key{number}", "value")
    status = lambda: json.loads(control("endpoint", "status", "-w", "json"))[0]["Status"]
    before = status()
    found = stand.poll(url)
    after = status()
    equal("revision", found["etcd.revision"], before["header"]["revision"])
    between("revision", 11, found["etcd.revision"], 11)
    between("raft index", before["raftIndex"], found["etcd.raft.index"], after["raftIndex"])
    equal("term", found["etcd.raft.term"], after["raftTerm"])
    equal("size", found["etcd.db.size"], after["dbSize"])
    equal("leader", (found["etcd.server.has_leader"], found["etcd.server.is_leader"]), (1, int(after["leader"] == after["header"]["member_id"])))
    equal("members", found["etcd.members"], len(json.loads(control("member", "list", "-w", "json"))["members"]))
    equal("alarms", found["etcd.alarms"], len(control("alarm", "list").split()))
    equal("version", found[f"etcd.info{{version={after['version']}}}"], 1)
