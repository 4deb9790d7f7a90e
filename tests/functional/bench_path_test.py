#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`sluice-bench path` (T1) as a person meets it: every direction and axis in tiny rows, records, the gate.  No figure is judged.

    bench_path_test.py --bin DIR        DIR: a prefix that `meson install` filled, or a build folder
"""
import argparse, json, os, re, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lab"))
from tap import Tap

PLACES = ("bin/sluice-bench", "bench/sluice-bench", "sluice-bench")
MEMBERS = {"schema", "tier", "kind", "key", "at", "command", "machine", "build", "axes", "result"}
SPREAD = {"best", "median", "p10", "p90", "n"}
DIRECTIONS = ("inbound", "outbound", "both", "peer_to_peer")
STEPS = {
    "inbound": {"round", "wire_rx", "keypair_lookup", "aead_open", "decrypt", "source_check", "acl", "route_inner",
                "host_transmit"},
    "outbound": {"round", "host_rx", "peer_lookup", "acl", "session_select", "aead_seal", "encrypt", "wire_transmit"},
}
STEPS["both"] = STEPS["inbound"] | STEPS["outbound"]
STEPS["peer_to_peer"] = STEPS["both"] - {"host_rx", "host_transmit"}
TINY = ("--ms", "40", "--peers", "20", "--quiet")
program = None


def run(*words):
    done = subprocess.run([program, "path", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def trials(*words):
    status, out, err = run(*TINY, "--json", *words)
    return (json.loads(out) if status == 0 else []), err


def check_records(tap):
    rows, err = trials("--direction", ",".join(DIRECTIONS))
    tap.equal([r["axes"]["direction"] for r in rows], list(DIRECTIONS), f"a trial for each direction\n{err}")
    for r in rows:
        way, result = r["axes"]["direction"], r["result"]
        tap.ok(set(r) == MEMBERS and r["tier"] == "T1" and r["kind"] == "path", f"{way}: the trial is complete")
        tap.equal(set(result["steps"]), STEPS[way], f"{way}: every step, and no other")
        spreads = [result[x] for x in ("path", "aead", "ports", "whole", "marked")] + list(result["steps"].values())
        tap.ok(all(set(s) == SPREAD and s["n"] > 0 and 0 <= s["best"] <= s["p10"] <= s["median"] <= s["p90"] for s in spreads),
               f"{way}: each with its spread")
        # The best of them: what else ran meanwhile falls on parts and whole alike only in a long row.
        parts = sum(result[x]["best"] for x in ("path", "aead", "ports"))
        tap.ok(0.5 * parts < result["whole"]["best"] < 2 * parts, f"{way}: the parts make the whole", result)
        tap.ok(result["packets_sent"] == result["packets_received"] > 0 and result["packets_lost"] == 0 and not result["drops"],
               f"{way}: nothing is lost")
    return rows


def check_axes(tap):
    rows, err = trials("--direction", "inbound,outbound", "--bytes", "64,imix", "--peers", "1,200", "--active", "10,100",
                       "--popularity", "zipf", "--prefixes", "5", "--burst", "8")
    tap.equal(len(rows), 12, f"lists make all combinations, none twice\n{err}")
    tap.ok(len({r["key"] for r in rows}) == 12, "each with a key of its own")
    tap.ok(all(r["axes"]["prefixes"] == 5 and r["axes"]["burst"] == 8 and r["axes"]["popularity"] == "zipf" for r in rows),
           "and with the axes that were set")
    tap.equal({r["axes"]["active_peers"] for r in rows}, {1, 20, 200}, "active peers by percent")
    for words in (("--lines", "l3"), ("--lines", "memory"), ("--working-set", "1M"), ("--shared",), ("--small-pages",),
                  ("--filter", "20"), ("--nat", "1000"), ("--aead", "libsodium"), ("--in-flight", "7"), ("--lan-hosts", "1")):
        rows, err = trials("--direction", "both", *words)
        tap.ok(len(rows) == 1 and rows[0]["result"]["packets_lost"] == 0, " ".join(words) + f" runs {err}")
    tap.ok(not rows or rows[0]["axes"]["lan_hosts"] == 1, "and is in the axes")


def check_rekey(tap):
    rows, err = trials("--direction", ",".join(DIRECTIONS), "--rekey", "5000", "--ms", "200")
    tap.equal(len(rows), len(DIRECTIONS), f"rows with rekeys\n{err}")
    for r in rows:
        result, way = r["result"], r["axes"]["direction"]
        tap.ok(result["rekeys"] > 50, f"{way}: sessions were replaced ({result['rekeys']})")
        tap.ok(result["packets_lost"] == 0 and result["packets_wrong"] == 0 and not result["drops"],
               f"{way}: and no packet of {result['packets_sent']} is lost")


def check_table(tap):
    status, out, err = run(*TINY, "--direction", "inbound")
    tap.ok(status == 0 and "keypair_lookup" in out and "no throughput" in out, "a table, by row and by step", (out, err))
    tap.ok(not re.search(r"(?i)\d\s*(Mpps|kpps|pps|[KMGT]?bit/s)", out), "which names no rate: T1 is no throughput", out)
    status, out, err = run("--growth", "--peers", "1,50", "--ms", "40", "--quiet")
    tap.ok(status == 0 and "what more peers cost" in out and len(re.findall(r"(?m)[+-]\d+\.\d +[+-]\d+\.\d", out)) == 4,
           "--growth says what more peers cost", (out, err))


def check_records_kept(tap, folder):
    path = os.path.join(folder, "trials.jsonl")
    words = (*TINY, "--direction", "inbound", "--out", path)
    tap.equal(run(*words)[0], 0, "--out keeps trials")
    with open(path) as f:
        before = f.read()
    status, out, err = run(*words, "--resume")
    with open(path) as f:
        tap.ok(status == 0 and f.read() == before, "--resume measures nothing twice", err)
    tap.ok("inbound" in out, "and shows what it has", out)


def check_gate(tap, folder):
    path = os.path.join(folder, "gate.json")
    status, out, err = run("--gate-write", path)
    tap.equal(status, 0, f"a baseline is written {out} {err}")
    with open(path) as f:
        baseline = json.load(f)
    rows = baseline["machines"][0]["rows"]
    tap.equal(set(rows), {"inbound/64/1", "inbound/64/1000", "outbound/64/1", "outbound/64/1000"}, "with all rows")
    for row in rows.values():  # a machine that was twice as fast
        row["path"] /= 2
    with open(path, "w") as f:
        json.dump(baseline, f)
    status, out, err = run("--gate", path)
    tap.ok(status == 1 and "TOO SLOW" in out and "become slower" in err, "what is slower than a baseline is found", (out, err))
    for row in rows.values():
        row["path"] *= 8
        row["whole"] *= 4
    with open(path, "w") as f:
        json.dump(baseline, f)
    status, out, err = run("--gate", path)
    tap.ok(status == 0 and "TOO SLOW" not in out, "what is faster is not", (out, err))
    status, out, err = run("--gate", os.path.join(folder, "none.json"))
    tap.ok(status == 1 and "--gate-write" in err, "a baseline that is not there: how to make one", err)
    with open(path, "w") as f:
        f.write("{}")
    tap.ok(run("--gate", path)[0] == 1, "and one that is none")


def check_wrong(tap):
    for words, what in ((("--direction", "sideways"), "a direction"), (("--bytes", "3"), "a size"), (("--peers", "0"), "no peers"),
                        (("--peers", "200000"), "too many peers"), (("--peers", "x"), "peers that are no number"),
                        (("--prefixes", "1000", "--peers", "10000"), "too many prefixes"), (("--burst", "65"), "a burst"),
                        (("--active", "101"), "more than all"), (("--lines", "nowhere"), "a place"),
                        (("--working-set", "5X"), "a size of memory"), (("--frobnicate",), "an option"), (("extra",), "an argument")):
        status, out, err = run(*words)
        tap.ok(status == 2 and err and not out, f"wrong: {what}", (status, out, err))
    status, out, err = run("--aead", "rot13")
    tap.ok(status == 1 and "rot13" in err, "a cipher that is not there", err)
    status, out, err = run("--help")
    tap.ok(status == 0 and "--rekey" in out and "never throughput" in out, "--help", out)


def main():
    global program
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--tools", help="not used: the same options as the other functional tests")
    options = parser.parse_args()
    found = [os.path.join(options.bin, p) for p in PLACES if os.access(os.path.join(options.bin, p), os.X_OK)]
    if not found:
        raise SystemExit(f"no sluice-bench in {options.bin}")
    program = found[0]
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="sluice-bench-path-") as folder:
        check_records(tap)
        check_axes(tap)
        check_rekey(tap)
        check_table(tap)
        check_records_kept(tap, folder)
        check_gate(tap, folder)
        check_wrong(tap)
    sys.exit(tap.done())


if __name__ == "__main__":
    main()
