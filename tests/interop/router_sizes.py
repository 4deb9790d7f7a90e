# SPDX-License-Identifier: BSD-3-Clause
"""Cases of router_test.py: what does not fit."""
import re, sys

import lab, router
from router_case import FAMILIES, RouterCase, ask, download, hops, serve_echo, start

MIB = 1 << 20
INNER_MTU = 1280
UNDERLAYS = (1280, 1400, 1500)


def run_mtu(case):
    """Clients behind narrow links, by outer v4 and by outer v6, then the gateway behind one."""
    with case.tailnet() as net:
        where, lan = router.begin(net)
        lan.serve()
        gw, *clients = start(case, lambda: router.run(net, where, lan), *(lambda m=m, f=f: narrow(net, m, f)
                                                                          for m in UNDERLAYS for f in FAMILIES))
        case.ready(gw, lan)
        for c in (*clients, *([] if gw.is_sluice else [gw])):
            # Otherwise stock programs hand several packets to the kernel as one, which refuses what it would have to fragment.
            c.host.run(f"ethtool -K {c.device} tso off gso off gro off")
        for c in clients:
            c.serve()
            pong = c.ping_direct(gw)
            case.ok(pong and pong.family == c.outer_family, f"{c.name} is direct, by v{c.outer_family}", c.said)
        for c in clients:
            transfers(case, lan, c, f"the client's link has {c.place.mtu}, outer v{c.outer_family}")
        sizes(case, gw, lan, clients[-1])
        routes(case, gw, lan, clients[-1])
        for underlay in UNDERLAYS[:2]:
            for host, device in ((net.wan, f"to-{where.name}"), (where.host, "eth0")):
                host.ip(f"link set {device} mtu {underlay}")
            for c in clients[-2:]:
                transfers(case, lan, c, f"the gateway's link has {underlay}, outer v{c.outer_family}")


def narrow(net, mtu, family):
    """A client whose link has this MTU, and whose UDP passes by this family only."""
    place = net.place(f"c{mtu}v{family}", mtu=mtu)
    place.block_udp(family="4" if family == 6 else "6")
    client = net.stock(place.name, place=place, up=["--accept-routes"])
    client.outer_family = family
    return client


def transfers(case, lan, client, how):
    for n, family in enumerate(FAMILIES):
        h = lan.hosts[0]
        case.reached(client, h, family)
        case.equal(download(client, h.addresses[n], MIB), MIB, f"{how}: 1 MiB from the LAN, v{family}")
        case.equal(download(h, client.addresses[n], MIB), MIB, f"{how}: 1 MiB to the LAN, v{family}")


def sizes(case, gw, lan, client):
    """Pings that may not be fragmented: the largest passes, and of one more byte the gateway says what fits."""
    h = lan.hosts[0]
    for n, (family, headers) in enumerate(((4, 28), (6, 48))):
        most = INNER_MTU - headers
        case.equal(client.host.ping(h.addresses[n], 2, options=f"-M do -s {most}"), 2, f"a ping of {INNER_MTU} passes, client to LAN, v{family}")
        case.equal(h.host.ping(client.addresses[n], 2, options=f"-M do -s {most}"), 2, f"a ping of {INNER_MTU} passes, LAN to client, v{family}")
        _, out, err = h.host.try_run(f"ping -n -c 2 -i 0.3 -W 2 -M do -s {most + 1} {client.addresses[n]}")
        wanted = f"From {re.escape(lan.gateway[n])} .*(mtu = {INNER_MTU}|mtu={INNER_MTU})"
        case.ok(re.search(wanted, out), f"of one more the gateway says that {INNER_MTU} fit, v{family}", out + err)
        h.host.ip(f"-{family} route flush cache")


def routes(case, gw, lan, client):
    h = lan.hosts[0]
    for n, family in enumerate(FAMILIES):
        case.equal(hops(client, h.addresses[n]), [gw.addresses[n], h.addresses[n]], f"traceroute from the client: gateway, host, v{family}")
        case.equal(hops(h, client.addresses[n]), [lan.gateway[n], client.addresses[n]], f"traceroute from the LAN: gateway, client, v{family}")


def run_fragments(case):
    with case.tailnet() as net:
        where, lan = router.begin(net)
        lan.serve()
        for h in lan.hosts:
            serve_echo(h)
        gw, a = start(case, lambda: router.run(net, where, lan), lambda: net.stock("a", up=["--accept-routes"]))
        serve_echo(a)
        case.ready(gw, lan)
        case.reached(a, lan.hosts[0], 4)
        for snat in (True, False):
            if not snat:
                gw.set("--snat-subnet-routes=false")
                case.eventually(lambda: a.fetch(lan.hosts[0], seconds=1) == f"lan1 saw {a.ip4}", 15, "SNAT is switched off")
            fragments(case, lan, a, "with SNAT" if snat else "without SNAT")


def fragments(case, lan, a, how):
    """v4 only: a stock client's filter drops every fragment of v6 (checked with a stock gateway)."""
    h = lan.hosts[0]
    for size in (1400, 3000, 8000):
        case.equal(a.host.ping(h.addresses[0], 3, options=f"-M dont -s {size}"), 3, f"{how}: pings of {size} bytes to the LAN")
        # The gateway has to fragment what the host did not.
        case.equal(h.host.ping(a.addresses[0], 3, options=f"-M dont -s {size}"), 3, f"{how}: pings of {size} bytes from the LAN")
    for size in (2000, 8000):
        case.equal(ask(a, h.addresses[0], 10, size=size), "10", f"{how}: UDP of {size} bytes to the LAN and back")
        case.equal(ask(h, a.addresses[0], 10, size=size), "10", f"{how}: UDP of {size} bytes from the LAN and back")


CASES = {"mtu": run_mtu, "fragments": run_fragments}

if __name__ == "__main__":
    sys.exit("a module for tests; see router_test.py")
