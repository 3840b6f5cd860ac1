"""Processes: their CPU time and memory, from /proc."""

import os
from pathlib import Path


def tree(pid):
    """The process and its descendants."""
    found = [pid]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            found.extend(map(int, children.read_text().split()))
    return found


def cpu_seconds(pid):
    """The CPU time of the process and its descendants, also of those that have exited."""
    while True:
        try:
            return sum(ticks(pid) for pid in tree(pid)) / os.sysconf("SC_CLK_TCK")
        except (FileNotFoundError, ProcessLookupError):
            pass  # One of them has just exited, and its time is now in that of its parent.


def ticks(pid):
    # utime, stime, cutime and cstime, fields 14 to 17 in proc(5). The command's name before them may contain spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))


def memory_mb(pid):
    """Proportional set size of the process and its descendants: pages that several processes share count once."""
    kilobytes = 0
    for pid in tree(pid):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        kilobytes += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kilobytes / 1024
