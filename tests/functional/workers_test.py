#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Workers that are named by their cores: pinned, never asleep, several of them at one peer.

    lan --- gw --- wan --- peer1, peer2             (addresses: tests/lab/lab.py)
"""
import os, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from tap import Tap


def cores_of_threads(pid):
    """Sets of cores that the threads of a process may use, as the kernel lists them."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as f:
            found += [line.split()[1] for line in f if line.startswith("Cpus_allowed_list")]
    return found


def main():
    options = lab.enter(__doc__)
    tap = Tap()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        tap.skip("two workers", "this machine has one core")
        return tap.done()
    kind = next(k for k, path in lab.Programs(options).peers.items() if path)
    with lab.Site(options, "workers") as site:
        gw = site.gateway
        gw.workers = str(cores)
        p, other = site.peer(kind), site.peer(kind)
        site.start()
        for q in (p, other):
            q.host.ping_until(lab.LAN_HOST[0], 15)

        pinned = cores_of_threads(gw.pids()["forwarder"])
        tap.ok(all(str(c) in pinned for c in cores), f"a thread is pinned to each of the cores {cores}", pinned)
        traffic = [lab.peer_lan_traffic(site, q, rate=500, flows=8, name=q.name) for q in (p, other)]
        time.sleep(3)
        old = gw.kill("controlplane")
        gw.wait_new("controlplane", old)
        time.sleep(4)
        for t in traffic:
            for r in t.stop():
                tap.ok(r.is_perfect(2000), "eight flows over two workers: 0 lost, 0 doubled, 0 reordered", r)
        workers = gw.status()["workers"]
        tap.equal([w["core"] for w in workers], cores, "status names the cores")
        tap.ok(all(w["packets"] > 500 for w in workers), "both workers had their share of the flows", workers)
        tap.equal([w["sleeps"] for w in workers], [0, 0], "pinned workers never sleep")
        code = gw.stop()
        tap.equal(code, 0, "SIGTERM ends it with status 0")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
