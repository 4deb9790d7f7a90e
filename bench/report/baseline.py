# SPDX-License-Identifier: BSD-3-Clause
"""Trials against a baseline: what became worse beyond the noise that both have recorded.

Rows match by tier, kind and key (repetitions of one key are taken together). Two rules, by the nature of a figure:

cycles, times of many samples
    The bests are compared: other work on a machine only ever adds to a sample.  Their noise is how far the best is from
    what is usual at the low end: (10th percentile - best) / best.
rates and costs of a few repetitions or of a search
    The medians are compared (of a search: what it found).  Their noise is half of the range: (greatest - least) / 2 /
    median; of a search, from what was carried to what was not.

A row is worse if it lost more than the threshold (3 %) plus the noise of the baseline's row plus that of the new one.
"""
from dataclasses import dataclass

from figures import at, group_key, is_spread, rows_of, spread_of, spread_of_values
from records import SAME_MACHINE, BenchError, differs
from tables import number, table

THRESHOLD = 0.03
ALONE = 0.05  # the noise of a figure that was measured once: it cannot tell

# kind: (figure, lower is better)
FIGURES = {
    "crypto": (("cycles", True),),
    "path": (("whole", True), ("path", True)),
    "generate": (("delivered_pps", False),),
    "search": (("ndr", False), ("pdr", False), ("mrr", False)),
    "compare": (("cpu_us_per_packet", True), ("cpu_s_per_gbit", True), ("delivered_pps", False), ("delivered_gbps", False)),
    "handshakes": (("per_second", False), ("latency_ms", True)),
}


@dataclass(frozen=True)
class Figure:
    value: float
    noise: float
    low: float
    high: float
    is_best: bool

    def __str__(self):
        return f"{'best ' if self.is_best else ''}{number(self.value)} ({number(self.low)} to {number(self.high)}, {self.noise * 100:.1f} %)"


@dataclass(frozen=True)
class Row:
    name: str
    figure: str
    old: Figure
    new: Figure
    lower_is_better: bool
    threshold: float

    @property
    def change(self):
        """Above 0: worse, as a share of the baseline's."""
        ratio = self.new.value / self.old.value
        return ratio - 1 if self.lower_is_better else 1 - ratio

    @property
    def allowed(self):
        return self.threshold + self.old.noise + self.new.noise

    @property
    def verdict(self):
        return "worse" if self.change > self.allowed else "better" if self.change < -self.allowed else "same"


def of_samples(s):
    return Figure(s.best, max(0.0, s.low / s.best - 1), s.best, s.high, True) if s.best > 0 else None


def of_range(value, low, high):
    if not value or value <= 0:
        return None
    return Figure(value, (high - low) / 2 / value, low, high, False)


def of_search(o):
    """An NDR or PDR; MRR has its own names."""
    if "median_pps" in o:
        return of_range(o["median_pps"], o["min_pps"], o["max_pps"])
    return of_range(o.get("throughput_pps"), o.get("lower_pps", 0), o.get("upper_pps") or o.get("lower_pps", 0))


def figure_of(trials, name):
    """Of the repetitions of one row; None where they have no such figure."""
    values = [at(t, f"result.{name}") for t in trials]
    values = [v for v in values if v is not None]
    if not values:
        return None
    if is_spread(values[0]):
        found = [f for f in (of_samples(spread_of(v)) for v in values) if f]
        return min(found, key=lambda f: f.value, default=None)
    if isinstance(values[0], dict):
        return of_search(values[0])
    s = spread_of_values(values)
    if s is None or s.median <= 0:
        return None
    f = of_range(s.median, s.low, s.high)
    return f if s.n > 1 else Figure(f.value, ALONE, f.low, f.high, False)


def keyed(trials):
    """{(tier, kind, group key): [trials]}"""
    return {(tier, kind, group_key(g[0])): g for (tier, kind), groups in rows_of(trials).items() for g in groups}


def check_machines(old, new):
    a, b = old[0].get("machine"), new[0].get("machine")
    name = differs(a, b, [n for n in SAME_MACHINE if n in ("cpu", "family", "model", "stepping", "class", "cores", "hypervisor")])
    if name:
        raise BenchError("the baseline", f'it is of another machine: "{name}" is {(a or {}).get(name)!r}, here {(b or {}).get(name)!r}',
                         "Compare figures of one machine, or say --any-machine.")


def compare(old, new, threshold=THRESHOLD, any_machine=False):
    """(rows, keys that only the baseline has, keys that only the new trials have); BenchError where nothing matches."""
    if not any_machine:
        check_machines(old, new)
    before, after, rows = keyed(old), keyed(new), []
    for key, trials in after.items():
        for name, lower in FIGURES.get(key[1], ()):
            pair = figure_of(before.get(key, []), name), figure_of(trials, name)
            if all(pair):
                rows.append(Row(f"{key[0]} {key[1]} {key[2]}", name, *pair, lower, threshold))
    if not rows:
        raise BenchError("the baseline", "none of its rows is in the new trials",
                         "Both must come from the same command with the same settings; `report` alone shows what each has.")
    return rows, [k for k in before if k not in after], [k for k in after if k not in before]


def rows_table(rows):
    return table(["row", "figure", "baseline (spread, noise)", "now (spread, noise)", "change", "allowed"],
                 [[r.name, r.figure, r.old, r.new, f"{abs(r.change) * 100:.1f} % {'worse' if r.change > 0 else 'better'}",
                   f"{r.allowed * 100:.1f} %"] for r in rows])


def names(keys, limit=20):
    shown = "".join(f"- {' '.join(k)}\n" for k in keys[:limit])
    return shown + (f"- and {len(keys) - limit} more\n" if len(keys) > limit else "")


def text(rows, missing, added, threshold=THRESHOLD):
    """Markdown: what is worse, what is better, what could not be compared, and by which rule."""
    worse, better = ([r for r in sorted(rows, key=lambda r: -abs(r.change)) if r.verdict == v] for v in ("worse", "better"))
    out = f"# Against the baseline\n\n{len(rows)} figures compared: {len(worse)} worse, {len(better)} better, " \
          f"{len(rows) - len(worse) - len(better)} the same within noise.\n\n"
    out += f"Rule: worse is what lost more than {threshold * 100:g} % plus the noise of both rows. Figures of many samples (cycles) are " \
           "compared by their bests, with (10th percentile − best) / best as noise; others by medians, with half of the range from least " \
           f"to greatest; what was measured once has {ALONE * 100:g} %.\n\n"
    if worse:
        out += "## Worse\n\n" + rows_table(worse) + "\n"
    if better:
        out += "## Better\n\n" + rows_table(better) + "\n"
    if missing:
        out += f"## Missing: {len(missing)} rows of the baseline are not in the new trials\n\n" + names(missing) + "\n"
    if added:
        out += f"{len(added)} new rows are not in the baseline.\n"
    return out
