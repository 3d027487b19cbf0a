"""Apache with `mod_status`; its page for people is what Apache says."""

import re

from support import between, equal, free_port, get


def start(stand):
    stand.install("apache2-bin")
    port, modules = free_port(), stand.root / "usr/lib/apache2/modules"
    load = "\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in ["mpm_event", "authz_core", "status"])
    config = stand.file("httpd.conf", f"""
ServerRoot {stand.work}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {stand.work}/httpd.pid
DefaultRuntimeDir {stand.work}
ErrorLog {stand.work}/error.log
{load}
ExtendedStatus On
<Location /server-status>
  SetHandler server-status
</Location>
""")
    stand.start("apache2", "-X", "-f", config)
    url = f"http://127.0.0.1:{port}"
    stand.answers(f"{url}/server-status?auto")
    return url


def test(stand):
    url = start(stand)
    accesses = lambda: int(re.search(r"Total accesses: (\d+)", get(f"{url}/server-status")).group(1))
    for _ in range(20):
        get(f"{url}/server-status")
    before = accesses()
    found = stand.poll(url)
    page = get(f"{url}/server-status")
    between("requests", before, found["apache.requests"], accesses())
    busy, idle = re.search(r"(\d+) requests currently being processed.*?(\d+) idle workers", page, re.DOTALL).groups()
    workers = {state: found[f"apache.workers{{state={state}}}"] for state in ["busy", "idle"]}
    equal("workers", workers, {"busy": int(busy), "idle": int(idle)})
    slots = re.search(r"<pre>(.*?)</pre>", page, re.DOTALL).group(1).replace("\n", "")
    # Which slot answers may change, how many there are does not.
    for letter, state in {"_": "waiting", ".": "open", "W": "sending"}.items():
        equal(state, found[f"apache.scoreboard{{state={state}}}"], slots.count(letter))
    between("uptime", 0, found["apache.uptime"], 60)
