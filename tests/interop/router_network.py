# SPDX-License-Identifier: BSD-3-Clause
"""Cases of router_test.py: two sites, and a network around the gateway that changes."""
import sys, time

import lab, router
from router_case import FAMILIES, ask, download, hops, serve_echo, start, stock_in
from tailnet_case import traffic

SECONDS = 20  # until a change is followed: the kernel asks a silent neighbour again after some of them


# ---- sites --------------------------------------------------------------------------------------------------------------

def run_sites(case):
    """a: what is under test; b: the same; c: a stock router.  Real addresses everywhere, no SNAT."""
    with case.tailnet() as net:
        stood = [router.begin(net, "a", number=77), router.begin(net, "b", number=78),
                 router.begin(net, "c", number=79, hosts=1, gateway="tailscaled")]
        for _, lan in stood:
            lan.serve()
            serve_echo(lan.hosts[0])
        a, b, c = start(case, *(lambda s=s, g=g: router.run(net, *s, snat=False, accept=True, gateway=g)
                                for s, g in zip(stood, (None, None, "tailscaled"))))
        la, lb, lc = (lan for _, lan in stood)
        case.ready(a, la)
        case.ready(b, lb)
        for x, y, gx, gy in ((la, lb, a, b), (la, lc, a, c)):
            join(case, x, y, gx, gy)
        rate, seconds = 500, 4

        def count():
            flows = [traffic(la.hosts[0], other.hosts[0], rate=rate, name=f"to {other.prefix} ", via=stock_in(case.net)) for other in (lb, lc)]
            time.sleep(seconds)
            return [f.stop() for f in flows]

        least = int(2 * rate * seconds * 0.8 / case.options.slow)
        for r, to in zip(case.by_workers(a, la, least, "between sites", count), ("same gateway", "a stock router")):
            case.perfect(r, f"between two LANs, {to} there: {rate} packets/s each way, 0 lost")
        if a.is_sluice:
            # A stock program's filter drops fragments of v6.
            for size in (3000, 8000):
                source, to = la.hosts[0].host, lb.hosts[0].addresses[1]
                source.ping_until(to, 10, f"-s {size}")  # the first may be answered with what fits
                case.equal(source.ping(to, 3, options=f"-s {size}"), 3, f"pings of {size} bytes between two Sluices' LANs, v6")


def join(case, x, y, gx, gy):
    hx, hy = x.hosts[0], y.hosts[0]
    who = f"{x.prefix} and {y.prefix}".replace("-", "")
    for n, family in enumerate(FAMILIES):
        for source, to in ((hx, hy), (hy, hx)):
            case.equal(case.reached(source, to, family), f"{to.name} saw {source.addresses[n]}",
                       f"{who}: {source.name} reaches {to.name} with its own address, v{family}")
            case.equal(download(source, to.addresses[n], 2_000_000), 2_000_000, f"{who}: 2 MB from {to.name} to {source.name}, v{family}")
        case.equal(ask(hx, hy.addresses[n]), "20", f"{who}: UDP, v{family}")
        case.equal(hx.host.ping(hy.addresses[n], 3), 3, f"{who}: ping, v{family}")
        case.equal(hops(hx, hy.addresses[n]), [x.gateway[n], gy.addresses[n], hy.addresses[n]], f"{who}: traceroute, v{family}")


# ---- neighbours ---------------------------------------------------------------------------------------------------------

def run_neighbours(case):
    """Everything under a stream that is counted: what may be lost is what was under way."""
    with case.tailnet() as net:
        where, lan = router.begin(net)
        lan.serve()
        gw, a = start(case, lambda: router.run(net, where, lan), lambda: net.stock("a", up=["--accept-routes"]))
        a.serve()
        case.ready(gw, lan)
        h1, h2 = lan.hosts
        for family in FAMILIES:
            case.ok(case.reached(a, h1, family) and case.reached(h1, a, family), f"both ways at first, v{family}")
        case.ok(a.ping_direct(gw), "direct", a.said)
        pids = gw.pids() if gw.is_sluice else None
        for change in (macs, gateway_mac, carrier, link_down, changed_route, changed_address, wan_router):
            change(case, net, gw, a, lan)
        if pids:
            case.equal(gw.pids(), pids, "no process was replaced")
            if case.options.driver != "kernel":
                case.ok(router.is_xdp(gw, "eth0", "lan0"), "both ports are AF_XDP ports still", (gw.status() or {}).get("ports"))


def followed(case, a, h, what, **kw):
    """The client reaches the host and the other way round, v4 and v6."""
    def both():
        return all(x and y for x, y in ((a.fetch(h, seconds=1, family=f), h.fetch(a, seconds=1, family=f)) for f in FAMILIES))

    return case.eventually(both, SECONDS, what, **kw)


def steady(case, a, h, what):
    """Nothing is lost once a change was followed."""
    flow = traffic(a, h, rate=300, name=what.split()[0] + " ", via=stock_in(case.net))
    time.sleep(1.5)
    case.perfect(flow.stop(), f"{what}: 0 lost afterwards")


def macs(case, net, gw, a, lan):
    h = lan.hosts[0]
    h.host.ip("link set eth0 address 02:00:00:00:77:02")
    followed(case, a, h, "a host's MAC changes: followed")
    for address in lan.gateway:
        h.host.ping(address, 1)
    steady(case, a, h, "a host's MAC")


def gateway_mac(case, net, gw, a, lan):
    h = lan.hosts[0]
    gw.host.ip(f"link set {lan.device} address 02:00:00:00:77:01")
    h.host.ip("neigh flush dev eth0")  # as after the announcement that Linux sends only where it is told to
    lan.hosts[1].host.ip("neigh flush dev eth0")
    followed(case, a, h, "the gateway's own MAC changes: followed")
    steady(case, a, h, "the gateway's MAC")


def carrier(case, net, gw, a, lan):
    h = lan.hosts[0]
    for _ in range(3):
        lan.switch.ip("link set to-gw down")
        time.sleep(0.3)
        lan.switch.ip("link set to-gw up")
        followed(case, a, h, "the LAN's link flaps: traffic goes on")
    steady(case, a, h, "the LAN's link")


def link_down(case, net, gw, a, lan):
    h = lan.hosts[0]
    gw.host.ip(f"link set {lan.device} down")
    lab.wait_for(lambda: not a.host.ping(h.addresses[0], 1, wait=1), 10, "a link that is down to be noticed")
    gw.host.ip(f"link set {lan.device} up")
    gw.host.ip(f"addr replace {lan.gateway[1]}/64 dev {lan.device} nodad")  # the kernel forgets those of v6
    followed(case, a, h, "the LAN's link is set down and up: traffic goes on")
    steady(case, a, h, "the LAN's link, set")


def changed_route(case, net, gw, a, lan):
    """A prefix behind the LAN moves from one router there to another."""
    for n, h in enumerate(lan.hosts):
        h.host.ip("addr add 10.88.0.1/32 dev lo")
        h.host.ip("addr add fd88::1/128 dev lo nodad")
    for address, prefix in zip(lan.hosts[0].addresses, ("10.88.0.0/24", "fd88::/64")):
        gw.host.ip(f"route add {prefix} via {address}")
    routes = [*lan.prefixes, "10.88.0.0/24", "fd88::/64"]
    gw.set("--advertise-routes=" + ",".join(routes))
    net.approve_routes(gw, routes)
    for address, family in (("10.88.0.1", 4), ("[fd88::1]", 6)):
        case.eventually(lambda: (a.fetch(address, seconds=1) or "").startswith("lan1 saw"), SECONDS, f"a prefix behind a router of the LAN, v{family}")
    for address, prefix in zip(lan.hosts[1].addresses, ("10.88.0.0/24", "fd88::/64")):
        gw.host.ip(f"route replace {prefix} via {address}")
    for address, family in (("10.88.0.1", 4), ("[fd88::1]", 6)):
        case.eventually(lambda: (a.fetch(address, seconds=1) or "").startswith("lan2 saw"), SECONDS, f"its route changes: followed, v{family}")
    for prefix in ("10.88.0.0/24", "fd88::/64"):
        gw.host.ip(f"route del {prefix}")
    case.eventually(lambda: not a.fetch("10.88.0.1", seconds=1), SECONDS, "its route is gone: not reached, and not by another way")


def changed_address(case, net, gw, a, lan):
    """The gateway has another address in the LAN; the hosts hear of it by their administrator."""
    h = lan.hosts[0]
    new = lan.addresses(9)
    for n, (old, now) in enumerate(zip(lan.gateway, new)):
        length = (24, 64)[n]
        gw.host.ip(f"addr add {now}/{length} dev {lan.device}" + (" nodad" if n else ""))
        gw.host.ip(f"addr del {old}/{length} dev {lan.device}")
        if n == 0:  # with the first address of a net the others go, unless they are promoted
            gw.host.ip(f"addr replace {now}/{length} dev {lan.device}")
        for host in lan.hosts:
            host.host.ip(f"{'-6 ' * n}route replace default via {now}")
    lan.gateway = new
    for n, family in enumerate(FAMILIES):
        case.eventually(lambda: a.fetch(h, seconds=1, family=family) == f"{h.name} saw {new[n]}", SECONDS,
                        f"the gateway's address in the LAN changes: hosts see the new one, v{family}")
    followed(case, a, h, "and both ways")
    steady(case, a, h, "the gateway's address")


def wan_router(case, net, gw, a, lan):
    """Towards the internet: another MAC of the router, a flap, another address."""
    h, device = lan.hosts[0], f"to-{gw.name}"
    net.wan.ip(f"link set {device} address 02:00:00:00:18:01")
    followed(case, a, h, "the MAC of the router towards the internet changes: followed")
    steady(case, a, h, "the router's MAC")
    net.wan.ip(f"link set {device} down")
    time.sleep(0.3)
    net.wan.ip(f"link set {device} up")
    # Down takes the v6 address of the router away.
    net.wan.ip(f"addr replace 2001:db8:{gw.place.n:x}::1/64 dev {device} nodad")
    followed(case, a, h, "the link to the internet flaps: traffic goes on")
    new = gw.place.move()
    followed(case, a, h, "the gateway's address in the internet changes: followed")
    # What is under way between the old path and the new one may get lost: both sides have settled first.
    settled = (new, f"[2001:db8:{gw.place.n + 100:x}:")
    case.eventually(lambda: (a.path_to(gw)[1] or "").startswith(settled), SECONDS, "the client is direct to the new one", lambda: a.path_to(gw))
    if gw.is_sluice:
        case.eventually(lambda: gw.path_to(a)[0] == "direct", SECONDS, "and the gateway to the client", lambda: gw.path_to(a))
    time.sleep(2)
    steady(case, a, h, "the gateway's address in the internet")


CASES = {"sites": run_sites, "neighbours": run_neighbours}

if __name__ == "__main__":
    sys.exit("a module for tests; see router_test.py")
