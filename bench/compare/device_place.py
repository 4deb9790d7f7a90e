# SPDX-License-Identifier: BSD-3-Clause
"""One device in its place: tests/lab's Site, with our generator at both of its sides.

    wan 198.18.0.1 (the generator's tunnel end) --- wan0 gw lan0 --- eth0 lan 192.168.77.2 (its cleartext end)
    peer1 (stock, for TCP only) --- wan

Each device has namespaces of its own, so that all of them stand ready and take turns within seconds; who is not asked
is idle.  Cores: the gateway's processes are bound to theirs, everything else to the others, and what a side receives is
handled on that side's core (RPS; for single frames by threads of the kernel, kernel_threads.py), as if the two were machines.
Otherwise the kernel runs the receiver's part in the sender's context, and the gateway would be charged for its neighbour's
work.
"""
import contextlib, hashlib, json, os, subprocess, time, types

import kernel_threads, lab
from records import BenchError
from spent import Spent

TUNNEL_ADDRESS = "198.18.0.1"
INNER = ("10.99.200.2", "fd99::200:2")
DRAIN_S = 0.5
# What a network card's driver has set: packets gather for 50 us before they are delivered, in a thread, with GRO.  veth does GRO
# only for senders that may not send super-packets of TCP.
AS_CARD = """ethtool -K DEVICE gro on tso off && cd /sys/class/net/DEVICE && echo 1 >threaded && echo 50000 >gro_flush_timeout &&
    echo 1 >napi_defer_hard_irqs"""


class Cores:
    """What is started within is bound to these cores."""

    def __init__(self, cores):
        self.cores = cores

    def __enter__(self):
        self.before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.cores)

    def __exit__(self, *_):
        os.sched_setaffinity(0, self.before)


def file_id(path):
    """So that a trial says which program it was, whatever version that claims."""
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()[:16]


def version_of(program):
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10)
        return ((said.stdout + said.stderr).strip().splitlines() or ["?"])[0]
    except (OSError, subprocess.SubprocessError):
        return "?"


def options_of(options, device):
    """What the lab is to use for this device."""
    own = types.SimpleNamespace(**vars(options))
    own.gateway, own.driver = device.kind, device.driver
    if device.folder:
        setattr(own, "bin" if device.kind == "sluice" else "peers", device.folder)
    return own


def program_of(options, device):
    """Where the device's program is; BenchError where it is not."""
    programs = lab.Programs(options_of(options, device))
    path = programs.sluice if device.kind == "sluice" else programs.peers.get(device.kind) or \
        lab.find_program(device.kind, device.folder or options.peers)
    if path is None:
        folder = device.folder or (options.bin if device.kind == "sluice" else options.peers)
        advice = "Give its prefix or build folder with --bin, or as sluice@FOLDER." if device.kind == "sluice" else \
            "scripts/setup installs it; give its folder with --peers, or leave it out of devices."
        raise BenchError(device.label, f"no such program in {folder}", advice)
    return path


def dataplane_of(program):
    return lab.find_program("sluice-dataplane", os.path.dirname(os.path.dirname(program))) or program


class Generator:
    """What the gateway is told about our end: a peer that a lab's Site takes for one of its own."""

    psk, known, gateway_keepalive, inner = None, False, 0, INNER
    name = "generator"

    def __init__(self):
        self.private = lab.new_key()
        self.public = lab.public_key(self.private)
        self.allowed = [f"{INNER[0]}/32", f"{INNER[1]}/128"]


class Place:
    """A running device with both of its neighbours.  Use as a context."""

    def __init__(self, options, scenario, device, with_tcp):
        self.options, self.scenario, self.device, self.with_tcp = options_of(options, device), scenario, device, with_tcp
        program = program_of(options, device)
        self.threads = {}  # of the kernel, which deliver to the device: {pid: name}
        self.program = {"program": program, "version": version_of(program), "driver": device.driver,
                        "id": file_id(dataplane_of(program) if device.kind == "sluice" else program)}

    def __enter__(self):
        self.site = lab.Site(self.options, f"compare-{self.device.label.partition('@')[0].replace('#', '-')}")
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.site.close()
        except lab.LabError:
            pass  # the namespaces go with ours

    def start(self):
        site = self.site
        self.generator = Generator()
        self.key = lab.write_secret(os.path.join(site.lab.dir, "generator.key"), self.generator.private)
        site.peers.append(self.generator)
        self.stock = site.peer("wireguard-go", keepalive=25) if self.with_tcp else None
        if self.device.kind == "sluice":
            site.gateway.workers = self.scenario.workers
        self.sides = ([(site.gw, "wan0"), (site.gw, "lan0")], [(site.wan, "to-gw"), (site.lan, "eth0")])
        with self.steered_start():
            site.gateway.start()
        if self.stock:
            self.stock.start()
            self.stock.host.ping_until(lab.LAN_HOST[0], 15)
            site.lan.spawn("iperf3 -s", "iperf3")

    @contextlib.contextmanager
    def steered_start(self):
        """Within it the gateway is started, on its cores; each side's packets are handled on that side's."""
        gateway, generator = self.scenario.gateway_cores, self.scenario.generator_cores
        may = set(gateway) != set(generator)
        if self.scenario.frames:
            self.steered = may and self.deliver_by_threads(self.sides[1], generator) is not None
            before = kernel_threads.listed()
            self.steered = self.deliver_by_threads(self.sides[0], gateway) is not None and self.steered
        else:
            self.steered = may and self.spread(self.sides[0], gateway) and self.spread(self.sides[1], generator)
        try:
            with Cores(gateway):
                yield
        except lab.LabError as e:
            raise BenchError(f"{self.device.label} does not start", str(e), "Try it alone; its log is above.") from None
        if self.is_xdp():
            self.wait_for_ports()
        if self.scenario.frames:
            self.threads = self.added(before)
            kernel_threads.pin(self.threads, gateway)

    def deliver_by_threads(self, side, cores):
        """What these devices receive is delivered by threads of the kernel, on these cores; None where there are none.  With GRO,
        as cards deliver; and so that there is something to make threads of, with a program or without."""
        before = kernel_threads.listed()
        for host, device in side:
            if host.try_run(["sh", "-c", AS_CARD.replace("DEVICE", device)])[0] != 0:
                return None
        found = self.added(before)
        kernel_threads.pin(found, cores)
        return found or None

    def is_xdp(self):
        return self.device.driver == "af_xdp"

    @staticmethod
    def added(before):
        return {pid: name for pid, name in kernel_threads.listed().items() if pid not in before}

    @staticmethod
    def spread(side, cores):
        """True if what these devices receive is handled on these cores."""
        mask = f"{sum(1 << c for c in cores):x}"
        return not any([host.try_run(["sh", "-c", f"for q in /sys/class/net/{device}/queues/rx-*; do echo {mask} >$q/rps_cpus; done"])[0]
                        for host, device in side])

    def wait_for_ports(self):
        """Until both of the device's interfaces are AF_XDP ports."""
        names = [device for _, device in self.sides[0]]
        end = time.monotonic() + 20
        while True:
            ports = {p["name"]: p for p in (self.gateway().status() or {}).get("ports", [])}
            if all(ports.get(n, {}).get("driver") == "af_xdp" for n in names):
                self.ports = {n: {k: ports[n].get(k) for k in ("driver", "mode", "queues", "why")} for n in names}
                return
            if time.monotonic() > end:
                raise BenchError(f"{self.device.label}: {', '.join(names)}", f"they are no AF_XDP ports: {ports}",
                                 "`sluice status --ports` says why.")
            time.sleep(0.2)

    def gateway(self):
        return self.site.gateway

    def pids(self):
        return self.gateway().pids()

    def spent(self):
        return Spent(self.pids(), self.scenario.gateway_cores, self.threads)

    # ---- UDP ----

    def ends(self):
        """The words that say where our generator's ends are."""
        site = self.site
        return ["--device", f"{lab.GW_OUTER[0]}:{lab.PORT}", "--device-key", site.gateway.public, "--key", self.key,
                "--inner", INNER[0], "--tunnel-netns", f"/run/netns/{site.wan.ns}", "--clear", lab.LAN_HOST[0],
                "--clear-netns", f"/run/netns/{site.lan.ns}", *(["--tunnel-xdp", "to-gw", "--clear-xdp", "eth0"]
                                                               if self.scenario.frames else [])]

    def words(self, bench, load, rate, seconds):
        cores = self.scenario.generator_cores
        return [bench, "generate", *self.ends(), "--direction", load.direction, "--size", load.size, "--flows", str(load.flows),
                "--rate", f"{rate:.0f}" if rate else "max", "--seconds", f"{seconds:g}", "--drain", f"{DRAIN_S:g}",
                "--cores", f"{cores[0]},{cores[-1]}", "--ahead", "--json", "--quiet"]

    def generate(self, bench, load, rate, seconds):
        """(result of a trial of `sluice-bench generate`, what the gateway spent)"""
        before, spent = self.books(), self.spent()
        child = subprocess.Popen(self.words(bench, load, rate, seconds), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 start_new_session=True)
        try:
            out, err = child.communicate(timeout=seconds * 4 + 90)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{self.device.label}: {load}", "the generator does not end", "Try fewer packets.") from None
        finally:
            if child.poll() is None:
                child.kill()
                child.communicate()
        cost = spent.end()
        if child.returncode != 0:
            raise BenchError(f"{self.device.label}: {load}", f"the generator failed\n{err.strip()}",
                             "The device's own words:\n" + self.log_of_gateway())
        if cost is None:
            raise BenchError(f"{self.device.label}: {load}", "a process of the device ended during the trial",
                             "Its own words:\n" + self.log_of_gateway())
        cost["books"] = {k: v - before.get(k, 0) for k, v in self.books().items() if v != before.get(k, 0)}
        return json.loads(out)[0]["result"], cost

    def books(self):
        """What Sluice's ports have counted, and its drops by reason: so that a trial shows which way its packets took."""
        if self.device.kind != "sluice":
            return {}
        status, found = self.gateway().status() or {}, {}
        for p in status.get("ports", []):
            found.update({f"{p['name']} {k}": v for k, v in p.items() if isinstance(v, int) and k not in ("mtu", "queues", "row")})
        drops = status.get("drops", {})
        found.update({f"drop {k}": v for k, v in drops.items() if isinstance(v, int)} if isinstance(drops, dict) else
                     {f"drop {d.get('reason', d.get('name'))}": d.get("packets", d.get("count", 0)) for d in drops})
        return found

    def log_of_gateway(self):
        gateway = self.site.gateway
        process = gateway.process if self.device.kind == "sluice" else gateway.wg.process
        return (process.tail(12) if process else "").strip() or "(none)"

    # ---- TCP ----

    def iperf(self, load):
        """(Gbit/s, Gbit, what the gateway spent)"""
        back = "-R" if load.direction == "outbound" else ""
        spent = self.spent()
        code, out, err = self.stock.host.try_run(
            f"iperf3 -c {lab.LAN_HOST[0]} -t {load.seconds:g} -J -P {load.streams} {back}", timeout=load.seconds + 60)
        cost = spent.end()
        try:
            end = json.loads(out)["end"]["sum_received"]
        except (ValueError, KeyError):
            end = None
        if code != 0 or cost is None or not end or not end["bytes"]:
            raise BenchError(f"{self.device.label}: {load}", f"iperf3 failed: {(err or out).strip()[-300:]}",
                             "The device's own words:\n" + self.log_of_gateway())
        return end["bits_per_second"] / 1e9, end["bytes"] * 8 / 1e9, cost
