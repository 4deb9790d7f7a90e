# SPDX-License-Identifier: BSD-3-Clause
"""Cases of tailnet_test.py: who may talk to whom, and who is a member."""
import json, os, sys, time

import lab
from lab import wait_for
from tailnet_case import answers, at_once, reached, traffic

UDP_PORTS = "20000-20999"  # where lab.Flow sends

# Answers each datagram; the other end asks once a tenth of a second and prints what was answered so far.
ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", int(sys.argv[1])))
while True:
    data, who = s.recvfrom(2000)
    s.sendto(data, who)
"""
ASK = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.1)
n = 0
while True:
    try:
        s.sendto(b"x", (sys.argv[1], int(sys.argv[2])))
        s.recv(2000)
        n += 1
        print(n, flush=True)
        time.sleep(0.1)
    except OSError:
        pass
"""


def policy(*rules):
    return {"tagOwners": {"tag:gw": ["lab@"], "tag:guest": ["lab@"]},
            "acls": [{"action": "accept", "src": [src], "dst": dst.split(), **({"proto": proto} if proto else {})}
                     for src, dst, proto in rules]}


OUT = ("tag:gw", "*:*", "")
FEW = policy(OUT, ("lab@", f"tag:gw:80,{UDP_PORTS}", ""), ("tag:guest", "lab@:*", ""))
WEB_ONLY = policy(OUT, ("lab@", "tag:gw:80", "tcp"), ("tag:guest", "lab@:*", ""))
GUEST_TOO = policy(OUT, ("lab@", "tag:gw:80", "tcp"), ("tag:guest", "tag:gw:80", "tcp"), ("tag:guest", "lab@:*", ""))


def arrived(source, sink, address, seconds=1):
    """The share of some numbered packets that came through."""
    r = lab.Flow(source.host, sink.host, [address], 200, 1, 100, seconds, "probe").result(patience=0.5)
    return r.received / r.sent


def run_policy(case):
    with case.tailnet(policy=FEW) as net:
        gw, a, guest = at_once(lambda job: job(), [lambda: net.member(), lambda: net.stock("a"),
                                                   lambda: net.stock("guest", version="old", tag="tag:guest")])
        for port in (80, 81):
            gw.serve(port)
        guest.serve()
        wait_for(lambda: a.fetch(gw, seconds=2), 20, "the first allowed connection")
        case.ok(a.reaches(gw), "what is allowed passes: TCP to 80, v4 and v6")
        for family in (4, 6):
            case.equal(a.fetch(gw, 81, 2, family), None, f"TCP to another port does not, v{family}")
            case.equal(guest.fetch(gw, 80, 2, family), None, f"nor from another node to 80, v{family}")
        case.ok(all(arrived(a, gw, to) > 0.75 for to in gw.addresses), "UDP to ports that are allowed passes")
        case.ok(not any(arrived(guest, gw, to) for to in gw.addresses), "UDP from who may not does not")
        case.ok(a.host.ping(gw.ip4, 2) == 2 and a.host.ping(gw.ip6, 2) == 2, "ping of who may anything")
        case.ok(not guest.host.ping(gw.ip4, 2, wait=3), "no ping of who may nothing")
        case.ok(gw.reaches(guest), "the gateway gets answers from who may not begin")
        if gw.is_sluice:
            drops = (gw.status() or {}).get("drops") or {}
            case.ok(any(n and "acl" in reason for reason, n in drops.items()), "the drops are counted", drops)
        change_under_traffic(case, net, gw, a, guest)
        first_packet(case, net, gw, a, guest)


def change_under_traffic(case, net, gw, a, guest):
    guest.host.spawn([sys.executable, "-c", ECHO, "30000"], "echo")
    ask = gw.host.spawn([sys.executable, "-c", ASK, guest.ip4, "30000"], "ask", capture=True)
    wait_for(lambda: ask.text().count("\n") > 5, 10, "answers to UDP that the gateway began")
    flow = lab.Flow(a.host, gw.host, [gw.ip4, gw.ip6], 300, 2, 100, None, "allowed")
    time.sleep(1)
    before = flow.state()["received"]
    case.ok(before > 20, "UDP flows before the policy changes", before)
    net.set_policy(WEB_ONLY)

    def quiet():
        n = flow.state()["received"]
        time.sleep(0.5)
        return flow.state()["received"] == n

    case.eventually(quiet, 15, "a new policy ends a flow that it does not allow")
    n = ask.text().count("\n")
    time.sleep(1.5)
    case.ok(ask.text().count("\n") > n + 8, "what the gateway began by UDP outlives the new policy")
    case.ok(a.reaches(gw), "what it allows still passes")
    flow.stop(patience=0.5)
    net.set_policy(GUEST_TOO)
    case.eventually(lambda: guest.fetch(gw, seconds=1), 15, "a policy that allows more lets it in")
    ask.stop()
    # The tag decides, not the node.
    net.hs("nodes", "tag", "-i", net.node_id(guest), "-t", "tag:gw")
    net.set_policy(policy(OUT, ("tag:guest", "tag:gw:80", "tcp"), ("lab@", "tag:gw:80", "tcp")))
    time.sleep(1)
    net.hs("nodes", "tag", "-i", net.node_id(gw), "-t", "tag:guest")
    case.eventually(lambda: not a.fetch(gw, seconds=1), 15, "the gateway's tag is changed: who was allowed by it is not any more")
    net.hs("nodes", "tag", "-i", net.node_id(gw), "-t", "tag:gw")
    net.hs("nodes", "tag", "-i", net.node_id(guest), "-t", "tag:guest")
    case.eventually(lambda: a.fetch(gw, seconds=1), 15, "and changed back: allowed again")
    net.set_policy(WEB_ONLY)
    case.eventually(lambda: not guest.fetch(gw, seconds=1), 15, "the guest is shut out again")


def first_packet(case, net, gw, a, guest):
    """From the start on, under a flood of what is not allowed."""
    flow = lab.Flow(guest.host, gw.host, [gw.ip4, gw.ip6], 400, 2, 100, None, "notallowed")
    time.sleep(1)
    gw.restart()
    case.eventually(lambda: a.fetch(gw, seconds=1), 40, "the gateway is started again: it lets in who may")
    time.sleep(2)
    got = flow.state()["received"]
    case.equal(got, 0, "and not a single packet of who may not, from the first on")
    if gw.is_sluice:
        gw.wait_new("forwarder", gw.kill("forwarder"))
        gw.wait_new("controlplane", gw.kill("controlplane"))
        case.eventually(lambda: a.fetch(gw, seconds=1), 30, "both processes killed: who may is let in")
        case.equal(flow.state()["received"], 0, "killed: still not a packet of who may not")
    flow.stop(patience=0.5)


def run_keys(case):
    """Expired, removed, logged in again.  No tags: a tagged node that was expired stays so in Headscale 0.29, whatever it
    registers with, and whoever it is."""
    with case.tailnet() as net:
        gw, a, b = at_once(lambda job: job(), [lambda: net.member(tag=None), lambda: net.stock("a"),
                                               lambda: net.stock("b", version="old")])
        for node in (a, b):
            answers(node, gw)
        flow = traffic(b, gw, rate=300)
        net.hs("nodes", "expire", "-i", net.node_id(a))
        case.eventually(lambda: not gw.host.ping(a.ip4, 1, wait=1), 20, "a client's key expires: it is cut")
        if gw.is_sluice:
            case.eventually(lambda: (gw.peer(a) or {"expired": True})["expired"], 20, "status says so", lambda: gw.peer(a))
        old = net.node("a")["node_key"]
        a.up("--force-reauth")
        case.ok(net.node("a")["node_key"] != old, "the client logs in again and has a new node key")
        case.eventually(lambda: reached((a, gw), (gw, a)), 20, "it is reached again, both ways")
        a.restart()
        case.eventually(lambda: reached((a, gw), (gw, a)), 30, "a client is restarted: packets pass again")
        a.kill()
        os.unlink(a.socket)
        a.start_daemon()
        case.eventually(lambda: reached((gw, a)), 30, "a client is killed and started: the gateway reaches it")
        net.hs("nodes", "delete", "-i", net.node_id(a), "--force")
        case.eventually(lambda: not gw.host.ping(a.ip4, 1, wait=1), 20, "a client is removed: it is cut")
        if gw.is_sluice:
            case.eventually(lambda: gw.peer(a) is None, 10, "status does not have it any more", lambda: gw.peer(a))
        case.perfect(flow.stop(), "another client's traffic through all of it, 0 lost")
        own_key(case, net, gw, b)


def own_key(case, net, gw, b):
    net.hs("nodes", "expire", "-i", net.node_id(gw))
    case.eventually(lambda: gw.state() == "NeedsLogin", 20, "the gateway's own key expires: it says that it needs a login", gw.state)
    old = net.node("gw")["node_key"]
    addresses = gw.addresses
    gw.up("--force-reauth")
    case.ok(net.node("gw")["node_key"] != old, "`up --force-reauth`: a new node key")
    case.equal(gw.addresses, addresses, "and the same addresses")
    case.eventually(lambda: reached((b, gw), (gw, b)), 20, "a client reaches it again, both ways")
    gw.restart()
    case.eventually(lambda: reached((b, gw)), 30, "the gateway is restarted: it joins without a key")
    # Under traffic of a live session, a new node key is a new session: both sides have to notice by themselves.
    gw.up("--force-reauth")
    case.eventually(lambda: reached((b, gw)), 20, "a new node key while everything runs: reached again")


def run_routes(case):
    """A stock subnet router with a host behind it."""
    with case.tailnet() as net:
        gw, r = at_once(lambda job: job(), [lambda: net.member(),
                                            lambda: net.stock("r", up=["--advertise-routes=192.168.77.0/24,fd77::/64"])])
        behind = net.lab.host("behind")
        net.lab.link(r.host, "lan0", ["192.168.77.1/24", "fd77::1/64"], behind, "eth0", ["192.168.77.2/24", "fd77::2/64"])
        behind.ip("route add default via 192.168.77.1")
        behind.ip("-6 route add default via fd77::1")
        r.host.forward()
        net.approve_routes(r, ["192.168.77.0/24", "fd77::/64"])
        answers(gw, r)
        case.ok(not gw.host.ping("192.168.77.2", 1, wait=2), "without --accept-routes the subnet is not reached")
        gw.set("--accept-routes")
        for to in ("192.168.77.2", "fd77::2"):
            case.eventually(lambda: gw.host.ping(to, 1, wait=1), 15, f"with --accept-routes the box reaches {to}")
        if gw.is_sluice:
            case.ok("192.168.77.0/24" in ((gw.peer(r) or {}).get("routes") or []), "status names the route", gw.peer(r))
        gw.restart()
        case.eventually(lambda: gw.host.ping("192.168.77.2", 1, wait=1), 30, "a restart keeps the setting")
        gw.set("--accept-routes=false")
        case.eventually(lambda: not gw.host.ping("192.168.77.2", 1, wait=1), 15, "and off again: not reached")


CASES = {"policy": run_policy, "keys": run_keys, "routes": run_routes}

if __name__ == "__main__":
    sys.exit("a module for tests; see tailnet_test.py")
