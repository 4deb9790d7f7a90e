# SPDX-License-Identifier: BSD-3-Clause
"""Cases of tailnet_test.py: which way packets take."""
import itertools, json, sys, time

import lab
from tailnet_case import KINDS, answers, at_once, reached, traffic


def run_relay(case):
    """c sits where no UDP passes; gw later too."""
    with case.tailnet() as net:
        gw, c, d = at_once(lambda job: job(), [lambda: net.member(), lambda: net.stock("c", "blocked"),
                                               lambda: net.stock("d", version="old")])
        answers(c, gw)
        pongs = c.ping(gw, count=2)
        case.ok(pongs and all(p.relay for p in pongs), "a client without UDP is answered through a relay", pongs)
        if gw.is_sluice:
            case.equal(gw.path_to(c)[0], "relay", "status says so")
            pongs = gw.ping(c)
            case.ok(pongs and pongs[0].relay, "`sluice ping` says so", gw.said)
        for node in (gw, c):
            node.serve()
        case.ok(c.reaches(gw) and gw.reaches(c), "curl both ways, v4 and v6")
        for kind, sign in (("tsmp", "via TSMP"), ("icmp", "via ICMP"), ("peerapi", "hit peerapi")):
            c.ping(gw, f"--{kind}")
            case.ok(sign in c.said, f"a {kind} ping is answered through the relay", c.said)
        case.perfect_by_relay(c, gw, "1,000 packets/s each way through the relay, 0 lost", lambda: time.sleep(8))
        case.ok(d.ping_direct(gw), "another client is direct meanwhile")
        # Under traffic the way that is there stays in use while the better one is found: nothing may get lost.
        def block():
            gw.place.block_udp()
            case.eventually(lambda: any(p.relay for p in d.ping(gw, timeout=1)), 30,
                            "UDP is blocked at the gateway: it goes on by relay")

        def unblock():
            time.sleep(3)
            gw.place.block_udp(False)
            case.ok(d.ping_direct(gw, 75), "UDP passes again: it becomes direct")
            time.sleep(3)

        case.perfect_by_relay(d, gw, "from relay to direct under traffic, 0 lost", unblock, block, reordered=True, rate=500)


def measure(pairs, seconds):
    """{(a.name, b.name): direct?}, all at once."""
    return dict(zip(((a.name, b.name) for a, b in pairs),
                    at_once(lambda p: p[0].ping_direct(p[1], seconds) is not None, pairs)))


def run_nat(case):
    """a and b are stock, one of each kind; the gateway is behind each kind too: what they can, we can."""
    with case.tailnet() as net:
        makers = [lambda k=k: net.stock(f"a{k}", k, v6=False) for k in KINDS]
        makers += [lambda k=k: net.stock(f"b{k}", k, version="old", v6=False) for k in KINDS]
        makers += [lambda k=k: net.member(f"gw{k}", k, v6=False) for k in KINDS]
        nodes = {n.name: n for n in at_once(lambda make: make(), makers)}
        case.note("all nodes are up")
        both = list(itertools.product(KINDS, KINDS))
        stock = measure([(nodes[f"a{x}"], nodes[f"b{y}"]) for x, y in both], 12)
        table = {(x, y): stock[f"a{x}", f"b{y}"] for x, y in both}
        for x, y in both:
            case.note(f"stock to stock, {x} to {y}: {'direct' if table[x, y] else 'relay'}")
        case.ok(table["open", "symmetric"] and table["cone", "cone"] and not table["symmetric", "symmetric"],
                "the lab's NATs do what they are called", table)
        pairs = [(nodes[f"{who}{x}"], nodes[f"gw{y}"], table[x, y] or table[y, x]) for who in "ab" for x, y in both]
        # Either order: where one of two stock clients got direct it can be done.
        got = at_once(lambda p: p[0].ping_direct(p[1], 20 if p[2] else 1) is not None, pairs)
        for (client, gw, wanted), direct in zip(pairs, got):
            case.ok(direct or not wanted, f"client {client.name[0]} behind {client.place.kind}, gateway behind {gw.place.kind}: "
                    f"{'direct as two stock clients are' if wanted else 'no better than two stock clients'}",
                    f"direct: {direct}; stock: {wanted}; {client.said}")
        at_once(lambda p: answers(p[0], p[1]) and answers(p[1], p[0]), pairs)
        case.ok(True, "every pair of client and gateway answers pings, v4 and v6, both ways")
        gws = [nodes[f"gw{k}"] for k in KINDS]
        for gw in gws:
            gw.serve()
        nodes["asymmetric"].serve()
        case.ok(all(nodes[f"a{k}"].reaches(gw) for k in KINDS for gw in gws), "curl from behind each kind to each")
        case.ok(all(gw.reaches(nodes["asymmetric"]) for gw in gws), "curl from the gateways to a client behind symmetric")
        if gws[0].is_sluice:
            case.ok(gws[0].ping_direct(gws[1]), "two gateways find each other, direct")
            for gw, kind in zip(gws, KINDS):
                report = gw.tailnet().get("netcheck") or {}
                case.equal(report.get("mapping_varies"), kind == "symmetric", f"netcheck behind {kind}: mapping_varies")


def run_families(case):
    """One family at a time between gateway and clients."""
    with case.tailnet() as net:
        gw, a, b = at_once(lambda job: job(), [lambda: net.member(), lambda: net.stock("a"),
                                               lambda: net.stock("b", version="old")])
        for blocked, wanted in (("6", 4), ("4", 6)):
            gw.place.block_udp(family=blocked)
            for node in (a, b):
                def direct():
                    pong = node.ping_direct(gw, 3)
                    return pong and pong.family == wanted

                case.eventually(direct, 45, f"client {node.name}: direct by v{wanted} where v{blocked} does not pass",
                                lambda: node.said)
            if gw.is_sluice:
                case.eventually(lambda: gw.path_to(a)[0] == "direct" and ("[" in (gw.path_to(a)[1] or "")) == (wanted == 6), 20,
                                f"the gateway's status has a v{wanted} path", lambda: gw.peer(a))
            flow = traffic(a, gw, rate=300, name=f"outer v{wanted} ")
            time.sleep(3)
            case.perfect(flow.stop(), f"traffic by v{wanted}, 0 lost")


def run_roaming(case):
    with case.tailnet() as net:
        gw, a = at_once(lambda job: job(), [lambda: net.member(), lambda: net.stock("a")])
        answers(a, gw)
        case.ok(a.ping_direct(gw), "direct at first", a.said)
        for who, other in ((a, gw), (gw, a), (a, gw)):
            flow = traffic(a, gw, rate=300)
            time.sleep(1)
            new = who.place.move(back=who.place.outer.split(".")[2] != str(who.place.n))
            n = new.split(".")[2]
            places = (f"198.18.{n}.2:", f"[2001:db8:{int(n):x}::2]:")

            def seen():
                kind, at = other.path_to(who)
                return kind == "direct" and at and at.startswith(places)

            case.eventually(lambda: reached((a, gw)), 20, f"{who.name} moved: packets pass again")
            case.eventually(seen, 45, f"{who.name} moved: direct to the new address", lambda: other.path_to(who))
            for r in flow.stop():
                case.note(r)
            flow = traffic(a, gw, rate=300)
            time.sleep(2)
            case.perfect(flow.stop(), f"{who.name} moved: from then on nothing is lost", reordered=True)


def run_portmap(case):
    """Two symmetric NATs are no way through; a mapping is."""
    if not lab.find_program("miniupnpd", "/usr/sbin"):
        return case.tap.skip("portmap", "no miniupnpd (scripts/setup)")
    with case.tailnet() as net:
        gw, up, a = at_once(lambda job: job(), [
            lambda: net.member("gw", "symmetric", portmap=True),
            lambda: net.member("up", "symmetric", portmap="upnp"), lambda: net.stock("a", "symmetric")])
        for node, what, kinds in ((gw, "NAT-PMP or PCP", {"NAT-PMP", "PCP"}), (up, "UPnP alone", {"UPnP"})):
            pong = a.ping_direct(node, 40)
            case.ok(pong and pong.via.startswith(node.place.outer), f"a client behind symmetric gets direct to the mapping, {what}",
                    f"{pong}; {a.said}\n{node.place.miniupnpd.tail()}")
            if node.is_sluice:
                def report():
                    return node.tailnet().get("netcheck") or {}

                # The guess "outer address, own port" may get through before the router's answer is known.
                case.eventually(lambda: kinds & set(report().get("port_mapping") or []), 20, f"netcheck names it, {what}", report)
                case.eventually(lambda: report().get("mapped") in (node.tailnet().get("self") or {}).get("endpoints", []), 10,
                                f"the mapping is advertised, {what}", lambda: f"{report().get('mapped')}; {node.tailnet().get('self')}")


CASES = {"relay": run_relay, "nat": run_nat, "families": run_families, "roaming": run_roaming, "portmap": run_portmap}

if __name__ == "__main__":
    sys.exit("a module for tests; see tailnet_test.py")
