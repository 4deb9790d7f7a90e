#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Processes of the gateway die while its AF_XDP ports carry 20,000 packets/s that were encrypted ahead.

    lan --- gw --- wan --- peer1, `sluice-bench generate --ahead`      (addresses: tests/lab/lab.py)
                    '----- peer2, a stock peer with a TCP connection to lan that lasts all the time

    controlplane   kill -9 twenty times: 0 lost, 0 doubled
    forwarder      twenty times: what a death costs is reported; 0 doubled, nothing in clear on any port, no RST to anybody,
                   the connection goes on
    both           five times, the same
    keeper         once: traffic again within 20 s by new handshakes, nothing in clear

That the traffic took the ports is shown by their counters, while those of the gateway's sockets and of its kernel's
forwarding stand still.
"""
import json, os, random, re, signal, statistics, struct, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from tap import Tap

RATE = 20000
SIZE = 228  # of the inner packets: IPv4, UDP, 200 bytes

ECHO_SERVER = """
import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("", 7)); s.listen(1)
print("listening", flush=True)
c, _ = s.accept()
while True:
    d = c.recv(65536)
    if not d: break
    c.sendall(d)
"""
ECHO_CLIENT = """
import signal, socket, sys, time
s = socket.create_connection((sys.argv[1], 7), 20); s.settimeout(30)
n, stop = 0, []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
print("connected", flush=True)
try:
    while not stop:
        line = b"%015d\\n" % n
        s.sendall(line)
        got = b""
        while len(got) < 16:
            d = s.recv(16 - len(got))
            if not d: raise OSError("closed by the other end")
            got += d
        if got != line: raise OSError("answer to another line")
        n += 1
        time.sleep(0.02)
    print("echoed", n, "and open", flush=True)
except OSError as e:
    print("echoed", n, "and failed:", e, flush=True)
"""


def more(parser):
    parser.add_argument("--kills", type=int, help="how often (20)")
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--quick", action="store_true", help="a quarter of the kills")


class Load:
    """The generator in the place of a peer."""

    def __init__(self, site, p, rate, seconds):
        bench = lab.find_program("sluice-bench", site.options.bin)
        if bench is None:
            raise lab.LabError("no sluice-bench found: give --bin DIR or SLUICE_BIN")
        key = lab.write_secret(os.path.join(site.lab.dir, "generator.key"), p.private)
        words = [bench, "generate", "--device", lab.endpoint(lab.GW_OUTER[0]), "--device-key", site.gateway.public, "--key", key,
                 "--inner", p.inner[0], "--tunnel-netns", f"/run/netns/{p.host.ns}", "--clear", lab.LAN_HOST[0],
                 "--clear-netns", f"/run/netns/{site.lan.ns}", "--direction", "both", "--size", str(SIZE), "--flows", "16",
                 "--rate", f"{rate:g}", "--seconds", f"{seconds:g}", "--drain", "3", "--ahead", "--json", "--quiet"]
        self.seconds, self.site = seconds, site
        before = packets(site)["wan0"]
        self.process = subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        lab.wait_for(lambda: self.process.poll() is not None or packets(site)["wan0"] > before + rate / 10, 60,
                     "the generator to send", 0.02)
        self.end = time.monotonic() + seconds

    def left(self):
        return self.end - time.monotonic()

    def result(self):
        out, err = self.process.communicate(timeout=self.seconds + 60)
        if self.process.returncode != 0:
            raise lab.LabError(f"sluice-bench generate: {err.strip()}")
        return json.loads(out)[0]["result"]


def packets(site):
    """Received and sent by each port."""
    ports = (site.gateway.status() or {}).get("ports", [])
    return {p["name"]: p["rx_packets"] + p["tx_packets"] for p in ports} | ({} if ports else {"wan0": 0})


def kernel_counters(host):
    """What the host's kernel forwarded, and the resets that it sent."""
    out = host.run("nstat -asz IpForwDatagrams Ip6OutForwDatagrams TcpOutRsts")
    return {m[1]: int(m[2]) for m in re.finditer(r"^(\w+)\s+(\d+)", out, re.M)}


class Capture:
    """What arrives at the host of the LAN."""

    def __init__(self, site):
        self.path = f"{site.lab.dir}/lan.pcap"
        self.process = site.lan.spawn(["tcpdump", "-i", "eth0", "-Q", "in", "-s", "60", "-B", "65536", "-w", self.path, "-Z", "root",
                                       "--time-stamp-precision=nano", "ip"], "tcpdump")
        lab.wait_for(lambda: "listening on" in self.process.tail() or not self.process.alive(), 10, "tcpdump")

    def stop(self):
        """(times, packets for somebody else than the LAN, resets, packets not captured)"""
        self.process.stop()
        times, astray, resets = [], 0, 0
        with open(self.path, "rb") as f:
            data = f.read()
        at = 24
        while at + 16 <= len(data):
            seconds, nanoseconds, kept, _ = struct.unpack_from("<IIII", data, at)
            frame = data[at + 16:at + 16 + kept]
            at += 16 + kept
            if len(frame) < 34:
                continue
            times.append(seconds + nanoseconds / 1e9)
            if frame[30:33] != bytes((192, 168, 77)) and not frame[0] & 1:
                astray += 1
            transport = 14 + 4 * (frame[14] & 15)
            if frame[23] == 6 and len(frame) > transport + 13 and frame[transport + 13] & 4:
                resets += 1
        m = re.search(r"(\d+) packets? dropped by kernel", self.process.tail(20))
        return times, astray, resets, int(m[1]) if m else 0


def silences(times, kills):
    """The longest pause between packets in the half second behind each kill, in seconds."""
    found = []
    for k in kills:
        near = [t for t in times if k - 0.01 <= t <= k + 0.5]
        found.append(max((b - a for a, b in zip(near, near[1:])), default=0.5))
    return found


class Connection:
    """A TCP connection through a stock peer, which must last."""

    def __init__(self, site, p):
        server = site.lan.spawn([sys.executable, "-c", ECHO_SERVER], "echo", capture=True)
        lab.wait_for(lambda: "listening" in server.text(), 10, "the echo server")
        self.client = p.host.spawn([sys.executable, "-c", ECHO_CLIENT, lab.LAN_HOST[0]], "echo-client", capture=True)
        lab.wait_for(lambda: "connected" in self.client.text(), 20, "a TCP connection through the tunnel")

    def stop(self):
        self.client.stop(40)
        return (self.client.text().splitlines() or [""])[-1]


def af_xdp_site(options, name, stock=True):
    options.driver = "af_xdp"
    site = lab.Site(options, name)
    try:
        p = site.peer("wireguard-go")
        if stock:
            site.peer("wireguard-go")
        site.gateway.start()
        for peer in site.peers[1:]:
            peer.start()
            peer.host.ping_until(lab.LAN_HOST[0], 20)
        wait_ports(site)
    except BaseException:
        site.close()
        raise
    return site, p


def wait_ports(site):
    def both():
        ports = {p["name"]: p.get("driver") for p in (site.gateway.status() or {}).get("ports", [])}
        return ports.get("wan0") == "af_xdp" == ports.get("lan0")

    lab.wait_for(both, 20, lambda: f"both ports over AF_XDP: {(site.gateway.status() or {}).get('ports')}")


def kill_under_load(site, load, roles, n, rng):
    """Times of the kills that fell into the load."""
    gw, kills, took = site.gateway, [], []
    for _ in range(n):
        time.sleep(rng.uniform(0.3, 0.8))
        if load.left() < 1.5:
            break
        old = gw.pids()
        at = time.time()
        for role in roles:
            os.kill(old[role], signal.SIGKILL)
        began = time.monotonic()
        kills.append(at)
        for role in roles:
            gw.wait_new(role, old[role], 60)
        took.append(1000 * (time.monotonic() - began))
        lab.wait_for(gw.is_ready, 60, lambda: f"the gateway to be ready again\n{gw.process.tail()}")
    return kills, took


def one_case(tap, options, what, roles, n):
    rng = random.Random(5)
    rate = options.rate / options.slow
    site, p = af_xdp_site(options, "kill-" + "-".join(roles))
    with site:
        recorder, capture, connection = site.record(), Capture(site), Connection(site, site.peers[1])
        before, kernel = packets(site), kernel_counters(site.gw)
        rx_dropped = dropped(site)
        # Its supervisor waits longer and longer for a control plane that dies again and again.
        load = Load(site, p, rate, (3.4 if roles == ("controlplane",) else 2.2) * n + 4)
        kills, took = kill_under_load(site, load, roles, n, rng)
        result = load.result()
        after, kernel_after = packets(site), kernel_counters(site.gw)
        last = connection.stop()
        times, astray, resets, uncaptured = capture.stop()
        recording = recorder.stop()
        tap.ok(len(kills) >= n // 2, f"{what}: killed {len(kills)} times under the load", took)
        say(tap, what, result, kills, times, rate)
        full = dropped(site) - rx_dropped
        tap.note(f"{what}: a new one was seen after {statistics.median(took):.0f} ms (median), {max(took):.0f} ms (longest); "
                 f"received and not taken in time by the ports: {full}")
        total = result["sum"]
        tap.equal((total["duplicated"], total["corrupted"], total["foreign"]), (0, 0, 0), f"{what}: nothing doubled or damaged")
        if "forwarder" not in roles:
            lost = total["lost"] - result["socket_dropped"] - full
            tap.ok(lost <= 0, f"{what}: 0 lost", f"{total}, socket {result['socket_dropped']}, ports {full}")
        tap.ok(total["received"] > 0.9 * total["sent"], f"{what}: the traffic goes on", total)
        tap.ok("and open" in last and not last.startswith("echoed 0 "), f"{what}: the TCP connection goes on", last)
        tap.equal((astray, resets, recording.clear), (0, 0, 0), f"{what}: nothing in clear, no RST on either port")
        tap.equal((recording.nonce_reused, recording.repeated), (0, 0), f"{what}: no nonce used twice, no packet sent twice")
        if uncaptured:
            tap.note(f"{what}: {uncaptured} packets were not captured on the LAN")
        tap.equal(kernel_after, kernel, f"{what}: the gateway's kernel forwarded nothing and reset nothing")
        # A forwarder's counters are its own: without its death they hold all of it.
        if "forwarder" not in roles:
            tap.ok(all(after[d] - before[d] >= total["received"] for d in ("wan0", "lan0")),
                   f"{what}: the ports' counters hold the packets", f"{before} {after}")
        tap.ok(after["wire"] + after["sluice0"] <= before["wire"] + before["sluice0"] + 50,
               f"{what}: those of the sockets and of sluice0 do not", f"{before} {after}")


def dropped(site):
    return sum(p["rx_dropped"] for p in (site.gateway.status() or {}).get("ports", []) if p["driver"] == "af_xdp")


def say(tap, what, result, kills, times, rate):
    total, gaps = result["sum"], silences(times, kills)
    median = statistics.median(gaps)
    tap.note(f"{what}: {result['offered_pps']:.0f}/s offered, {total['sent']} sent, {total['lost']} lost "
             f"({total['lost'] / max(1, len(kills)):.1f} a kill; inbound {result['inbound']['lost']}, outbound "
             f"{result['outbound']['lost']}), {total['reordered']} reordered, dropped by the ends' sockets {result['socket_dropped']}")
    tap.note(f"{what}: silence towards the LAN behind a kill: median {1000 * median:.1f} ms (time of {median * rate:.0f} packets of "
             f"both ways), longest {1000 * max(gaps):.1f} ms")


def controlplane(tap, options):
    one_case(tap, options, "control plane", ("controlplane",), options.kills or (5 if options.quick else 20))


def forwarder(tap, options):
    one_case(tap, options, "forwarder", ("forwarder",), options.kills or (5 if options.quick else 20))


def both(tap, options):
    one_case(tap, options, "forwarder and control plane", ("forwarder", "controlplane"), 2 if options.quick else 5)


def keeper(tap, options):
    site, _ = af_xdp_site(options, "kill-keeper")
    p = site.peers[1]
    with site:
        recorder, handshake = site.record(), p.handshake()
        kernel = kernel_counters(site.gw)
        traffic = lab.Traffic(p.host, p.inner[:1], site.lan, lab.LAN_HOST[:1], rate=1000, flows=2, name="keeper ")
        time.sleep(1)
        died = time.monotonic()
        site.gateway.wait_new("keeper", site.gateway.kill("keeper"), 60)
        lab.wait_for(lambda: p.handshake() != handshake, 60, "a new handshake")
        seen = traffic.received()
        lab.wait_for(lambda: all(b > a for a, b in zip(seen, traffic.received())), 60, "traffic both ways", 0.2)
        back = time.monotonic() - died
        wait_ports(site)
        seen = packets(site)
        lab.wait_for(lambda: packets(site)["lan0"] > seen["lan0"] + 100, 20, "packets by the ports again")
        results = traffic.stop()
        recording = recorder.stop()
        for r in results:
            tap.note(r)
        tap.ok(back < 20, "keeper: traffic again within 20 s", f"{back:.1f} s")
        tap.ok(all(r.duplicated == 0 for r in results), "keeper: nothing doubled")
        tap.equal((recording.clear, recording.nonce_reused), (0, 0), "keeper: nothing in clear, no nonce used twice")
        tap.equal(kernel_counters(site.gw)["TcpOutRsts"], kernel["TcpOutRsts"], "keeper: nobody was reset")
        tap.ok(True, "keeper: the ports carry it again")


def main():
    options = lab.enter(__doc__, more)
    tap = Tap()
    if options.unprivileged or os.geteuid() != 0:
        tap.skip("everything", "AF_XDP needs root")
        return tap.done()
    if not lab.Programs(options).peers["wireguard-go"]:
        tap.skip("everything", "wireguard-go is not installed")
        return tap.done()
    for function in (controlplane, forwarder, both, keeper):
        if not lab.wanted(options, function.__name__):
            continue
        try:
            function(tap, options)
        except Exception:
            tap.broken(f"{function.__name__} runs to its end")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
