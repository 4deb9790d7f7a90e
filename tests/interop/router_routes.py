# SPDX-License-Identifier: BSD-3-Clause
"""Cases of router_test.py: which routes there are, and who may use them."""
import os, sys, time

import lab, router
from router_case import FAMILIES, start
from tailnet_case import traffic

ROUNDS = 3
AIM_S = 2  # until a change at the server is followed; Headscale holds changes back for 0.8 s of them
UDP_PORTS = "20000-20999"  # where lab.Flow sends


def until(question, seconds=20):
    """Seconds until it is true."""
    began = time.monotonic()
    lab.wait_for(question, seconds, "a change to be followed", 0.02)
    return time.monotonic() - began


def answered(client, host):
    return all(client.host.ping(a, 1, wait=1) for a in host.addresses)


def run_approve(case):
    with case.tailnet() as net:
        where, lan = router.begin(net)
        lan.serve()
        gw, a = start(case, lambda: router.run(net, where, lan, approve=False), lambda: net.stock("a", up=["--accept-routes"]))
        h = lan.hosts[0]
        case.ok(a.ping_direct(gw), "the gateway is there", a.said)
        case.ok(not a.host.ping(h.addresses[0], 1, wait=1), "routes that nobody approved lead nowhere")
        if gw.is_sluice:
            said = {r["prefix"]: r for r in gw.tailnet().get("routes") or []}
            case.ok(all(said.get(p, {}).get("advertised") and not said[p].get("approved") for p in lan.prefixes),
                    "status: advertised, not approved", gw.tailnet().get("routes"))
        case.ready(gw, lan)
        back_and_forth(case, net, gw, a, lan)
        unreachable(case, net, gw, lan)
        approved_by_policy(case, net, gw, a, lan)
        others(case, net, gw, lan)


def back_and_forth(case, net, gw, a, lan):
    """Approved and withdrawn; the best of some rounds, as the machine may be busy."""
    h = lan.hosts[0]
    took = {"approval": [], "withdrawal": []}
    for _ in range(ROUNDS):
        net.approve_routes(gw, lan.prefixes)
        took["approval"].append(until(lambda: answered(a, h)))
        net.hs("nodes", "approve-routes", "-i", net.node_id(gw), "-r", "")
        took["withdrawal"].append(until(lambda: not any(a.host.ping(x, 1, wait=1) for x in h.addresses)))
    for what, seconds in took.items():
        # The withdrawal is noticed by pings that nobody answers for a second.
        case.ok(min(seconds) < AIM_S + (what == "withdrawal"), f"{what} is followed within {AIM_S} s",
                ", ".join(f"{s:.1f} s" for s in seconds))
        case.note(f"{what}: " + ", ".join(f"{s:.1f} s" for s in seconds))
    net.approve_routes(gw, lan.prefixes)
    until(lambda: answered(a, h))
    if gw.is_sluice:
        case.eventually(lambda: all(r.get("approved") for r in gw.tailnet().get("routes") or [{}]), 10, "status: approved",
                        lambda: gw.tailnet().get("routes"))
        code, out, err = gw.command("routes")
        case.ok(code == 0 and all(p in out for p in lan.prefixes), "`sluice routes` has both", out + err)


def unreachable(case, net, gw, lan):
    """What the box does not reach is said."""
    if not gw.is_sluice:
        return
    gw.set("--advertise-routes=" + ",".join([*lan.prefixes, "10.55.0.0/16"]))
    case.eventually(lambda: any(r["prefix"] == "10.55.0.0/16" and r.get("reachable") is False
                                for r in gw.tailnet().get("routes") or []), 10, "an advertised prefix that the box does not reach is said",
                    lambda: gw.tailnet().get("routes"))


def approved_by_policy(case, net, gw, a, lan):
    """A route that the policy approves by itself."""
    for h, address in zip(lan.hosts, ("10.88.0.1/32", "10.88.0.2/32")):
        h.host.ip(f"addr add {address} dev lo")
    gw.host.ip(f"route add 10.88.0.0/24 via {lan.hosts[0].addresses[0]}")
    net.set_policy({**net.policy, "autoApprovers": {"routes": {"10.88.0.0/16": ["tag:gw"]}}})
    time.sleep(0.5)
    gw.set("--advertise-routes=" + ",".join([*lan.prefixes, "10.88.0.0/24"]))
    case.eventually(lambda: a.fetch("10.88.0.1", seconds=1), 20, "a route that the policy approves by itself is in use")
    case.eventually(lambda: answered(a, lan.hosts[1]), 10, "beside the others")
    gw.set("--advertise-routes=" + ",".join(lan.prefixes))
    case.eventually(lambda: not a.fetch("10.88.0.1", seconds=1), 20, "it is not advertised any more: gone")
    case.ok(answered(a, lan.hosts[0]), "the others are there")


def others(case, net, gw, lan):
    """--accept-routes: another router's LAN, for the box and for its LAN; but what is connected here stays here."""
    where, far = router.begin(net, "far", number=78, hosts=1, gateway="tailscaled")
    far.serve()
    # Its own LAN, and ours, which is not its affair.
    # It accepts routes too: otherwise packets with our LAN's addresses are spoofed ones to it.
    router.run(net, where, far, routes=[*far.prefixes, *lan.prefixes], accept=True, gateway="tailscaled")
    h, there = lan.hosts[0], far.hosts[0]
    case.ok(not gw.host.ping(there.addresses[0], 1, wait=1), "without --accept-routes another's LAN is not reached")
    gw.set("--accept-routes")
    for n, family in enumerate(FAMILIES):
        case.eventually(lambda: gw.host.ping(there.addresses[n], 1, wait=1), 20, f"the box reaches another's LAN, v{family}")
        case.equal(case.reached(h, there, family), f"{there.name} saw {far.gateway[n]}", f"our LAN does too, v{family}")
        if not gw.is_sluice:
            continue  # the stock program prefers what it accepted to what is connected
        case.equal(case.reached(gw, h, family), f"{h.name} saw {lan.gateway[n]}", f"what is connected is reached directly, v{family}")
    if gw.is_sluice:
        # Not advertised by us any more, the whole LAN is the other's by the tailnet's routes.
        gw.set("--advertise-routes=")
        time.sleep(3)
        for n, family in enumerate(FAMILIES):
            case.equal(case.reached(gw, h, family), f"{h.name} saw {lan.gateway[n]}",
                       f"also when only another advertises it, v{family}")
        gw.set("--advertise-routes=" + ",".join(lan.prefixes))
    gw.set("--accept-routes=false")
    case.eventually(lambda: not gw.host.ping(there.addresses[0], 1, wait=1), 15, "and off again: not reached")


# ---- filter -------------------------------------------------------------------------------------------------------------

def policy(*destinations):
    """Users may go there; the gateway and its LAN anywhere."""
    return {"tagOwners": {"tag:gw": ["lab@"], "tag:guest": ["lab@"]},
            "acls": [{"action": "accept", "src": ["tag:gw", "192.168.77.0/24", "fd77::/64"], "dst": ["*:*"]},
                     {"action": "accept", "src": ["lab@"], "dst": ["lab@:*", *destinations]}]}


def run_filter(case):
    with case.tailnet(policy=policy()) as net:
        where, lan = router.begin(net)
        lan.serve()
        for h in lan.hosts:
            h.serve(81)
        gw, a, b = start(case, lambda: router.run(net, where, lan), lambda: net.stock("a", up=["--accept-routes"]),
                         lambda: net.stock("b", version="old", up=["--accept-routes"]))
        case.ready(gw, lan)
        h1, h2 = lan.hosts
        one = [f"{x}:80,{UDP_PORTS}" for x in h1.addresses]
        both = [*one, *(f"{x}:80,{UDP_PORTS}" for x in h2.addresses)]
        case.ok(not a.fetch(h1, seconds=2), "nothing is allowed: nothing passes")
        net.set_policy(policy(*one))
        case.eventually(lambda: a.fetch(h1, seconds=1) and b.fetch(h1, seconds=1), 20, "one host is allowed: it is reached")
        for family in FAMILIES:
            case.ok(case.reached(a, h1, family), f"TCP to the port that is allowed, v{family}")
            case.equal(a.fetch(h1, 81, 1, family), None, f"another port is not reached, v{family}")
            case.equal(a.fetch(h2, 80, 1, family), None, f"nor another host, v{family}")
        case.ok(not a.host.ping(h2.addresses[0], 1, wait=1), "nor by ping")
        if gw.is_sluice:
            drops = (gw.status() or {}).get("drops") or {}
            case.ok(any(n and "acl" in reason for reason, n in drops.items()), "the drops are counted", drops)
        changes(case, net, gw, (a, b), lan, one, both)


def changes(case, net, gw, clients, lan, one, both):
    """Under traffic: what every policy allows loses nothing, what one forbids ends."""
    a, b = clients
    h1, h2 = lan.hosts
    stays = lab.Flow(a.host, h1.host, h1.addresses, 500, 2, 200, None, "allowed")
    comes = lab.Flow(b.host, h2.host, h2.addresses, 300, 2, 200, None, "comes-and-goes")

    def arrives():
        n = comes.state()["received"]
        time.sleep(0.4)
        return comes.state()["received"] > n

    for n in range(3):
        net.set_policy(policy(*both))
        case.eventually(arrives, 20, f"change {2 * n + 1}: another host is allowed, under traffic")
        net.set_policy(policy(*one))
        case.eventually(lambda: not arrives(), 20, f"change {2 * n + 2}: it is forbidden again")
    comes.stop(patience=0.5)
    case.perfect([stays.stop()], "what all of them allow lost nothing")
    # The LAN began it: answers come back whatever the policy says of new connections.
    net.set_policy(policy())
    case.eventually(lambda: not a.fetch(h1, seconds=1), 20, "nothing is allowed any more: nothing passes")
    a.serve()
    for family in FAMILIES:
        case.equal(case.reached(h1, a, family), f"a saw {h1.addresses[family == 6]}", f"the LAN still may begin, v{family}")


CASES = {"approve": run_approve, "filter": run_filter}

if __name__ == "__main__":
    sys.exit("a module for tests; see router_test.py")
