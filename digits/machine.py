"""This machine, as a process of ours finds it: the cores that it may use, and the interpreter that it runs in.

Whoever chooses a number of threads asks `usable_cores`: affinity and the quota of a container both bound it.
"""

import math
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
"""Where the system's own files begin."""


def usable_cores(root: Path = ROOT) -> int:
    """Cores that this process may use, at least 1: those it is pinned to, within its quota of processor time.

    A quota of one and a half cores counts as two. `root` is where the system's files are looked for.
    """
    # Not on every system: macOS has no affinity.
    pinned = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([pinned, *(math.ceil(quota) for quota in quotas(root))]))


def quotas(root: Path = ROOT) -> Iterator[float]:
    """Quotas of processor time that bound this process, in cores: those of its control groups and all above them.

    Version 2 keeps quota and period in one file, version 1 in two (Linux, Documentation/admin-guide/cgroup-v2.rst and
    Documentation/scheduler/sched-bwc.rst). Inside a container a group may not lie where its path says: then those
    above count.
    """
    for line in lines_of(root / "proc" / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = (controllers, "cpu", "cpu,cpuacct") if controllers else ("", "unified")
        for mount in dict.fromkeys(root / "sys" / "fs" / "cgroup" / name for name in mounts):
            group = mount / path.lstrip("/")
            for folder in (group, *group.parents):
                quota = [word for name in ("cpu.max", "cpu.cfs_quota_us") for word in words_of(folder / name)]
                quota += words_of(folder / "cpu.cfs_period_us")
                if len(quota) == 2 and all(word.isdecimal() and int(word) > 0 for word in quota):  # not: max, -1
                    yield int(quota[0]) / int(quota[1])


def lines_of(file: Path) -> list[str]:
    """The lines of one of the system's files; none where there is no such file."""
    try:
        return file.read_text().splitlines()
    except OSError:
        return []


def words_of(file: Path) -> list[str]:
    """The words in it."""
    return [word for line in lines_of(file) for word in line.split()]


def quoted_interpreter() -> dict[str, str]:
    """What a job's runtime_env needs so that Ray finds the interpreter where its path has a space; mostly nothing.

    Ray starts a process that has an environment of its own through a shell, and does not quote the interpreter's path
    there (ray/_private/runtime_env/context.py): no such process would come up, and for minutes nothing would be said.
    """
    quoted = shlex.quote(sys.executable)
    return {} if quoted == sys.executable else {"py_executable": quoted}
