#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Processes of the gateway die under numbered traffic.

    lan --- gw --- wan --- peer1                    (addresses: tests/lab/lab.py)
                    '----- peer2, which makes a new handshake all the time

    controlplane   kill -9 twenty times, some at the sight of a handshake message, then SIGSTOP for 50 s: 0 lost, 0 doubled,
                   0 reordered at 5,000 packets/s each way; the gateway has no endpoint of the peer in its configuration
    forwarder      kill -9 twenty times, and forwarder and control plane together five times: gaps and losses are
                   reported; no nonce is used twice, nothing leaves in clear, sessions go on
    keeper         kill -9: traffic again within 20 s, by new handshakes

--long: the control plane dies 1,000 times.  Loss is counted at the ends; what the sockets of the ends dropped is said
apart.  A recorder on the wire counts what came and went there, so that a loss inside the stock peer can be told.
"""
import os, random, signal, statistics, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from tap import Tap

RATE = 5000
TOOL = os.path.join(lab.ROOT, "tests", "tool")


def more(parser):
    parser.add_argument("--kills", type=int, help="how often the control plane dies (20; --long: 1000)")
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--peer", choices=["wireguard-go", "boringtun"], help="the stock peer (default: wireguard-go)")
    parser.add_argument("--quick", action="store_true", help="a quarter of the kills, and standing still for 10 s")


class Sight:
    """Waits for handshake messages on the wire."""

    def __init__(self, site):
        self.process = site.wan.spawn([sys.executable, os.path.join(TOOL, "handshakes.py"), "to-gw"], "handshakes",
                                      capture=True)
        lab.wait_for(lambda: "listening" in self.process.text(), 20, "handshakes.py")
        self.file = open(self.process.out)

    def wait(self, seconds):
        """The next message, or None."""
        self.file.seek(0, os.SEEK_END)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            line = self.file.readline()
            if line:
                return line.strip()
            time.sleep(0.0005)
        return None


class Restless:
    """A peer that is told anew about the gateway again and again, so that handshakes happen all the time."""

    def __init__(self, site, p):
        self.site, self.p, self.stop_asked = site, p, False
        self.thread = lab.threading.Thread(target=self.run, daemon=True)

    def run(self):
        public = self.site.gateway.public
        while not self.stop_asked:
            try:
                self.p.wg.set("peer", public, "remove")
                self.p.wg.set("peer", public, "allowed-ips", ",".join((*lab.INNER, *lab.LAN)), "endpoint",
                              lab.endpoint(lab.GW_OUTER[0]), "persistent-keepalive", 1)
            except lab.LabError:
                return
            time.sleep(1.5)

    def stop(self):
        self.stop_asked = True
        self.thread.join()


def kill_and_wait(gw, role):
    """Milliseconds from the kill to another process in its place."""
    began = time.monotonic()
    old = gw.kill(role)
    gw.wait_new(role, old, 60)
    return 1000 * (time.monotonic() - began)


def judge(tap, site, results, recording, what):
    """0 lost, 0 doubled, 0 reordered between the ends."""
    for r in results:
        tap.note(r)
        for g in r.gaps[:5]:
            tap.note(f"  {r.name}: silence of {g['ms']:.0f} ms, {g['missing']} missing behind it")
    tap.note(recording)
    tap.ok(all(r.is_perfect() for r in results), f"{what}: 0 lost, 0 doubled, 0 reordered",
           "\n".join(map(str, results)) + "\n" + site.diagnose())
    wire_ok(tap, recording, what)


def wire_ok(tap, recording, what):
    if not recording.complete:
        tap.ok(False, f"{what}: the recorder saw everything", recording)
    tap.ok(recording.nonce_reused == 0, f"{what}: no nonce used twice", recording)
    tap.ok(recording.repeated == 0, f"{what}: no packet sent twice", recording)
    tap.ok(recording.index_reused == 0, f"{what}: no receiver index handed out that was in use", recording)
    tap.ok(recording.clear == 0, f"{what}: nothing left in clear", recording)


def ready_site(options, name, kind, second=False):
    site = lab.Site(options, name)
    try:
        p = site.peer(kind)
        if second:
            site.peer(kind)
        site.start()
        for address in lab.LAN_HOST:  # what comes before a worker knows whose MAC that is gets dropped
            p.host.ping_until(address, 10)
    except BaseException:
        site.close()
        raise
    return site, p


def settle(gw):
    """Until the gateway is whole again: every kill meets a working one."""
    lab.wait_for(gw.is_ready, 60, lambda: f"the gateway to be ready again\n{gw.process.tail()}")


def controlplane(tap, options, kind):
    n = options.kills or (1000 if options.long else 5 if options.quick else 20)
    rng = random.Random(3)
    site, p = ready_site(options, "kill-controlplane", kind, second=True)
    with site:
        gw = site.gateway
        recorder, sight = site.record(), Sight(site)
        restless = Restless(site, site.peers[1])
        restless.thread.start()
        traffic = lab.peer_lan_traffic(site, p, rate=options.rate, flows=4, name="controlplane ")
        time.sleep(1)
        took, seen = [], 0
        for i in range(n):
            # Every other one at the sight of a handshake message: that is where most can go wrong.
            if i % 2 and sight.wait(10):
                seen += 1
            else:
                time.sleep(rng.uniform(0.1, 1.5))
            took.append(kill_and_wait(gw, "controlplane"))
            if i % 50 == 49:
                tap.note(f"{i + 1} kills")
            settle(gw)
        tap.note(f"killed {n} times, {seen} at the sight of a handshake message; a new one ran after "
                 f"{statistics.median(took):.0f} ms (median), {max(took):.0f} ms (longest)")
        results = traffic.stop()
        restless.stop()
        judge(tap, site, results, recorder.stop(), f"control plane killed {n} times at {results[0].pps:.0f} and "
                                                   f"{results[1].pps:.0f} packets/s")
        tap.ok(gw.endpoint_of(p) == p.endpoint(), "the endpoint that the peer had shown survives", gw.endpoint_of(p))


def standstill(tap, options, kind):
    seconds = 10 if options.quick else 50
    site, p = ready_site(options, "kill-standstill", kind)
    with site:
        gw = site.gateway
        recorder = site.record()
        # Into the time in which the peer wants new keys (120 s) and gets none, but not to the end of the old (180 s).
        if not options.quick:
            tap.note("waiting until the session is 90 s old")
            time.sleep(88)
        first = p.handshake()
        traffic = lab.peer_lan_traffic(site, p, rate=options.rate, flows=4, name="standstill ")
        time.sleep(1)
        pid = gw.kill("controlplane", signal.SIGSTOP)
        time.sleep(seconds)
        tap.equal(gw.pids().get("controlplane"), pid, "nobody replaced the control plane that stood still")
        os.kill(pid, signal.SIGCONT)
        if not options.quick:
            lab.wait_for(lambda: p.handshake() > first, 20, "new keys after the control plane goes on")
            tap.ok(True, "the renewal of keys that fell into the standstill is made up for")
        time.sleep(1)
        judge(tap, site, traffic.stop(), recorder.stop(), f"control plane stood still for {seconds} s")


def report(tap, results, n, what):
    """Gaps and losses are what they are; they are said, not judged."""
    for r in results:
        tap.note(r)
        gaps = [g["ms"] for g in r.gaps]
        tap.note(f"  {what}, {r.name}: {n} kills, lost {r.lost} packets ({r.lost / n:.1f} a kill), silences over 100 ms: "
                 f"{len(gaps)}, longest {max(gaps, default=0):.0f} ms")
    tap.ok(all(r.duplicated == 0 and r.corrupted == 0 for r in results), f"{what}: a death costs a loss, never a double",
           "\n".join(map(str, results)))


def forwarder(tap, options, kind):
    n, both = (5, 2) if options.quick else (20, 5)
    rng = random.Random(4)
    site, p = ready_site(options, "kill-forwarder", kind)
    with site:
        gw = site.gateway
        recorder = site.record()
        handshake = p.handshake()
        for what, times in (("forwarder", n), ("forwarder and control plane", both)):
            traffic = lab.peer_lan_traffic(site, p, rate=options.rate, flows=4, name=f"{what} ")
            time.sleep(1)
            took = []
            for _ in range(times):
                time.sleep(rng.uniform(0.2, 1.2))
                pids = gw.pids()
                if "control" in what:
                    gw.kill("controlplane")
                took.append(kill_and_wait(gw, "forwarder"))
                if "control" in what:
                    gw.wait_new("controlplane", pids["controlplane"], 60)
                settle(gw)
            tap.note(f"{what}: a new one ran after {statistics.median(took):.0f} ms (median), {max(took):.0f} ms (longest)")
            time.sleep(1)
            before = traffic.received()
            time.sleep(1)
            after = traffic.received()
            flowing = min(b - a for a, b in zip(before, after))
            tap.ok(flowing > 0.9 * options.rate / options.slow, f"{what} killed {times} times: traffic flows both ways", flowing)
            report(tap, traffic.stop(), times, what)
        tap.equal(p.handshake(), handshake, "the old session goes on: no new handshake")
        recording = recorder.stop()
        tap.note(recording)
        wire_ok(tap, recording, "forwarder killed")


def keeper(tap, options, kind):
    site, p = ready_site(options, "kill-keeper", kind)
    with site:
        gw = site.gateway
        recorder = site.record()
        handshake = p.handshake()
        traffic = lab.peer_lan_traffic(site, p, rate=min(options.rate, 1000), flows=2, name="keeper ")
        time.sleep(1)
        died = time.monotonic()
        old = gw.kill("keeper")
        gw.wait_new("keeper", old)
        try:
            lab.wait_for(lambda: p.handshake() != handshake, 30, "a new handshake")
        except lab.LabError as e:
            tap.ok(False, "keeper killed: a new handshake", f"{e}\n{site.diagnose()}")
        before = traffic.received()
        lab.wait_for(lambda: all(b > a for a, b in zip(before, traffic.received())), 30, "traffic both ways", 0.2)
        back = time.monotonic() - died
        time.sleep(2)
        results = traffic.stop()
        for r in results:
            tap.note(r)
        silence = max(r.largest_gap_ms for r in results) / 1000
        tap.note(f"keeper killed: new one at once, traffic both ways after {back:.1f} s, longest silence {silence:.1f} s")
        tap.ok(back < 20 and silence < 20, "keeper killed: traffic again within 20 s", f"{back:.1f} s, {silence:.1f} s")
        tap.ok(all(r.duplicated == 0 for r in results), "keeper killed: 0 doubled")
        recording = recorder.stop()
        tap.note(recording)
        tap.ok(recording.complete and not recording.nonce_reused, "keeper killed: no nonce used twice", recording)
        tap.ok(recording.clear == 0, "keeper killed: nothing left in clear", recording)


def main():
    options = lab.enter(__doc__, more)
    tap = Tap()
    there = lab.Programs(options).peers
    # wireguard-go asks for large socket buffers; boringtun's hold 40 ms of this traffic.
    kind = options.peer or ("wireguard-go" if there["wireguard-go"] else "boringtun")
    if not there[kind]:
        tap.skip("everything", f"{kind} is not installed")
        return tap.done()
    tap.note(f"the stock peer is {kind}")
    for function in (controlplane, standstill, forwarder, keeper):
        if not lab.wanted(options, function.__name__):
            continue
        try:
            function(tap, options, kind)
        except Exception:
            tap.broken(f"{function.__name__} runs to its end")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
