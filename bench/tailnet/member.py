#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""How fast a gateway joins a tailnet, and what large maps cost it: time and memory.

    ctl (Headscale, or mapserver) --- wan --- gw, and stock nodes

Started by `sluice-bench tailnet`, or by hand with --bin.  Wants the test peers of scripts/setup, and Go for mapserver.

join:    from `sluice up` to the first answered ping of a stock node, and the same for a stock node (`tailscale up`), in
         turns, in one tailnet of Headscale.  Daemons run before; each round is a new node.
maps:    a coordination server (tests/lab/mapserver) sends maps of one peer, then of N over the real transport: from the
         message's last byte to the workers' tables, PSS before, at most and afterwards, how long pongs take meanwhile;
         then single deltas among the N, and the whole map again by a new stream.
"""
import json, os, re, statistics, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.join(HERE, "..", "..", "tests", "lab")
sys.path.insert(0, LAB)
import lab
import tailnet
from lab import LabError, wait_for

AIMS = {"join_s": 2.0, "map_ms": 500, "pong_ms": 10, "delta_ms": 5, "memory_mib": 64}
SERVER, COMMANDS = "198.18.0.2:8080", "127.0.0.1:8081"

# The first echo reply after now, asked for every 10 ms: seconds of CLOCK_MONOTONIC.
PING = """
import os, select, socket, struct, sys, time
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
mark, number, end = os.getpid() & 0xffff, 0, time.monotonic() + float(sys.argv[2])
print("ready", flush=True)
while time.monotonic() < end:
    number += 1
    head = struct.pack("!BBHHH", 8, 0, 0, mark, number & 0xffff)
    try:
        s.sendto(struct.pack("!BBHHH", 8, 0, checksum(head), mark, number & 0xffff), (sys.argv[1], 0))
    except OSError:
        pass  # no way there yet
    until = time.monotonic() + 0.01
    while select.select([s], [], [], max(0, until - time.monotonic()))[0]:
        data, source = s.recvfrom(2048)
        body = data[(data[0] & 15) * 4:]
        if source[0] == sys.argv[1] and body[0] == 0 and body[4:6] == struct.pack("!H", mark):
            print(time.monotonic(), flush=True)
            sys.exit()
print("none", flush=True)
"""


def say(text):
    print(text, flush=True)


def spread(values, unit="ms"):
    return f"median {statistics.median(values):.1f} {unit}, most {max(values):.1f} ({len(values)} times)"


# ---- join -----------------------------------------------------------------------------------------------------------

def time_join(net, node, to):
    """(seconds to the first answered ping, seconds until `up` returned)"""
    pinger = net.lab.spawn(node.host.words([sys.executable, "-c", PING, to.ip4, "30"]), f"{node.name}-ping", capture=True)
    wait_for(lambda: "ready" in pinger.text(), 10, "the pinging script")
    began = time.monotonic()
    node.up()
    up = time.monotonic() - began
    wait_for(lambda: not pinger.alive(), 40, "a ping to be answered")
    answer = pinger.text().split()[-1]
    if answer == "none":
        raise LabError(f"{node.name}: no ping was answered\n{node.process.tail()}")
    return float(answer) - began, up


def join_once(net, kind, number, to):
    place = net.place(f"{kind}{number}")
    if kind == "sluice":
        node = tailnet.Gateway(net, place)
        node.key = net.auth_key(node.tag)
        node.start()
    else:
        node = tailnet.Stock(net, place)
        node.key = net.auth_key()
        node.start_daemon()
    net.nodes.append(node)
    joined, up = time_join(net, node, to)
    node.stop()
    return joined, up


def measure_join(options):
    with tailnet.Tailnet(options, "join") as net:
        to = net.stock("other")
        times = {"sluice": [], "tailscale": []}
        for number in range(options.repeat):
            for kind in times:
                joined, up = join_once(net, kind, number, to)
                times[kind].append(joined)
                say(f"    {kind:9} first ping answered after {joined:.2f} s; `up` returned after {up:.2f} s")
        for kind, seconds in times.items():
            say(f"join, {kind}: {spread(seconds, 's')}")
        return {"seconds": times}


# ---- maps -----------------------------------------------------------------------------------------------------------

def build_mapserver(options):
    """Go compiles nothing anew that has not changed."""
    out = os.path.join(options.peers, "build", "mapserver")
    os.makedirs(os.path.dirname(out), exist_ok=True)
    env = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/local/go/bin")
    r = subprocess.run(["go", "build", "-o", out, "."], cwd=os.path.join(LAB, "mapserver"), env=env, text=True,
                       capture_output=True)
    if r.returncode != 0:
        raise SystemExit(f"mapserver cannot be built: {r.stderr}")
    return out


class MapServer:
    def __init__(self, net, program):
        self.net = net
        self.process = net.spawn(net.ctl, [program, "-listen", SERVER, "-commands", COMMANDS, "-derp", "198.18.1.2:443",
                                           "-derp-name", "rly.lab.test", "-stun", "3478", "-peers", "1"], "mapserver")
        wait_for(lambda: '"ready"' in self.process.text(), 10, "mapserver")

    def ask(self, command):
        code, out, err = self.net.ctl.try_run(["curl", "-s", "-m", "20", f"http://{COMMANDS}/{command}"], 25)
        if code != 0:
            raise LabError(f"mapserver, {command}: {err}")
        try:
            return json.loads(out)["value"]
        except ValueError:
            raise LabError(f"mapserver, {command}: {out}")

    def member(self):
        return next(iter(self.ask("members")), {})


class Member(tailnet.Gateway):
    """A gateway that joins mapserver's tailnet."""

    def up(self, timeout=40):
        words = ["up", "--login-server", f"http://{SERVER}", "--auth-key", "any-will-do", "--hostname", "gw", "--timeout",
                 f"{timeout}s"]
        code, out, err = self.net.enter(self.host, self.words(*words), timeout + 10)
        if code != 0:
            raise LabError(f"sluice up: status {code}: {out}{err}\n{self.process.tail()}")

    def in_force(self):
        """[(milliseconds, peers)] of each map or delta so far."""
        return [(float(m[1]), int(m[2])) for m in
                re.finditer(r"the map is in force ms=([\d.]+) peers=(\d+)", self.process.text())]

    def wait_in_force(self, known, peers, seconds=60):
        """The first after `known` of them with so many peers, in milliseconds from its last byte."""
        def found():
            return [ms for ms, n in self.in_force()[known:] if n == peers]

        return wait_for(found, seconds, lambda: f"a map of {peers} peers:\n{self.process.tail()}", 0.02)[0]


PACKETS = "/memfd:sluice-packets"


def pss_by_role(gateway):
    """KiB of each process, packet buffers (which no peer needs) apart."""
    found = {}
    for role, pid in gateway.pids().items():
        found[role], name = 0, ""
        try:
            with open(f"/proc/{pid}/smaps") as f:
                for line in f:
                    m = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)", line)
                    if m:
                        name = m[1].removesuffix(" (deleted)")
                    elif line.startswith("Pss:") and name != PACKETS:
                        found[role] += int(line.split()[1])
        except OSError:
            pass
    return found


def settled_pss(gateway, seconds=30):
    """When it has not grown for two seconds."""
    last, since, end = pss_by_role(gateway), time.monotonic(), time.monotonic() + seconds
    while time.monotonic() - since < 2 and time.monotonic() < end:
        time.sleep(0.3)
        now = pss_by_role(gateway)
        if abs(sum(now.values()) - sum(last.values())) > 64:
            last, since = now, time.monotonic()
    return pss_by_role(gateway)


def memory_of(pid, field):
    """KiB, from /proc/PID/status."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return next((int(line.split()[1]) for line in f if line.startswith(field + ":")), 0)
    except OSError:
        return 0


class Peak:
    """By how much resident memory of all processes was larger, at most, than when it began; the kernel keeps the books."""

    def __init__(self, gateway):
        self.pids = list(gateway.pids().values())
        for pid in self.pids:
            with open(f"/proc/{pid}/clear_refs", "w") as f:
                f.write("5")
        self.before = {pid: memory_of(pid, "VmRSS") for pid in self.pids}

    def kib(self):
        return sum(memory_of(pid, "VmHWM") - self.before[pid] for pid in self.pids)


def mib(kib):
    return kib / 1024


def words_of(pss, before=None):
    return ", ".join(f"{role} {mib(kib - (before or {}).get(role, 0)):{'+' if before else ''}.1f}" for role, kib in pss.items())


def take_map(server, gateway, command, n, ping_to):
    """A map of n peers while somebody pings: (milliseconds, pongs)."""
    server.ask(f"ping?to={ping_to}&member=1&ms=2")
    time.sleep(1)
    known = len(gateway.in_force())
    report = server.ask(command)
    ms = gateway.wait_in_force(known, n)
    time.sleep(1.5)
    return ms, server.ask("pongs"), report


def cpu_by_thread(pid):
    """Milliseconds of CPU time of each thread, by name and number."""
    found = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as name, open(f"/proc/{pid}/task/{task}/schedstat") as stat:
            found[f"{name.read().strip()} {task}"] = int(stat.read().split()[0]) / 1e6
    return found


def cpu_since(gateway, before):
    return {f"{role}, {thread}": ms - before[role].get(thread, 0)
            for role, pid in gateway.pids().items() for thread, ms in cpu_by_thread(pid).items()}


def words_of_cpu(spent):
    return ", ".join(f"{who.rsplit(' ', 1)[0]} {ms:.1f} ms" for who, ms in spent.items() if ms >= 0.1)


def take_deltas(server, gateway, n, times):
    """{kind: [milliseconds]}"""
    found = {"patch": [], "add": [], "remove": []}
    for i in range(times):
        for kind, command, peers in (("patch", f"patch?id={1500 + i}", n), ("add", "add", n + 1),
                                     ("remove", f"remove?id={1000 + n + i}", n)):
            known = len(gateway.in_force())
            server.ask(command)
            found[kind].append(gateway.wait_in_force(known, peers, 20))
            time.sleep(0.2)
    return found


def measure_maps(options, program, n):
    os.environ["SLUICE_LOG"] = "info"
    with tailnet.Tailnet(options, "maps") as net:
        server = MapServer(net, program)
        gateway = Member(net, net.place("gw"))
        net.nodes.append(gateway)
        gateway.start()
        gateway.up()
        wait_for(lambda: server.member().get("has_disco_key"), 20, "the member's disco key")
        one = settled_pss(gateway)
        to = f"{gateway.place.outer}:41641"
        peak = Peak(gateway)
        before = {role: cpu_by_thread(pid) for role, pid in gateway.pids().items()}
        ms, pongs, report = take_map(server, gateway, f"peers?n={n}", n, to)
        peak_kib = peak.kib()
        spent = cpu_since(gateway, before)
        many = settled_pss(gateway)
        row = {"peers": n, "ms": ms, "pongs": pongs, "bytes": report[0]["bytes"] if report else 0,
               "one_kib": sum(one.values()), "many_kib": sum(many.values()), "peak_over_one_kib": peak_kib,
               "cpu_ms": spent}
        say(f"map of {n} peers, {row['bytes'] / 1e6:.1f} MB of JSON: in force {ms:.1f} ms after its last byte; pongs meanwhile: "
            f"{pongs['received']} of {pongs['sent']}, median {pongs['median_ms']:.2f} ms, most {pongs['max_ms']:.2f} ms")
        say(f"    PSS {mib(row['one_kib']):.1f} MiB with one peer, {mib(row['many_kib'] - row['one_kib']):+.1f} MiB with {n} "
            f"({words_of(many, one)}), at most {mib(row['peak_over_one_kib']):+.1f} MiB")
        before = {role: cpu_by_thread(pid) for role, pid in gateway.pids().items()}
        say(f"    CPU time for it, pongs included: {words_of_cpu(spent)}")
        row["deltas"] = take_deltas(server, gateway, n, options.deltas)
        row["delta_cpu_ms"] = {who: ms / (3 * options.deltas) for who, ms in cpu_since(gateway, before).items()}
        for kind, values in row["deltas"].items():
            say(f"    one {kind} among {n}: {spread(values)}")
        say(f"    CPU time for each of them: {words_of_cpu(row['delta_cpu_ms'])}")
        known = len(gateway.in_force())
        server.ask(f"drop?n={n}")
        row["again_ms"] = gateway.wait_in_force(known, n)
        again = settled_pss(gateway)
        row["again_kib"] = sum(again.values())
        say(f"    the same by a new stream: {row['again_ms']:.1f} ms; PSS then {mib(row['again_kib'] - row['one_kib']):+.1f} MiB "
            f"over one peer's")
        return row


# ---- all ------------------------------------------------------------------------------------------------------------

def judge(results):
    """[(what, figure, unit, aim)]"""
    found = []
    if "join" in results:
        own, stock = (statistics.median(results["join"]["seconds"][k]) for k in ("sluice", "tailscale"))
        found.append(("join", own, "s", AIMS["join_s"]))
        found.append(("join, beside stock", own, "s", stock))
    for row in results.get("maps", []):
        n = row["peers"]
        found.append((f"map of {n}, last byte to workers", row["ms"], "ms", AIMS["map_ms"]))
        found.append((f"map of {n}, slowest pong meanwhile", row["pongs"]["max_ms"], "ms", AIMS["pong_ms"]))
        found.append((f"memory of {n} peers over one", mib(row["many_kib"] - row["one_kib"]), "MiB", AIMS["memory_mib"]))
        for kind, values in row["deltas"].items():
            found.append((f"one {kind} among {n}, median", statistics.median(values), "ms", AIMS["delta_ms"]))
    return found


def more(parser):
    parser.add_argument("--parts", default="join,maps", metavar="WORD[,WORD]")
    parser.add_argument("--counts", default="1000,10000", metavar="N[,N]", help="numbers of peers in a map")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="joins of each kind")
    parser.add_argument("--deltas", type=int, default=10, metavar="N", help="deltas of each kind")
    parser.add_argument("--json", metavar="FILE")


def main():
    options = lab.enter(__doc__, more)
    missing = tailnet.missing_programs(options, ("new",))
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}; scripts/setup installs them")
    parts, results = options.parts.split(","), {}
    if "join" in parts:
        results["join"] = measure_join(options)
    if "maps" in parts:
        program = build_mapserver(options)
        results["maps"] = [measure_maps(options, program, int(n)) for n in options.counts.split(",")]
    say("")
    for what, figure, unit, aim in judge(results):
        say(f"{'reached' if figure <= aim else 'MISSED ':8} {what}: {figure:.2f} {unit} (aim: at most {aim:.4g})")
    if options.json:
        with open(options.json, "w") as f:
            json.dump(results, f, indent=1)


main()
