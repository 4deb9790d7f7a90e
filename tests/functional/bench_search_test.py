#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`sluice-bench search`: a known NDR is found, an interrupted search goes on where it was, and what is asked wrongly is said.

    bench_search_test.py --bin DIR        DIR: a prefix that `meson install` filled, or a build folder
"""
import argparse, json, os, re, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lab"))
from tap import Tap

PLACES = ("bin/sluice-bench", "bench/sluice-bench", "sluice-bench")
CAPACITY = 1_230_000
SIMULATED = ["search", "--simulate", str(CAPACITY), "--size", "64", "--quiet"]
program = None


def run(*words):
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)


def lines(path):
    with open(path) as f:
        return f.read().splitlines()


def result_of(path):
    """The search's own record: the one whose step is "result"."""
    found = [t for t in map(json.loads, lines(path)) if t["axes"]["step"] == "result"]
    return found[0]["result"] if len(found) == 1 else None


def check_known(tap, folder):
    for width, words in ((0.005, ()), (0.02, ("--quick",))):
        out = os.path.join(folder, f"known{width}.jsonl")
        end = run(*SIMULATED, *words, "--out", out)
        tap.ok(end.returncode == 0, f"width {width}: a search ends well", end)
        r = result_of(out)
        low, high = r["ndr"]["lower_pps"], r["ndr"]["upper_pps"]
        tap.ok(low <= CAPACITY * 1.001 and high >= CAPACITY * 0.999 and (high - low) / high <= width + 1e-6 and r["ndr"]["complete"],
               f"width {width}: the known NDR lies within the bounds", r["ndr"])
        tap.ok(abs(r["pdr"]["throughput_pps"] / CAPACITY - 1) < 0.02, f"width {width}: PDR by what came through", r["pdr"])
        tap.equal([o["factor"] for o in r["overload"]], [1.5, 3, 10], f"width {width}: overload at three rates")
        tap.ok(all(0.97 < o["ratio"] < 1.03 for o in r["overload"]), f"width {width}: this device does not collapse", r["overload"])
        tap.equal([x["percent_of_ndr"] for x in r["latency"]], [10, 50, 90], f"width {width}: latency at three loads")
        tap.equal(r["trials"], len(lines(out)) - 1, f"width {width}: every trial is kept")
        tap.ok(re.search(r"NDR +1\.2\d+ Mpps", end.stdout) and "duplicated 0, reordered 0, corrupted 0" in end.stdout,
               f"width {width}: and a person can read it", end.stdout)


def check_resumed(tap, folder):
    out, whole = os.path.join(folder, "cut.jsonl"), os.path.join(folder, "known0.005.jsonl")
    kept = lines(whole)
    with open(out, "w") as f:
        f.write("\n".join(kept[:len(kept) // 2]) + "\n")
    end = run(*SIMULATED, "--out", out, "--resume")
    tap.ok(end.returncode == 0, "half of a search goes on", end)
    tap.equal(lines(out)[:len(kept) // 2], kept[:len(kept) // 2], "what was measured is not measured again")
    tap.ok(result_of(out)["trials"] >= len(kept) // 2, "and counts", result_of(out))
    end = run(*SIMULATED, "--out", out, "--resume")
    tap.ok(end.returncode == 0 and len(lines(out)) == len(set(json.loads(x)["key"] for x in lines(out))),
           "a finished one measures nothing", end.stderr)


def check_memory(tap):
    """No figure is judged: the whole chain works, and nothing comes twice or in another order."""
    for direction in ("inbound", "outbound", "both"):
        end = run("search", "--in-memory", "--direction", direction, "--size", "64", "--ahead", "--quiet", "--json", "--mrr", "1",
                  "--seconds", "0.1", "--drain", "0.1", "--sum", "0.1", "--width", "0.5", "--max", "20k", "--no-overload")
        trials = json.loads(end.stdout) if end.returncode == 0 else []
        r = trials[-1]["result"] if trials else {}
        tap.ok(end.returncode == 0 and r["duplicated"] == r["reordered"] == r["corrupted"] == 0, f"in memory, {direction}", end)
        tap.ok(trials and all(t["tier"] == "T2" and t["axes"]["device"] == "memory" for t in trials), f"in memory, {direction}: records say so")


def check_wrong(tap):
    for words, wanted in (
        (["--min", "0"], "number from"),
        (["--min", "1000", "--max", "1500"], "twice"),
        (["--pdr", "2"], "number from"),
        (["--size", "7"], "--size 7"),
        (["--direction", "up"], "inbound, outbound or both"),
        (["more"], "--help"),
    ):
        end = run(*SIMULATED, *words)
        tap.ok(end.returncode == 2 and wanted in end.stderr, f"{' '.join(words)}: said what is wrong", end)
    end = run("search", "--size", "64", "--quiet")
    tap.ok(end.returncode in (1, 2) and "--device" in end.stderr, "no device: said what to give", end)


def main():
    global program
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, metavar="DIR")
    parser.add_argument("--tools", metavar="DIR", help="not used")
    options = parser.parse_args()
    program = next((p for p in (os.path.join(options.bin, place) for place in PLACES) if os.access(p, os.X_OK)), None)
    if program is None:
        parser.error(f"there is no sluice-bench in {options.bin}")
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        check_known(tap, folder)
        check_resumed(tap, folder)
    check_memory(tap)
    check_wrong(tap)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
