# SPDX-License-Identifier: BSD-3-Clause
"""Trials as Markdown: one table for each kind, in the order of tiers, below a block that says where they come from."""
import shlex

from figures import (COST, DIRECTIONS, RATE, TIERS, at, by_load, device_name, estimate_mpps, is_number, is_spread, paired_ratio,
                     rows_of, size_name, spread_of, spread_of_values)

# Axes in this order, others behind them; those named here as None are told by others.
AXES = ("device", "label", "direction", "test", "size", "sizes", "burst", "working_set_bytes", "backend", "peers", "active_peers",
        "popularity", "prefixes", "rekeys_per_s", "flows", "rate_pps", "seconds")
HIDDEN = {"mean_size", "mean_bytes", "step"}
AXIS_NAMES = {"sizes": "inner packets", "size": "size", "rate_pps": "offered/s", "working_set_bytes": "working set", "mean_size": "",
              "active_peers": "active", "rekeys_per_s": "rekeys/s"}


def number(v, digits=3):
    """With so many digits that count, and commas."""
    if v is None:
        return "-"
    if v == 0:
        return "0"
    magnitude = len(str(int(abs(v)))) if abs(v) >= 1 else 0
    if magnitude >= digits:
        return f"{v:,.0f}"
    if abs(v) < 0.001:
        return f"{v:.2g}"
    return f"{v:.{digits - magnitude}f}"


def spread_text(s, form=number):
    """median (best; from to): what is quoted is never alone"""
    return "-" if s is None else f"{form(s.median)} (best {form(s.best)}; {form(s.low)} to {form(s.high)})"


def range_text(s, form=number):
    return "-" if s is None else form(s.median) + (f" ({form(s.low)} to {form(s.high)})" if s.n > 1 else " (one)")


def table(headings, rows):
    def line(cells):
        return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |"

    return "\n".join([line(headings), line(["---"] + ["---:" if i and is_right(rows, i) else "---" for i in range(1, len(headings))]),
                      *map(line, rows)]) + "\n"


def is_right(rows, i):
    """Figures stand to the right."""
    return all(str(r[i])[:1] in "-0123456789" for r in rows)


# ---- axes -------------------------------------------------------------------------------------------------------------

def axis_text(name, v):
    if isinstance(v, bool):
        return "yes" if v else "no"
    if name in ("size", "sizes"):
        return str(v)
    if name == "rate_pps":
        return number(v) if v else "max"
    if name == "working_set_bytes":
        return f"{v / 2**20:.0f} MiB" if v else "warm"
    if is_number(v):
        return f"{v:,g}" if v < 1e6 else f"{v:,.0f}"
    return str(v)


def axes_of(groups):
    """(names of axes that differ, {name: value} of those that do not)"""
    names = []
    for trials in groups:
        names += [n for n in trials[0]["axes"] if n not in names and n not in HIDDEN]
    names.sort(key=lambda n: AXES.index(n) if n in AXES else len(AXES))
    values = {n: [trials[0]["axes"].get(n) for trials in groups] for n in names}
    varying = [n for n in names if any(v != values[n][0] for v in values[n])]
    return varying, {n: values[n][0] for n in names if n not in varying}


def same_text(same):
    parts = [f"{AXIS_NAMES.get(n, n).replace('_', ' ')} {axis_text(n, v)}" for n, v in same.items() if v is not None]
    return f"In all rows: {', '.join(parts)}.\n" if parts else ""


def of_median(trials, name):
    """Of the repetitions of one row."""
    return spread_of_values([at(t, f"result.{name}") for t in trials], False)


# ---- columns of each kind -----------------------------------------------------------------------------------------------

def crypto_columns(trials):
    r = trials[0]["result"]
    return {"core cycles per packet: median (best; 10 to 90 %)": spread_text(spread_of(r["cycles"])),
            "cycles/byte": number(r.get("cycles_per_byte")), "Mpps of the best": number(r.get("mpps")),
            "Gbit/s of the best": number(r.get("gbit_s")),
            "against the best library": f"{r['ratio_to_library']:.2f} x {r.get('best_library')}" if "ratio_to_library" in r else "-",
            **({"over the sum of its sizes": f"{r['excess'] * 100:+.1f} %"} if "excess" in r else {})}


def timing_columns(trials):
    r = trials[0]["result"]
    return {"Welch's t": number(r.get("t")), "leak": r.get("leak"), "measurements": number(r.get("measurements"))}


def path_columns(trials):
    """Cycles, and nothing that looks like a throughput without being called what it is."""
    t = trials[0]
    r, form = t["result"], lambda v: f"{v:,.1f}"
    whole = spread_of(r["whole"])
    return {"stages alone": spread_text(spread_of(r["path"]), form), "AEAD": spread_text(spread_of(r["aead"]), form),
            "synthetic card's driver": spread_text(spread_of(r["ports"]), form), "whole": spread_text(whole, form),
            "Mpps per core (estimate, without NIC)": number(estimate_mpps(t, whole.median))}


def latency_columns(latency):
    us = lambda name: number(at(latency, name) / 1e3) if at(latency, name) is not None else "-"
    return {"latency p50 us": us("p50_ns"), "p99": us("p99_ns"), "p99.9": us("p99_9_ns"), "max": us("max_ns")}


def generate_columns(trials):
    mpps, gbps = of_median(trials, "delivered_pps"), of_median(trials, "delivered_gbps")
    middle = sorted(trials, key=lambda t: at(t, "result.delivered_pps", 0))[len(trials) // 2]["result"]
    lost = of_median(trials, "sum.loss_ratio")
    return {"delivered Mpps": range_text(mpps.scaled(1e-6)) if mpps else "-", "Gbit/s": range_text(gbps),
            "loss %": range_text(lost.scaled(100)) if lost else "-", "duplicated": number(at(middle, "sum.duplicated")),
            "reordered": number(at(middle, "sum.reordered")), "corrupted": number(at(middle, "sum.corrupted")),
            **latency_columns(at(middle, "latency", {})),
            "limit": "generator" if any(at(t, "result.generator_limited") for t in trials) else "device or rate"}


def bound_text(b):
    if not b or b.get("below_minimum"):
        return "below the minimum"
    upper = b["upper_pps"] / 1e6
    return f"{b['throughput_pps'] / 1e6:.4g} ({b['lower_pps'] / 1e6:.4g} to {f'{upper:.4g}' if upper else 'the generator’s limit'})"


def search_columns(trials):
    t = trials[0]
    r, mean = t["result"], at(t, "axes.mean_bytes", 0)
    mrr = r.get("mrr", {})
    overload = {f"at {o['factor']:g} x NDR": f"{o['ratio']:.2f}" + ("*" if o.get("generator_limited") else "")
                for o in r.get("overload", [])}
    latency = next((x["latency"] for x in r.get("latency", []) if x["percent_of_ndr"] == 50), {})
    return {"NDR Mpps (carried to not)": bound_text(r.get("ndr")), "PDR Mpps": bound_text(r.get("pdr")),
            "MRR Mpps": f"{mrr.get('median_pps', 0) / 1e6:.4g} ({mrr.get('min_pps', 0) / 1e6:.4g} to {mrr.get('max_pps', 0) / 1e6:.4g})",
            "NDR Gbit/s": number(at(r, "ndr.throughput_pps", 0) * mean * 8 / 1e9), **overload,
            **{f"at 50 % of NDR: {n}": v for n, v in latency_columns(latency).items()}}


def handshakes_columns(trials):
    rate = of_median(trials, "per_second")
    return {"handshakes per second": range_text(rate), "answer, ms": spread_text(spread_of(trials[0]["result"]["latency_ms"])),
            "failed": number(at(trials[0], "result.failed"))}


def plain_columns(trials):
    """Of a kind that nobody here knows."""
    found = {}
    for name, v in trials[0]["result"].items():
        if is_spread(v):
            found[name] = spread_text(spread_of(v))
        elif is_number(v):
            found[name] = range_text(of_median(trials, name))
        elif isinstance(v, (str, bool)):
            found[name] = str(v)
    return found


COLUMNS = {"crypto": crypto_columns, "timing": timing_columns, "path": path_columns, "generate": generate_columns,
           "search": search_columns, "handshakes": handshakes_columns}
NOTES = {
    "crypto": "Best of many short samples; the median beside it says how busy the machine was. Mpps and Gbit/s follow from the best.",
    "path": "Core cycles per packet of the production stages over a synthetic card. **No figure here is throughput**: no card, no "
            "driver and no second machine was there. What a core would do without any of them is an estimate.",
    "search": "NDR: no loss; PDR: the loss that is said; MRR: what comes out of all that can be offered (RFC 9971 rules). "
              "x NDR: delivered over NDR when so many times of it is offered; * as far as the generator goes.",
    "timing": "Welch's t above 4.5, twice, is worth a look; above 10 it is a leak.",
}


def sort_key(varying):
    def key(trials):
        found = []
        for n in varying:
            v = trials[0]["axes"].get(n)
            v = int(v) if isinstance(v, str) and v.isdigit() else v
            place = DIRECTIONS.index(v) if v in DIRECTIONS else 0
            found.append((place, 0, v, "") if is_number(v) else (place, 1, 0, str(v)))
        return found
    return key


def kind_table(kind, groups):
    varying, same = axes_of(groups)
    columns_of = COLUMNS.get(kind, plain_columns)
    rows = [(trials, columns_of(trials)) for trials in sorted(groups, key=sort_key(varying))]
    headings = []
    for _, cells in rows:
        headings += [n for n in cells if n not in headings]
    body = [[axis_text(n, trials[0]["axes"].get(n)) for n in varying] + [cells.get(h, "-") for h in headings] for trials, cells in rows]
    names = [AXIS_NAMES.get(n, n).replace("_", " ") for n in varying]
    return same_text(same) + "\n" + table(names + headings, body)


# ---- compare: its rows are loads and devices -------------------------------------------------------------------------------

def compare_row(device, rounds, first, kind):
    trials, other = list(rounds.values()), list(first.values())
    form = (lambda v: f"{v:.2f}") if kind == "udp" else (lambda v: f"{v:.3f}")
    cost, core = (spread_of_values([at(t, f"result.{n}") for t in trials]) for n in (COST[kind], COST[kind].replace("cpu", "core")))
    rate = spread_of_values([at(t, f"result.{RATE[kind]}") for t in trials], False)
    loss = spread_of_values([at(t, "result.loss_ratio") for t in trials])
    p50, p99 = (spread_of_values([at(t, f"result.trial.latency.{n}") for t in trials]) for n in ("p50_ns", "p99_ns"))
    ratio = lambda name: range_text(paired_ratio(rounds, first, name), lambda v: f"{v:.2f}")
    us = lambda s: number(s.median / 1e3) if s else "-"
    tail = [f"{loss.median * 100:.3f}" if loss else "-", us(p50), us(p99)] if kind == "udp" else []
    return [device, range_text(cost, form), range_text(core, form), range_text(rate), *tail, ratio(COST[kind]), ratio(RATE[kind])]


def compare_table(groups):
    text = ""
    for load, devices in by_load(groups).items():
        some = next(iter(next(iter(devices.values())).values()))
        a, kind = some["axes"], some["axes"].get("kind", "udp")
        first = a.get("first") if a.get("first") in devices else next(iter(devices))
        unit = ["CPU us/packet", "core us/packet", "delivered/s", "loss %", "p50 us", "p99 us"] if kind == "udp" else \
            ["CPU s/Gbit", "core s/Gbit", "Gbit/s"]
        rows = [compare_row(d, rounds, devices[first], kind) for d, rounds in devices.items()]
        offered = f", {a['rate_pps']:,.0f}/s offered to each" if a.get("rate_pps") else ""
        text += (f"**{a.get('load', load)}**{offered}; gateway on core {a.get('gateway_cores')}, generator on {a.get('generator_cores')}; "
                 f"median (least to greatest) of {max(len(r) for r in devices.values())} rounds\n\n")
        text += table(["device", *unit, f"CPU against {first}", f"rate against {first}"], rows) + "\n"
    return text + "CPU: all processes of the device, user and system; softirqs that ran elsewhere on their behalf are not in it. core: busy " \
        "time of the device's cores, those softirqs and whatever else ran there included. Ratios are made within each round.\n"


# ---- where it comes from ----------------------------------------------------------------------------------------------

def machine_lines(m):
    weak = sorted(n for n, v in (m.get("mitigations") or {}).items() if str(v).startswith("Vulnerable"))
    on = sorted(n for n, v in (m.get("mitigations") or {}).items() if str(v).startswith("Mitigation"))
    clock = f"core {m['core_ghz']:.2f} GHz, TSC {m['tsc_ghz']:.2f} GHz (ratio {m['core_ghz'] / m['tsc_ghz']:.3f})" \
        if m.get("core_ghz") and m.get("tsc_ghz") else "unknown"
    memory = f", {m['memory_bytes'] / 2**30:.0f} GiB" if m.get("memory_bytes") else ""
    return [("CPU", f"{m.get('cpu')}, family {m.get('family')} model {m.get('model')} stepping {m.get('stepping')}, microcode "
                    f"{m.get('microcode')}, class {m.get('class')}"),
            ("clock", clock), ("cores, memory", f"{m.get('cores')}{memory}; SMT {m.get('smt')}; hypervisor {m.get('hypervisor') or 'none'}"),
            ("kernel", f"{m.get('kernel')}; governor {m.get('governor') or 'none'}"),
            ("mitigations", f"on: {', '.join(on) or 'none'}; vulnerable: {', '.join(weak) or 'none'}")]


def build_lines(b):
    libraries = ", ".join(f"{n} {v}" for n, v in (b.get("libraries") or {}).items() if v)
    return [("build", f"sluice-bench {b.get('version')}, commit {b.get('commit')}, {b.get('compiler')}, flags `{b.get('flags')}`"),
            ("libraries", libraries)]


def sources(trials):
    """Distinct (machine, build) with their trials; what a run itself changes (clock, free pages) does not tell them apart."""
    found = {}
    for t in trials:
        m, b = t.get("machine") or {}, t.get("build") or {}
        found.setdefault((m.get("cpu"), m.get("microcode"), m.get("kernel"), b.get("commit"), b.get("id"), b.get("compiler")),
                         []).append(t)
    return list(found.values())


def commands_of(trials):
    found = {}
    for t in trials:
        found.setdefault(shlex.join(t.get("command") or ["?"]), []).append(t)
    return found


def header(trials):
    text = ""
    for own in sources(trials):
        lines = machine_lines(own[0].get("machine") or {}) + build_lines(own[0].get("build") or {})
        times = sorted(t.get("at", "?") for t in own)
        lines.append(("measured", times[0] if times[0] == times[-1] else f"{times[0]} to {times[-1]}"))
        text += table(["measured on", ""], [[f"**{n}**", v] for n, v in lines])
        text += "\n```sh\n" + "".join(f"{c}    # {len(ts)} trials\n" for c, ts in commands_of(own).items()) + "```\n\n"
    return text


def sections(trials):
    """(tier, kind, Markdown of the table) each"""
    for (tier, kind), groups in rows_of(trials).items():
        body = compare_table(groups) if kind == "compare" else kind_table(kind, groups)
        note = f"{NOTES[kind]}\n\n" if kind in NOTES else ""
        yield tier, kind, note + body


def left_out(trials):
    steps = sum(1 for t in trials if t["axes"].get("step", "result") != "result")
    cut = sum(1 for t in trials if t["key"].endswith("/interrupted"))
    parts = ([f"{steps} trials that are steps of a search or probes"] if steps else []) + \
            ([f"{cut} that were interrupted"] if cut else [])
    return f"Not in the tables: {' and '.join(parts)}.\n" if parts else ""


def markdown(trials, pictures=()):
    """pictures: (tier, kind, title, file name) to be shown above their table."""
    text = "# Benchmark\n\n" + header(trials)
    for tier, kind, body in sections(trials):
        text += f"## {tier} {kind}: {TIERS.get(tier, '')}\n\n"
        text += "".join(f"![{title}]({name})\n\n" for t, k, title, name in pictures if (t, k) == (tier, kind))
        text += body + "\n"
    return text + left_out(trials)
