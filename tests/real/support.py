"""What the tests of tests/real share: packages, processes, free ports, and our program."""

import difflib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
PROGRAM = TARGET / "debug" / "betanet-collector"

# The most lines in which a suggestion may differ from the definition that we ship.
CHANGED_MAX = 5

# The longest wait for a program to start or to answer, in seconds.
PATIENCE = 90


class Failure(Exception):
    """What a test found wrong."""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, attempt, patience=PATIENCE):
    """Repeats `attempt` until it gives something."""
    end, last = time.monotonic() + patience, None
    while time.monotonic() < end:
        try:
            if given := attempt():
                return given
        except (OSError, ValueError, LookupError) as error:
            last = error
        time.sleep(0.1)
    raise Failure(f"{what}: not within {patience} s ({last})")


def get(url, data=None, headers=None):
    """The body of an answer, as text. `data` is sent as JSON, or as it is if it is bytes."""
    if data is not None and not isinstance(data, bytes):
        data, headers = json.dumps(data).encode(), {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data, headers or {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return answer.read().decode()


def equal(what, ours, theirs):
    if ours != theirs:
        raise Failure(f"{what}: our value is {ours!r}, the program's {theirs!r}")


def between(what, low, ours, high):
    """For what changes between two requests."""
    if not low <= ours <= high:
        raise Failure(f"{what}: our value is {ours}, the program says {low} to {high}")


class Stand:
    """A program that is started, and what it needs."""

    def __init__(self, name):
        self.name = name
        home = TARGET / "e2e" / "real" / name
        self.root, self.packages, self.work = home / "root", home / "packages", home / "work"
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.started = []

    def install(self, *packages):
        """Unpacks Debian packages, with what they need and this machine has not."""
        plan = subprocess.run(["apt-get", "-s", "install", "--no-install-recommends", *packages], capture_output=True, text=True)
        if plan.returncode != 0:
            raise Failure(f"apt-get finds no way to {' '.join(packages)}; try: apt-get update\n{plan.stderr}")
        wanted = sorted({line.split()[1] for line in plan.stdout.splitlines() if line.startswith("Inst ")} | set(packages))
        if self.packages.is_file() and self.packages.read_text().split() == wanted:
            return
        shutil.rmtree(self.root, ignore_errors=True)
        downloads = self.root.with_name("downloads")
        downloads.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-q", *wanted], cwd=downloads, check=True, stdout=subprocess.DEVNULL)
        for package in sorted(downloads.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, self.root], check=True)
        shutil.rmtree(downloads)
        self.packages.write_text("\n".join(wanted))

    def file(self, name, text):
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def environment(self, more=None):
        libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu"]
        paths = [str(self.root / of) for of in ["usr/bin", "usr/sbin", "bin", "sbin"]]
        return {
            "HOME": str(self.work), "LANG": "C.UTF-8",
            "PATH": ":".join([*paths, os.environ["PATH"]]),
            "LD_LIBRARY_PATH": ":".join(str(self.root / of) for of in libraries),
            **(more or {}),
        }

    def run(self, *command, environment=None):
        """Runs a command to its end. Gives what it prints."""
        ended = subprocess.run([str(word) for word in command], cwd=self.work, env=self.environment(environment), capture_output=True, text=True)
        if ended.returncode != 0:
            raise Failure(f"{command[0]} failed: {ended.stdout}{ended.stderr}")
        return ended.stdout

    def start(self, *command, environment=None):
        """Starts a program that runs until the test ends."""
        log = (self.work / f"{len(self.started)}.log").open("w")
        process = subprocess.Popen(
            [str(word) for word in command], cwd=self.work, env=self.environment(environment),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )
        self.started.append(process)
        return process

    def answers(self, url, headers=None):
        """Waits until the program answers. Gives the body."""
        def attempt():
            if self.started and self.started[-1].poll() not in (None, 0):
                raise Failure(f"the program has ended:\n{self.log()}")
            return get(url, headers=headers)
        return until(url, attempt)

    def log(self):
        logs = [path.read_text(errors="replace")[-2000:] for path in sorted(self.work.glob("*.log"))]
        return "\n".join(logs)

    def end(self):
        for process in reversed(self.started):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def poll(self, url, definition=None, wanted=(), receiver="", session=None):
        """The points that our program sends of `url`, as `metric{key=value}: number`. It waits for
        two polls that give everything, and for the metrics `wanted`. `session` are the keys of the
        extension that logs in."""
        definition = definition or self.name
        pushed = self.work / "pushed.jsonl"
        pushed.unlink(missing_ok=True)
        config = self.file("collector.yaml", f"""
{f"extensions: {{session: {session}}}" if session else ""}
receivers:
  http_json:
    collection_interval: 500ms
    definition: {definition}
    {"auth: {authenticator: session}" if session else receiver}
    targets: [{{endpoint: '{url}', name: {self.name}}}]
exporters:
  file: {{path: '{pushed}', flush_interval: 100ms}}
service:
  extensions: [{"session" if session else ""}]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [http_json], exporters: [file]}}}}
""")
        if folder := os.environ.get("BETANET_REAL_RECORD"):
            # The bodies for a `.test.yaml`.
            check = [PROGRAM, "check", "--config", config, "--record", folder]
            print(subprocess.run(check, cwd=ROOT, capture_output=True, text=True).stdout)
        collector = subprocess.Popen([PROGRAM, "run", "--config", config], cwd=ROOT, stdout=(self.work / "collector.log").open("w"), stderr=subprocess.STDOUT)
        try:
            def attempt():
                if collector.poll() is not None:
                    raise Failure(f"our program has ended:\n{self.log()}")
                found = points(pushed.read_text()) if pushed.is_file() else {}
                names = {series.split("{")[0] for series in found}
                failed = [series for series, value in found.items() if series.startswith("http_json.source.up") and value != 1]
                is_whole = found and not failed and names.issuperset(wanted)
                return found if is_whole else None
            found = until(f"{self.name}: whole polls", attempt)
        finally:
            collector.send_signal(signal.SIGTERM)
            collector.wait(20)
        if problems := {series: value for series, value in found.items() if series.startswith("http_json.mapping.problems") and value}:
            raise Failure(f"values could not be read: {problems}\n{self.log()}")
        return found

    def suggest(self, urls, paths, name, only=(), headers=None):
        """Lets our program suggest a definition of the instances at `urls`, whose values move
        meanwhile, and holds it against the one that we ship."""
        receiver = self.file("suggest.yaml", json.dumps({
            "receivers": {"http_json": {"definition": self.name, "headers": headers or {}, "targets": [{"endpoint": url} for url in urls]}},
            "exporters": {"debug": {}},
            "service": {"pipelines": {"metrics": {"receivers": ["http_json"], "exporters": ["debug"]}}},
        }))
        options = ["--name", name, *(["--only", ",".join(only)] if only else []), *(word for path in paths for word in ["--path", path])]
        source = ["--config", receiver, "--receiver", "http_json"] if headers else [word for url in urls for word in ["--endpoint", url]]
        documents = lambda: [[json.loads(get(url + path, headers=headers)) for url in urls] for path in paths]
        first = documents()
        suggestion = self.ours("suggest", *source, *options, "--wait", "3s")
        second = documents()
        if folder := os.environ.get("BETANET_REAL_RECORD"):
            pairs = [[list(pair) for pair in zip(*of_path)] for of_path in zip(first, second)]
            recorded = json.dumps({"name": name, "paths": paths, "only": list(only), "documents": pairs}, indent=1)
            pathlib.Path(folder, f"{self.name}.json").write_text(recorded.replace(str(self.work), f"/var/lib/{name}") + "\n")
        suggested = self.file("suggested.yaml", suggestion)
        self.ours("check", "--config", receiver, "--set", f"receivers::http_json::definition={suggested}")
        lines = [content(suggestion), content((ROOT / "pipelines" / f"{self.name}.yaml").read_text())]
        hunks = difflib.SequenceMatcher(None, *lines, autojunk=False).get_opcodes()
        changed = sum(max(a1 - a0, b1 - b0) for kind, a0, a1, b0, b1 in hunks if kind != "equal")
        differ = "\n".join(list(difflib.unified_diff(*lines, n=0, lineterm=""))[2:])
        print(f"{self.name}: {changed} lines of a suggestion differ from the definition that we ship\n{differ}", flush=True)
        if changed > CHANGED_MAX:
            raise Failure(f"a suggestion differs in {changed} lines from the definition that we ship; at most {CHANGED_MAX} are allowed")

    def ours(self, *command):
        """Runs our program to its end. Gives what it prints."""
        ended = subprocess.run([str(word) for word in [PROGRAM, *command]], cwd=self.work, capture_output=True, text=True)
        if ended.returncode != 0:
            raise Failure(f"{command[0]} failed: {ended.stdout}{ended.stderr}")
        return ended.stdout


def content(definition):
    """The lines of a definition without comments and blank lines."""
    lines = [line for line in definition.splitlines() if line.strip()]
    return [line for line in lines if not line.lstrip().startswith("#")]


def points(lines):
    """The last value of each series in the lines of the file exporter."""
    found = {}
    for line in lines.splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            continue  # the last line is being written
        for resource in message.get("resourceMetrics", []):
            for scope in resource.get("scopeMetrics", []):
                for metric in scope.get("metrics", []):
                    data = metric.get("gauge") or metric.get("sum") or {}
                    for point in data.get("dataPoints", []):
                        if point.get("flags"):
                            continue  # the end of a series
                        texts = {of["key"]: next(iter(of["value"].values())) for of in point.get("attributes", [])}
                        series = ",".join(f"{key}={value}" for key, value in sorted(texts.items()))
                        value = float(point["asDouble"]) if "asDouble" in point else int(point["asInt"])
                        found[f"{metric['name']}{{{series}}}" if series else metric["name"]] = value
    return found
