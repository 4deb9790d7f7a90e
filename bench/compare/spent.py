# SPDX-License-Identifier: BSD-3-Clause
"""CPU time of a gateway: of its processes and threads, and of the cores that it has to itself.

A process' time is what the kernel accounts to it: its own code, its system calls, and the softirqs that happen to run in
its context.  Softirqs that run elsewhere on its behalf (ksoftirqd, an interrupt of an idle core) are in no process' time;
so the busy time of the gateway's cores is kept beside it, from /proc/stat.  Idle time there is exact, the busy columns are
sampled at the timer tick: busy is what is left of the time that passed.
"""
import os, time

import kernel_threads

HZ = os.sysconf("SC_CLK_TCK")
FEW = 5
PROCESS_CLOCK = 2  # CPUCLOCK_SCHED of include/linux/posix-timers.h: nanoseconds of a whole process, ended threads too


def process_s(pid):
    """CPU seconds of a process, or None: it is gone."""
    try:
        return time.clock_gettime(~pid << 3 | PROCESS_CLOCK)
    except OSError:
        return None


def user_system_s(pid):
    """How the ticks were told apart; coarse: 10 ms."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            field = f.read().rsplit(") ", 1)[1].split()
        return int(field[11]) / HZ, int(field[12]) / HZ
    except (OSError, IndexError):
        return 0.0, 0.0


def threads_s(pid):
    """{(thread, name): CPU seconds}"""
    found = {}
    try:
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/schedstat") as f, open(f"/proc/{pid}/task/{tid}/comm") as name:
                found[int(tid), name.read().strip()] = int(f.read().split()[0]) / 1e9
    except OSError:
        pass  # it ended meanwhile; its time is in the process'
    return found


def cores_s():
    """{core: (idle, stolen, softirq) seconds}"""
    found = {}
    with open("/proc/stat") as f:
        for line in f:
            word = line.split()
            if word[0].startswith("cpu") and word[0] != "cpu":
                idle, iowait, _, softirq, stolen = map(int, word[4:9])
                found[int(word[0][3:])] = ((idle + iowait) / HZ, stolen / HZ, softirq / HZ)
    return found


class Spent:
    """Begins to count when it is made; end() says what was spent since."""

    def __init__(self, pids, cores, kernel=()):
        """pids: {role: pid}; kernel: pids of the kernel's threads that deliver to it"""
        self.pids, self.which, self.kernel = pids, cores, list(kernel)
        self.before = self.look()

    def look(self):
        threads = kernel_threads.spent(self.kernel) if self.kernel else {}
        return (time.monotonic(), sum(threads.values()), {r: (process_s(p), user_system_s(p), threads_s(p)) for r, p in self.pids.items()}, cores_s())

    def end(self):
        """{"cpu_s", "kernel_s", "wall_s", "processes": {role: {cpu_s, user_s, system_s, threads: {name: s}}},
        "cores": {core: ...}}; kernel_s: of the kernel's threads, a part of cpu_s.  None where a process ended meanwhile."""
        (t0, kernel0, old, cores0), (t1, kernel1, new, cores1) = self.before, self.look()
        processes = {}
        for role, (cpu, (user, system), threads) in new.items():
            if cpu is None or old[role][0] is None:
                return None
            processes[role] = {"cpu_s": round(cpu - old[role][0], 6), "user_s": round(user - old[role][1][0], 3),
                               "system_s": round(system - old[role][1][1], 3), "threads": by_name(threads, old[role][2])}
        kernel = kernel1 - kernel0
        return {"cpu_s": round(sum(p["cpu_s"] for p in processes.values()) + kernel, 6), "kernel_s": round(kernel, 6), "wall_s": round(t1 - t0, 6),
                "processes": processes, "cores": {str(c): core_row(t1 - t0, cores0[c], cores1[c]) for c in cores1 if c in cores0}}


def by_name(new, old):
    """Threads of one name are told apart by their order of birth; where they are many and come and go (Go's), together."""
    of_name = {}
    for (tid, name), s in sorted(new.items()):
        of_name.setdefault(name, []).append(s - old.get((tid, name), 0))
    found = {}
    for name, spent in of_name.items():
        few = len(spent) <= FEW
        for i, s in enumerate(spent if few else [sum(spent)]):
            found[f"{name} {i + 1}" if few and len(spent) > 1 else name] = round(s, 6)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def core_row(wall, old, new):
    idle, stolen, softirq = (b - a for a, b in zip(old, new))
    return {"busy_s": round(max(0.0, wall - idle - stolen), 3), "softirq_s": round(softirq, 3), "stolen_s": round(stolen, 3)}
