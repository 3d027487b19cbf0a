"""Prometheus' own API about its database; its metrics are what it says."""

import json
import re

from support import between, equal, free_port, get, until


def start(stand):
    stand.install("prometheus")
    port = free_port()
    # It scrapes itself.
    config = stand.file("prometheus.yml", f"""
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: self, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]
""")
    stand.start("prometheus", f"--config.file={config}", f"--storage.tsdb.path={stand.work}/data", f"--web.listen-address=127.0.0.1:{port}")
    url = f"http://127.0.0.1:{port}"
    stand.answers(f"{url}/-/ready")
    return url


def test(stand):
    url = start(stand)
    own = lambda name: int(float(re.search(rf"^{name} (\S+)$", get(f"{url}/metrics"), re.MULTILINE).group(1)))
    until("its first scrape", lambda: own("prometheus_tsdb_head_series") > 100)
    before = own("prometheus_tsdb_head_series"), own("prometheus_tsdb_head_chunks")
    found = stand.poll(url, wanted=["prometheus.metric.series"])
    after = own("prometheus_tsdb_head_series"), own("prometheus_tsdb_head_chunks")
    between("series", before[0], found["prometheus.head.series"], after[0])
    between("chunks", before[1], found["prometheus.head.chunks"], after[1])
    equal("configuration", found["prometheus.reload_config_success"], own("prometheus_config_last_reload_successful"))
    equal("when", int(found["prometheus.last_config_time"]), own("prometheus_config_last_reload_success_timestamp_seconds"))
    metrics = [series for series in found if series.startswith("prometheus.metric.series{")]
    equal("largest metrics", len(metrics), 10)
    name = metrics[0].removeprefix("prometheus.metric.series{metric=").rstrip("}")
    counted = json.loads(get(f"{url}/api/v1/query?query=count(%7B__name__=%22{name}%22%7D)"))["data"]["result"][0]["value"][1]
    equal(f"series of {name}", found[metrics[0]], int(counted))
    stand.suggest([url], ["/api/v1/status/tsdb", "/api/v1/status/runtimeinfo"], "prometheus")
