# SPDX-License-Identifier: BSD-3-Clause
"""Which charts a set of trials gives: each a Plot with the tier and kind that it belongs to."""
import re
from dataclasses import dataclass

import chart
from chart import Bar, Dots, Frame, Mark, Ratio, Series
from figures import (COST, OURS, RATE, at, by_load, device_name, paired_ratio, rows_of, size_name, size_value, spread_of,
                     spread_of_values, style_of, styles_of)

MOST_BARS = 16
MOST_CURVES = 7
LEAST_US = 0.02  # of CPU, to be a part of a bar


@dataclass
class Plot:
    tier: str
    kind: str
    name: str  # of the file, without .svg
    title: str
    svg: str


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def note(trials, more=""):
    """Where the figures come from."""
    t = trials[0]
    m, b = t.get("machine") or {}, t.get("build") or {}
    clock = f" at {m['core_ghz']:.2f} GHz" if m.get("core_ghz") else ""
    commit = b.get("commit")
    return (f"{m.get('cpu')} ({m.get('class')}){clock}; sluice-bench {b.get('version')}"
            f"{f' ({commit[:12]})' if commit and commit != 'unknown' else ''}, {b.get('compiler')}; {str(t.get('at'))[:10]}. {more}").strip()


def make(tier, kind, frame, svg):
    return Plot(tier, kind, slug(f"{tier} {kind} {frame.title}"), frame.title, svg)


def flat(groups):
    return [t for trials in groups for t in trials]


def matching(trials, **axes):
    return [t for t in trials if all(t["axes"].get(n) == v for n, v in axes.items())]


def values_of(trials, name):
    found = []
    for t in trials:
        v = t["axes"].get(name)
        if v not in found:
            found.append(v)
    return sorted(found, key=lambda v: (isinstance(v, str), v))


# ---- T0 -----------------------------------------------------------------------------------------------------------------

def cycles_series(trials, x_of):
    """A line for each back end; the band goes from the best to the 90th percentile."""
    names = values_of(trials, "backend")
    styles, found = styles_of(names), []
    for name in names:
        points = []
        for t in sorted(matching(trials, backend=name), key=x_of):
            s = spread_of(t["result"]["cycles"])
            points.append((x_of(t), s.best, s.best, max(s.best, s.high)))
        found.append(Series(name, points, styles[name], muted=name not in OURS))
    return found


def crypto_by_size(tier, kind, trials):
    warm = [t for t in trials if not t["axes"].get("working_set_bytes") and size_value(t["axes"]["size"])]
    for burst in sorted({t["axes"]["burst"] for t in warm} & {1, 32}) or values_of(warm, "burst")[-1:]:
        for way in values_of(warm, "direction"):
            mine = matching(warm, direction=way, burst=burst)
            if len(values_of(mine, "size")) < 2:
                continue
            f = Frame(f"{way.capitalize()}: core cycles per packet by size, {f'bursts of {burst}' if burst > 1 else 'single packets'}",
                      "ChaCha20-Poly1305, every packet with another key, one core. Lower is better. Lines: best of many samples; bands: to "
                      "the 90th percentile. Dashed: libraries.", "bytes of plaintext (log)", "core cycles per packet (log)",
                      note(mine), 440)
            yield make(tier, kind, f, chart.line_chart(f, cycles_series(mine, lambda t: int(t["axes"]["size"])), "values", True))


def crypto_by_burst(tier, kind, trials):
    warm = [t for t in trials if not t["axes"].get("working_set_bytes") and size_value(t["axes"]["size"])]
    for size in values_of(warm, "size")[:1]:
        for way in values_of(warm, "direction"):
            mine = matching(warm, direction=way, size=size)
            if len(values_of(mine, "burst")) < 3:
                continue
            f = Frame(f"{way.capitalize()}: core cycles per packet of {size_name(size)} by burst",
                      "How many packets must come together for the vector unit to be full. Lower is better. Dashed: libraries.",
                      "packets handed over at once (log)", "core cycles per packet (log)", note(mine), 420)
            yield make(tier, kind, f, chart.line_chart(f, cycles_series(mine, lambda t: t["axes"]["burst"]), "values", True))


def crypto_plots(tier, kind, groups):
    trials = flat(groups)
    yield from crypto_by_size(tier, kind, trials)
    yield from crypto_by_burst(tier, kind, trials)


# ---- T1 -----------------------------------------------------------------------------------------------------------------

def path_name(t, varying):
    a = t["axes"]
    words = [f"{a['direction'].replace('_', ' ')}, {size_name(a['sizes'])}"]
    if "peers" in varying:
        words.append(f"{a['peers']:,} peer{'s' * (a['peers'] != 1)}")
    if "active_peers" in varying and a["active_peers"] != a["peers"]:
        words.append(f"{a['active_peers']:,} active")
    for name, form in (("popularity", "{}"), ("prefixes", "{} prefixes"), ("burst", "burst {}"), ("rekeys_per_s", "{:g} rekeys/s")):
        if name in varying and not (name == "popularity" and a[name] == "uniform") and not (name == "rekeys_per_s" and not a[name]):
            words.append(form.format(a[name]))
    return ", ".join(words)


STEP_NAMES = {"aead_open": "open (AEAD)", "aead_seal": "seal (AEAD)"}
STEP_STYLES = {"aead_open": 0, "aead_seal": 0}
# What belongs to the synthetic card (or to memory, on the LAN's side), not to the stages.
CARD_STEPS = ("wire_rx", "wire_transmit", "host_rx", "host_transmit")


def step_name(name):
    return STEP_NAMES.get(name, name.replace("_", " "))


def stage_bars(trials, varying, without=()):
    bars = []
    for t in trials[:MOST_BARS]:
        parts = {n: s["median"] for n, s in t["result"].get("steps", {}).items() if n not in without}
        s = spread_of(t["result"]["path" if without else "whole"])
        bars.append(Bar(path_name(t, varying), parts, f"{s.median:,.0f} (best {s.best:,.0f})"))
    return bars


def stage_plots(tier, kind, trials):
    varying = {n for n in trials[0]["axes"] if len(values_of(trials, n)) > 1}
    for way in ("inbound", "outbound", "both", "peer_to_peer"):
        mine = sorted(matching(trials, direction=way), key=lambda t: (t["axes"]["mean_bytes"], t["axes"]["peers"]))
        cut = f" The first {MOST_BARS} of {len(mine)} rows." if len(mine) > MOST_BARS else ""
        name = way.replace("_", " ").capitalize()
        # The same colours in both charts.
        styles = chart.part_styles(chart.part_names(stage_bars(mine, varying)), STEP_STYLES)
        for title, text, without in (
                (f"{name}: core cycles per packet by step", "Production stages between two synthetic cards, one core, no network card: cycles, "
                 "not throughput. Medians of each step; behind the bar the whole, with the best.", ()),
                (f"{name}: the stages alone", "The same without the cipher and the synthetic card's driver.", (*CARD_STEPS, *STEP_STYLES))):
            bars = stage_bars(mine, varying, without)
            if bars and any(b.parts for b in bars):
                f = Frame(title, text + cut, "core cycles per packet", note=note(mine))
                yield make(tier, kind, f, chart.stacked_chart(f, bars, step_name, styles))


def growth_series(trials):
    found = []
    for way in values_of(trials, "direction"):
        for how in values_of(trials, "popularity"):
            mine = [t for t in matching(trials, direction=way, popularity=how) if t["axes"]["active_peers"] == t["axes"]["peers"]]
            points = {}
            for t in mine:  # other axes may vary too: the first row of each count is the plain one
                s = spread_of(t["result"]["path"])
                points.setdefault(t["axes"]["peers"], (t["axes"]["peers"], s.median, s.best, max(s.median, s.high)))
            if len(points) > 1:
                found.append(Series(way.replace("_", " ") + ("" if how == "uniform" else f", {how}"), sorted(points.values()),
                                    style_of(way, [s.style for s in found]), muted=how != "uniform"))
    return found


def growth_plots(tier, kind, trials):
    for size in values_of(trials, "sizes"):
        mine = matching(trials, sizes=size)
        series = growth_series(mine)
        if series:
            f = Frame(f"Growth by peers, {size_name(size)}: cycles of the stages alone",
                      "Without the cipher and the synthetic card's driver; every peer active. Lines: medians; bands: best to 90th percentile.",
                      "peers (log)", "core cycles per packet", note(mine), 420)
            yield make(tier, kind, f, chart.line_chart(f, series, "values"))


def path_plots(tier, kind, groups):
    trials = flat(groups)
    yield from stage_plots(tier, kind, trials)
    yield from growth_plots(tier, kind, trials)


# ---- T2, T3 -------------------------------------------------------------------------------------------------------------

def sorted_rows(trials):
    return sorted(trials, key=lambda t: (t["axes"]["direction"], device_name(t), at(t, "axes.mean_bytes", 0)))


def rate_text(pps, mean):
    return f"{pps / 1e6:.3g} Mpps, {pps * mean * 8 / 1e9:.3g} Gbit/s"


def search_rates(tier, kind, trials):
    rows = []
    for t in sorted_rows(trials):
        r, a = t["result"], t["axes"]
        marks = {"NDR (no loss)": at(r, "ndr.throughput_pps", 0) / 1e6,
                 f"PDR ({at(r, 'pdr_loss_ratio', 0) * 100:.2g} % loss)": at(r, "pdr.throughput_pps", 0) / 1e6,
                 "MRR (all that comes out)": at(r, "mrr.median_pps", 0) / 1e6}
        rows.append(Dots(f"{device_name(t)}, {size_name(a['sizes'])}", marks, rate_text(at(r, "ndr.throughput_pps", 0), a["mean_bytes"]),
                         a["direction"]))
    f = Frame("What is carried, by size", "Millions of packets delivered per second. Behind each row its NDR. More is better.",
              "Mpps delivered", note=note(trials, "Search by RFC 9971 (MLRsearch)."))
    yield make(tier, kind, f, chart.dot_chart(f, rows))


def overload_plot(tier, kind, trials):
    names = {f"{device_name(t)}, {t['axes']['direction']}, {size_name(t['axes']['sizes'])}": t for t in sorted_rows(trials)}
    series = []
    for name, t in names.items():
        ndr = at(t, "result.ndr.throughput_pps", 0)
        points = [(1.0, 1.0)] + [(o["offered_pps"] / ndr, o["ratio"]) for o in t["result"].get("overload", []) if ndr]
        if len(points) > 1:
            series.append(Series(name, points, style_of(device_name(t), [s.style for s in series])))
    for start in range(0, len(series), MOST_CURVES):
        part = series[start:start + MOST_CURVES]
        f = Frame("Overload: what is still delivered" + (f" ({start // MOST_CURVES + 1})" if len(series) > MOST_CURVES else ""),
                  "Delivered over NDR when more than the NDR is offered. A device that spends its time on packets that it then drops falls.",
                  "offered, times the NDR (log)", "delivered / NDR", note(trials), 400)
        yield make(tier, kind, f, chart.line_chart(f, part, "values", marks=[Mark("y", 0.95, "0.95")]))


def curve_of(latency):
    return [(share, ns / 1e3) for share, ns in latency.get("curve", [])]


def capped(curve):
    """The last point is the longest of all: it stands at the share that one packet is, not at infinity."""
    inner = [p for p in curve if p[0] < 1]
    last = 1 - (1 - inner[-1][0]) / 2 if inner else 0.5
    return inner + [(last, curve[-1][1])] if curve else []


def latency_plot(tier, kind, title, subtitle, curves, trials):
    """curves: {name: (latency object, style name)}"""
    series = []
    for name, (latency, style_name) in list(curves.items())[:MOST_CURVES]:
        points = capped(curve_of(latency))
        if len(points) > 1:
            series.append(Series(name, points, style_of(style_name, [s.style for s in series])))
    if series:
        f = Frame(title, subtitle + " The mark is the longest of all. Counted from when a packet was due, not from when it was sent.",
                  "share of packets that were faster, log(1 / (1 - share))", "microseconds (log)", note(trials), 420)
        yield make(tier, kind, f, chart.percentile_chart(f, series))


def search_latencies(tier, kind, trials):
    for t in sorted_rows(trials):
        curves = {f"{x['percent_of_ndr']} % of NDR": (x["latency"], "x") for x in t["result"].get("latency", [])}
        name = f"{device_name(t)}, {t['axes']['direction']}, {size_name(t['axes']['sizes'])}"
        yield from latency_plot(tier, kind, f"Latency: {name}", "At three loads.", curves, [t])


def search_plots(tier, kind, groups):
    trials = flat(groups)
    yield from search_rates(tier, kind, trials)
    yield from overload_plot(tier, kind, trials)
    yield from search_latencies(tier, kind, trials)


def generate_plots(tier, kind, groups):
    rows, curves = [], {}
    for trials in groups:
        rate = spread_of_values([at(t, "result.delivered_pps") for t in trials], False)
        if rate is None:
            continue
        t = trials[0]
        a, name = t["axes"], f"{device_name(t)}, {size_name(t['axes']['sizes'])}"
        offered = spread_of_values([at(x, "result.offered_pps") for x in trials])
        rows.append(Dots(name, {"delivered": rate.median / 1e6, "offered": offered.median / 1e6}, rate_text(rate.median, a["mean_bytes"]),
                         a["direction"]))
        if at(t, "result.latency.n"):
            curves[f"{name}, {a['direction']}, {rate.median / 1e6:.2g} Mpps"] = (t["result"]["latency"], device_name(t))
    rows.sort(key=lambda r: r.group)
    trials = flat(groups)
    if rows:
        f = Frame("Delivered of what was offered", "Medians of the trials of each row.", "Mpps", note=note(trials))
        yield make(tier, kind, f, chart.dot_chart(f, rows[:MOST_BARS * 2]))
    yield from latency_plot(tier, kind, "Latency", "First trial of each row.", curves, trials)


# ---- compare ------------------------------------------------------------------------------------------------------------

def load_name(axes):
    rate = axes.get("rate_pps")
    return axes.get("load", "?") + (f", {rate / 1e3:.3g}k/s" if rate else "")


def compare_rows(groups, names):
    """Ratios to the first device, with colours by device.  names: {kind of load: figure}"""
    rows = []
    for devices in by_load(groups).values():
        some = next(iter(next(iter(devices.values())).values()))["axes"]
        first = some["first"] if some.get("first") in devices else next(iter(devices))
        styles = styles_of(devices)
        for d, rounds in devices.items():
            s = paired_ratio(rounds, devices[first], names[some.get("kind", "udp")]) if d != first else None
            if s:
                rows.append(Ratio(d, s.median, s.low, s.high, styles[d], load_name(some)))
    return rows


def by_first(groups):
    """{device that others are compared with: its groups}: files of several comparisons make charts of their own."""
    found = {}
    for trials in groups:
        found.setdefault(trials[0]["axes"].get("first", "the first"), []).append(trials)
    return found


def compare_ratio_plots(tier, kind, groups, first):
    trials = flat(groups)
    n = len({t["axes"]["round"] for t in trials})
    for title, names, side in ((f"CPU time, against {first}", COST, "Right of 1: a packet (of TCP: a bit) costs more CPU than with"),
                               (f"Delivered rate, against {first}", RATE, "Right of 1: delivers more than")):
        rows = compare_rows(groups, names)
        if rows:
            f = Frame(title, f"{side} {first}, under the same load. Median of the ratios of {n} rounds; bars from the least to the greatest.",
                      f"times {first} (log)", note=note(trials, "CPU of all processes, user and system."))
            yield make(tier, kind, f, chart.ratio_chart(f, rows))


def cost_parts(t):
    """{process, or thread of one that has a few: us per packet} of one trial"""
    n, found = at(t, "result.trial.sum.received", 0), {}
    for role, p in t["result"]["cost"]["processes"].items() if n else ():
        threads = {name: s / n * 1e6 for name, s in p["threads"].items() if s / n * 1e6 >= LEAST_US}
        if len(threads) > 1:
            found.update({f"{role} {name.split()[-1] if name[-1].isdigit() else name}": us for name, us in sorted(threads.items())})
        elif p["cpu_s"] / n * 1e6 >= LEAST_US:
            found["its only process" if role == "gateway" else role] = p["cpu_s"] / n * 1e6
    return found


def compare_cost_plot(tier, kind, groups):
    bars = []
    for devices in by_load(groups).values():
        for d, rounds in devices.items():
            middle = sorted(rounds.values(), key=lambda t: at(t, "result.cpu_us_per_packet", 0))[len(rounds) // 2]
            s = spread_of_values([at(t, "result.cpu_us_per_packet") for t in rounds.values()])
            if s and middle["axes"].get("kind") == "udp":
                bars.append(Bar(f"{load_name(middle['axes'])}: {d}", cost_parts(middle), f"{s.median:.2f} ({s.low:.2f} to {s.high:.2f})"))
    if bars:
        trials = flat(groups)
        f = Frame("CPU time per delivered packet, by thread", "The round in the middle; behind the bar the median with the least and the "
                  "greatest. Threads without a name are numbered in their order of birth. Less is better.", "microseconds of CPU per delivered packet",
                  note=note(trials))
        yield make(tier, kind, f, chart.stacked_chart(f, bars))


def compare_latencies(tier, kind, groups):
    for devices in by_load(groups).values():
        curves, trials = {}, []
        for d, rounds in devices.items():
            middle = sorted(rounds.values(), key=lambda t: at(t, "result.trial.latency.p99_ns", 0))[len(rounds) // 2]
            if at(middle, "result.trial.latency.n"):
                curves[d] = (middle["result"]["trial"]["latency"], d)
                trials.append(middle)
        if curves:
            a = trials[0]["axes"]
            yield from latency_plot(tier, kind, f"Latency: {a['load']}", f"{a['rate_pps']:,.0f}/s offered to each; the round in the middle.",
                                    curves, trials)


def compare_plots(tier, kind, groups):
    for first, own in by_first(groups).items():
        yield from compare_ratio_plots(tier, kind, own, first)
    yield from compare_cost_plot(tier, kind, groups)
    yield from compare_latencies(tier, kind, groups)


PLOTS = {"crypto": crypto_plots, "path": path_plots, "search": search_plots, "generate": generate_plots, "compare": compare_plots}


def all_plots(trials):
    """Every chart that these trials give, under names that differ."""
    found, names = [], {}
    for (tier, kind), groups in rows_of(trials).items():
        for p in PLOTS[kind](tier, kind, groups) if kind in PLOTS else ():
            names[p.name] = names.get(p.name, 0) + 1
            if names[p.name] > 1:
                p.name += f"-{names[p.name]}"
            found.append(p)
    return found
