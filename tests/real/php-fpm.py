"""PHP-FPM behind lighttpd; its page for people is what it says."""

import re

from support import between, equal, free_port, get


def start(stand):
    stand.install("php8.2-fpm", "lighttpd")
    port = free_port()
    pool = stand.file("fpm.conf", f"""
[global]
error_log = {stand.work}/fpm.log
daemonize = no
[www]
listen = {stand.work}/fpm.sock
pm = dynamic
pm.max_children = 4
pm.start_servers = 2
pm.min_spare_servers = 1
pm.max_spare_servers = 3
pm.status_path = /status
""")
    stand.file("hello.php", "<?php echo 'hello';")
    web = stand.file("lighttpd.conf", f"""
server.document-root = "{stand.work}"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ("mod_fastcgi")
fastcgi.server = ("/status" => (("socket" => "{stand.work}/fpm.sock", "check-local" => "disable")), ".php" => (("socket" => "{stand.work}/fpm.sock")))
""")
    stand.start("php-fpm8.2", "-F", "-n", "-y", pool, "--allow-to-run-as-root")
    stand.start("lighttpd", "-D", "-f", web, "-m", stand.root / "usr/lib/lighttpd")
    url = f"http://127.0.0.1:{port}"
    stand.answers(f"{url}/status?json")
    return url


def test(stand):
    url = start(stand)
    page = lambda: {name.strip(): value.strip() for name, value in re.findall(r"^(.+?):(.*)$", get(f"{url}/status"), re.MULTILINE)}
    for _ in range(20):
        equal("a page", get(f"{url}/hello.php"), "hello")
    before = page()
    found = stand.poll(url)
    after = page()
    of = lambda metric, more="": found[f"php_fpm.{metric}{{php_fpm.pool=www{more}}}"]
    between("accepted", int(before["accepted conn"]), of("connections.accepted"), int(after["accepted conn"]))
    equal("slow", of("requests.slow"), int(after["slow requests"]))
    equal("queue limit", of("queue.limit"), int(after["listen queue len"]))
    equal("processes", of("processes", ",state=active") + of("processes", ",state=idle"), int(after["total processes"]))
