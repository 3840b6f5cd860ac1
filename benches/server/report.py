"""Writes results.json as tables and as a chart. By itself, after a change of their looks: python report.py"""

import json
import statistics
from pathlib import Path

import chart

ENDPOINTS = ["list of 20", "get", "create", "toggle"]


def write(results, directory):
    directory.mkdir(parents=True, exist_ok=True)
    # A line for each run: they are read by programs, and compared by people.
    runs = ",\n".join(map(json.dumps, results["runs"]))
    rest = json.dumps(results | {"runs": []}, indent=1)
    (directory / "results.json").write_text(rest.replace('"runs": []', f'"runs": [\n{runs}\n ]') + "\n")
    (directory / "results.md").write_text(tables(results))
    picture = chart.chart(latest(results))
    if picture:
        (directory / "chart.svg").write_text(picture)


def tables(results):
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    parts = [
        "# What was measured",
        "Made by `benches/server/run`; [README.md](README.md) tells how to read it.",
        f"{machine['cores']} × {machine['cpu']}, {machine['memory_gb']} GB, Linux {machine['kernel']}; {versions}.",
    ]
    for run in latest(results):
        settings = run["settings"]
        contestants = {name: Medians(found) for name, found in run["contestants"].items()}
        parts += [
            f"## {run['database']}, {run['algorithm']} tokens",
            f"{run['at']}, commit {run['commit']}. Server on one core, load ({settings['connections']} connections) on the other; medians of "
            f"{settings['rounds']} windows of {settings['window_seconds']} s that took turns.",
            cpu(contestants), capacity(contestants), latency(contestants), footprint(contestants), bounds(run),
        ]
    if len(results["runs"]) > 1:
        parts += ["## Every run", "CPU for one request, as a multiple of what tasks-api takes:", repeated(results["runs"])]
    if results["instructions"]:
        parts += [
            "## Instructions",
            "Of one request, outside the kernel, counted by callgrind: 500 requests one after the other. It counts one for each byte of a "
            "large copy. The shares are those of the layer (tasks-api against no-auth) and of SeaORM (against raw-sqlx).",
            counted(results["instructions"]),
        ]
    return "\n\n".join(parts) + "\n"


def latest(results):
    """The last run with all contestants on each database and with each kind of token."""
    whole = [run for run in results["runs"] if len(run["contestants"]) >= most_contestants(results)]
    return list({(run["database"], run["algorithm"]): run for run in whole}.values())


def most_contestants(results):
    return max((len(run["contestants"]) for run in results["runs"]), default=0)


class Medians:
    """What a contestant's windows say, workload by workload."""

    def __init__(self, found):
        self.found = found
        self.workloads = [name for name, windows in found["windows"].items() if windows]

    def of(self, workload, figure):
        return statistics.median(map(figure, self.found["windows"][workload])) if workload in self.workloads else None

    def against(self, ours, workload):
        """How many times the CPU of ours: the median of the rounds, each of which had both in the same minute."""
        pairs = zip(self.found["windows"][workload], ours.found["windows"][workload])
        ratios = [micros_each(theirs) / micros_each(own) for theirs, own in pairs]
        return statistics.median(ratios) if ratios else None


def micros_each(window):
    return window["cpu_seconds"] * 1e6 / window["requests"]


def cpu(contestants):
    ours = next(iter(contestants.values()))
    rows = []
    for name, medians in contestants.items():
        if medians is ours:
            rows.append([f"{name}, µs", *(f"{ours.of(workload, micros_each):.1f}" for workload in ours.workloads)])
        else:
            rows.append([name, *(times(medians.against(ours, workload)) for workload in ours.workloads)])
    return table(["CPU for one request", *ours.workloads], rows)


def times(ratio):
    return f"{ratio:.2f} ×" if ratio else ""


def capacity(contestants):
    rows = []
    for name, medians in contestants.items():
        cells = (medians.of(workload, lambda window: 1e6 / micros_each(window)) for workload in workloads(contestants))
        rows.append([name, *(f"{cell:,.0f}" if cell else "" for cell in cells)])
    return table(["Requests for one second of CPU", *workloads(contestants)], rows)


def latency(contestants):
    rows = []
    for name, medians in contestants.items():
        cells = []
        for workload in workloads(contestants):
            p50, p99 = (medians.of(workload, lambda window: window[key] / 1000) for key in ("p50", "p99"))
            cells.append(f"{p50:.1f} / {p99:.1f}" if p50 else "")
        rows.append([name, *cells])
    return table(["p50 / p99 under full load, ms", *workloads(contestants)], rows)


def footprint(contestants):
    rows = [
        [
            name,
            f"{medians.found['memory_mb']:.0f}",
            f"{medians.found['memory_before_mb']:.0f}",
            f"{statistics.median(medians.found['first_answer_ms']):.0f}",
        ]
        for name, medians in contestants.items()
    ]
    return table(["", "memory after load, MB", "before", "first answer after, ms"], rows)


def bounds(run):
    hello = 1e6 / statistics.median(map(micros_each, run["hello"]))
    rows = [["axum with nothing behind it", f"{hello:,.0f}", ""]]
    if "pgbench" in run:
        windows = run["pgbench"]
        cpu = statistics.median(window["transactions"] / max(window["cpu_seconds"], 0.01) for window in windows)
        rate = statistics.median(window["transactions"] / window["seconds"] for window in windows)
        rows.append(["pgbench -S, 10 connections", f"{cpu:,.0f}", f"{rate:,.0f}"])
    return table(["bound", "for one second of its CPU", "for one second"], rows)


def repeated(runs):
    rows = []
    for run in runs:
        contestants = {name: Medians(found) for name, found in run["contestants"].items()}
        ours = next(iter(contestants.values()))
        for name, medians in contestants.items():
            if medians is not ours:
                cells = (times(medians.against(ours, endpoint)) if endpoint in medians.workloads else "" for endpoint in ENDPOINTS)
                rows.append([f"{run['at']}: {run['database']}, {run['algorithm']}", name, *cells])
    return table(["", "", *ENDPOINTS], rows)


def counted(instructions):
    rows = []
    for where, by_contestant in instructions.items():
        ours = by_contestant["tasks-api"]
        rows += [[where, name, *(f"{found[endpoint]:,}" for endpoint in ENDPOINTS)] for name, found in by_contestant.items()]
        for name, whose in (("no-auth", "the layer's share"), ("raw-sqlx", "SeaORM's share")):
            shares = (1 - by_contestant[name][endpoint] / ours[endpoint] for endpoint in ENDPOINTS)
            rows.append([where, f"**{whose}**", *(f"{share:.1%}" for share in shares)])
    return table(["", "", *ENDPOINTS], rows)


def workloads(contestants):
    return next(iter(contestants.values())).workloads


def table(header, rows):
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    here = Path(__file__).parent
    write(json.loads((here / "results.json").read_text()), here)
