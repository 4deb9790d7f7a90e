#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""sluice-bench report: trials of every kind to Markdown, SVG and HTML; the baseline; what it says about bad input.

    bench_report_test.py --bin DIR   DIR: a prefix that `meson install` filled, or a build folder
"""
import copy, json, lzma, os, re, subprocess, sys, tempfile
import xml.etree.ElementTree as xml
from html.parser import HTMLParser

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lab"))
import lab
from tap import Tap

MACHINE = {"cpu": "Test CPU <3 & more", "family": 6, "model": 1, "stepping": 2, "microcode": "0x1", "class": "avx2", "flags": ["avx2"],
           "cores": 2, "memory_bytes": 2**34, "kernel": "Linux 6.1", "mitigations": {"retbleed": "Vulnerable"}, "governor": None,
           "smt": "off", "hypervisor": False, "huge_pages": {}, "tsc_ghz": 2.5, "core_ghz": 3.5, "core_per_tsc": 1.4}
BUILD = {"version": "0.1.0", "commit": "abcdef0123456789", "id": "1", "compiler": "gcc 12", "flags": "-O3", "libraries": {"libsodium": "1"}}


# ---- trials as the commands write them ----------------------------------------------------------------------------------

def trial(tier, kind, key, axes, result):
    return {"schema": "sluice-bench/1", "tier": tier, "kind": kind, "key": key, "at": "2026-11-22T18:40:00Z",
            "command": ["sluice-bench", kind, "--out", "a file.jsonl"], "machine": MACHINE, "build": BUILD, "axes": axes, "result": result}


def spread(best, factor=1.0):
    b = best * factor
    return {"best": b, "median": b * 1.02, "p10": b * 1.005, "p90": b * 1.3, "n": 500}


def crypto(factor=1.0):
    found = []
    for backend, base, each in (("sluice", 120, 0.9), ("avx2", 180, 1.4), ("ipsec-mb", 500, 1.0), ("libsodium", 800, 2.0)):
        for way in ("seal", "open"):
            for size in (64, 352, 1424):
                for burst in (1, 4, 32):
                    c = spread(base * (4 if burst == 1 else 1) + each * size, factor if backend == "sluice" else 1)
                    found.append(trial("T0", "crypto", f"{backend}/{way}/{size}/{burst}",
                                       {"backend": backend, "direction": way, "size": size, "mean_size": size, "burst": burst, "keys": 64,
                                        "working_set_bytes": 0},
                                       {"cycles": c, "cycles_per_byte": c["best"] / size, "mpps": 3500 / c["best"], "gbit_s": 1.0,
                                        "core_ghz": 3.5, "best_library": "ipsec-mb", "ratio_to_library": 0.5}))
    found.append(trial("T0", "crypto", "sluice/seal/7x64,4x528/32", {"backend": "sluice", "direction": "seal", "size": "7x64,4x528",
                       "mean_size": 232.7, "burst": 32, "keys": 64, "working_set_bytes": 0},
                       {"cycles": spread(400), "cycles_per_byte": 1.7, "mpps": 8.7, "gbit_s": 16, "core_ghz": 3.5, "excess": 0.04}))
    return found


def path():
    found = []
    for way, steps in (("inbound", ("wire_rx", "keypair_lookup", "aead_open", "decrypt", "host_transmit")),
                       ("outbound", ("host_rx", "peer_lookup", "aead_seal", "encrypt", "wire_transmit"))):
        for size in (64, 1420):
            for peers in (1, 1000, 100000):
                cost = {n: spread((size if n.startswith("aead") else 20) + len(str(peers))) for n in steps}
                whole = spread(sum(s["best"] for s in cost.values()))
                found.append(trial("T1", "path", f"{way}/{size}/peers={peers}",
                                   {"direction": way, "sizes": str(size), "mean_bytes": float(size), "peers": peers, "active_peers": peers,
                                    "popularity": "uniform", "prefixes": 1, "burst": 64, "rekeys_per_s": 0.0, "shared": False},
                                   {"unit": "core cycles per packet", "path": spread(80 + peers / 1000), "aead": spread(size), "ports": spread(70),
                                    "whole": whole, "steps": cost, "core_ghz": 3.5, "packets_lost": 0, "aead_backend": "avx2"}))
    return found


def latency(scale=1):
    curve = [[q, int(20000 * scale * (1 + 1 / (1.001 - q)))] for q in (0.01, 0.5, 0.9, 0.99, 0.999)] + [[1.0, 90000000 * scale]]
    return {"n": 2000, "min_ns": 20000, "mean_ns": 3e4, "p50_ns": 30000 * scale, "p90_ns": 40000 * scale, "p99_ns": 50000 * scale,
            "p99_9_ns": 60000 * scale, "max_ns": 90000000 * scale, "curve": curve}


def tally(sent, lost):
    return {"sent": sent, "received": sent - lost, "bytes": 64 * (sent - lost), "lost": lost, "loss_ratio": lost / sent, "duplicated": 0,
            "reordered": 0, "reorder_extent_max": 0, "corrupted": 0, "foreign": 0}


def delivered(pps, lost=0):
    return {"offered_pps": pps, "seconds": 1.0, "delivered_pps": pps - lost, "delivered_gbps": pps * 512 / 1e9, "sum": tally(int(pps), lost),
            "latency": latency(), "generator_late": 0, "socket_dropped": 0, "generator_cpu_s": 0.5, "generator_limited": False}


def load_axes(device, way, size):
    return {"device": device, "direction": way, "rate_pps": 1e5, "seconds": 1.0, "sizes": str(size), "mean_bytes": float(size), "flows": 4,
            "encrypt_ahead": True, "peers": 1}


def generate():
    return [trial("T2", "generate", f"memory/inbound/64/1e5/{i}", load_axes("memory", "inbound", 64), delivered(1e5 + i * 100, i))
            for i in range(3)] + [trial("T2", "generate", "memory/inbound/64/1e5/9/interrupted", load_axes("memory", "inbound", 64),
                                        delivered(777777))]


def search(factor=1.0):
    found = []
    for way in ("inbound", "outbound"):
        for size, ndr in ((64, 3e6), (1420, 1e6)):
            ndr *= factor
            bound = {"lower_pps": ndr, "upper_pps": ndr * 1.005, "throughput_pps": ndr, "complete": True, "at_maximum": False,
                     "below_minimum": False}
            key = f"memory/{way}/{size}/4 flows"
            found.append(trial("T2", "search", f"{key}/ndr/1e6/1 s/0", {**load_axes("memory", way, size), "step": "ndr"}, delivered(ndr)))
            found.append(trial("T2", "search", key, {**load_axes("memory", way, size), "step": "result"},
                               {"ndr": bound, "pdr": bound, "mrr": {"min_pps": ndr, "median_pps": ndr * 1.1, "max_pps": ndr * 1.2, "n": 10,
                                                                     "generator_limited": False},
                                "overload": [{"factor": f, "offered_pps": ndr * f, "delivered_pps": ndr, "ratio": 0.97,
                                              "generator_limited": f == 10} for f in (1.5, 3.0, 10.0)],
                                "latency": [{"percent_of_ndr": p, "latency": latency(p)} for p in (10, 50, 90)], "pdr_loss_ratio": 0.005,
                                "generator_limited": False, "trials": 30, "trial_seconds": 30.0}))
    return found


def compare():
    found = []
    for r in range(4):
        for device, us in (("sluice", 5.0), ("wireguard-go", 12.0), ("boringtun", 6.0)):
            cost = us * (1 + r / 50)
            cpu = {"cpu_s": cost, "wall_s": 5.0, "cores": {}, "processes": {"forwarder": {"cpu_s": cost * 0.08, "threads": {"x": cost * 0.08}}}}
            axes = {"load": "inbound, 64 B", "kind": "udp", "direction": "inbound", "sizes": "64", "factor": 1, "rate_pps": 80000, "seconds": 3,
                    "flows": 4, "device": device, "round": r, "first": "sluice", "gateway_cores": [0], "generator_cores": [1]}
            found.append(trial("T3", "compare", f"udp/inbound/64/search/4 flows/3 s/x1/{device}/{r}", axes,
                               {"cpu_us_per_packet": cost, "core_us_per_packet": cost * 1.5, "delivered_pps": 8e4, "delivered_gbps": 0.04,
                                "loss_ratio": 0.001, "cost": cpu, "trial": delivered(80000)}))
    return found


def others():
    return [trial("T0", "timing", "avx2/seal/64/1", {"backend": "avx2", "test": "seal", "size": 64, "burst": 1},
                  {"t": 1.2, "measurements": 1000, "leak": "none"}),
            trial("T3", "handshakes", "gateway/1000", {"gateway": "198.18.0.2:51820", "keys": 1000},
                  {"peers": 1000, "done": 1000, "failed": 0, "seconds": 1.0, "per_second": 950.0, "latency_ms": spread(0.4)}),
            trial("T9", "unheard-of", "x", {"what": "a|b"}, {"figure": 17, "spread": spread(3)})]


def everything():
    return crypto() + path() + generate() + search() + compare() + others()


# ---- running it ---------------------------------------------------------------------------------------------------------

class Reports:
    def __init__(self, bench, folder):
        self.bench, self.folder = bench, folder

    def file(self, name, trials, end="\n"):
        at = os.path.join(self.folder, name)
        with open(at, "w") as f:
            f.write(trials if isinstance(trials, str) else "".join(json.dumps(t) + "\n" for t in trials)[:-1] + end)
        return at

    def run(self, *words):
        """(exit status, stdout, stderr)"""
        r = subprocess.run([self.bench, "report", *words], capture_output=True, text=True, timeout=60, cwd=self.folder)
        return r.returncode, r.stdout, r.stderr


def headings_of(text):
    return re.findall(r"(?m)^## (\S+ \S+):", text)


def check_markdown(tap, r):
    code, text, err = r.run(r.file("all.jsonl", everything()))
    tap.ok(code == 0 and not err, "a report of all kinds is made", err)
    tap.equal(headings_of(text), ["T0 crypto", "T0 timing", "T1 path", "T2 generate", "T2 search", "T3 compare", "T3 handshakes",
                                  "T9 unheard-of"], "tables stand in the order of tiers")
    for word in (MACHINE["cpu"], "gcc 12", "abcdef0123456789", "retbleed", "sluice-bench crypto --out 'a file.jsonl'", "ratio 1.400"):
        tap.ok(word in text, f"its head has {word}")
    widths = [{line.replace("\\|", "").count("|") for line in block.splitlines()} for block in re.findall(r"(?:^\|.*\n)+", text, re.M)]
    tap.ok(widths and all(len(w) == 1 for w in widths), "every row of a table has as many cells as its head", widths)
    t1 = text[text.index("## T1"):text.index("## T2")]
    tap.ok("estimate, without NIC" in t1 and not re.search(r"(?i)gbit|throughput(?! |\*\*)", t1.replace("not throughput", "").replace(
        "is throughput", "")), "T1 figures are cycles, and what follows from them is called an estimate", t1[:600])
    tap.ok("In all rows: device memory, direction inbound" in text, "what is the same in all rows is said once")
    tap.ok("777" not in text and "that were interrupted" in text, "an interrupted trial is not in a table, and that is said")
    tap.ok("| wireguard-go | 12.36 (12.00 to 12.72)" in text, "repetitions are shown as median, least and greatest")
    tap.ok("2.40 (2.40 to 2.40)" in text, "ratios are made within each round")
    tap.ok("181 (best 178; 178 to 231)" in text, "a median has its best beside it, and how far samples lie apart")


def check_array(tap, r):
    """What --json prints, alone, and from stdin."""
    path_ = r.file("array.json", json.dumps(crypto()))
    code, text, err = r.run(path_)
    tap.ok(code == 0 and headings_of(text) == ["T0 crypto"], "an array as --json prints it is read", err)
    done = subprocess.run([r.bench, "report", "-"], input=json.dumps(crypto()), capture_output=True, text=True, timeout=60)
    tap.ok(done.returncode == 0 and done.stdout == text, "also from stdin", done.stderr)
    with lzma.open(path_ + ".xz", "wt") as f:
        f.write(json.dumps(crypto()))
    code, packed, err = r.run(path_ + ".xz")
    tap.ok(code == 0 and headings_of(packed) == ["T0 crypto"], "also packed by xz", err)
    code, text, err = r.run(r.file("one.jsonl", crypto()), r.file("two.jsonl", search()))
    tap.ok(code == 0 and headings_of(text) == ["T0 crypto", "T2 search"], "several files make one report", err)


def ends_of(texts):
    """Where texts begin and end, by a letter that is half as wide as high."""
    for t in texts:
        x, width = float(t.get("x")), 0.5 * float(t.get("font-size")) * len(t.text or "")
        begin = x - {"middle": width / 2, "end": width}.get(t.get("text-anchor"), 0)
        yield from (begin, begin + width)


def numbers_of(svg):
    """All coordinates of an SVG."""
    return [float(n) for n in re.findall(r'(?:x|y|x1|x2|y1|y2|cx|cy|width|height)="(-?[\d.]+)"', svg)]


def check_svg(tap, r):
    folder = os.path.join(r.folder, "charts")
    code, out, err = r.run("--svg", folder, r.file("all.jsonl", everything()))
    names = sorted(os.listdir(folder))
    tap.ok(code == 0 and len(names) > 12, "charts are written", f"{out}{err}{names}")
    for name in names:
        with open(os.path.join(folder, name)) as f:
            text = f.read()
        if not name.endswith(".svg"):
            shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
            tap.equal(sorted(shown), [n for n in names if n.endswith(".svg")], "report.md shows every chart")
            continue
        root = xml.fromstring(text)
        width = float(root.get("width"))
        texts = [t for t in root.iter("{http://www.w3.org/2000/svg}text") if t.get("x")]
        tap.ok(root.tag.endswith("svg") and root.find("{http://www.w3.org/2000/svg}title").text and "prefers-color-scheme:dark" in text and
               "script" not in text and all(-1 < end < width for end in ends_of(texts)) and
               all(-1 <= n <= 1200 for n in numbers_of(text)), f"{name} is a chart that stands alone", text[:400])
    wanted = ("t0-crypto-seal", "t0-crypto-open", "t1-path-inbound", "t1-path-outbound", "t1-path-growth", "t2-search-what-is-carried",
              "t2-search-overload", "t2-search-latency", "t3-compare-cpu", "t3-compare-latency", "t2-generate")
    tap.equal([w for w in wanted if not any(n.startswith(w) for n in names)], [], "there is one of each sort")


class Balance(HTMLParser):
    """Counts elements that are opened and not closed."""
    EMPTY = {"meta", "br", "rect", "line", "path", "circle"}

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.tags = [], [], set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag not in self.EMPTY or tag == "path":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        while self.open and self.open[-1] in self.EMPTY and self.open[-1] != tag:
            self.open.pop()
        if tag in self.EMPTY and (not self.open or self.open[-1] != tag):
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def check_html(tap, r):
    folder = os.path.join(r.folder, "page")
    code, out, err = r.run("--html", folder, r.file("all.jsonl", everything()))
    with open(os.path.join(folder, "index.html")) as f:
        text = f.read()
    b = Balance()
    b.feed(text)
    tap.ok(code == 0 and not b.wrong and not [t for t in b.open if t not in b.EMPTY], "the page is well-formed", f"{err}{b.wrong}{b.open}")
    tap.ok({"svg", "table", "details"} <= b.tags and "script" not in b.tags and "http://" not in text.replace("http://www.w3.org", ""),
           "it has charts and tables, and needs nothing from elsewhere")
    tap.ok("Test CPU &lt;3 &amp; more" in text and "<3" not in text, "what comes from a file is escaped")


# ---- baseline -----------------------------------------------------------------------------------------------------------

def check_baseline(tap, r):
    old = r.file("old.jsonl", crypto() + search() + compare())
    code, text, err = r.run("--baseline", old, old)
    tap.ok(code == 0 and "0 worse, 0 better" in text, "a run is no worse than itself", text + err)
    slower = r.file("slower.jsonl", crypto(1.30))
    code, text, err = r.run("--baseline", old, slower)
    tap.ok(code == 1 and ": 18 worse, 0 better" in text, "30 % more cycles are seen", text[:800] + err)
    tap.ok("T0 crypto sluice/seal/64/32" in text and "30.0 % worse" in text and "4.0 %" in text and "ipsec-mb/" not in text.split("## Missing")[0],
           "each row that is worse is named with both values, the change and what was allowed; the others are not", text[:1500])
    tap.ok("Rule:" in text, "the rule is said")
    code, text, _ = r.run("--baseline", old, r.file("little.jsonl", crypto(1.03)))
    tap.ok(code == 0 and "0 worse" in text, "3 % more are within threshold and noise", text[:500])
    code, text, _ = r.run("--baseline", old, "--threshold", "50", slower)
    tap.ok(code == 0, "--threshold moves the bound", text[:300])
    code, text, _ = r.run("--baseline", slower, r.file("first.jsonl", crypto()))
    tap.ok(code == 0 and "## Better" in text and "23.1 % better" in text, "what became better is listed, and is no failure", text[:800])
    code, text, _ = r.run("--baseline", old, r.file("search.jsonl", search(0.9)))
    tap.ok(code == 1 and "ndr" in text and "10.0 % worse" in text, "a rate that is 10 % lower is seen", text[:800])
    tap.ok("## Missing" in text and "T0 crypto sluice/seal/64/1\n" in text, "rows that are missing are said")
    check_baseline_noise(tap, r, old)


def check_baseline_noise(tap, r, old):
    noisy = compare()
    for t in noisy:
        t["result"]["cpu_us_per_packet"] *= 1.25 + 0.5 * (t["axes"]["round"] % 2)
    code, text, _ = r.run("--baseline", old, r.file("noisy.jsonl", noisy))
    tap.ok(code == 1 and "T3 compare udp/inbound/64" in text, "beyond the noise of its rounds a cost is worse", text[:500])
    noisy = compare()
    for t in noisy:
        t["result"]["cpu_us_per_packet"] *= 1.3 if t["axes"]["round"] % 2 else 1
    code, text, _ = r.run("--baseline", old, r.file("noisy.jsonl", noisy))
    tap.ok(code == 0, "within it, it is not", text[:900])
    elsewhere = [copy.deepcopy(t) for t in crypto()]
    for t in elsewhere:
        t["machine"] = {**MACHINE, "cpu": "Another"}
    there = r.file("elsewhere.jsonl", elsewhere)
    code, text, err = r.run("--baseline", old, there)
    tap.ok(code == 1 and "another machine" in err and "--any-machine" in err, "another machine's baseline is refused", text + err)
    code, text, err = r.run("--baseline", old, "--any-machine", there)
    tap.ok(code == 0 and "0 worse" in text, "unless that is wanted", text[:300] + err)
    code, _, err = r.run("--baseline", r.file("generate.jsonl", generate()), r.file("first.jsonl", crypto()))
    tap.ok(code == 1 and "none of its rows" in err, "a baseline of something else is no comparison", err)


# ---- bad input ----------------------------------------------------------------------------------------------------------

def check_bad(tap, r):
    good = json.dumps(crypto()[0])
    for what, text, words in (
            ("no JSON", "hello\nworld\n", ("line 1", "no JSON")),
            ("an empty file", "", ("no trial is in it",)),
            ("JSON of something else", '{"a": 1}\n', ("line 1", "no trial of sluice-bench/1")),
            ("another schema", good.replace("sluice-bench/1", "sluice-bench/7") + "\n", ("sluice-bench/7", "reads sluice-bench/1")),
            ("garbage between trials", good + "\n[1,\n" + good + "\n", ("line 2", "no JSON")),
            ("a trial without a result", good.replace('"result"', '"outcome"') + "\n", ("line 1", "no trial")),
            ("an array of numbers", "[1, 2]", ("element 1", "no trial"))):
        code, out, err = r.run(r.file("bad.jsonl", text))
        tap.ok(code == 1 and not out and all(w in err for w in words) and err.startswith("sluice-bench: ") and "\n  " in err,
               f"{what}: said, with what to do", f"{code} {out}{err}")
    code, _, err = r.run(os.path.join(r.folder, "nowhere.jsonl"))
    tap.ok(code == 1 and "No such file" in err and "\n  " in err, "a file that is not there: said", err)
    code, _, err = r.run(r.file("bad.jsonl.xz", good))
    tap.ok(code == 1 and "bad.jsonl.xz" in err and "\n  " in err, "a file that only is called packed: said", err)
    code, text, err = r.run(r.file("torn.jsonl", good + "\n" + good[:200]))
    tap.ok(code == 0 and "torn" in err and "T0 crypto" in text, "a torn last line is left out, and that is said", err)
    for words in ((), ("--what",), ("--threshold", "x", "all.jsonl"), ("--svg",)):
        code, _, err = r.run(*words)
        tap.ok(code == 2 and "sluice-bench: " in err and "--help" in err, f"report {' '.join(words)}: wrong usage", f"{code} {err}")
    code, out, _ = r.run("--help")
    tap.ok(code == 0 and "--baseline" in out, "it has a help")
    code, _, err = r.run("--svg", "/proc/nowhere", r.file("first.jsonl", crypto()))
    tap.ok(code == 1 and "/proc/nowhere" in err, "a folder that cannot be made: said", err)


def check_real(tap, r):
    """What the commands of this build write is what is read here."""
    for name, words in (("crypto", ("--seconds", "2", "--sizes", "64,352", "--bursts", "1,32", "--mix", "none")),
                        ("path", ("--ms", "5", "--bytes", "64", "--peers", "1,100")),
                        ("search", ("--simulate", "1000000", "--seconds", "0.05", "--sum", "0.2", "--size", "64")),
                        ("generate", ("--in-memory", "--rate", "20000", "--seconds", "0.3", "--repeat", "2", "--size", "64"))):
        out = os.path.join(r.folder, f"real-{name}.jsonl")
        done = subprocess.run([r.bench, name, *words, "--out", out, "--quiet"], capture_output=True, text=True, timeout=60)
        code, text, err = r.run("--markdown", "--svg", os.path.join(r.folder, f"real-{name}"), out)
        charts = len(os.listdir(os.path.join(r.folder, f"real-{name}"))) if code == 0 else 0
        tap.ok(done.returncode == 0 and code == 0 and f" {name}:" in text and charts > 1, f"what `{name}` writes becomes tables and charts",
               f"{done.stderr}{err}{text[-600:]}")
        code, text, err = r.run("--baseline", out, out)
        tap.ok(code == 0 and "0 worse" in text, f"and `{name}` is no worse than itself", text[-600:] + err)


def main():
    import argparse
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    lab.add_options(parser)
    options = parser.parse_args()
    tap, bench = Tap(), lab.find_program("sluice-bench", options.bin)
    if bench is None:
        sys.exit("no sluice-bench found: give --bin DIR")
    with tempfile.TemporaryDirectory(prefix="sluice-report-") as folder:
        r = Reports(bench, folder)
        for check in (check_markdown, check_array, check_svg, check_html, check_baseline, check_bad, check_real):
            try:
                check(tap, r)
            except Exception:
                tap.broken(check.__name__)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
