"""Measures servers with the same API in interleaved windows, and writes results.json, results.md and chart.svg. `run` prepares everything."""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import instructions
import report
from databases import READER, WRITER, Postgres, Sqlite, cluster, program
from servers import HELLO, OURS, OURS_LARGE, SERVERS, Server
from tokens import Tokens

HERE = Path(__file__).parent
LOAD_CORE, SERVER_CORE = 0, 1
CONNECTIONS = 64
WORKLOADS = {"list of 20": 200, "later pages": 200, "get": 200, "create": 201, "toggle": 200, "no token": 401}


def main():
    options = arguments()
    file = options.out / "results.json"
    old = json.loads(file.read_text()) if options.add and file.exists() else {}
    results = {
        "machine": machine(), "versions": versions_of(options.programs),
        "instructions": old.get("instructions", {}), "runs": old.get("runs", []),
    }
    with tempfile.TemporaryDirectory(prefix="server-comparison-") as directory, ExitStack() as stack:
        directory = Path(directory)
        for kind in options.databases:
            if kind == "sqlite":
                database = Sqlite(directory, lambda url: migrate(options.programs, url))
            else:
                pid, url = stack.enter_context(cluster(directory, pin_to(LOAD_CORE)))
                database = Postgres(pid, url, lambda url: migrate(options.programs, url))
            for algorithm in options.algorithms:
                if options.instructions:
                    counts = instructions.count(database, Tokens(algorithm), request_files, options, directory)
                    results["instructions"][f"{database.name}, {algorithm}"] = counts
                else:
                    results["runs"].append(run(database, algorithm, options, directory))
                report.write(results, options.out)
    print(report.tables(results))


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--programs", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--short", action="store_true", help="a trial: one window of one second each, with a separate directory for the results")
    parser.add_argument("--rounds", type=int, default=5, help="the number of rounds, each with one window per server and workload [5]")
    parser.add_argument("--window", type=int, default=2, help="the length of a window in seconds [2]")
    parser.add_argument("--databases", type=comma_separated, default=["sqlite", "postgresql"], help="sqlite,postgresql")
    parser.add_argument("--algorithms", type=comma_separated, default=["EdDSA"], help="the algorithms of the tokens: EdDSA,HS256 [EdDSA]")
    parser.add_argument("--only", type=comma_separated, help="only these servers: " + ",".join(config.name for config in SERVERS))
    parser.add_argument("--workloads", type=comma_separated, default=list(WORKLOADS), help=",".join(WORKLOADS))
    parser.add_argument("--add", action="store_true", help="keep earlier runs in the results")
    parser.add_argument("--instructions", action="store_true", help="count instructions under valgrind instead, which does not depend on the load of the machine")
    parser.add_argument("--out", type=Path, default=HERE, help="the directory for the results [benches/server]")
    options = parser.parse_args()
    if options.short:
        options.rounds, options.window = 1, 1
        options.out = options.programs.parent / "server-comparison/short"
    return options


def comma_separated(text):
    return text.split(",")


def run(database, algorithm, options, directory):
    """All servers with this database and tokens of this algorithm, and the bounds."""
    start = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    bounds = {"hello": hello(options, directory)}
    if isinstance(database, Postgres):
        bounds["pgbench"] = pgbench(database, options)
    return {
        "at": start, "commit": commit(), "database": database.name, "algorithm": algorithm, "settings": settings(options),
        "servers": compare(database, algorithm, options, directory), **bounds,
    }


def compare(database, algorithm, options, directory):
    tokens = Tokens(algorithm)
    configs = [config for config in SERVERS if not options.only or config.name in options.only]
    measured = {config.name: {"windows": {name: [] for name in options.workloads}, "first_response_ms": []} for config in configs}
    servers = []
    try:
        for config in configs:
            for _ in range(3):
                if servers and servers[-1].config is config:
                    servers.pop().stop()
                copy = database.copy(config.template, config.name)
                servers.append(
                    Server(
                        config, programs=options.programs, database=copy, tokens=tokens,
                        log_directory=directory, pin=pin_to(SERVER_CORE),
                    )
                )
                milliseconds = servers[-1].wait_for(f"/api/{READER}/tasks?limit=20", tokens.reader)
                measured[config.name]["first_response_ms"].append(milliseconds)
        for server in servers:
            measured[server.name]["memory_before_mb"] = server.memory_mb()
        check_responses([server for server in servers if server.config is not OURS_LARGE], tokens)
        files = {server.name: request_files(server, tokens, directory) for server in servers}
        for turn in range(-1, options.rounds):
            # The first round is a warm-up, and its windows are discarded.
            seconds = options.window if turn >= 0 else 1
            for workload in options.workloads:
                # The order changes from round to round.
                for server in rotated(servers, turn):
                    window = valid_window(server, workload, files[server.name][workload], seconds, database)
                    if turn >= 0:
                        measured[server.name]["windows"][workload].append(window)
            for server in servers:
                database.delete_written(server.name)
            print(f"{database.name}, {algorithm}: round {turn + 1} of {options.rounds}", file=sys.stderr)
        for server in servers:
            measured[server.name]["memory_mb"] = server.memory_mb()
    finally:
        for server in servers:
            server.stop()
        tokens.close()
    return measured


def request_files(server, tokens, directory):
    """The requests for the load generator, one file for each workload: see requests.lua."""
    tasks, written = f"/api/{READER}/tasks", f"/api/{WRITER}/tasks"
    ids, cursors = map(sample, ids_and_cursors(server, tokens))
    lines = {
        "list of 20": [("GET", f"{tasks}?limit=20", tokens.reader, "-")],
        "later pages": [("GET", f"{tasks}?limit=20&cursor={cursor}", tokens.reader, "-") for cursor in cursors],
        "get": [("GET", f"{tasks}/{id}", tokens.reader, "-") for id in ids],
        "create": [("POST", written, tokens.writer, json.dumps(new_task(n))) for n in range(100)],
        "toggle": [("PATCH", f"{tasks}/{id}/complete", tokens.reader, "-") for id in ids],
        "no token": [("GET", f"{tasks}?limit=20", "-", "-")],
    }
    files = {}
    for name, requests in lines.items():
        files[name] = directory / f"{server.name}.{name}.requests"
        files[name].write_text("".join("\t".join(request) + "\n" for request in requests))
    return files


def ids_and_cursors(server, tokens):
    """The ids of the reader's tasks, and the cursors after each hundred of them."""
    ids, cursors, page = [], [], {"next_cursor": None}
    while not ids or page["next_cursor"]:
        after = f"&cursor={page['next_cursor']}" if ids else ""
        _, page = server.request("GET", f"/api/{READER}/tasks?limit=100{after}", tokens.reader)
        ids += [task["id"] for task in page["items"]]
        cursors += [page["next_cursor"]] if page["next_cursor"] else []
    return ids, cursors


def sample(values):
    """At most a thousand of the values, in random order."""
    return random.Random(1).sample(values, min(len(values), 1000))


def new_task(n):
    return {"title": f"Write letter {n}", "description": "to the house, in time for the post"}


def measure(server, requests, seconds, database=None):
    """One window of load: the counts of the load generator, and the CPU time of the server and of its database."""
    wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", HERE / "requests.lua"]
    before, before_database = server.cpu_seconds(), database.cpu_seconds() if database else 0
    output = subprocess.run(
        [*wrk, f"http://127.0.0.1:{server.port}"],
        env=os.environ | {"REQUESTS": str(requests)}, capture_output=True, text=True, check=True, preexec_fn=pin_to(LOAD_CORE),
    ).stdout
    window = json.loads(output.strip().splitlines()[-1])
    after, after_database = server.cpu_seconds(), database.cpu_seconds() if database else 0
    return window | {"cpu_seconds": round(after - before, 2), "database_cpu_seconds": round(after_database - before_database, 2)}


def valid_window(server, workload, requests, seconds, database):
    """A window in which all responses have the expected status. Retries, because a stalled disk can spoil a window."""
    for _ in range(3):
        window = measure(server, requests, seconds, database)
        expected = window["requests"] if WORKLOADS[workload] == 401 else 0
        if window["requests"] and window["error_statuses"] == expected and not window["failed"]:
            return window
        print(f"{server.name}, {workload}: retrying after {window}", file=sys.stderr)
    raise RuntimeError(f"{server.name}, {workload}: {window}\n{server.log.read_text()[-2000:]}")


def check_responses(servers, tokens):
    """Checks that all servers give the same responses as the first, in status and content."""
    ids, _ = ids_and_cursors(servers[0], tokens)
    id = ids[6]
    tasks = f"/api/{READER}/tasks"
    create = json.dumps(new_task(0))
    for request in [
        ("GET", f"{tasks}?limit=20", tokens.reader),
        ("GET", f"{tasks}/{id}", tokens.reader),
        ("PATCH", f"{tasks}/{id}/complete", tokens.reader),
        ("POST", f"/api/{WRITER}/tasks", tokens.writer, create),
        ("GET", f"{tasks}?limit=20", None),
        ("GET", f"{tasks}?limit=20", tokens.reader[:-8] + "AAAAAAAA"),
        ("GET", f"{tasks}?limit=20", tokens.writer),
    ]:
        responses = {}
        for server in servers:
            status, content = server.request(*request)
            responses[server.name] = (status, comparable(content) if status < 300 else None)
        expected = next(iter(responses.values()))
        different = {name: response for name, response in responses.items() if response != expected}
        if different:
            raise RuntimeError(f"{request[:2]}: expected {expected}, got {different}")


def comparable(content):
    """The content without what may differ between servers: cursors, the ids and times of changed tasks, and digits of times."""
    if "items" in content:
        return [with_parsed_times(task) for task in content["items"]], content["next_cursor"] is None
    generated = {"updated_at"} if content["user_id"] == READER else {"id", "created_at", "updated_at"}
    return {name: "…" if name in generated else value for name, value in with_parsed_times(content).items()}


def with_parsed_times(task):
    times = {name: datetime.fromisoformat(task[name]) for name in ("created_at", "updated_at")}
    if any(time.tzinfo is None for time in times.values()):
        raise RuntimeError(f"times without a time zone: {task}")
    return task | times


def hello(options, directory):
    tokens = Tokens("HS256")
    requests = directory / "hello.requests"
    requests.write_text("GET\t/\t-\t-\n")
    server = Server(
        HELLO, programs=options.programs, database={"SQLALCHEMY_URL": "none:"}, tokens=tokens,
        log_directory=directory, pin=pin_to(SERVER_CORE),
    )
    try:
        server.wait_for("/", None)
        return [measure(server, requests, options.window) for _ in range(options.rounds)]
    finally:
        server.stop()
        tokens.close()


def pgbench(database, options):
    """PostgreSQL's own benchmark client instead of a server: only prepared selects by key."""
    database.administer("DROP DATABASE IF EXISTS pgbench")
    database.administer("CREATE DATABASE pgbench")
    url = f"{database.url}/pgbench"
    subprocess.run([program("pgbench"), "-i", "-q", url], check=True, capture_output=True)
    windows = []
    for _ in range(options.rounds):
        command = [program("pgbench"), "-S", "-M", "prepared", "-c", "10", "-T", str(options.window), url]
        before = os.times()
        output = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=pin_to(SERVER_CORE)).stdout
        after = os.times()
        count = next(line.split()[-1] for line in output.splitlines() if "actually processed" in line)
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        windows.append({"transactions": int(count.split("/")[0]), "seconds": options.window, "cpu_seconds": round(cpu, 2)})
    return windows


def migrate(programs, url):
    subprocess.run([programs / OURS.command[0].rpartition("/")[2], "migrate", "up"], env=os.environ | {"DATABASE_URL": url}, check=True)


def pin_to(core):
    return lambda: os.sched_setaffinity(0, {core})


def rotated(items, by):
    by %= len(items)
    return items[by:] + items[:by]


def settings(options):
    return {
        "rounds": options.rounds, "window_seconds": options.window, "connections": CONNECTIONS,
        "server_core": SERVER_CORE, "load_core": LOAD_CORE,
    }


def machine():
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    memory = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "cpu": next((line.split(":")[1].strip() for line in cpuinfo if line.startswith("model name")), platform.machine()),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1024 / 1024),
        "kernel": platform.release(),
    }


def commit():
    return output_of("git", "describe", "--always", "--dirty")


def output_of(*command):
    output = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    return (output.stdout or output.stderr).split("\n")[0].strip()


def versions_of(programs):
    packages = json.loads((HERE / "peers/package-lock.json").read_text())["packages"]
    return {
        "tasks-api": output_of(programs / "tasks-api", "--version").split()[-1],
        "rustc": output_of("rustc", "--version").split()[1],
        "python": platform.python_version(),
        **{name: version(name) for name in ["fastapi", "sqlmodel", "sqlalchemy", "pyjwt", "uvicorn", "aiosqlite", "asyncpg", "psycopg"]},
        "node": output_of("node", "--version").lstrip("v"),
        **{name: packages[f"node_modules/{name}"]["version"] for name in ["fastify", "better-sqlite3", "pg", "jose"]},
        "postgresql": output_of(program("postgres"), "--version").split()[2],
        "wrk": output_of("wrk", "-v").split()[1].removeprefix("debian/"),
    }


if __name__ == "__main__":
    main()
