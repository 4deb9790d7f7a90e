# SPDX-License-Identifier: BSD-3-Clause
"""Cases of tailnet_test.py: servers and processes that die under traffic."""
import sys, time

import lab
from lab import wait_for
from tailnet_case import answers, at_once, reached, traffic

REKEY_S = 120  # REKEY_AFTER_TIME of the whitepaper, section 6.1


def settle(case, a, gw):
    """Direct in both directions, so that no change of the way is due while somebody counts."""
    case.ok(a.ping_direct(gw) and (not gw.is_sluice or gw.ping_direct(a)), "direct at first", a.said)
    answers(a, gw)
    time.sleep(2)


def run_server(case):
    """Headscale, with the relay in it, dies again and again."""
    with case.tailnet() as net:
        gw, a = at_once(lambda job: job(), [lambda: net.member(), lambda: net.stock("a")])
        settle(case, a, gw)
        key = net.node("gw")["node_key"]
        rounds = 50
        flow = traffic(a, gw, rate=500)
        for n in range(rounds):
            if n % 2:
                net.kill_headscale()
            else:
                net.headscale.stop(3)
            net.start_headscale(wait=False)
            wait_for(net.listens, 20, "headscale to listen")
            # Sometimes before the nodes are back, sometimes after.
            time.sleep((0, 0.3, 1.5)[n % 3])
        net.wait_headscale()
        time.sleep(2)
        case.perfect(flow.stop(), f"{rounds} restarts of Headscale under traffic, 0 lost")
        case.eventually(lambda: (net.node("gw") or {}).get("online"), 60, "the gateway is back at the server")
        if gw.is_sluice:
            case.ok(gw.tailnet().get("connected"), "status says connected", gw.tailnet())
        b = net.stock("b", version="old")
        case.eventually(lambda: reached((b, gw)), 20, "and a new client is let in")
        case.equal(net.node("gw")["node_key"], key, "with the key that it had")
        without_server(case, net, gw, a)


def without_server(case, net, gw, a):
    """No server at all: what runs goes on, and a cold start takes the map from disk."""
    net.kill_headscale()
    flow = traffic(a, gw, rate=200)
    time.sleep(3)
    case.perfect(flow.stop(), "the server is gone: traffic goes on, 0 lost")
    if gw.is_sluice:  # the stock program waits for the server
        gw.restart()
        case.eventually(lambda: reached((gw, a), (a, gw)), 30, "a cold start without a server: packets pass, both ways",
                        gw.tailnet)
        t = gw.tailnet()
        case.ok(t.get("from_disk") and not t.get("connected"), "and status says what it goes by", t)
        case.ok(a.ping_direct(gw, 20), "direct, too", a.said)
    net.start_headscale()
    case.eventually(lambda: (net.node("gw") or {}).get("online"), 60, "the server is back: the gateway too")


def run_kill(case):
    """The control plane dies again and again, and nobody notices."""
    if case.options.gateway != "sluice":
        return case.tap.skip("kill", "only Sluice has a control plane to kill")
    with case.tailnet() as net:
        gw, a, c = at_once(lambda job: job(), [lambda: net.member(), lambda: net.stock("a"), lambda: net.stock("c", "blocked")])
        settle(case, a, gw)
        answers(c, gw)
        registered = net.node("gw")
        kills = 100 if case.options.long else 20
        direct, relayed = traffic(a, gw, rate=1000, name="direct "), traffic(c, gw, rate=1000, name="relayed ")
        strayed = []
        for _ in range(kills):
            time.sleep(2.2)  # who lives shorter is started again with longer and longer pauses
            gw.wait_new("controlplane", gw.kill("controlplane"))
            wait_for(lambda: gw.tailnet().get("peers"), 20, "the control plane's status")
            if gw.path_to(a)[0] != "direct" or a.path_to(gw)[0] != "direct":
                strayed.append((gw.path_to(a), a.path_to(gw)))
        time.sleep(2)
        # A path may change its family meanwhile, and packets then overtake each other.
        case.perfect(direct.stop(), f"{kills} kills of the control plane under 1,000 packets/s each way, direct: 0 lost", reordered=True)
        case.equal(strayed, [], "the path stays direct")
        results = relayed.stop()
        for r in results:
            case.note(r)
        # The relay's connection is the control plane's: what is under way to it while it is dead is lost.
        case.ok(all(r.received > r.sent * 0.5 and r.largest_gap_ms < 4000 and not r.duplicated and not r.corrupted for r in results),
                "relayed: traffic goes on within seconds after each", "\n".join(map(str, results)))
        case.perfect_by_relay(c, gw, "and nothing is lost afterwards, through the relay", lambda: time.sleep(3), name="afterwards ")
        now = net.node("gw")
        case.ok(now["node_key"] == registered["node_key"] and now["id"] == registered["id"], "it did not register again")
        case.ok(all(gw.host.ping(x, 2) == 2 for x in a.addresses), "the gateway reaches the client")


def run_lonely(case):
    """--long: five minutes without a server, over two rekeys."""
    with case.tailnet() as net:
        gw, a = at_once(lambda job: job(), [lambda: net.member(), lambda: net.stock("a")])
        settle(case, a, gw)
        net.kill_headscale()
        flow = traffic(a, gw, rate=1000)
        time.sleep(2 * REKEY_S + 60)
        case.perfect(flow.stop(), "five minutes without a server, two rekeys included, 0 lost")


CASES = {"server": run_server, "kill": run_kill}
LONG_CASES = {"lonely": run_lonely}

if __name__ == "__main__":
    sys.exit("a module for tests; see tailnet_test.py")
