#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The judges are judged: seqflow and wgrecord notice what they are there to notice, a stall is one, a drop excuses one loss.

    a 10.1.0.1, fd10::1 --- b 10.1.0.2, fd10::2

seqflow sends through a relay that loses, doubles, swaps and changes what it is told to; wgrecord listens while packets
with known faults pass.
"""
import json, os, signal, struct, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab
from tap import Tap

A, B = ("10.1.0.1", "fd10::1"), ("10.1.0.2", "fd10::2")

RELAY = r"""
import json, socket, sys
listen, to, faults = int(sys.argv[1]), ("127.0.0.1", int(sys.argv[2])), json.loads(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", listen))
print("listening", flush=True)
n, held = 0, None
while True:
    p = bytearray(s.recv(4096))
    fault = faults.get(str(n), "") if p[:8] == b"SEQFLOWD" else ""
    n += 1
    if fault == "lose":
        continue
    if fault == "hold":
        held = p
        continue
    if fault == "change":
        p[-1] ^= 1
    s.sendto(p, to)
    if fault == "double":
        s.sendto(p, to)
    if held is not None:
        s.sendto(held, to)
        held = None
"""


def flow_through_relay(site, faults, count=100):
    """The receiver's report of `count` packets sent through a relay with these faults."""
    h, seqflow = site.a, site.lab.programs.seqflow
    to, via = site.lab.next_port(), site.lab.next_port()
    sink = h.spawn([seqflow, "recv", "--port", str(to), "--flows", "1"], "recv", capture=True)
    relay = h.spawn([sys.executable, "-c", RELAY, str(via), str(to), json.dumps(faults)], "relay", capture=True)
    lab.wait_for(lambda: "listening" in relay.text() and "listening" in sink.tail(), 20, "relay and receiver")
    source = h.spawn([seqflow, "send", "--to", "127.0.0.1", "--port", str(via), "--rate", "1000", "--count", str(count)],
                     "send", capture=True)
    source.wait(10)
    sink.wait(5)
    relay.stop()
    return lab.Result("relay", lab.last_json(source), lab.last_json(sink))


def seqflow(tap, site):
    r = flow_through_relay(site, {})
    tap.ok(r.is_perfect(100), "seqflow: nothing wrong, nothing reported", r)
    r = flow_through_relay(site, {5: "lose", 6: "lose", 50: "lose"})
    tap.ok(r.lost == 3 and not r.is_perfect(), "seqflow: three lost packets are three", r)
    tap.equal([(m["from"], m["to"]) for m in r.missing_numbers], [(5, 6), (50, 50)], "seqflow: it says which")
    r = flow_through_relay(site, {99: "lose"})
    tap.ok(r.lost == 1, "seqflow: the last packet is missed too", r)
    r = flow_through_relay(site, {7: "double", 8: "double"})
    tap.ok(r.duplicated == 2 and r.lost == 0, "seqflow: two doubled packets", r)
    r = flow_through_relay(site, {7: "hold"})
    tap.ok(r.reordered == 1 and r.lost == 0 and r.duplicated == 0, "seqflow: one packet overtaken by another", r)
    r = flow_through_relay(site, {9: "change"})
    tap.ok(r.corrupted == 1 and not r.is_perfect(), "seqflow: one changed packet", r)

    port = site.lab.next_port()
    sink = site.b.spawn([site.lab.programs.seqflow, "recv", "--port", str(port), "--flows", "1"], "recv", capture=True)
    lab.wait_for(lambda: "listening" in sink.tail(), 20, "receiver")
    source = site.a.spawn([site.lab.programs.seqflow, "send", "--to", B[0], "--port", str(port), "--rate", "1000"], "send",
                          capture=True)
    time.sleep(0.5)
    site.b.ip("link set eth0 down")
    time.sleep(0.7)
    site.b.ip("link set eth0 up")
    site.b.ip(f"addr add {B[1]}/64 dev eth0 nodad")  # which does not survive that
    time.sleep(1.5)
    source.signal(signal.SIGTERM)
    source.wait(5)
    sink.wait(5)
    r = lab.Result("gap", lab.last_json(source), lab.last_json(sink))
    tap.ok(r.lost > 300 and [g["missing"] > 300 for g in r.gaps if g["ms"] > 600] == [True], "seqflow: a silence has a length and a loss", r)

    # A receiver that does not read: what its socket drops is its own.
    sink = site.b.spawn([site.lab.programs.seqflow, "recv", "--port", str(port), "--flows", "1"], "recv", capture=True)
    lab.wait_for(lambda: "listening" in sink.tail(), 20, "receiver")
    sink.signal(signal.SIGSTOP)
    source = site.a.spawn([site.lab.programs.seqflow, "send", "--to", B[0], "--port", str(port), "--rate", "30000", "--size",
                           "1400", "--count", "60000"], "send", capture=True)
    source.wait(20)
    sink.signal(signal.SIGCONT)
    time.sleep(0.5)
    sink.stop()
    r = lab.Result("own", lab.last_json(source), lab.last_json(sink))
    tap.ok(r.sink_dropped > 1000 and r.lost == 0, "seqflow: what its own socket dropped is said apart", r)

    source = site.a.spawn([site.lab.programs.seqflow, "send", "--to", B[0], "--port", str(port), "--rate", "1000"], "send",
                          capture=True)
    time.sleep(0.3)
    source.signal(signal.SIGSTOP)
    time.sleep(0.2)
    source.signal(signal.SIGCONT)
    time.sleep(0.3)
    source.signal(signal.SIGTERM)
    source.wait(5)
    sent = lab.last_json(source)
    tap.ok(150 < sent["largest_late_ms"] <= sent["stood_still_ms"], "seqflow: a sender that stood still says so", sent)


HEARTBEAT = """
import time
last, longest, end = time.monotonic(), 0, time.monotonic() + 3
while last < end:
    time.sleep(0.001)
    longest, last = max(longest, time.monotonic() - last), time.monotonic()
print(longest * 1000)
"""


def stall(tap, site):
    tool = os.path.join(lab.ROOT, "tests", "tool", "stall.py")
    words = [sys.executable, tool, "--pause", "0.2", "0.3", "--least", "80", "--most", "90"]
    code, out, err = site.a.try_run([*words, sys.executable, "-c", HEARTBEAT])
    if "Operation not permitted" in err:
        return tap.skip("stall", "this user may take no core away")
    tap.ok(code == 0 and float(out) > 80, "stall: a program that wants to run does not for so long", f"{code}: {out}{err}")
    said = [site.a.try_run([*words, "--seed", seed, "--seconds", "1"])[2].split(" in ")[0] for seed in ("2", "2", "3")]
    tap.ok(said[0] == said[1] and "seed 2: " in said[0], "stall: ends by itself and says what it did", said)
    code, _, err = site.a.try_run([*words, "sh", "-c", "exit 7"])
    tap.equal(code, 7, "stall: the command's status is its own")


def drops(tap, site):
    counted = [5]
    d = lab.Drops("queue", lambda: counted[0])
    first, second = lab.Watch(d), lab.Watch(d)
    tap.equal(first.claim(3), 0, "drops: what was before explains nothing")
    counted[0] += 4
    tap.equal([first.claim(3), second.claim(3), first.claim(3)], [3, 1, 0], "drops: each explains one loss of one flow")
    counted[0] += 2
    third = lab.Watch(d)
    counted[0] += 1
    tap.equal(third.claim(9), 1, "drops: and only what fell into its time")
    r = flow_through_relay(site, {5: "lose", 6: "lose"})
    r = lab.Result("relay", r.raw_sent, r.raw, [(d, 1)])
    tap.ok(r.lost == 1 and not r.is_perfect() and "dropped by the queue 1" in str(r), "drops: a loss that none explains stays", r)


def message(kind, index, counter=0, size=96, mark=0):
    if kind == 4:
        return struct.pack("<IIQ", 4, index, counter) + bytes([mark]) * (size - 16)
    return struct.pack("<II", kind, index) + bytes({1: 140, 2: 84, 3: 56}[kind])


SEND = r"""
import json, socket, sys
s = {4: socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 6: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)}
for to, segment, data in json.loads(sys.argv[1]):
    sock = s[6 if ":" in to else 4]
    sock.setsockopt(17, 103, segment)  # UDP_SEGMENT
    sock.sendto(bytes.fromhex(data), (to, 51820))
"""


def recorded(site, packets):
    """What wgrecord says about packets (destination, bytes[, segment size]) that pass."""
    words = [site.lab.programs.wgrecord, "eth0", "--inner", "10.99.0.0/16", "--inner", "fd99::/64"]
    recorder = site.b.spawn(words, "wgrecord", capture=True)
    lab.wait_for(lambda: "listening" in recorder.tail(), 20, "wgrecord")
    plan = [(to, rest[0] if rest else 0, data.hex()) for to, data, *rest in packets]
    site.a.run([sys.executable, "-c", SEND, json.dumps(plan)])
    time.sleep(0.1)
    recorder.stop()
    return lab.Recording(lab.last_json(recorder))


def wgrecord(tap, site):
    to = B[0]
    r = recorded(site, [(a, message(4, 7 + i, n)) for i, a in enumerate(B) for n in range(100)])
    tap.ok(r.data == 200 and r.sessions == 2 and not (r.nonce_reused or r.repeated or r.clear or r.index_reused) and r.complete,
           "wgrecord: two sessions without a fault", r)
    r = recorded(site, [(to, message(4, 7, 5, mark=1)), (to, message(4, 7, 6)), (to, message(4, 7, 5, mark=2))])
    tap.ok(r.nonce_reused == 1 and r.repeated == 0, "wgrecord: a nonce used for two packets", r)
    r = recorded(site, [(to, message(4, 7, 5, mark=1)), (to, message(4, 7, 6)), (to, message(4, 7, 5, mark=1))])
    tap.ok(r.nonce_reused == 0 and r.repeated == 1, "wgrecord: the same packet twice", r)
    r = recorded(site, [(to, message(4, 7, 2**40 + 5, mark=1)), (to, message(4, 8, 2**40 + 5, mark=2)),
                        (to, message(4, 7, 5, mark=2))])
    tap.ok(r.nonce_reused == 0, "wgrecord: other index or other counter is another nonce", r)
    r = recorded(site, [(to, b"".join(message(4, 7, n, 200) for n in range(40)), 200),
                        (to, b"".join(message(4, 7, n, 200, mark=3) for n in range(39, 60)), 200)])
    tap.ok(r.data == 61 and r.nonce_reused == 1, "wgrecord: super-packets are cut, and looked into", r)

    # Data flows a to b; its index was offered by b.  The second offer makes another session of the same number.
    words = [site.lab.programs.wgrecord, "eth0", "--inner", "10.99.0.0/16"]
    recorder = site.b.spawn(words, "wgrecord", capture=True)
    lab.wait_for(lambda: "listening" in recorder.tail(), 20, "wgrecord")

    def say(host, target, data):
        host.run([sys.executable, "-c", SEND, json.dumps([(target, 0, data.hex())])])

    say(site.b, A[0], message(1, 7))
    say(site.b, A[0], message(1, 7))
    say(site.a, B[0], message(4, 7, 0, mark=1))
    before = lab.Recording(lab.last_json(stated(recorder)))
    say(site.b, A[0], message(2, 7))
    say(site.a, B[0], message(4, 7, 0, mark=2))
    recorder.stop()
    r = lab.Recording(lab.last_json(recorder))
    tap.ok(before.index_reused == 0, "wgrecord: an initiation sent again is no new offer", before)
    tap.ok(r.nonce_reused == 0 and r.index_reused == 1 and r.sessions == 2,
           "wgrecord: an index handed out again is another session, and is said", r)

    site.b.ip("addr add 10.99.0.1/32 dev eth0")
    site.a.ip("route add 10.99.0.1/32 dev eth0")
    r = recorded(site, [("10.99.0.1", b"hello")])
    tap.ok(r.raw["in"]["clear"] == 1, "wgrecord: an inner address in clear", r)
    r = recorded(site, [(to, b"...SEQFLOWD...")])
    tap.ok(r.raw["in"]["clear"] == 1, "wgrecord: seqflow's mark in clear", r)


def stated(recorder):
    before = len(recorder.text().splitlines())
    recorder.signal(signal.SIGUSR1)
    lab.wait_for(lambda: len(recorder.text().splitlines()) > before, 20, "state of wgrecord")
    return recorder


class Pair:
    def __init__(self, l):
        self.lab, self.a, self.b = l, l.host("a"), l.host("b")
        l.link(self.a, "eth0", [f"{A[0]}/24", f"{A[1]}/64"], self.b, "eth0", [f"{B[0]}/24", f"{B[1]}/64"])


def main():
    options = lab.enter(__doc__)
    tap = Tap()
    with lab.Lab(options, "tools") as l:
        site = Pair(l)
        for part in (seqflow, drops, stall, wgrecord):
            try:
                part(tap, site)
            except Exception:
                tap.broken(f"{part.__name__} runs to its end")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
