"""Podman over its socket: one request for each container. `podman stats` and the control groups of the
kernel are what Podman says. It runs as root with a store of its own; nothing is installed."""

import json
import os
import pathlib
import shutil
import subprocess
import time

from support import Failure, between, equal, until


class Podman:
    """Podman with a store below `stand.work`, with whatever the machine's control groups allow."""

    def __init__(self, stand):
        self.stand = stand
        if os.getuid() != 0:
            raise Failure("Podman needs root here; run: sudo tests/run --real podman")
        stand.install("podman", "conmon", "runc", "busybox-static")
        self.socket = stand.work / "podman.sock"
        # Its own helpers, whatever the machine has. Limits stay as they are: they cannot be raised.
        configuration = stand.file("containers.conf", f"""
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
conmon_path = ["{stand.root}/usr/bin/conmon"]
events_logger = "none"
runtime = "runc"
[engine.runtimes]
runc = ["{stand.root}/usr/sbin/runc"]
""")
        self.environment = {"CONTAINERS_CONF": str(configuration), "XDG_RUNTIME_DIR": str(stand.work)}
        self.options = ["--root", stand.work / "store", "--runroot", stand.work / "run", "--tmpdir", stand.work / "tmp", "--storage-driver", "vfs"]
        self.rootfs = stand.work / "rootfs"
        (self.rootfs / "bin").mkdir(parents=True)
        shutil.copy(stand.root / "bin" / "busybox", self.rootfs / "bin")

    def run(self, *words):
        return self.stand.run("podman", *self.options, *words, environment=self.environment)

    def container(self, name, *command):
        self.run("run", "--detach", "--name", name, "--rootfs", self.rootfs, "/bin/busybox", *command)

    def serve(self):
        self.stand.start("podman", *self.options, "system", "service", "--time", "0", f"unix://{self.socket}", environment=self.environment)
        until("the socket", self.socket.exists)

    def stats(self):
        return {of["name"]: of for of in json.loads(self.run("stats", "--no-stream", "--no-reset", "--format", "json"))}

    def end(self):
        """Removes the containers, and what Podman made of the machine's control groups."""
        subprocess.run(["podman", *self.options, "rm", "--all", "--force", "--time", "0"], cwd=self.stand.work,
                       env=self.stand.environment(self.environment), check=False, capture_output=True)
        # What watches a container ends a moment after it. Groups of somebody else stay.
        for _ in range(50):
            groups = sorted(pathlib.Path("/sys/fs/cgroup").glob("**/libpod_parent/**/"), reverse=True)
            for group in groups:
                try:
                    group.rmdir()
                except OSError:
                    pass
            if not groups:
                break
            time.sleep(0.1)


def test(stand):
    podman = Podman(stand)
    try:
        podman.container("one", "sh", "-c", "while true; do :; done")
        podman.container("two", "sleep", "600")
        podman.container("three", "true")
        until("a container that has ended", lambda: "three" in podman.run("ps", "--all", "--filter", "status=exited", "--format", "{{.Names}}"))
        podman.serve()
        before = podman.stats()
        found = stand.poll(f"unix://{podman.socket}")
        after = podman.stats()
        ids = dict(line.split() for line in podman.run("ps", "--all", "--no-trunc", "--format", "{{.Names}} {{.ID}}").splitlines())
        of = {name: f"{{container.id={id},container.image.name=,container.name={name},container.runtime=podman}}" for name, id in ids.items()}
        equal("running", found["podman.containers{state=running}"], 2)
        equal("ended", found["podman.containers{state=exited}"], 1)
        equal("containers with numbers", sorted(name for name in of if f"container.pids.count{of[name]}" in found), ["one", "two"])
        for name in ["one", "two"]:
            equal(f"{name}: processes", found[f"container.pids.count{of[name]}"], 1)
            low, high = (round(seconds(at[name]["cpu_time"]) * 1e6) for at in [before, after])
            between(f"{name}: time in µs", low, round(found[f"container.cpu.usage.total{of[name]}"] * 1e6), high)
            if found[f"container.memory.usage.total{of[name]}"] <= 0:
                raise Failure(f"{name} uses no memory")
    finally:
        podman.end()


def seconds(text):
    """A time such as `1m2.5s` or `53.1ms`."""
    units = {"ns": 1e-9, "µs": 1e-6, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
    total, number, unit = 0, "", ""
    for letter in text + "0":
        if letter.isdigit() or letter == ".":
            if unit:
                total, number, unit = total + float(number) * units[unit], "", ""
            number += letter
        else:
            unit += letter
    return total
