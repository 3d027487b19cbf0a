"""RabbitMQ's management API; `rabbitmqctl` is what RabbitMQ says."""

import base64
import json
import urllib.request

from support import equal, free_port, get, until

GUEST = {"Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()}


def put(url, document):
    request = urllib.request.Request(url, json.dumps(document).encode(), {"Content-Type": "application/json", **GUEST}, method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


def start(stand):
    stand.install("rabbitmq-server")
    port, amqp, distribution, epmd = free_port(), free_port(), free_port(), free_port()
    erlang = stand.root / "usr/lib/erlang"
    # Debian's script names the folder in which it is installed.
    script = erlang / "bin/erl"
    script.write_text(script.read_text().replace("ROOTDIR=/usr/lib/erlang\n", f"ROOTDIR={erlang}\n"))
    home = next((stand.root / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
    stand.file("rabbitmq.conf", f"""
listeners.tcp.default = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {port}
collect_statistics_interval = 500
""")
    stand.file("enabled_plugins", "[rabbitmq_management].\n")
    stand.variables = {
        "ERL_EPMD_PORT": str(epmd), "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_HOME": str(home), "RABBITMQ_NODENAME": "rabbit@localhost", "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONFIG_FILE": f"{stand.work}/rabbitmq", "RABBITMQ_ENABLED_PLUGINS_FILE": f"{stand.work}/enabled_plugins",
        "RABBITMQ_MNESIA_BASE": f"{stand.work}/mnesia", "RABBITMQ_LOG_BASE": f"{stand.work}/log", "RABBITMQ_PLUGINS_DIR": f"{home}/plugins",
        "RABBITMQ_PID_FILE": f"{stand.work}/pid", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    stand.sbin = home / "sbin"
    # It is the daemon of names; started by us, it ends with the test.
    stand.start(next(erlang.glob("erts-*")) / "bin/epmd", environment=stand.variables)
    stand.start(stand.sbin / "rabbitmq-server", environment=stand.variables)
    url = f"http://127.0.0.1:{port}"
    stand.answers(f"{url}/api/overview", GUEST)
    return url


def test(stand):
    url = start(stand)
    put(f"{url}/api/queues/%2F/mail", {"durable": False})
    for _ in range(5):
        get(f"{url}/api/exchanges/%2F/amq.default/publish", {"routing_key": "mail", "payload": "x", "payload_encoding": "string", "properties": {}}, GUEST)
    get(f"{url}/api/queues/%2F/mail/get", {"count": 2, "ackmode": "ack_requeue_false", "encoding": "auto"}, GUEST)

    def listed(command, *columns):
        text = stand.run(stand.sbin / "rabbitmqctl", "-q", command, *columns, "--formatter", "json", environment=stand.variables)
        return json.loads(text)
    until("the statistics", lambda: json.loads(get(f"{url}/api/queues/%2F/mail", headers=GUEST)).get("messages") == 3)
    found = stand.poll(url, receiver="auth: { basic: { username: guest, password: guest } }")
    (queue,) = listed("list_queues", "name", "messages_ready", "messages_unacknowledged", "consumers")
    equal("queue", queue["name"], "mail")
    of_queue = "{rabbitmq.queue.name=mail,rabbitmq.vhost.name=/"
    equal("ready", found[f"rabbitmq.message.current{of_queue},state=ready}}"], queue["messages_ready"])
    equal("unacknowledged", found[f"rabbitmq.message.current{of_queue},state=unacknowledged}}"], queue["messages_unacknowledged"])
    equal("consumers", found[f"rabbitmq.consumer.count{of_queue}}}"], queue["consumers"])
    equal("published", found[f"rabbitmq.message.published{of_queue}}}"], 5)
    equal("delivered", found[f"rabbitmq.message.delivered{of_queue}}}"], 2)
    equal("memory limit", found["rabbitmq.node.mem_limit{rabbitmq.node.name=rabbit@localhost}"], listed("status")["vm_memory_high_watermark_limit"])
