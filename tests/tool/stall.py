#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Takes cores away for moments, as a hypervisor does whose other guests want them.

    stall.py [--seed N] [--seconds S] [--least MS] [--most MS] [--pause FROM TO] [COMMAND ...]

Every FROM to TO seconds one core, or all of them at the same time, runs nothing else for 40 to 150 ms: a loop that is pinned
there and that the scheduler prefers to everything (SCHED_FIFO, so it wants root).  Interrupts are still taken, which is what
differs from a stolen core.  Moments, lengths and cores follow from the seed alone.  It ends after --seconds, or with COMMAND,
whose exit status becomes its own; what it did is a line on stderr.
"""
import argparse, ctypes, itertools, os, random, signal, subprocess, sys, time

PRIORITY = 90


def schedule(options, cores):
    """(when, how long, which cores), in seconds, without end."""
    rng, at = random.Random(options.seed), 0.0
    while True:
        at += rng.uniform(*options.pause)
        length = rng.uniform(options.least, options.most) / 1000
        yield at, length, cores if rng.random() < 0.5 else [rng.choice(cores)]
        at += length


def occupy(options, cores, core, began):
    """Never returns: the stalls of one core."""
    os.sched_setaffinity(0, [core])
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    for at, length, which in schedule(options, cores):
        if at > options.seconds:
            os._exit(0)
        if core not in which:
            continue
        time.sleep(max(0, began + at - time.monotonic()))
        while time.monotonic() < began + at + length:
            pass


def start(options, cores, core, began):
    parent, pid = os.getpid(), os.fork()
    if pid != 0:
        return pid
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if os.getppid() == parent:
        try:
            occupy(options, cores, core, began)
        except OSError as e:
            print(f"stall: core {core}: {e}", file=sys.stderr)
    os._exit(1)


def report(options, cores, seconds):
    done = list(itertools.takewhile(lambda s: s[0] <= min(seconds, options.seconds), schedule(options, cores)))
    everywhere = sum(len(which) == len(cores) for _, _, which in done)
    print(f"stall: seed {options.seed}: {len(done)} stalls in {seconds:.0f} s, {everywhere} of all {len(cores)} cores, "
          f"{sum(length for _, length, _ in done):.1f} s together", file=sys.stderr)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--seconds", type=float, help="at most so long (60; with a command: 3600)")
    p.add_argument("--least", type=float, default=40, metavar="MS")
    p.add_argument("--most", type=float, default=150, metavar="MS")
    p.add_argument("--pause", type=float, nargs=2, default=(1, 4), metavar=("FROM", "TO"), help="seconds between two (1 4)")
    p.add_argument("command", nargs=argparse.REMAINDER)
    options = p.parse_args()
    if not 0 < options.least <= options.most < 900:
        p.error("--least and --most: above 0, below 900 (the scheduler lets no loop run for longer)")
    if not 0 < options.pause[0] <= options.pause[1]:
        p.error("--pause: FROM is above 0 and not above TO")
    words = options.command[options.command[:1] == ["--"]:]
    options.seconds = options.seconds or (3600 if words else 60)
    cores, began = sorted(os.sched_getaffinity(0)), time.monotonic()
    command = subprocess.Popen(words) if words else None
    pids = [start(options, cores, core, began) for core in cores]
    signal.signal(signal.SIGTERM, lambda *_: command.terminate() if command else sys.exit(143))
    status = 0
    try:
        if command:
            status = command.wait()
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        for pid in pids:
            ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            status = status or int(ended > 0)
    finally:
        report(options, cores, time.monotonic() - began)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
