"""Writes results.json as Markdown. By itself: python report.py results/results.json"""

import json
import statistics
import sys


def tables(results):
    machine, settings = results["machine"], results["settings"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    parts = [
        f"{results['date']}; {machine['cores']} × {machine['cpu']}, {machine['memory_gb']} GB, Linux {machine['kernel']}; {versions}.",
        f"Server on one core, load ({settings['connections']} connections) on the other; medians of {settings['rounds']} "
        f"windows of {settings['window_seconds']} s that took turns.",
    ]
    for run in results["runs"]:
        parts.append(f"## {run['database']}, {run['algorithm']} tokens")
        contestants = {name: Medians(found) for name, found in run["contestants"].items()}
        parts += [cpu(contestants), capacity(contestants), latency(contestants), footprint(contestants)]
    parts.append("## Bounds\n\n" + bounds(results))
    return "\n\n".join(parts) + "\n"


class Medians:
    """What a contestant's windows say, workload by workload."""

    def __init__(self, found):
        self.found = found
        self.workloads = [name for name, windows in found["windows"].items() if windows]

    def of(self, workload, figure):
        return statistics.median(map(figure, self.found["windows"][workload])) if workload in self.workloads else None


def micros_each(window):
    return window["cpu_seconds"] * 1e6 / window["requests"]


def cpu(contestants):
    ours = next(iter(contestants.values()))
    rows = []
    for name, medians in contestants.items():
        if medians is ours:
            rows.append([f"{name}, µs", *(f"{ours.of(workload, micros_each):.1f}" for workload in ours.workloads)])
        else:
            ratios = ((medians.of(workload, micros_each), ours.of(workload, micros_each)) for workload in ours.workloads)
            rows.append([name, *(f"{theirs / own:.2f} ×" if theirs else "" for theirs, own in ratios)])
    return table(["CPU for one request", *ours.workloads], rows)


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


def bounds(results):
    hello = 1e6 / statistics.median(map(micros_each, results["hello"]))
    rows = [["axum with nothing behind it", f"{hello:,.0f}", ""]]
    if "pgbench" in results:
        windows = results["pgbench"]
        cpu = statistics.median(window["transactions"] / max(window["cpu_seconds"], 0.01) for window in windows)
        rate = statistics.median(window["transactions"] / window["seconds"] for window in windows)
        rows.append(["pgbench -S, 10 connections", f"{cpu:,.0f}", f"{rate:,.0f}"])
    return table(["", "for one second of its CPU", "for one second"], rows)


def workloads(contestants):
    return next(iter(contestants.values())).workloads


def table(header, rows):
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        print(tables(json.load(file)))
