#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the running processes may still do, read from /proc (docs/threat-model.md promises it).

    lan --- gw --- wan --- peer1                    (addresses: tests/lab/lab.py)
"""
import os, re, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from tap import Tap

CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK = 12, 13, 14
MAY = {  # capabilities that a process may keep
    "forwarder": set(),
    "controlplane": {CAP_NET_ADMIN},
    "keeper": {CAP_IPC_LOCK, CAP_NET_ADMIN, CAP_NET_RAW},  # the latter two to open AF_XDP ports
}


def more(parser):
    parser.add_argument("--no-sandbox", action="store_true", help="the build has no seccomp filters (sanitizers)")


def status_of(path):
    with open(f"{path}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def capabilities(text):
    mask = int(text, 16)
    return {n for n in range(64) if mask >> n & 1}


def main():
    options = lab.enter(__doc__, more)
    tap = Tap()
    kind = next(k for k, path in lab.Programs(options).peers.items() if path)
    with lab.Site(options, "hardening") as site:
        p = site.peer(kind)
        site.start()
        p.host.ping_until(lab.LAN_HOST[0], 10)
        pids = site.gateway.pids()
        for role in site.gateway.roles:
            pid = pids[role]
            for task in sorted(os.listdir(f"/proc/{pid}/task"), key=int):
                s = status_of(f"/proc/{pid}/task/{task}")
                who = role if int(task) == pid else f"{role}, thread {s['Name']}"
                too_many = (capabilities(s["CapEff"]) | capabilities(s["CapPrm"])) - MAY[role]
                tap.ok(not too_many, f"{who}: no capability that it does not need", sorted(too_many))
                tap.ok(s["NoNewPrivs"] == "1", f"{who}: no_new_privs", s["NoNewPrivs"])
                if options.no_sandbox:
                    tap.skip(f"{who}: seccomp filter", "built without")
                else:
                    tap.ok(s["Seccomp"] == "2", f"{who}: seccomp filter", s["Seccomp"])
            with open(f"/proc/{pid}/limits") as f:
                core = re.search(r"Max core file size\s+(\S+)\s+(\S+)", f.read()).groups()
            tap.ok(core == ("0", "0"), f"{role}: no core dump", core)
        for folder, _, files in os.walk(site.gateway.state_dir):
            for name in files:
                mode = os.stat(os.path.join(folder, name)).st_mode & 0o777
                tap.ok(mode & 0o077 == 0, f"state file {name} is for its owner only", oct(mode))
        mode = os.stat(site.gateway.run_dir).st_mode & 0o777
        tap.ok(mode & 0o022 == 0, "nobody else may write to the run directory", oct(mode))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
