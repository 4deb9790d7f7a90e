#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The functional tests once more as an ordinary user: uid 65534, all rights only in a user namespace of its own.

Each of the tests named below is run with --unprivileged; their lines are repeated here, numbered anew.
"""
import os, re, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lab"))
from tap import Tap

TESTS = (
    ("lifecycle_test.py", ()),
    ("status_test.py", ()),
    ("hardening_test.py", ()),
    ("reload_test.py", ()),
    ("kill_test.py", ("--quick",)),
    ("../interop/wireguard_test.py", ("--only", "roaming,errors,everything,homes")),
)


def main():
    tap = Tap()
    arguments = [a for a in sys.argv[1:] if a != "--unprivileged"]
    probe = subprocess.run(["unshare", "-Urn", "true"] if os.geteuid() else
                           ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "-Urn", "true"],
                           capture_output=True, text=True)
    if probe.returncode != 0:
        tap.skip("everything unprivileged", f"no user namespaces here: {probe.stderr.strip()}")
        return tap.done()
    for name, more in TESTS:
        label = os.path.basename(name).removesuffix("_test.py")
        child = subprocess.Popen([sys.executable, os.path.join(HERE, name), "--unprivileged", *more, *arguments],
                                 stdout=subprocess.PIPE, text=True)
        planned = False
        for line in child.stdout:
            m = re.match(r"(not )?ok \d+ - (.*?)( # SKIP (.*))?$", line.rstrip("\n"))
            if m and m[3]:
                tap.skip(f"unprivileged {label}: {m[2]}", m[4])
            elif m:
                tap.ok(not m[1], f"unprivileged {label}: {m[2]}")
            elif line.startswith("1.."):
                planned = True
            else:
                tap.line(line.rstrip("\n") if line.startswith("#") else f"# {line.rstrip()}")
        child.wait()
        if not planned:
            tap.ok(False, f"unprivileged {label} runs to its end", f"status {child.returncode}")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
