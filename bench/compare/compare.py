#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""usage: sluice-bench compare FILE [OPTIONS]

Runs Sluice and others in one topology, in turns, and prints what each costs and carries, as ratios with their spread.
FILE is a scenario: programs, loads, rounds.  udp.toml, tcp.toml and self.toml are found wherever they are installed.

Every device stands ready in network namespaces of its own.  In each round, each load goes through one after the other, in
an order that rotates.  Packets are sealed before the clock starts, so that the generator does not take what is measured.
All get the same rate, which a probe finds first: one that every device carries with less than 0.5 % loss.

CPU time is that of all of the device's processes, user and system.  Softirqs that ran elsewhere on their behalf are not in
it; the busy time of the device's cores is, and is shown beside it ("core").

  --bin DIR         Sluice's prefix or build folder, if not where this program lies
  --peers DIR       where wireguard-go and boringtun are
  --rounds N        instead of the file's
  --seconds S       of each trial, instead of the file's
  --keep-logs DIR   keep configurations and logs there
  --json            print all trials as one JSON array instead of a table
  --out FILE        keep each trial as a line of FILE the moment it is done
  --resume          go on with FILE: what it has is not measured again
  --quiet           no progress on stderr
  --help            this
"""
import contextlib, dataclasses, json, os, signal, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "report"), os.path.join(HERE, "..", "..", "tests", "lab")]
import device_place, kernel_threads, lab, ratios, scenario, tailnet_place
from records import INTERRUPTED, OK, USAGE, BenchError, Run, machine_and_build

PROBE_S = 1.0
PROBE_TRIES = 15
CARRIED = 0.005  # loss below which a rate counts as carried
SPARE = 0.85     # of the rate that all carried once: a trial of some seconds meets more noise than a probe
# Our own options; lab.enter() parses the same words again, and has --bin, --peers and --logs already.
VALUES = {"--bin": "bin", "--peers": "peers", "--rounds": "rounds", "--seconds": "seconds", "--keep-logs": "logs", "--out": "out"}
SWITCHES = {"--json": "json", "--resume": "resume", "--quiet": "quiet"}


# ---- options --------------------------------------------------------------------------------------------------------

def usage(what, why):
    return BenchError(what, why, "`sluice-bench compare --help` has its options.", USAGE)


def parse(words):
    """{option: value}; BenchError on what is not one."""
    found, words = {"file": None}, list(words)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if word in ("--help", "-h"):
            found["help"] = True
        elif name in SWITCHES and not equals:
            found[SWITCHES[name]] = True
        elif name in VALUES:
            if not equals and not words:
                raise usage(name, "wants a value")
            found[VALUES[name]] = value if equals else words.pop(0)
        elif word.startswith("-"):
            raise usage(word, "there is no such option")
        elif found["file"]:
            raise usage(word, "one scenario is enough")
        else:
            found["file"] = word
    return found


def read_options(words):
    options = parse(words)
    for name, kind in (("rounds", int), ("seconds", float)):
        if name in options:
            try:
                options[name] = kind(options[name])
            except ValueError:
                raise usage(f"--{name} {options[name]}", "no number") from None
            if options[name] <= 0:
                raise usage(f"--{name} {options[name]}", "too few")
    if not options.get("help") and not options["file"]:
        raise usage("no scenario is given", "it says what to compare")
    return options


def shipped(path):
    """A bare name that is not here is one of ours."""
    ours = os.path.join(HERE, "scenarios", path)
    return ours if os.path.basename(path) == path and not os.path.exists(path) and os.path.exists(ours) else path


def read_scenario(options):
    s = scenario.read(shipped(options["file"]))
    if "seconds" in options:
        s = dataclasses.replace(s, loads=tuple(
            dataclasses.replace(load, seconds=max(1, round(options["seconds"])) if load.kind == "tcp" else options["seconds"])
            for load in s.loads))
    return dataclasses.replace(s, rounds=options.get("rounds", s.rounds))


def more(parser):
    """What lab.enter() has to know of our options to let them pass."""
    parser.add_argument("file")
    for name in VALUES:
        if name not in ("--bin", "--peers"):
            parser.add_argument(name, **({"dest": "logs"} if name == "--keep-logs" else {}))
    for name in SWITCHES:
        parser.add_argument(name, action="store_true")


# ---- progress -------------------------------------------------------------------------------------------------------

class Progress:
    """"7/60  wireguard-go: inbound, 64 B  52,000/s  4 min left": in place on a terminal, else as lines."""

    def __init__(self, total, quiet):
        self.total, self.quiet, self.done, self.measured = total, quiet, 0, 0
        self.is_terminal, self.began = sys.stderr.isatty(), time.monotonic()

    def left(self):
        if not self.measured or self.done >= self.total:
            return ""
        s = (time.monotonic() - self.began) / self.measured * (self.total - self.done)
        return f"  {s:.0f} s left" if s < 100 else f"  {s / 60:.0f} min left"

    def show(self, text):
        if not self.quiet:
            line = f"{self.done}/{self.total}  {text}{self.left()}"
            print(f"\r{line[:119]}\033[K" if self.is_terminal else line, end="" if self.is_terminal else "\n", file=sys.stderr,
                  flush=True)

    def step(self, was_measured=True):
        self.done += 1
        self.measured += was_measured

    def clear(self):
        if self.is_terminal and not self.quiet:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


# ---- trials ---------------------------------------------------------------------------------------------------------

class Comparison:
    def __init__(self, options, own, s, run):
        """options: the lab's; own: ours"""
        self.options, self.scenario, self.run, self.bench = options, s, run, os.environ["SLUICE_BENCH"]
        self.rates = {}  # base load: packets per second
        self.progress = Progress(s.rounds * len(s.loads) * len(s.devices), own.get("quiet"))
        self.with_tcp = any(load.kind == "tcp" for load in s.loads)
        # Before anything is started: is everything there?
        kind = tailnet_place.TailnetPlace if s.tailnet else device_place.Place
        self.places = [kind(options, s, d, self.with_tcp) for d in s.devices]

    def key(self, load, device, round_number):
        return f"{load.name}/{device.label}/{round_number}"

    def axes(self, load, at, round_number, rate):
        s = self.scenario
        return {"load": str(load), "kind": load.kind, "direction": load.direction, "sizes": load.size, "factor": load.factor,
                "rate_pps": rate, "seconds": load.seconds, "flows": load.flows if load.kind == "udp" else load.streams,
                "device": at.device.label, "round": round_number, "turn": self.turn(at, round_number), "first": s.devices[0].label,
                "gateway_cores": list(s.gateway_cores), "generator_cores": list(s.generator_cores), "steered": at.steered,
                "encrypt_ahead": load.kind == "udp", "frames": s.frames, "tailnet": s.tailnet,
                "ports": getattr(at, "ports", None), **at.program}

    def turn(self, at, round_number):
        n = len(self.places)
        return (self.places.index(at) - round_number) % n

    # ---- a rate that everybody carries ----

    def is_carried(self, r):
        lost = max(0, r["sum"]["lost"] - r["socket_dropped"])
        return r["sum"]["sent"] and lost / r["sum"]["sent"] < CARRIED and not r["generator_limited"]

    def probe(self, at, load, rate):
        """The rate, or less, that this device carries."""
        for i in range(PROBE_TRIES):
            self.progress.show(f"probe: {at.device.label}: {load}: {rate:,.0f}/s")
            r, _ = at.generate(self.bench, load, rate, PROBE_S)
            if self.is_carried(r):
                return rate
            # A loss may be the machine's: each rate but the first, which is a mere guess, has a second chance.
            if i % 2 == 0:
                rate = max(100, min(rate * 0.85, r["delivered_pps"] * 0.95 if r["delivered_pps"] else rate / 2))
        raise BenchError(f"{at.device.label}: {load}", "it carries no rate with less than 0.5 % loss",
                         "Is the machine busy with something else?  A number for `rate` goes without this probe.")

    def find_rate(self, load):
        """Kept as a trial of its own, so that what is resumed offers the same."""
        key = f"{load.name}/rate"
        found = self.run.found(key)
        if found is None:
            rate, each = self.scenario.start_pps, {}
            for at in self.places:
                rate = each[at.device.label] = self.probe(at, load, rate)
            found = self.run.add(key, {"load": str(load), "step": "rate", "kind": load.kind, "direction": load.direction,
                                       "sizes": load.size}, {"rate_pps": round(rate * SPARE), "tried_in_turn": each})
        return found["result"]["rate_pps"]

    def rate_of(self, load):
        if load.kind == "tcp":
            return 0
        if load.rate:
            return load.rate * load.factor
        if load.base not in self.rates:
            self.rates[load.base] = self.find_rate(load.base)
        return self.rates[load.base] * load.factor

    # ---- one trial ----

    def udp(self, at, load, rate):
        r, cost = at.generate(self.bench, load, rate, load.seconds)
        n = r["sum"]["received"]
        busy = sum(cost["cores"][str(c)]["busy_s"] for c in self.scenario.gateway_cores)
        # What our own sockets dropped was carried, and was work: it is not held against the device.
        lost = max(0, r["sum"]["lost"] - r["socket_dropped"])
        system = sum(p["system_s"] for p in cost["processes"].values())
        return {"kernel_us_per_packet": (cost["kernel_s"] + system) / n * 1e6 if n else None,
                "cpu_us_per_packet": cost["cpu_s"] / n * 1e6 if n else None, "core_us_per_packet": busy / n * 1e6 if n else None,
                "delivered_pps": r["delivered_pps"], "delivered_gbps": r["delivered_gbps"], "offered_pps": r["offered_pps"],
                "loss_ratio": lost / r["sum"]["sent"] if r["sum"]["sent"] else None, "generator_limited": r["generator_limited"],
                "cost": cost, "trial": r}

    def tcp(self, at, load):
        rate, bits, cost = at.iperf(load)
        busy = sum(cost["cores"][str(c)]["busy_s"] for c in self.scenario.gateway_cores)
        return {"cpu_s_per_gbit": cost["cpu_s"] / bits, "core_s_per_gbit": busy / bits, "delivered_gbps": rate, "cost": cost}

    def trial(self, at, load, round_number):
        key = self.key(load, at.device, round_number)
        if self.run.found(key):
            self.progress.step(False)
            return
        rate = self.rate_of(load)
        self.progress.show(f"round {round_number + 1}: {at.device.label}: {load}" + (f"  {rate:,.0f}/s" if rate else ""))
        result = self.udp(at, load, rate) if load.kind == "udp" else self.tcp(at, load)
        self.run.add(key, self.axes(load, at, round_number, rate), result)
        self.progress.step()

    def is_done(self, round_number):
        return all(self.key(load, d, round_number) in self.run.old for load in self.scenario.loads for d in self.scenario.devices)

    def one_round(self, round_number):
        """Started anew each time: what luck with memory a program had is part of the spread."""
        if self.is_done(round_number):
            for load in self.scenario.loads:
                self.run.found(f"{load.base.name}/rate")
                for d in self.scenario.devices:
                    self.run.found(self.key(load, d, round_number))
                    self.progress.step(False)
            return
        with contextlib.ExitStack() as stack:
            for at in self.places:
                self.progress.show(f"round {round_number + 1}: starting {at.device.label}")
                stack.enter_context(at)
            for load in self.scenario.loads:
                first = round_number % len(self.places)
                for at in self.places[first:] + self.places[:first]:
                    self.trial(at, load, round_number)

    def go(self):
        for n in range(self.scenario.rounds):
            self.one_round(n)


# ---- what came out --------------------------------------------------------------------------------------------------

def by_round(trials, load, device, name):
    """{round: figure} of one device under one load"""
    return {t["axes"]["round"]: t["result"].get(name) for t in trials
            if t["key"].startswith(f"{load.name}/{device.label}/") and "round" in t["axes"]}


def interval_text(s):
    return f"  95 % {s.interval[0]:.2f} to {s.interval[1]:.2f}" if s.interval else ""


COLUMNS = {"udp": ("cpu_us_per_packet", "core_us_per_packet", "delivered_pps"),
           "tcp": ("cpu_s_per_gbit", "core_s_per_gbit", "delivered_gbps")}
HEADINGS = {"udp": ("CPU us/packet", "core us/packet", "delivered/s"), "tcp": ("CPU s/Gbit", "core s/Gbit", "Gbit/s")}


def medians_of_threads(trials, load, device):
    """{(role, thread): seconds} of the trial in the middle of its rounds, by CPU."""
    mine = sorted((t for t in trials if t["key"].startswith(f"{load.name}/{device.label}/") and "round" in t["axes"]),
                  key=lambda t: t["result"]["cost"]["cpu_s"])
    if not mine:
        return {}, None
    t = mine[len(mine) // 2]
    return {(role, name): s for role, p in t["result"]["cost"]["processes"].items() for name, s in p["threads"].items()}, t


def print_threads(trials, load, device):
    threads, t = medians_of_threads(trials, load, device)
    if not t or load.kind != "udp" or not t["result"]["trial"]["sum"]["received"]:
        return
    n = t["result"]["trial"]["sum"]["received"]
    shown = sorted(((s / n * 1e6, role, name) for (role, name), s in threads.items()), reverse=True)
    print("      threads, us/packet: " + ", ".join(f"{role}/{name} {us:.2f}" for us, role, name in shown if us >= 0.05)[:200])


def print_row(trials, load, device, first, width):
    cost, core, rate = (by_round(trials, load, device, name) for name in COLUMNS[load.kind])
    spreads = [ratios.spread(v.values()) for v in (cost, core, rate)]
    if not spreads[0]:
        return
    places = ".2f" if load.kind == "udp" else ".3f"
    rates = f"{spreads[2]:,.0f}" if load.kind == "udp" else f"{spreads[2]:.2f}"
    ratio = ratios.against(cost, by_round(trials, load, first, COLUMNS[load.kind][0]))
    core_ratio = ratios.against(core, by_round(trials, load, first, COLUMNS[load.kind][1]))
    carried = ratios.against(rate, by_round(trials, load, first, COLUMNS[load.kind][2]))
    print(f"  {device.label:{width}} {format(spreads[0], places):24} {format(spreads[1], places):24} {rates:30}", end="")
    if ratio and carried and device is not first:
        print(f" CPU x {ratio:.2f}{interval_text(ratio)}; core x {core_ratio:.2f}; rate x {carried:.2f}", end="")
    print()


def print_share(trials, load, device):
    """Of the CPU time: what the kernel took, in system calls and in the threads that deliver to the device."""
    kernel, cpu = (by_round(trials, load, device, name) for name in ("kernel_us_per_packet", "cpu_us_per_packet"))
    shares = ratios.spread([100 * kernel[n] / cpu[n] for n in kernel if kernel[n] is not None and cpu.get(n)])
    us = ratios.spread(kernel.values())
    if shares:
        print(f"      of it the kernel's {us.median:.2f} us/packet: {shares.median:.0f} % ({shares.low:.0f} to {shares.high:.0f})")


def loss_and_latency(trials, load, device):
    loss = ratios.spread(by_round(trials, load, device, "loss_ratio").values())
    mine = by_round(trials, load, device, "trial").values()
    p50, p99 = (ratios.spread([t["latency"].get(name) for t in mine if t]) for name in ("p50_ns", "p99_ns"))
    limited = any(by_round(trials, load, device, "generator_limited").values())
    if loss:
        print(f"      loss {loss.median * 100:.3f} % ({loss.low * 100:.3f} to {loss.high * 100:.3f})" +
              (f"; latency p50 {p50.median / 1e3:,.0f} us, p99 {p99.median / 1e3:,.0f} us" if p50 and p99 else "") +
              ("; the generator was the limit" if limited else ""))


def print_load(trials, s, load):
    rate = next((t["axes"]["rate_pps"] for t in trials if t["key"].startswith(load.name + "/") and "round" in t["axes"]), 0)
    n = len({t["axes"]["round"] for t in trials if t["key"].startswith(load.name + "/") and "round" in t["axes"]})
    if not n:
        return
    offered = f", {rate:,.0f}/s offered to each" if rate else ""
    print(f"\n{load}{offered}, {load.seconds:g} s, {n} round{'s' * (n > 1)}: median (least to greatest)")
    h, width = HEADINGS[load.kind], max(14, *(len(d.label) for d in s.devices))
    print(f"  {'device':{width}} {h[0]:24} {h[1]:24} {h[2]:30} against {s.devices[0].label}, of the rounds' ratios")
    for device in s.devices:
        print_row(trials, load, device, s.devices[0], width)
        if load.kind == "udp":
            print_share(trials, load, device)
            loss_and_latency(trials, load, device)
            print_threads(trials, load, device)


def print_all(s, trials):
    cores = f"gateways on core {', '.join(map(str, s.gateway_cores))}, generator on {', '.join(map(str, s.generator_cores))}"
    print(f"{s.title}: {cores}" + (" (shared: CPU time is still told apart, rates are of the whole chain)"
                                   if set(s.gateway_cores) & set(s.generator_cores) else ""))
    for load in s.loads:
        print_load(trials, s, load)
    print("\nCPU: all processes of the device, user and system" + (
        ", and the kernel's threads that deliver to it.\n" if s.frames else "; softirqs on their behalf elsewhere are not in it.\n") +
          "core: busy time of the device's cores, softirqs and whatever else ran there included.\n"
          f"95 %: bootstrap interval of the median, from {ratios.BOOTSTRAP_FROM} rounds on.")


# ---- main -----------------------------------------------------------------------------------------------------------

def interrupt(*_):
    # Once is enough: what is told twice must not get into the clearing away.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def measure(options, own, s):
    """Exit status."""
    bench = os.environ["SLUICE_BENCH"]
    run = Run("T3", "compare", ["sluice-bench", "compare", *sys.argv[1:]], *machine_and_build(bench), own.get("out"), own.get("resume"))
    status = OK
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    comparison = Comparison(options, own, s, run)
    try:
        comparison.go()
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BenchError as e:
        comparison.progress.clear()
        status = e.say()
    except lab.LabError as e:
        comparison.progress.clear()
        status = BenchError("the lab", str(e), "Is another one in its way?  Root or unprivileged namespaces are needed.").say()
    comparison.progress.clear()
    trials = [t for t in run.trials]
    if own.get("json"):
        json.dump(trials, sys.stdout, indent=1)
        print()
    elif any("round" in t["axes"] for t in trials):
        print_all(s, trials)
    if status == INTERRUPTED:
        kept = f"what was measured is in {own['out']}; the same command with --resume goes on" if own.get("out") else \
            "with --out FILE it could go on"
        print(f"sluice-bench: compare: interrupted; {kept}", file=sys.stderr)
    return status


def main():
    try:
        own = read_options(sys.argv[1:])
        if own.get("help"):
            print(__doc__, end="")
            return OK
        s = read_scenario(own)
        if not lab.find_program("sluice-bench", os.environ.get("SLUICE_BIN")) and "SLUICE_BENCH" not in os.environ:
            raise BenchError("this script", "it does not know where sluice-bench is", "Start it as `sluice-bench compare`.")
        os.environ.setdefault("SLUICE_BENCH", lab.find_program("sluice-bench", os.environ.get("SLUICE_BIN")) or "")
        helper = kernel_threads.begin()
        try:
            return measure(lab.enter(__doc__, more), own, s)
        finally:
            kernel_threads.end(helper)
    except BenchError as e:
        return e.say()


if __name__ == "__main__":
    sys.exit(main())
