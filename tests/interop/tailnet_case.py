# SPDX-License-Identifier: BSD-3-Clause
"""What the cases of tailnet_test.py share."""
import os, sys, time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab, tailnet

TOOL = os.path.join(lab.ROOT, "tests", "tool")
KINDS = ("open", "cone", "symmetric")


class Case:
    """Options, TAP, and a name before each sentence."""

    def __init__(self, options, tap, name):
        self.options, self.tap, self.name, self.diagnosed = options, tap, name, False
        self.net = None

    def ok(self, passed, what, detail=None):
        if not passed and self.net and not self.diagnosed:
            self.diagnosed = True  # once is enough
            detail = f"{detail}\n{self.net.diagnose()}"
        return self.tap.ok(passed, f"{self.name}: {what}", detail)

    def equal(self, got, wanted, what):
        return self.ok(got == wanted, what, f"got    {got!r}\nwanted {wanted!r}")

    def note(self, text):
        self.tap.note(f"{self.name}: {text}")

    def tailnet(self, **kw):
        self.net = tailnet.Tailnet(self.options, self.name, **kw)
        return self.net

    def perfect(self, results, what, reordered=False):
        """Nothing lost or doubled; in order, but for the two ways of a path that changes (reordered)."""
        for r in results:
            self.note(r)
        return self.ok(is_sound(results, reordered), what, "\n".join(map(str, results)))

    def perfect_by_relay(self, a, b, what, meanwhile, before=None, reordered=False, **kw):
        """perfect() of traffic through a relay, while meanwhile() runs.  What no counter of the relays and the stock clients
        explains is lost by us.  What a relay dropped, which keeps 32 packets for a client, may be the doing of one that reads
        too slowly: it is excused as far as the machine stood still meanwhile, and beyond that in two runs of three."""
        for attempt in range(3):
            if before:
                before()
            flow = traffic(a, b, drops=self.net.relay_drops, **kw)
            meanwhile()
            results = flow.stop()
            # What was sent in that time came at once, and behind it what was sent until the queues were empty again.
            excused = 2 * sum(f.rate for f in flow.flows) * max(r.stood_still_ms for r in results) / 1000
            if not is_sound(results, reordered) or sum(r.by_relay for r in results) <= excused:
                return self.perfect(results, what, reordered)
            for r in results:
                self.note(r)
        return self.ok(False, what, "a relay dropped packets in each of three runs:\n" + "\n".join(map(str, results)))

    def eventually(self, question, seconds, what, detail=None):
        """A check that may take so long to become true; how long it took is noted."""
        began = time.monotonic()
        try:
            lab.wait_for(question, seconds, what, 0.2)
        except lab.LabError:
            return self.ok(False, f"{what} (within {seconds} s)", detail() if detail else None)
        self.note(f"{what}: after {time.monotonic() - began:.1f} s")
        return self.ok(True, f"{what} (within {seconds} s)")


def is_sound(results, reordered):
    # What others dropped is not held against us, but of a flow that hardly passed little is known.
    return all(r.received > 0.8 * r.sent and not (r.lost or r.duplicated or r.corrupted or (r.reordered and not reordered))
               for r in results)


def traffic(a, b, rate=1000, flows=2, name="", **kw):
    """Numbered packets both ways between two nodes' tailnet addresses, v4 and v6; `rate` is for each way."""
    return lab.Traffic(a.host, a.addresses, b.host, b.addresses, rate=rate, flows=flows, name=name, **kw)


def at_once(function, *lists):
    """[function(...)...], each in a thread of its own."""
    with ThreadPoolExecutor(len(lists[0]) or 1) as pool:
        return list(pool.map(function, *lists))


def answers(node, to, seconds=15):
    """Both families answer an ordinary ping."""
    for address in to.addresses:
        node.host.ping_until(address, seconds)
    return True


def reached(*ways):
    """Whether each (node, to) gets an answer at once, by both families."""
    return all(node.host.ping(address, 1, wait=1) == 1 for node, to in ways for address in to.addresses)


if __name__ == "__main__":
    sys.exit("a module for tests; see tailnet_test.py")
