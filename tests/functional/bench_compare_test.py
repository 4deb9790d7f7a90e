#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""sluice-bench compare: a small comparison of Sluice with itself, kept, resumed, interrupted; and what it says about mistakes.
No figure is judged but one: a program against itself is 1 within its spread.

    bench_compare_test.py --bin DIR   DIR: a prefix that `meson install` filled, or a build folder
"""
import argparse, json, os, re, signal, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests", "lab"), os.path.join(ROOT, "bench", "report"), os.path.join(ROOT, "bench", "compare")]
import lab, ratios
from tap import Tap

SELF = """
rounds = 2
seconds = 0.5
devices = ["sluice", "sluice"]
[[load]]
direction = "inbound"
size = 64
rate = 1000
overload = [3]
"""


class Comparisons:
    def __init__(self, bench, folder, bin_):
        self.bench, self.folder = bench, folder
        # The folder given to the test counts, not where the program lies.
        self.env = dict(os.environ, SLUICE_BIN=bin_)

    def file(self, name, text):
        at = os.path.join(self.folder, name)
        with open(at, "w") as f:
            f.write(text)
        return at

    def run(self, *words, timeout=80):
        """(exit status, stdout, stderr)"""
        r = subprocess.run([self.bench, "compare", *words], capture_output=True, text=True, timeout=timeout, env=self.env, cwd=self.folder)
        return r.returncode, r.stdout, r.stderr

    def trials(self, name):
        with open(os.path.join(self.folder, name)) as f:
            return [json.loads(line) for line in f]


def check_self(tap, c):
    scenario = c.file("self.toml", SELF)
    code, out, err = c.run(scenario, "--out", "self.jsonl")
    tap.ok(code == 0, "Sluice is compared with itself", f"{code}\n{out}{err}")
    trials = c.trials("self.jsonl")
    tap.equal(len(trials), 8, "a trial for each load, round and device is kept")
    for t in trials:
        a, r = t["axes"], t["result"]
        tap.ok(t["kind"] == "compare" and t["tier"] == "T3" and t["machine"]["cpu"] and r["cpu_us_per_packet"] > 0 and
               {"forwarder", "controlplane", "keeper", "run"} <= set(r["cost"]["processes"]) and r["cost"]["cores"] and
               r["trial"]["sum"]["received"] > 0 and r["trial"]["latency"]["n"] > 0 and a["version"] and a["id"],
               f"{t['key']} has what it cost, what arrived, and what was run", json.dumps(t)[:800])
    both = [(sum(p["threads"].values()), p["cpu_s"]) for t in trials for p in t["result"]["cost"]["processes"].values()]
    tap.ok(all(abs(a - b) < 0.01 + 0.1 * b for a, b in both), "the threads of a process took what it took", both)
    keys = [t["key"] for t in trials]
    order = [re.findall(r"/(sluice(?:#2)?)/(\d)$", k)[0] for k in keys if "/x1/" in k]
    tap.equal(order, [("sluice", "0"), ("sluice#2", "0"), ("sluice#2", "1"), ("sluice", "1")], "devices take turns, in an order that rotates")
    both = [{t["axes"]["round"]: t["result"]["cpu_us_per_packet"] for t in trials if t["axes"]["device"] == d and t["axes"]["factor"] == 1}
            for d in ("sluice", "sluice#2")]
    s = ratios.against(both[1], both[0])
    tap.note(f"against itself: {s:.2f}")
    # Two short rounds on a machine that others use too: that it is no 2 is what this can tell.
    tap.ok(0.4 < s.median < 2.5, "against itself a program is 1, as far as this machine can tell", f"{s:.2f}")
    for word in ("inbound, 64 B", "1,000/s offered", "3,000/s offered", "CPU x", "sluice#2", "softirqs", "threads"):
        tap.ok(word in out, f"its table has {word!r}", out)
    check_resume(tap, c, scenario, out)


def check_resume(tap, c, scenario, first):
    code, _, err = c.run(scenario, "--out", "self.jsonl")
    tap.ok(code == 1 and "--resume" in err and len(c.trials("self.jsonl")) == 8, "what is there is not overwritten", err)
    began = time.monotonic()
    code, out, err = c.run(scenario, "--out", "self.jsonl", "--resume")
    tap.ok(code == 0 and time.monotonic() - began < 6 and len(c.trials("self.jsonl")) == 8, "a whole run has nothing to resume", err)
    tap.equal(out, first, "and prints the same table")
    with open(os.path.join(c.folder, "self.jsonl"), "r+") as f:
        lines = f.readlines()
        f.seek(0)
        f.writelines(lines[:6] + [lines[6][:100]])
        f.truncate()
    code, _, err = c.run(scenario, "--out", "self.jsonl", "--resume")
    tap.ok(code == 0 and "torn" in err and len(c.trials("self.jsonl")) == 8, "a torn line is dropped, and the rest is measured", err)
    report = subprocess.run([c.bench, "report", "self.jsonl"], capture_output=True, text=True, cwd=c.folder, timeout=60)
    tap.ok(report.returncode == 0 and "## T3 compare" in report.stdout, "`report` reads it", report.stderr)


def check_interrupt(tap, c):
    scenario = c.file("long.toml", SELF.replace("rounds = 2", "rounds = 50"))
    run = subprocess.Popen([c.bench, "compare", scenario, "--out", "cut.jsonl"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                           env=c.env, cwd=c.folder, start_new_session=True)
    path = os.path.join(c.folder, "cut.jsonl")
    lab.wait_for(lambda: os.path.exists(path) and os.path.getsize(path) > 0 and len(c.trials("cut.jsonl")) >= 3, 40, "three trials")
    os.killpg(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=30)
    n = len(c.trials("cut.jsonl"))
    tap.ok(run.returncode == 130 and "inbound, 64 B" in out and "--resume" in err and n >= 3,
           "interrupted, it shows what was measured, keeps it, and says how to go on", f"{run.returncode}\n{out}{err}")
    tap.ok(re.search(r"\d+/200 +round 1: sluice#2: inbound, 64 B.* left", err), "progress says what runs and how long it takes", err[-600:])


def check_search_and_tcp(tap, c):
    """A rate is found; TCP too where the stock peer and iperf3 are there."""
    scenario = c.file("search.toml", SELF.replace("rate = 1000\noverload = [3]", "").replace("rounds = 2", "rounds = 1\nstart_pps = 3000")
                      .replace('"sluice", "sluice"', f'"sluice", "sluice@{c.options.bin}"'))
    code, out, err = c.run(scenario, "--json", "--quiet")
    report = subprocess.run([c.bench, "report", "-"], input=out, capture_output=True, text=True, timeout=60)
    rows = [line for line in report.stdout.splitlines() if line.startswith("| sluice")]
    tap.ok(report.returncode == 0 and len(rows) == 2 and f"| sluice@{c.options.bin} |" in rows[1] and report.stdout.count("**inbound, 64 B**") == 1,
           "another build is a device beside it, also in a report", report.stdout[-900:] + report.stderr)
    found = json.loads(out) if code == 0 else []
    rates = [t["result"]["rate_pps"] for t in found if t["axes"].get("step") == "rate"]
    tap.ok(len(found) == 3 and len(rates) == 1 and 50 < rates[0] < 3000 and all(
        t["axes"]["rate_pps"] == rates[0] for t in found if "round" in t["axes"]), "a rate that each carries is searched, and all get it", err)
    if not lab.find_program("iperf3", None) or not lab.Programs(c.options).peers["wireguard-go"]:
        tap.skip("TCP through the gateway", "no iperf3 or no wireguard-go")
        return
    scenario = c.file("tcp.toml", 'rounds = 1\ndevices = ["sluice", "wireguard-go"]\n[[load]]\nkind = "tcp"\nseconds = 1\n')
    code, out, err = c.run(scenario, "--quiet")
    tap.ok(code == 0 and "TCP inbound" in out and "Gbit/s" in out and "wireguard-go" in out, "TCP through the gateway", out + err)


def check_mistakes(tap, c):
    load = '\n[[load]]\nsize = 64\nrate = 100\n'
    for what, text, status, words in (
            ("an unknown device", 'devices = ["sluice", "openvpn"]' + load, 2, ("'openvpn'", "wireguard-go")),
            ("one device", 'devices = ["sluice"]' + load, 2, ("no two devices",)),
            ("no load", 'devices = ["sluice", "sluice"]', 2, ("no load",)),
            ("no TOML", "devices = [", 2, ("no TOML",)),
            ("an unknown setting", 'device = ["sluice", "sluice"]' + load, 2, ('"device"', "devices")),
            ("a wrong kind of value", 'rounds = "three"\ndevices = ["sluice", "sluice"]' + load, 2, ("rounds", "wrong kind")),
            ("a wrong direction", 'devices = ["sluice", "sluice"]' + load + 'direction = "up"\n', 2, ("'up'", "inbound")),
            ("a core that is not there", 'devices = ["sluice", "sluice"]\n[cores]\ngateway = [4000]' + load, 2, ("4000",)),
            ("a load twice", 'devices = ["sluice", "sluice"]' + load + load, 2, ("twice",)),
            ("a folder that is not there", 'devices = ["sluice", "sluice@/nowhere"]' + load, 2, ("/nowhere",)),
            ("a size that is none", 'rounds = 1\ndevices = ["sluice", "sluice"]\n[[load]]\nsize = "huge"\nrate = 100\nseconds = 0.3', 1,
             ("--size huge",))):
        code, out, err = c.run(c.file("wrong.toml", text), "--quiet")
        tap.ok(code == status and not out and err.startswith("sluice-bench: ") and all(w in err for w in words) and "\n  " in err,
               f"{what}: said, with what to do", f"{code} {out}{err}")
    empty = os.path.join(c.folder, "empty")
    os.mkdir(empty)
    code, _, err = c.run(c.file("wrong.toml", f'devices = ["sluice", "wireguard-go@{empty}"]' + load), "--quiet")
    missing = code == 1 and "no such program" in err
    tap.ok(missing or lab.find_program("wireguard-go", None), "a program that is not there: said", f"{code} {err}")
    code, _, err = c.run("nowhere.toml")
    tap.ok(code == 2 and "No such file" in err, "a scenario that is not there: said", err)
    for words in ((), ("--what", "x.toml"), ("x.toml", "--rounds", "many"), ("x.toml", "--resume=1")):
        code, _, err = c.run(*words)
        tap.ok(code == 2 and "--help" in err, f"compare {' '.join(words)}: wrong usage", f"{code} {err}")
    code, out, _ = c.run("--help")
    tap.ok(code == 0 and "--rounds" in out, "it has a help")


def check_shipped(tap, c):
    """Only read: measuring them takes minutes."""
    import scenario
    folder = os.path.join(ROOT, "bench", "compare", "scenarios")
    code, _, err = c.run("udp.toml", "--resume")
    tap.ok(code == 2 and "--resume without --out" in err, "a bare name is found", f"{code} {err}")
    for name in sorted(os.listdir(folder)):
        try:
            s = scenario.read(os.path.join(folder, name))
            tap.ok(len(s.devices) > 1 and s.loads, f"scenarios/{name} is one")
        except Exception:
            tap.broken(f"scenarios/{name} is one")


def check_ratios(tap):
    s = ratios.against({0: 2.0, 1: 30.0, 2: 6.0}, {0: 1.0, 1: 10.0, 3: 1.0})
    tap.equal((s.median, s.low, s.high, s.n, s.interval), (2.5, 2.0, 3.0, 2, None), "ratios are made within rounds that both have")
    s = ratios.spread([1.0, 1.1, 0.9, 1.05, 0.95, 1.0])
    tap.ok(s.median == 1 and 0.9 <= s.interval[0] < 1 < s.interval[1] <= 1.1, "five and more have an interval", s)
    tap.equal(ratios.spread([None]), None, "nothing has no spread")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    lab.add_options(parser)
    options = parser.parse_args()
    tap, bench = Tap(), lab.find_program("sluice-bench", options.bin)
    if bench is None:
        sys.exit("no sluice-bench found: give --bin DIR")
    with tempfile.TemporaryDirectory(prefix="sluice-compare-") as folder:
        c = Comparisons(bench, folder, options.bin)
        c.options = options
        for name, check in (("ratios", lambda: check_ratios(tap)), ("self", lambda: check_self(tap, c)),
                            ("interrupt", lambda: check_interrupt(tap, c)), ("search and tcp", lambda: check_search_and_tcp(tap, c)),
                            ("mistakes", lambda: check_mistakes(tap, c)), ("shipped", lambda: check_shipped(tap, c))):
            if lab.wanted(options, name):
                try:
                    check()
                except Exception:
                    tap.broken(name)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
