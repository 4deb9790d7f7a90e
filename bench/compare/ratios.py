# SPDX-License-Identifier: BSD-3-Clause
"""Ratios with their spread.

Figures of one round were taken within seconds of each other, so a ratio is made within each round: what slows the whole
machine down for a while slows both.  Of the rounds' ratios the median is quoted with the least and the greatest, and from
five rounds on with a 95 % interval of that median by bootstrap (2,000 samples with repetition, always the same ones).
"""
import random, statistics
from dataclasses import dataclass

BOOTSTRAP_FROM = 5
N_BOOTSTRAP = 2000


@dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float
    n: int
    interval: tuple | None = None

    def __format__(self, spec):
        return f"{self.median:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


def bootstrap(values):
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(N_BOOTSTRAP))
    return medians[round(0.025 * N_BOOTSTRAP)], medians[round(0.975 * N_BOOTSTRAP) - 1]


def spread(values):
    """None without values."""
    values = [v for v in values if v is not None]
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values), len(values),
                  bootstrap(values) if len(values) >= BOOTSTRAP_FROM else None)


def against(mine, first):
    """Of two {round: value}: the spread of mine / first over the rounds that both have."""
    return spread([mine[r] / first[r] for r in sorted(mine) if first.get(r) and mine[r] is not None])
