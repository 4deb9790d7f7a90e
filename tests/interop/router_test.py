#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stock tailscaled clients and hosts of a LAN judge the gateway as a subnet router, at the versions in tests/lab/versions.

Each case has a tailnet of its own, with a LAN behind the gateway (tests/lab/router.py draws it):

    reach       clients to the LAN and back: TCP, UDP, ICMP, v4 and v6, with SNAT and without, direct and by relay; which way
                packets took, by the ports' counters; loss by number
    approve     routes approved and withdrawn, auto-approved; routes of others for the LAN too; what is connected stays
    filter      the policy changes under traffic
    mtu         1 MiB over underlays of 1,280, 1,400 and 1,500 bytes; sizes of pings, hops of traceroutes
    fragments   packets that do not fit, from either side
    sites       two Sluices join two LANs with real addresses; Sluice and a stock router do
    neighbours  links flap, MACs, routes and addresses change under way, nothing is restarted
    ports       which driver a port has and why: several queues and workers, one-armed, forced, another XDP program in the way
    kill        both processes at once, under way: translated flows go on
    restore     `sluice down`, SIGTERM, and kill -9 with `sluice down`: the host is as it was

--gateway tailscaled puts the stock program in the gateway's place, which shows that what a case finds is not the lab's fault.
--driver kernel: the same without AF_XDP.
"""
import os, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tailnet_case import lab, tailnet, traffic
import router
import router_host, router_network, router_routes, router_sizes
from router_case import FAMILIES, RouterCase, ask, download, serve_echo, start, stock_in
from tap import Tap


def run_reach(case):
    with case.tailnet() as net:
        where, lan = router.begin(net)
        lan.serve()
        serve_echo(lan.hosts[0])
        gw, a, b, c = start(case, lambda: router.run(net, where, lan), lambda: net.stock("a", up=["--accept-routes"]),
                            lambda: net.stock("b", "cone", version="old", up=["--accept-routes"]),
                            lambda: net.stock("c", "blocked", up=["--accept-routes"]))
        case.note("all are up")
        for client in (a, b, c):
            client.serve()
            serve_echo(client)
        case.ready(gw, lan)
        for client in (a, b):
            case.ok(client.ping_direct(gw), f"client {client.name} is direct", client.said)
        for snat in (True, False):
            how = "with SNAT" if snat else "without SNAT"
            if not snat:
                gw.set("--snat-subnet-routes=false")
                case.eventually(lambda: a.fetch(lan.hosts[0], seconds=1) == f"lan1 saw {a.ip4}", 15, "SNAT is switched off")
            for client, way in ((a, "direct"), (b, "direct through a NAT"), (c, "by relay")):
                reach(case, gw, lan, client, f"{how}, {client.name} {way}", snat)
            counted(case, gw, lan, (a, b, c), how)


def reach(case, gw, lan, client, how, snat):
    """Connections of every kind, both ways."""
    h1, h2 = lan.hosts[:2]
    for n, family in enumerate(FAMILIES):
        seen = lan.gateway[n] if snat else client.addresses[n]
        said = [case.reached(client, h, family) for h in (h1, h2)]
        case.equal(said, [f"{h.name} saw {seen}" for h in (h1, h2)], f"{how}: TCP to two hosts, v{family}: they see {seen}")
        case.equal(case.reached(h1, client, family), f"{client.name} saw {h1.addresses[n]}",
                   f"{how}: the LAN begins, TCP, v{family}: the client sees the host")
        case.equal(client.host.ping(h1.addresses[n], 3), 3, f"{how}: ping to the LAN, v{family}")
        case.equal(h2.host.ping(client.addresses[n], 3), 3, f"{how}: ping from the LAN, v{family}")
        case.equal(ask(client, h1.addresses[n]), "20", f"{how}: 20 questions by UDP are answered, v{family}")
        case.equal(ask(h2, client.addresses[n]), "20", f"{how}: the LAN asks by UDP, v{family}")
        case.equal(ask(client, h2.addresses[n]), "Connection refused", f"{how}: a closed UDP port says so, v{family}")
        case.equal(download(client, h1.addresses[n], 2_000_000), 2_000_000, f"{how}: 2 MB from the LAN, v{family}")
        case.equal(download(h1, client.addresses[n], 2_000_000), 2_000_000, f"{how}: 2 MB to the LAN, v{family}")


def counted(case, gw, lan, clients, how):
    """Numbered packets, all clients at once; the direct ones alone show which way they took."""
    rate, seconds = 500, 4
    direct = clients[:2]

    def run(who):
        flows = [traffic(c, h, rate=rate, name=f"{c.name} ", via=stock_in(case.net)) for c, h in zip(who, (*lan.hosts, lan.hosts[0]))]
        time.sleep(seconds)
        return [f.stop() for f in flows]

    least = int(rate / case.options.slow * seconds * len(direct) * 0.8)
    results = case.by_workers(gw, lan, least, f"{how}, {rate * 4} packets/s", lambda: run(direct))
    for client, r in zip(direct, results):
        case.perfect(r, f"{how}, client {client.name}: {rate} packets/s each way, 0 lost")
    case.perfect_by_relay(clients[2], lan.hosts[0], f"{how}, client {clients[2].name}: {rate} packets/s each way by relay, 0 lost",
                          lambda: time.sleep(seconds), rate=rate, name=f"{clients[2].name} ", via=stock_in(case.net))


CASES = {"reach": run_reach, **router_routes.CASES, **router_sizes.CASES, **router_network.CASES, **router_host.CASES}
# Two cores carry one case that counts packets; the others mostly wait and go beside it, one after the other.
COUNTING = ("reach", "filter", "neighbours", "kill")


def main():
    options = lab.enter(__doc__)
    tap = Tap()
    missing = tailnet.missing_programs(options)
    if missing:
        tap.skip("everything in a tailnet", f"not installed (scripts/setup says why): {', '.join(missing)}")
        return tap.done()
    chosen = [n for n in CASES if lab.wanted(options, n)]

    def lane(names):
        for name in names:
            began = time.monotonic()
            try:
                CASES[name](RouterCase(options, tap, name))
            except Exception:
                tap.broken(f"{name} runs to its end")
            tap.note(f"{name} took {time.monotonic() - began:.0f} s")

    tap.side_by_side([("counting", lambda: lane([n for n in COUNTING if n in chosen])),
                      ("waiting", lambda: lane([n for n in chosen if n not in COUNTING]))])
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
