# SPDX-License-Identifier: BSD-3-Clause
"""What the figures of each kind of trial are called, and how they are read.

Kinds: crypto, timing (T0); path (T1); generate, search (T2, T3); compare, handshakes (T3).  A kind that is not known here
is shown as it is.  Best, median and spread belong together: no function here gives one of them alone for a table.
"""
import re, statistics
from dataclasses import dataclass

TIERS = {"T0": "the cipher alone", "T1": "a packet's path on one core, without any device: cycles, not throughput",
         "T2": "data plane and generator in one memory", "T3": "whole gateways between sockets"}
KINDS = ("crypto", "timing", "path", "generate", "sink", "search", "compare", "handshakes")
OURS = ("sluice", "avx2", "avx512", "portable")
# So that a program has the same colour in every chart.
STYLES = {"sluice": 0, "wireguard-go": 1, "boringtun": 2, "kernel": 4, "ipsec-mb": 2, "libsodium": 4, "openssl": 5, "avx512": 3,
          "avx2": 1, "inbound": 0, "outbound": 1, "both": 2, "peer_to_peer": 3}
DIRECTIONS = ("seal", "open", "inbound", "outbound", "both", "peer_to_peer")


@dataclass(frozen=True)
class Spread:
    best: float
    median: float
    low: float   # 10th percentile, or the least of few
    high: float  # 90th percentile, or the greatest of few
    n: int

    def scaled(self, k):
        return Spread(self.best * k, self.median * k, self.low * k, self.high * k, self.n)


def is_number(v):
    return isinstance(v, (int, float)) and not isinstance(v, bool)


def is_spread(v):
    return isinstance(v, dict) and all(is_number(v.get(n)) for n in ("best", "median", "p10", "p90"))


def spread_of(v):
    """Of an object as bench_spread() writes it; None if it is none."""
    return Spread(v["best"], v["median"], v["p10"], v["p90"], v.get("n", 0)) if is_spread(v) else None


def spread_of_values(values, lower_is_better=True):
    """Of a few repetitions; None without any."""
    values = [v for v in values if is_number(v)]
    if not values:
        return None
    return Spread(min(values) if lower_is_better else max(values), statistics.median(values), min(values), max(values), len(values))


def at(o, path, default=None):
    """The value at "sum.loss_ratio", or default."""
    for name in path.split("."):
        o = o.get(name) if isinstance(o, dict) else None
    return default if o is None else o


def style_of(name, taken=()):
    """A style for a name that nobody in taken has, as far as there are any."""
    base = re.split(r"[#@ /]", name)[0]
    wanted = STYLES.get(base, 0)
    return next((s % 8 for s in range(wanted, wanted + 8) if s % 8 not in taken), wanted)


def styles_of(names):
    found = {}
    for n in sorted(names, key=lambda n: n not in STYLES):
        found[n] = style_of(n, found.values())
    return found


def group_key(t):
    """The key without the number of its repetition."""
    if t["kind"] in ("compare", "generate", "sink"):
        return re.sub(r"/\d+$", "", t["key"])
    return t["key"]


def is_row(t):
    """Trials that stand for themselves: not the steps of a search, the probe of a comparison, or what was cut short."""
    a = t["axes"]
    return a.get("step", "result") == "result" and not t["key"].endswith("/interrupted")


def rows_of(trials):
    """{(tier, kind): [[trials of one group key], ...]} in the order of tiers and kinds."""
    found = {}
    for t in trials:
        if is_row(t):
            found.setdefault((t["tier"], t["kind"]), {}).setdefault(group_key(t), []).append(t)
    order = sorted(found, key=lambda k: (k[0], KINDS.index(k[1]) if k[1] in KINDS else 99, k[1]))
    return {k: list(found[k].values()) for k in order}


def size_name(text):
    text = str(text)
    return f"{int(text):,} B" if text.isdigit() else text.split(" ")[0]


def size_value(text):
    """For sorting and axes: bytes, or None of a mix."""
    return int(text) if str(text).isdigit() else None


def device_name(t):
    a = t["axes"]
    return a.get("label") or {"memory": "sluice in memory"}.get(a.get("device"), a.get("device", "?"))


def ghz_of(t):
    return at(t, "result.core_ghz") or at(t, "machine.core_ghz")


def estimate_mpps(t, cycles):
    """What a core would do if there were no NIC: an estimate, never called throughput."""
    return ghz_of(t) * 1e3 / cycles if ghz_of(t) and cycles else None


# ---- comparison ---------------------------------------------------------------------------------------------------------

COST = {"udp": "cpu_us_per_packet", "tcp": "cpu_s_per_gbit"}
RATE = {"udp": "delivered_pps", "tcp": "delivered_gbps"}


def by_load(groups):
    """{load: {device: {round: trial}}} of the trials of `compare`, in order."""
    found = {}
    for trials in groups:
        for t in trials:
            a = t["axes"]
            found.setdefault(group_key(t).removesuffix("/" + a["device"]), {}).setdefault(a["device"], {})[a["round"]] = t
    return found


def paired_ratio(mine, first, name):
    """Of the rounds that both have: mine / first."""
    pairs = [(at(mine[r], f"result.{name}"), at(first[r], f"result.{name}")) for r in sorted(mine) if r in first]
    return spread_of_values([a / b for a, b in pairs if is_number(a) and b])
