#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""How much memory a gateway takes, how fast it starts, takes a change over, and what it costs at rest.

    many peers (sluice-bench handshakes) --- wan --- gw --- lan (a UDP packet every 2 ms)
    peer1 (wireguard-go)                 ---/

Started by `sluice-bench size`, or by hand with --bin.


memory:  PSS of all processes of the gateway with 0, 1,000 and 10,000 peers: without sessions, with a session each, with
         one more each; packet buffers (their number does not depend on the peers) apart.  --mappings says where it lies.
rest:    CPU time of all processes while nothing is to be done, in the same states.
reload:  `sluice reload` that adds one peer, and takes it away again, with the most peers.
start:   from the start of `sluice run` to the first packet from the LAN at a peer whose endpoint is configured.
"""
import collections, json, os, re, statistics, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "lab"))
import lab

PACKETS = "/memfd:sluice-packets"
AIMS = {"none_kib": 64 * 1024, "peer_kib": 4, "session_kib": 8, "start_ms": 500, "rest_percent": 2}
UDP_PORT = 9

SEND = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try:
        s.sendto(b"x" * 64, (sys.argv[1], int(sys.argv[2])))
    except OSError:
        pass
    time.sleep(0.002)
"""
RECEIVE = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[1])))
print("listening", flush=True)
s.recv(2048)
print(time.monotonic(), flush=True)
"""


# ---- a gateway with many peers --------------------------------------------------------------------------------------

def peer_lines(number, public_key):
    high, low = divmod(number, 256)
    return (f"    - name: many-{number}\n      public_key: {public_key}\n"
            f'      allowed_ips: ["10.128.{high}.{low}/32", "fd88::{number:x}/128"]\n')


def write_many(gateway, keys):
    gateway.extra = ("  peers:\n" if keys else "") + "".join(peer_lines(i, k) for i, k in enumerate(keys))
    gateway.write_config()


def make_keys(options, n, path):
    """Private and public keys go to `path`; returns the public ones."""
    text = lab.sh([options.bench, "handshakes", "--generate", str(n)])
    with open(path, "w") as f:
        f.write(text)
    return [line.split()[1] for line in text.splitlines()]


def settle(site, seconds=30):
    """Until the gateway has taken everything over, and its memory has not grown for a second."""
    lab.wait_for(lambda: "configuration applied" in site.gateway.process.text(), seconds,
                 lambda: f"the configuration to be applied:\n{site.gateway.process.tail()}")
    last, since, end = 0, time.monotonic(), time.monotonic() + seconds
    while time.monotonic() - since < 1 and time.monotonic() < end:
        now = site.gateway.pss()
        if abs(now - last) > 16:
            last, since = now, time.monotonic()
        time.sleep(0.2)


# ---- memory ---------------------------------------------------------------------------------------------------------

def mappings_of(pid):
    """{name: KiB of PSS}; what has no name is one of [anon], [heap], [stack]."""
    found, name = collections.Counter(), ""
    try:
        with open(f"/proc/{pid}/smaps") as f:
            for line in f:
                m = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)", line)
                if m:
                    name = m[1].removesuffix(" (deleted)") or "[anon]"
                elif line.startswith("Pss:"):
                    found[name] += int(line.split()[1])
    except OSError:
        pass
    return found


class Memory:
    """PSS by process and mapping, in KiB; `all` is without packet buffers."""

    def __init__(self, gateway):
        self.by = {role: mappings_of(pid) for role, pid in gateway.pids().items()}
        self.packets = sum(m[PACKETS] for m in self.by.values())
        self.roles = {role: sum(m.values()) - m[PACKETS] for role, m in self.by.items()}
        self.all = sum(self.roles.values())

    def lines(self, before=None, least=32):
        """Mappings of at least so many KiB, and what has grown."""
        rows = []
        for role, mappings in self.by.items():
            for name, kib in mappings.items():
                grown = kib - before.by.get(role, {}).get(name, 0) if before else 0
                if kib >= least and name != PACKETS and (before is None or grown):
                    rows.append((kib, f"      {kib:7} KiB {grown:+7}  {role:12} {name}"))
        return [text for _, text in sorted(rows, reverse=True)]

    def json(self):
        return {"kib": self.all, "packets_kib": self.packets, "processes_kib": self.roles}


def cpu_percent(gateway, seconds):
    """Of one core, of all processes together."""
    began, before = time.monotonic(), gateway.cpu()
    time.sleep(seconds)
    return 100 * (gateway.cpu() - before) / (time.monotonic() - began)


def shake_hands(site, host, options, path):
    out = host.run([options.bench, "handshakes", "--gateway", f"{lab.GW_OUTER[0]}:{lab.PORT}", "--public-key",
                    site.gateway.public, "--keys", path, "--rate", str(options.rate), "--seconds", "120", "--json", "--quiet"],
                   check=False, timeout=150)
    return json.loads(out)[0]["result"]


def say(text):
    print(text, flush=True)


def say_row(what, memory, each, rest):
    say(f"{what:12} {memory.all / 1024:7.1f} MiB {each:>15}   packet buffers {memory.packets / 1024:4.1f} MiB   at rest "
        f"{rest:4.1f} % CPU   " + ", ".join(f"{role} {kib / 1024:.1f}" for role, kib in memory.roles.items()))


def measure_memory(options, n, base):
    """The rows of the table for one number of peers; base: the row without peers.

    A session that was renewed is kept beside the new one until it is 180 s old: two at a time are what a busy peer has.
    """
    with lab.Site(options, "size") as site:
        keys_path = os.path.join(site.lab.dir, "keys")
        keys = make_keys(options, n, keys_path) if n else []
        host = site.add_peer_host("many", 1)
        write_many(site.gateway, keys)
        site.gateway.start_again(wait=False)
        settle(site)
        idle = Memory(site.gateway)
        row = {"peers": n, "without": idle, "rest_percent": cpu_percent(site.gateway, options.rest)}
        say_row(f"{n:6} peers", idle, per_peer(idle, base, n), row["rest_percent"])
        show(options, idle, base and base["without"])
        if not n:
            return row
        for again in (False, True):
            state = "renewed" if again else "with"
            row["handshakes " + state] = h = shake_hands(site, host, options, keys_path)
            settle(site)
            row[state] = busy = Memory(site.gateway)
            row[f"rest_{state}_percent"] = rest = cpu_percent(site.gateway, options.rest)
            say_row("once renewed" if again else "and sessions", busy, per_peer(busy, base, n), rest)
            say(f"    handshakes: {h['done']} of {h['peers']} in {h['seconds']:.1f} s, {h['per_second']:.0f}/s, response "
                f"after {h['latency_ms']['median']:.2f} ms (median), {h['latency_ms']['p99']:.2f} ms (99 %)")
            show(options, busy, idle)
        site.gateway.status()  # the answer is built in the control plane's memory
        row["asked"] = Memory(site.gateway)
        say(f"    after a `sluice status`: {(row['asked'].all - busy.all) / 1024:+.1f} MiB")
        return row


def show(options, memory, before):
    if options.mappings:
        for line in memory.lines(before):
            say(line)


def per_peer(memory, base, n):
    return f"{(memory.all - base['without'].all) / n:.2f} KiB a peer" if base and n else ""


# ---- reload ---------------------------------------------------------------------------------------------------------

def measure_reload(options, n):
    with lab.Site(options, "size") as site:
        keys = make_keys(options, n + 1, os.path.join(site.lab.dir, "keys"))
        write_many(site.gateway, keys[:n])
        site.gateway.start_again(wait=False)
        settle(site)
        times = []
        for i in range(options.repeat):
            write_many(site.gateway, keys[:n + 1 - i % 2])
            began, cpu = time.monotonic(), site.gateway.cpu()
            code, out, err = site.gateway.reload()
            if code != 0:
                raise SystemExit(f"reload: {out}{err}")
            times.append(1000 * (time.monotonic() - began))
        cpu = 1000 * (site.gateway.cpu() - cpu)
        say(f"reload that adds or takes away one peer of {n}: {spread(times)} ms; CPU {cpu:.0f} ms the last time")
        return {"peers": n, "reload_ms": times}


# ---- start ----------------------------------------------------------------------------------------------------------

def first_packet(site, p, options):
    """Milliseconds from before `sluice run` is started."""
    receiver = p.host.spawn([sys.executable, "-c", RECEIVE, str(UDP_PORT)], "receive", capture=True)
    lab.wait_for(lambda: "listening" in receiver.text(), 10, "the receiver")
    site.gateway.write_config()
    began = time.monotonic()
    site.gateway.start_again(wait=False)
    lab.wait_for(lambda: not receiver.alive(), 20, lambda: f"a packet at the peer:\n{site.gateway.process.tail()}")
    ms = 1000 * (float(receiver.text().split()[-1]) - began)
    # Everything is to be in place before it is taken down: the stop is not what is measured.
    lab.wait_for(site.gateway.is_ready, 20, "the gateway")
    site.gateway.stop()
    return ms


def measure_start(options, n):
    """n: peers beside the one that packets are for"""
    with lab.Site(options, "size") as site:
        keys = make_keys(options, n, os.path.join(site.lab.dir, "keys")) if n else []
        site.gateway.extra = "".join(peer_lines(i, k) for i, k in enumerate(keys))
        p = site.peer("wireguard-go", known=True)
        p.start()
        site.lan.spawn([sys.executable, "-c", SEND, p.inner[0], str(UDP_PORT)], "send")
        times = [first_packet(site, p, options) for _ in range(options.repeat)]
        say(f"start to first packet with {n + 1} peers: {spread(times)} ms")
        return {"peers": n + 1, "start_ms": times}


def spread(values):
    return f"median {statistics.median(values):.0f}, most {max(values):.0f} ({len(values)} times)"


# ---- all ------------------------------------------------------------------------------------------------------------

def judge(results):
    """[(what, figure, unit, aim)]"""
    rows = {r["peers"]: r for r in results.get("memory", [])}
    found = []
    base = rows.get(0)
    if base:
        found.append(("memory without peers, packet buffers apart", base["without"].all / 1024, "MiB",
                      AIMS["none_kib"] / 1024))
    for n, r in rows.items():
        if n and base:
            for state, words, aim in (("without", "without a session", "peer_kib"),
                                      ("with", "with a session", "session_kib"),
                                      ("renewed", "with two sessions", "session_kib")):
                found.append((f"a peer {words}, of {n}", (r[state].all - base["without"].all) / n, "KiB", AIMS[aim]))
            worst = max(v for k, v in r.items() if k.startswith("rest_"))
            found.append((f"CPU at rest, {n} peers", worst, "%", AIMS["rest_percent"]))
    for start in results.get("start", []):
        found.append((f"start to first packet, {start['peers']} peers, median", statistics.median(start["start_ms"]), "ms",
                      AIMS["start_ms"]))
    return found


def more(parser):
    parser.add_argument("--counts", default="0,1000,10000", metavar="N[,N]", help="numbers of peers")
    parser.add_argument("--parts", default="memory,reload,start", metavar="WORD[,WORD]")
    parser.add_argument("--rate", type=int, default=800, metavar="N", help="handshakes per second")
    parser.add_argument("--rest", type=float, default=8, metavar="SECONDS", help="to measure the CPU at rest for")
    parser.add_argument("--repeat", type=int, default=10, metavar="N", help="starts, and reloads")
    parser.add_argument("--mappings", action="store_true", help="say where the memory lies")
    parser.add_argument("--json", metavar="FILE")


def main():
    options = lab.enter(__doc__, more)
    options.bench = lab.find_program("sluice-bench", options.bin)
    if options.bench is None:
        raise SystemExit("no sluice-bench found: give --bin DIR, a prefix or a build folder")
    counts, parts = [int(n) for n in options.counts.split(",")], options.parts.split(",")
    results = {}
    if "memory" in parts:
        results["memory"] = []
        for n in counts:
            base = next((r for r in results["memory"] if r["peers"] == 0), None)
            results["memory"].append(measure_memory(options, n, base))
    if "reload" in parts:
        results["reload"] = measure_reload(options, max(counts))
    if "start" in parts:
        results["start"] = [measure_start(options, n) for n in dict.fromkeys((0, max(counts)))]
    say("")
    for what, figure, unit, aim in judge(results):
        say(f"{'reached' if figure <= aim else 'MISSED ':8} {what}: {figure:.2f} {unit} (aim: at most {aim:g})")
    if options.json:
        with open(options.json, "w") as f:
            json.dump(results, f, indent=1, default=lambda thing: thing.json())


main()
