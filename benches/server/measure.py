"""Measures servers that do the same, in windows that take turns, and writes what it found to results/. `run` prepares everything."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import date
from importlib.metadata import version
from pathlib import Path

import report
from databases import READER, WRITER, Postgres, Sqlite, cluster, ids_of, program
from servers import CONTESTANTS, HELLO, OURS, Server, cpu_seconds
from tokens import Tokens

HERE = Path(__file__).parent
LOAD_CORE, SERVER_CORE = 0, 1
CONNECTIONS = 64
WORKLOADS = {"list of 20": 200, "get": 200, "create": 201, "toggle": 200, "no token": 401}


def main():
    options = arguments()
    versions = {"machine": machine(), "versions": versions_of(options.programs)}
    results = {"date": str(date.today()), **versions, "settings": settings(options), "runs": []}
    with tempfile.TemporaryDirectory(prefix="server-comparison-") as directory, ExitStack() as stack:
        directory = Path(directory)
        results["hello"] = hello(options, directory)
        for kind in options.databases:
            if kind == "sqlite":
                database = Sqlite(directory, lambda url: migrate(options.programs, url))
            else:
                url = stack.enter_context(cluster(directory, on(LOAD_CORE)))
                database = Postgres(url, lambda url: migrate(options.programs, url))
                results["pgbench"] = pgbench(database, options)
            for algorithm in options.algorithms:
                results["runs"].append(compare(database, algorithm, options, directory))
    options.out.mkdir(exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    tables = report.tables(results)
    (options.out / "tables.md").write_text(tables)
    print(tables)


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--programs", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=7, help="how often all windows are repeated [7]")
    parser.add_argument("--window", type=int, default=2, help="seconds for each window [2]")
    parser.add_argument("--databases", type=words, default=["sqlite", "postgresql"], help="sqlite,postgresql")
    parser.add_argument("--algorithms", type=words, default=["EdDSA", "HS256"], help="of the tokens: EdDSA,HS256")
    parser.add_argument("--only", type=words, help="these contestants: " + ",".join(c.name for c in CONTESTANTS))
    parser.add_argument("--workloads", type=words, default=list(WORKLOADS), help=",".join(WORKLOADS))
    parser.add_argument("--out", type=Path, default=HERE / "results", help="the directory for the results [results]")
    return parser.parse_args()


def words(text):
    return text.split(",")


def compare(database, algorithm, options, directory):
    """Every contestant on this database, with tokens of this algorithm."""
    tokens = Tokens(algorithm)
    files = request_files(tokens, directory)
    contestants = [c for c in CONTESTANTS if not options.only or c.name in options.only]
    found = {c.name: {"windows": {name: [] for name in options.workloads}, "first_answer_ms": []} for c in contestants}
    servers = []
    try:
        for contestant in contestants:
            for _ in range(3):
                if servers and servers[-1].contestant is contestant:
                    servers.pop().stop()
                copy = database.copy(contestant.name)
                servers.append(
                    Server(
                        contestant, programs=options.programs, database=copy, tokens=tokens,
                        log_directory=directory, pin=on(SERVER_CORE),
                    )
                )
                took = servers[-1].wait_for(f"/api/{READER}/tasks?limit=20", tokens.reader)
                found[contestant.name]["first_answer_ms"].append(took)
        same_answers(servers, tokens)
        for server in servers:
            found[server.name]["memory_before_mb"] = server.memory()
        for turn in range(-1, options.rounds):
            for workload in options.workloads:
                # Who follows whom changes from round to round. The first round warms up and is not kept.
                for server in rotated(servers, turn):
                    if server.name == "no-auth" and workload == "no token":
                        continue
                    window = good_window(server, workload, files[workload], options.window)
                    if turn >= 0:
                        found[server.name]["windows"][workload].append(window)
            for server in servers:
                database.forget_written(server.name)
            print(f"{database.name}, {algorithm}: round {turn + 1} of {options.rounds}", file=sys.stderr)
        for server in servers:
            found[server.name]["memory_mb"] = server.memory()
    finally:
        for server in servers:
            server.stop()
        tokens.close()
    return {"database": database.name, "algorithm": algorithm, "contestants": found}


def request_files(tokens, directory):
    """What the load generator sends, one file for each workload: see requests.lua."""
    tasks, written, ids = f"/api/{READER}/tasks", f"/api/{WRITER}/tasks", ids_of(READER)
    lines = {
        "list of 20": [("GET", f"{tasks}?limit=20", tokens.reader, "-")],
        "get": [("GET", f"{tasks}/{id}", tokens.reader, "-") for id in ids],
        "create": [("POST", written, tokens.writer, json.dumps(new_task(n))) for n in range(100)],
        "toggle": [("PATCH", f"{tasks}/{id}/complete", tokens.reader, "-") for id in ids],
        "no token": [("GET", f"{tasks}?limit=20", "-", "-")],
    }
    files = {}
    for name, requests in lines.items():
        files[name] = directory / f"{name}.{tokens.algorithm}.requests"
        files[name].write_text("".join("\t".join(request) + "\n" for request in requests))
    return files


def new_task(n):
    return {"title": f"Write letter {n}", "description": "to the house, in time for the post"}


def measure(server, requests, seconds):
    """One window of load: what the generator counted, and the CPU that it cost the server."""
    wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", HERE / "requests.lua"]
    before = server.cpu_seconds()
    output = subprocess.run(
        [*wrk, f"http://127.0.0.1:{server.port}"],
        env=os.environ | {"REQUESTS": str(requests)}, capture_output=True, text=True, check=True, preexec_fn=on(LOAD_CORE),
    ).stdout
    window = json.loads(output.strip().splitlines()[-1])
    return window | {"cpu_seconds": round(server.cpu_seconds() - before, 2)}


def good_window(server, workload, requests, seconds):
    """A window in which all answers are the right ones. A disk that stalls may spoil one, so there is a second try."""
    for _ in range(3):
        window = measure(server, requests, seconds)
        refused = window["requests"] if WORKLOADS[workload] == 401 else 0
        if window["requests"] and window["refused"] == refused and not window["broken"]:
            return window
        print(f"{server.name}, {workload}: once more after {window}", file=sys.stderr)
    raise RuntimeError(f"{server.name}, {workload}: {window}\n{server.log.read_text()[-2000:]}")


def same_answers(servers, tokens):
    """All servers must say the same as the first, in status and in content."""
    id = ids_of(READER)[-7]
    tasks = f"/api/{READER}/tasks"
    create = json.dumps(new_task(0))
    for ask in [
        ("GET", f"{tasks}?limit=20", tokens.reader),
        ("GET", f"{tasks}/{id}", tokens.reader),
        ("PATCH", f"{tasks}/{id}/complete", tokens.reader),
        ("POST", f"/api/{WRITER}/tasks", tokens.writer, create),
        ("GET", f"{tasks}?limit=20", None),
        ("GET", f"{tasks}?limit=20", tokens.reader[:-8] + "AAAAAAAA"),
        ("GET", f"{tasks}?limit=20", tokens.writer),
    ]:
        answers = {}
        for server in servers:
            if server.name == "no-auth" and ask[2] != tokens.reader:
                continue  # It takes everybody for the reader.
            status, content = server.request(*ask)
            answers[server.name] = (status, comparable(content) if status < 300 else None)
        expected = next(iter(answers.values()))
        wrong = {name: answer for name, answer in answers.items() if answer != expected}
        if wrong:
            raise RuntimeError(f"{ask[:2]}: instead of {expected} there came {wrong}")


def comparable(content):
    """Without what each server makes up: how a cursor is written, the ids and times of what it changes."""
    if "items" in content:
        return content["items"], content["next_cursor"] is None
    made_up = {"updated_at"} if content["user_id"] == READER else {"id", "created_at", "updated_at"}
    return {name: "…" if name in made_up else value for name, value in content.items()}


def hello(options, directory):
    tokens = Tokens("HS256")
    requests = directory / "hello.requests"
    requests.write_text("GET\t/\t-\t-\n")
    server = Server(
        HELLO, programs=options.programs, database={"SQLALCHEMY_URL": "none:"}, tokens=tokens,
        log_directory=directory, pin=on(SERVER_CORE),
    )
    try:
        server.wait_for("/", None)
        return [measure(server, requests, options.window) for _ in range(options.rounds)]
    finally:
        server.stop()
        tokens.close()


def pgbench(database, options):
    """PostgreSQL's own client in the servers' place: prepared selects by key, and nothing else."""
    database.administer("CREATE DATABASE pgbench")
    url = f"{database.url}/pgbench"
    subprocess.run([program("pgbench"), "-i", "-q", url], check=True, capture_output=True)
    windows = []
    for _ in range(options.rounds):
        command = [program("pgbench"), "-S", "-M", "prepared", "-c", "10", "-T", str(options.window), url]
        before = os.times()
        output = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=on(SERVER_CORE)).stdout
        after = os.times()
        count = next(line.split()[-1] for line in output.splitlines() if "actually processed" in line)
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        windows.append({"transactions": int(count.split("/")[0]), "seconds": options.window, "cpu_seconds": round(cpu, 2)})
    return windows


def migrate(programs, url):
    subprocess.run([programs / OURS.command[0].rpartition("/")[2], "migrate"], env=os.environ | {"DATABASE_URL": url}, check=True)


def on(core):
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


def versions_of(programs):
    def said(*command):
        output = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
        return (output.stdout or output.stderr).split("\n")[0].strip()

    packages = json.loads((HERE / "peers/package-lock.json").read_text())["packages"]
    return {
        "tasks-api": said(programs / "tasks-api", "--version").split()[-1],
        "commit": said("git", "rev-parse", "--short", "HEAD"),
        "rustc": said("rustc", "--version").split()[1],
        "python": platform.python_version(),
        **{name: version(name) for name in ["fastapi", "sqlmodel", "sqlalchemy", "pyjwt", "uvicorn", "aiosqlite", "asyncpg", "psycopg"]},
        "node": said("node", "--version").lstrip("v"),
        **{name: packages[f"node_modules/{name}"]["version"] for name in ["fastify", "better-sqlite3", "pg", "jose"]},
        "postgresql": said(program("postgres"), "--version").split()[2],
        "wrk": said("wrk", "-v").split()[1].removeprefix("debian/"),
    }


if __name__ == "__main__":
    main()
