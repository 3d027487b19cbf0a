"""Apache Spark's REST API; the application itself, and `numTasks` of what it did, are what Spark says."""

import json
import os
import shutil
import subprocess
import sys

from support import TARGET, between, equal, free_port, get, until

SPARK = "3.5.3"

# A job that has ended, and one whose stage runs until the file `end` is there.
APPLICATION = """
val ended = sc.parallelize(1 to 1000, 4).map(number => (number % 10, 1)).reduceByKey(_ + _).count()
val end = new java.io.File("end")
sc.parallelize(1 to 2, 2).foreach { _ => while (!new java.io.File("end").exists) Thread.sleep(100) }
"""


def install():
    """Spark's jars and scripts, which the package `pyspark` has."""
    home = TARGET / "e2e" / "real" / f"spark-{SPARK}"
    if (home / "jars").is_dir():
        return home
    downloads = home.with_name("spark-downloads")
    shutil.rmtree(downloads, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", downloads, f"pyspark=={SPARK}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (archive,) = downloads.glob("pyspark-*.tar.gz")
    new = downloads / "spark"
    new.mkdir()
    folders = [f"pyspark-{SPARK}/deps/{folder}" for folder in ["bin", "jars"]]
    subprocess.run(["tar", "-xzf", archive, "-C", new, "--strip-components=2", *folders], check=True)
    new.rename(home)
    shutil.rmtree(downloads)
    return home


def java(stand):
    """Where a Java is: that of the machine, or one that is unpacked."""
    if program := shutil.which("java"):
        return {"PATH": f"{program.removesuffix('/java')}:/usr/bin:/bin"}
    stand.install("default-jre-headless")
    home = (stand.root / "usr/lib/jvm/default-java").resolve()
    # Its settings are links to /etc, where nothing is installed.
    for link in [path for path in home.rglob("*") if path.is_symlink()]:
        to = os.readlink(link)
        if to.startswith("/etc/"):
            link.unlink()
            link.symlink_to(stand.root / to.removeprefix("/"))
    return {"JAVA_HOME": str(home)}


def start(stand):
    home, port = install(), free_port()
    source = stand.file("application.scala", APPLICATION)
    settings = {
        "spark.ui.port": port, "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.warehouse.dir": stand.work / "warehouse", "spark.local.dir": stand.work / "local",
    }
    settings = [word for name, value in settings.items() for word in ["--conf", f"{name}={value}"]]
    environment = {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1", **java(stand)}
    stand.start(home / "bin/spark-shell", "--master", "local[2]", "--driver-memory", "512m", *settings, "-I", source, environment=environment)
    url = f"http://127.0.0.1:{port}"
    # Its first answers are a page that says that it is starting.
    until("Spark", lambda: json.loads(get(f"{url}/api/v1/applications")))
    return url


def test(stand):
    url = start(stand)
    ask = lambda path: json.loads(get(f"{url}/api/v1/applications{path}"))
    (application,) = ask("")
    of = f"spark.application.id={application['id']},spark.application.name={application['name']}"
    path = f"/{application['id']}"
    until("a stage that runs", lambda: [stage for stage in ask(f"{path}/stages?status=active") if stage["name"].startswith("foreach") and stage["numActiveTasks"] == 2])
    before = ask(f"{path}/executors")[0]
    found = stand.poll(url)
    after = ask(f"{path}/executors")[0]
    (stage,) = ask(f"{path}/stages?status=active")
    executor = f"{{{of},spark.executor.id=driver}}"
    equal("tasks of the executor", found[f"spark.executor.task.limit{executor}"], 2)
    equal("tasks that run", found[f"spark.executor.task.active{executor}"], 2)
    equal("tasks that have ended", found[f"spark.executor.task.result{{result=completed,{of},spark.executor.id=driver}}"], after["completedTasks"])
    equal("shuffles", found[f"spark.executor.shuffle.io.size{{direction=out,{of},spark.executor.id=driver}}"], after["totalShuffleWrite"])
    between("time in ms", before["totalDuration"], round(found[f"spark.executor.time{executor}"] * 1000), after["totalDuration"])
    equal("tasks of the job that has ended", found[f"spark.job.task.result{{result=completed,{of},spark.job.id=0}}"], 8)
    equal("stages of the job that runs", found[f"spark.job.stage.active{{{of},spark.job.id=1}}"], 1)
    running = f"{{{of},spark.stage.attempt.id=0,spark.stage.id={stage['stageId']}}}"
    equal("tasks of the stage", found[f"spark.stage.task.active{running}"], stage["numActiveTasks"])
