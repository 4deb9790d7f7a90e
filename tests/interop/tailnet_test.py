#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Headscale and stock tailscaled judge the gateway as a member of a tailnet, at the versions in tests/lab/versions.

Each case has a tailnet of its own (tests/lab/tailnet.py draws it):

    join      `sluice up`; pings of every kind, curl and numbered traffic both ways, v4 and v6; clients of both versions
    errors    what `sluice up` says when it cannot
    relay     a client without UDP, a gateway without; from relay to direct under traffic
    nat       client and gateway behind {open, cone, symmetric}: direct wherever two stock clients are, measured beside it
    families  outer v4 only, outer v6 only
    roaming   client and gateway change their address under traffic
    portmap   two symmetric NATs, a real miniupnpd on one
    policy    ports, tags and users, changed under traffic, enforced from the first packet
    keys      a client expires, is removed, restarts, logs in again; the gateway's own key expires
    routes    a stock subnet router
    server    Headscale restarted 50 times under traffic; no server at all; a cold start without one
    kill      the control plane killed 20 times under 1,000 packets/s each way, direct and relayed

--long adds `lonely`: five minutes without a server, over two rekeys.  --gateway tailscaled puts the stock program in the
gateway's place, which shows that what a case finds is not the lab's fault.
"""
import json, os, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tailnet_case import Case, answers, at_once, lab, reached, tailnet, traffic
import tailnet_faults, tailnet_paths, tailnet_policy
from tap import Tap


def run_join(case):
    with case.tailnet() as net:
        a, b = at_once(net.stock, ["a", "b"], ["open"] * 2, ["new", "old"])
        began = time.monotonic()
        gw = net.member()
        case.note(f"start and `up` took {time.monotonic() - began:.1f} s")
        # Headscale holds changes back for 0.8 s; until then the client does not know whom to ping.
        pong = a.ping_direct(gw, 10)
        case.ok(pong, "pings after `up` are answered", a.said)
        case.note(f"start to first pong: {time.monotonic() - began:.1f} s, {pong}")
        record = net.node("gw")
        case.ok(record.get("online") and (record.get("tags") or record.get("forced_tags")) == ["tag:gw"],
                "Headscale has it online, with its tag", record)
        links = json.loads(lab.sh(["ip", "-n", gw.host.ns, "-j", "addr", "show", "dev", gw.device]))[0]
        there = {x["local"] for x in links["addr_info"]}
        case.ok(set(gw.addresses) <= there and links["mtu"] == 1280, f"{gw.device} has the addresses and MTU 1280", links)
        for node in (a, b):
            pings(case, node, gw)
        for node in (gw, a, b):
            node.serve()
        case.ok(a.reaches(gw) and b.reaches(gw), "curl from both clients to the box, v4 and v6")
        case.ok(gw.reaches(a) and gw.reaches(b), "curl from the box to both clients, v4 and v6")
        case.equal(a.fetch(gw), f"gw saw {a.ip4}", "the box sees the client's tailnet address")
        for source, to in ((a, gw), (gw, a), (b, gw), (gw, b)):
            for address in (to.ip4, f"[{to.ip6}]"):
                _, out, _ = source.host.try_run(f"sh -c 'curl -s -m 20 http://{address}/20000000 | wc -c'")
                case.equal(out.strip(), "20000000", f"20 MB by TCP from {to.name} to {source.name}, {address}")
        flows = [traffic(node, gw, rate=1000, name=f"{node.name} ") for node in (a, b)]
        time.sleep(8)
        for node, flow in zip((a, b), flows):
            case.perfect(flow.stop(), f"1,000 packets/s each way with client {node.name}, direct, 0 lost")
        if gw.is_sluice:
            command_line(case, net, gw, a)


def pings(case, node, gw):
    who = f"client {node.name} ({'1.98' if node.version == 'new' else 'oldest'})"
    case.ok(node.ping_direct(gw), f"{who}: `tailscale ping` is direct", node.said)
    for kind, sign in (("tsmp", "via TSMP"), ("icmp", "via ICMP"), ("peerapi", "hit peerapi")):
        node.ping(gw, f"--{kind}")
        case.ok(sign in node.said, f"{who}: a {kind} ping is answered", node.said)
        node.ping(gw.ip6, f"--{kind}")
        case.ok(sign in node.said, f"{who}: a {kind} ping is answered, v6", node.said)
    pongs = node.ping(gw, "--size=1200")
    case.ok(pongs, f"{who}: a large disco ping is answered", node.said)
    case.ok(all(node.host.ping(x, 2) == 2 and gw.host.ping(y, 2) == 2 for x, y in zip(gw.addresses, node.addresses)),
            f"{who}: ordinary pings both ways, v4 and v6")
    case.equal(node.host.ping(gw.ip4, 2, options="-M do -s 1252"), 2, f"{who}: a packet of the whole MTU passes")


def command_line(case, net, gw, a):
    """The words that upstream has too."""
    code, out, err = gw.command("ip")
    case.equal((code, out.split()), (0, list(gw.addresses)), "`sluice ip`")
    code, out, err = gw.command("whois", a.ip4)
    case.ok(code == 0 and "a" in out.split() or "a.tailnet.test" in out, "`sluice whois` knows the client", out + err)
    for kind in ("tsmp", "icmp", "peerapi"):
        gw.ping(a, f"--{kind}")
        case.ok("pong from" in gw.said or "hit peerapi" in gw.said, f"`sluice ping --{kind}`", gw.said)
    case.ok(gw.ping_direct(a), "`sluice ping` is direct", gw.said)
    code, out, err = gw.command("netcheck")
    case.ok(code == 0 and "UDP: true" in out, "`sluice netcheck`", out + err)
    for word in ("map", "derp", "paths"):
        code, out, err = gw.command("debug", word)
        case.ok(code == 0 and out.strip(), f"`sluice debug {word}`", out + err)
    code, out, err = gw.command("status")
    case.ok(code == 0 and a.ip4 in out and "direct" in out, "`sluice status` shows the client and its path", out + err)
    code, out, err = gw.command("down")
    case.equal(code, 0, "`sluice down`")
    case.eventually(lambda: not (net.node("gw") or {}).get("online"), 20, "down: the server sees it offline")
    case.ok(not a.host.ping(gw.ip4, 1, wait=2), "down: it does not answer")
    code, out, err = gw.net.enter(gw.host, gw.words("up"))
    case.ok(code == 0, "`sluice up` without a word more", out + err)
    case.eventually(lambda: reached((a, gw)), 20, "up again: it answers")
    code, out, err = gw.command("logout")
    case.equal(code, 0, "`sluice logout`")
    case.eventually(lambda: gw.state() == "NeedsLogin", 20, "logged out: it needs a login", gw.state)


def run_errors(case):
    """`up` fails in three parts, within its time, and nothing hangs."""
    if case.options.gateway != "sluice":
        return case.tap.skip("errors", "these are Sluice's words")
    with case.tailnet() as net:
        gw = tailnet.Gateway(net, net.place("gw"))
        net.nodes.append(gw)
        gw.start()
        ca = ["--ca-file", f"{net.tls}/ca.crt"]
        server = ["--login-server", tailnet.LOGIN]
        expired = net.auth_key(expiration="1s", reusable=False)
        time.sleep(1.5)
        for what, words, wanted in (
                # The first, before anybody trusted this server.
                ("no CA", [*server, "--auth-key", "hskey-auth-nonsense"], "certificate"),
                ("a wrong key", [*server, *ca, "--auth-key", "hskey-auth-nonsense"], "key"),
                ("an expired key", [*server, *ca, "--auth-key", expired], "expired"),
                ("a server that is not there", ["--login-server", "https://198.18.0.9", *ca, "--auth-key", "hskey-auth-nonsense"], "reach"),
                ("a name that is not there", ["--login-server", "https://nobody.lab.test", *ca, "--auth-key", "hskey-auth-nonsense"], "name")):
            began = time.monotonic()
            code, out, err = net.enter(gw.host, gw.words("up", *words, "--timeout", "6s", "--reset"), 30)
            took = time.monotonic() - began
            case.ok(code != 0 and took < 20 and wanted in (out + err).lower(), f"{what}: `up` says so",
                    f"status {code} after {took:.1f} s: {out}{err}")
        case.ok(all(gw.pids().values()), "the gateway runs")
        gw.up("--reset")
        case.eventually(lambda: gw.state() == "Running", 20, "and joins with the right words", gw.state)


CASES = {"join": run_join, "errors": run_errors, **tailnet_paths.CASES, **tailnet_policy.CASES, **tailnet_faults.CASES}
# Two cores carry one case that counts packets; the others mostly wait and go beside it, one after the other.
COUNTING = ("kill", "server", "join", "relay")


def main():
    options = lab.enter(__doc__)
    tap = Tap()
    missing = tailnet.missing_programs(options)
    if missing:
        tap.skip("everything in a tailnet", f"not installed (scripts/setup says why): {', '.join(missing)}")
        return tap.done()
    cases = {**CASES, **(tailnet_faults.LONG_CASES if options.long else {})}
    chosen = [n for n in cases if lab.wanted(options, n)]

    def lane(names):
        for name in names:
            began = time.monotonic()
            try:
                cases[name](Case(options, tap, name))
            except Exception:
                tap.broken(f"{name} runs to its end")
            tap.note(f"{name} took {time.monotonic() - began:.0f} s")

    tap.side_by_side([("counting", lambda: lane([n for n in COUNTING if n in chosen])),
                      ("waiting", lambda: lane([n for n in chosen if n not in COUNTING]))])
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
