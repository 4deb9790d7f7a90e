# SPDX-License-Identifier: BSD-3-Clause
"""What is to be compared: a TOML file.

    rounds = 5                      # every device once per round, in turns whose order rotates
    seconds = 3                     # of each trial
    devices = ["sluice", "wireguard-go", "boringtun"]     # the first is what the others are compared with
    workers = "auto"                # of Sluice
    frames = true                   # optional: our generator sends and receives single frames (AF_XDP), as a card carries them
    tailnet = true                  # optional: the device is a subnet router in a tailnet, with source NAT and filter
    [cores]                         # optional: two or more cores are shared out without it
    gateway = [0]
    generator = [1]

    [[load]]
    kind = "udp"                    # udp: our generator; tcp: iperf3 through a stock peer
    direction = ["inbound", "outbound"]
    size = [64, 1420]               # bytes of an inner packet, or "imix", "tcp", "7x64,4x528,1x1408"
    rate = "search"                 # what every device carries, or packets per second
    flows = 4
    overload = [3]                  # and so many times that rate

A device is sluice (its kernel port), sluice-xdp (its AF_XDP ports), wireguard-go or boringtun, in a tailnet sluice,
sluice-xdp or tailscaled; NAME@FOLDER is one of another prefix or build folder.  Naming the same one twice compares it with
itself.
"""
import itertools, os, tomllib
from dataclasses import dataclass, replace

from records import USAGE, BenchError

KINDS = ("sluice", "sluice-xdp", "wireguard-go", "boringtun")
TAILNET_KINDS = ("sluice", "sluice-xdp", "tailscaled")
DIRECTIONS = ("inbound", "outbound", "both")
TOP = {"title": str, "rounds": int, "seconds": (int, float), "devices": list, "workers": str, "cores": dict, "load": list,
       "start_pps": (int, float), "frames": bool, "tailnet": bool}
LOAD = {"kind": str, "direction": (str, list), "size": (int, str, list), "rate": (int, float, str), "flows": int,
        "overload": list, "streams": int, "seconds": (int, float)}


@dataclass(frozen=True)
class Device:
    label: str
    kind: str
    folder: str | None    # None: where this program lies, or where stock programs are
    driver: str = "auto"  # of Sluice


@dataclass(frozen=True)
class Load:
    """One row of the comparison.  factor: how many times the rate that everybody carries."""
    kind: str
    direction: str
    size: str
    rate: float  # 0: searched
    seconds: float
    flows: int = 4
    streams: int = 1
    factor: float = 1

    @property
    def name(self):
        """The key of its trials: everything that a figure depends on."""
        if self.kind == "tcp":
            return f"tcp/{self.direction}/{self.streams} streams/{self.seconds:g} s"
        rate = f"{self.rate:g}" if self.rate else "search"
        return f"udp/{self.direction}/{self.size}/{rate}/{self.flows} flows/{self.seconds:g} s/x{self.factor:g}"

    @property
    def base(self):
        """The load whose rate this one multiplies."""
        return replace(self, factor=1)

    def __str__(self):
        if self.kind == "tcp":
            return f"TCP {self.direction}, {self.streams} stream{'s' * (self.streams > 1)}"
        size = f"{self.size} B" if self.size.isdigit() else self.size
        return f"{self.direction}, {size}" + (f", {self.factor:g} times the rate" if self.factor != 1 else "")


@dataclass(frozen=True)
class Scenario:
    title: str
    rounds: int
    devices: tuple
    loads: tuple
    gateway_cores: tuple
    generator_cores: tuple
    workers: str
    start_pps: float
    frames: bool
    tailnet: bool


def wrong(path, what, advice):
    return BenchError(path, what, advice, USAGE)


def check_names(path, table, known, where):
    for name, value in table.items():
        if name not in known:
            raise wrong(path, f"{where} has no \"{name}\"", f"It may have: {', '.join(known)}.")
        if not isinstance(value, known[name]) or isinstance(value, bool) != (known[name] is bool):
            raise wrong(path, f"{where}: {name} = {value!r} is of the wrong kind", "bench/compare/scenarios/ has examples.")


def read_device(path, text, before, kinds):
    kind, _, folder = str(text).partition("@")
    if kind not in kinds:
        raise wrong(path, f"there is no device {text!r}", f"There are: {', '.join(kinds)}; NAME@FOLDER for another build.")
    if folder and not os.path.isdir(os.path.expanduser(folder)):
        raise wrong(path, f"{text}: there is no folder {folder}", "Name the prefix or build folder that has the program.")
    same = sum(d.label.split("#")[0] == text for d in before)
    label = text + (f"#{same + 1}" if same else "")
    folder = os.path.abspath(os.path.expanduser(folder)) if folder else None
    if kind == "sluice-xdp":
        return Device(label, "sluice", folder, "af_xdp")
    return Device(label, kind, folder, "kernel" if kind == "sluice" else "auto")


def as_list(value):
    return value if isinstance(value, list) else [value]


def number(path, name, value, least, most):
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= most:
        raise wrong(path, f"{name} = {value!r}", f"It is a number from {least:g} to {most:g}.")
    return value


def udp_loads(path, t, seconds):
    rate = t.get("rate", "search")
    if rate != "search":
        number(path, "rate", rate, 1, 1e7)
    factors = [1, *(number(path, "overload", f, 1.01, 100) for f in t.get("overload", []))]
    flows = number(path, "flows", t.get("flows", 4), 1, 65536)
    for way, size, factor in itertools.product(as_list(t.get("direction", "inbound")), as_list(t.get("size", 1420)), factors):
        yield Load("udp", way, str(size), 0 if rate == "search" else float(rate), seconds, flows, factor=factor)


def read_loads(path, t, seconds):
    check_names(path, t, LOAD, "[[load]]")
    kind, ways = t.get("kind", "udp"), as_list(t.get("direction", "inbound"))
    seconds = number(path, "seconds", t.get("seconds", seconds), 0.2, 150)
    for way in ways:
        if way not in DIRECTIONS[:2 if kind == "tcp" else 3]:
            raise wrong(path, f"direction = {way!r}", "inbound (the device decrypts), outbound, or, for UDP, both.")
    if kind == "udp":
        return list(udp_loads(path, t, seconds))
    if kind != "tcp":
        raise wrong(path, f"there is no load of kind {kind!r}", "There are udp and tcp.")
    streams = number(path, "streams", t.get("streams", 1), 1, 64)
    return [Load("tcp", way, "", 0, max(1, round(seconds)), streams=streams) for way in ways]


def share_out(path, cores):
    """(gateway's, generator's): one core for each of them where there are two, and none taken where there is one."""
    have = sorted(os.sched_getaffinity(0))
    if not cores:
        return ((have[0],), tuple(have[1:])) if len(have) > 1 else (tuple(have), tuple(have))
    check_names(path, cores, {"gateway": list, "generator": list}, "[cores]")
    chosen = tuple(tuple(cores.get(who, have)) for who in ("gateway", "generator"))
    for core in (*chosen[0], *chosen[1]):
        if core not in have:
            raise wrong(path, f"there is no core {core!r}", f"There are: {', '.join(map(str, have))}.")
    if not all(chosen):
        raise wrong(path, "[cores] names nobody's", "Give both at least one core.")
    return chosen


def read_file(path):
    try:
        with open(path, "rb") as f:
            return tomllib.load(f)
    except OSError as e:
        raise BenchError(path, e.strerror, "bench/compare/scenarios/ has examples.", USAGE) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise BenchError(path, f"no TOML: {e}", "bench/compare/scenarios/ has examples.", USAGE) from None


def read(path):
    """The scenario of a file; BenchError where it is wrong."""
    t = read_file(path)
    check_names(path, t, TOP, "it")
    devices = []
    for text in t.get("devices", []):
        devices.append(read_device(path, text, devices, TAILNET_KINDS if t.get("tailnet") else KINDS))
    seconds = t.get("seconds", 3)
    loads = [load for table in t.get("load", []) for load in read_loads(path, table, seconds)]
    if len(devices) < 2 or not loads:
        raise wrong(path, "it has no two devices, or no load", "devices = [..., ...] and at least one [[load]] are needed.")
    if len(set(load.name for load in loads)) < len(loads):
        raise wrong(path, "a load is in it twice", "More trials of it are more rounds.")
    gateway, generator = share_out(path, t.get("cores"))
    return Scenario(t.get("title", os.path.basename(path)), number(path, "rounds", t.get("rounds", 5), 1, 1000), tuple(devices),
                    tuple(loads), gateway, generator, t.get("workers", "auto"), number(path, "start_pps", t.get("start_pps", 200e3), 100, 1e7),
                    t.get("frames", False), t.get("tailnet", False))
