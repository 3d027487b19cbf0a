"""InfluxDB 1.x at `/debug/vars`; its own `SHOW STATS` is what it says."""

import json

from support import between, equal, free_port, get


def start(stand):
    stand.install("influxdb")
    port, rpc = free_port(), free_port()
    config = stand.file("influxdb.conf", f"""
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{stand.work}/meta"
[data]
  dir = "{stand.work}/data"
  wal-dir = "{stand.work}/wal"
[http]
  bind-address = "127.0.0.1:{port}"
[monitor]
  store-enabled = false
""")
    stand.start("influxd", "-config", config)
    url = f"http://127.0.0.1:{port}"
    stand.answers(f"{url}/debug/vars")
    return url


def test(stand):
    url = start(stand)
    query = lambda text: json.loads(get(f"{url}/query?q={text}", b""))["results"][0].get("series", [])
    query("CREATE+DATABASE+weather")
    for number in range(5):
        get(f"{url}/write?db=weather", f"temperature,room=r{number % 2} value={number}".encode())
    def says(name):
        (series,) = [of for of in query("SHOW+STATS") if of["name"] == name]
        return dict(zip(series["columns"], series["values"][0]))
    before = says("httpd"), says("queryExecutor")
    found = stand.poll(url)
    after = says("httpd"), says("queryExecutor")
    bind = url.removeprefix("http://")
    of = lambda name, more="": found[f"influxdb.httpd.{name}{{bind={bind}{more}}}"]
    between("requests", before[0]["req"], of("requests"), after[0]["req"])
    equal("points", (of("points", ",result=written"), of("points", ",result=failed")), (5, 0))
    equal("points", of("points", ",result=written"), after[0]["pointsWrittenOK"])
    equal("bytes", of("written"), after[0]["writeReqBytes"])
    between("queries", before[1]["queriesExecuted"], found["influxdb.queries"], after[1]["queriesExecuted"])
    database = says("database")
    equal("series", found["influxdb.database.series{influxdb.database=weather}"], database["numSeries"])
    equal("series", database["numSeries"], 2)
