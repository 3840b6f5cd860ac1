"""Counts the instructions of a request, which do not depend on the load of the machine: precise enough to see differences of one per cent."""

import dataclasses
import http.client
import subprocess
from pathlib import Path

from databases import READER
from servers import OURS, OURS_LARGE, Server

WARM_UP, COUNTED = 100, 500


def count(database, tokens, request_files, options, directory):
    """Instructions per request outside the kernel, by server and workload, for sequential requests."""
    return {
        config.name: dict(counts(config, database, tokens, request_files, options, directory)) for config in (OURS, OURS_LARGE)
    }


def counts(config, database, tokens, request_files, options, directory):
    out = directory / f"{config.name}.callgrind"
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--log-file={out}.log"]
    under_valgrind = dataclasses.replace(config, command=[*valgrind, *config.command])
    server = Server(
        under_valgrind, programs=options.programs, database=database.copy(config.template, config.name), tokens=tokens,
        log_directory=directory, pin=None,
    )
    try:
        server.wait_for(f"/api/{READER}/tasks?limit=20", tokens.reader, timeout=120)
        files = request_files(server, tokens, directory)
        for workload in options.workloads:
            requests = [line.split("\t") for line in files[workload].read_text().splitlines()]
            send(server.port, requests, WARM_UP)
            control(server, "--zero")
            send(server.port, requests, COUNTED)
            control(server, "--dump")
            last = max(directory.glob(f"{out.name}.*[0-9]"), key=lambda dump: int(dump.suffix[1:]))
            yield workload, total(last) // COUNTED
    finally:
        server.stop()


def send(port, requests, times):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for n in range(times):
        method, path, token, body = requests[n % len(requests)]
        headers = {"Authorization": f"Bearer {token}"} if token != "-" else {}
        if body != "-":
            headers["Content-Type"] = "application/json"
        connection.request(method, path, None if body == "-" else body, headers)
        response = connection.getresponse()
        response.read()
        if response.status >= 300 and token != "-":
            raise RuntimeError(f"{method} {path}: {response.status}")
    connection.close()


def control(server, command):
    subprocess.run(["callgrind_control", command, str(server.process.pid)], check=True, capture_output=True)


def total(dump: Path):
    return next(int(line.split()[1]) for line in dump.read_text().splitlines() if line.startswith(("totals:", "summary:")))
