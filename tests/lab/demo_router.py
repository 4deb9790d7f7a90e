#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The lab of the main demo: scripts/demo installs and builds, then runs this.

    Headscale, two relays --- wan --- alice (direct), bob (no UDP), gw --- lan1, lan2
"""
import os, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ahead, demo, demo_tailnet, lab, router, tailnet
from demo import Failed, need, say
from demo_tailnet import indented

SECONDS = 3
SIZES = (64, 1200)
RATE = 100000  # more than a gateway on sockets carries here


def show_ping(source, name, to, what):
    lab.wait_for(lambda: source.host.ping(to, 1, wait=1), 20, f"an answer from {to} to {name}", 0.2)
    demo.show_ping(source.host, name, to, what)


def show_ways(client, lan, how):
    """Ping and curl, client to LAN and LAN to client, v4 and v6."""
    h = lan.hosts[0]
    say(f"   {client.name}, {how}")
    for n in range(2):
        show_ping(client, client.name, h.addresses[n], "LAN host")
        show_ping(h, h.name, client.addresses[n], client.name)
    for n in range(2):
        demo.show_http(client.host, client.name, h.addresses[n], "the LAN's web server")
        demo.show_http(h.host, h.name, client.addresses[n], f"{client.name}'s web server")


def iperf(gw, source, to, options):
    """(Gbit/s, gateway's CPU seconds for each Gbit)"""
    before = gw.cpu()
    code, out, err = source.host.try_run(f"iperf3 -c {to} -t {SECONDS} -J {options}", SECONDS + 30)
    spent = gw.cpu() - before
    try:
        end = lab.json.loads(out)["end"]["sum_received"]
        gbit = end["bytes"] * 8 / 1e9
        return end["bits_per_second"] / 1e9, spent / gbit
    except (ValueError, KeyError, ZeroDivisionError):
        raise Failed(f"iperf3 from {source.name} to {to}: {out[-500:]}{err}")


def measure(net, gw, lan, alice, bob):
    """[(what, unit, figure)], the same lines for every gateway."""
    rows = []
    h = lan.hosts[0]
    for client, how in ((alice, "direct"), (bob, "by relay")):
        for options, way in (("", "to the LAN"), ("-R", "from the LAN")):
            rate, cost = iperf(gw, client, h.ip4, options)
            rows += [(f"TCP {way}, {how}", "Gbit/s", rate), ("", "CPU s/Gbit", cost)]
            say(f"   iperf3, {client.name} {way}, {how}: {rate:.2f} Gbit/s, the gateway's CPU {cost:.2f} s per Gbit")
    for size in SIZES:
        result, spent = ahead.load(net, gw, alice, h, size, "both", RATE, SECONDS)
        cost = spent / max(1, result["sum"]["received"]) * 1e6
        rows.append((f"UDP of {size} bytes, encrypted ahead", "CPU µs/packet", cost))
        say(f"   {RATE:,} packets/s of {size} bytes, encrypted ahead, both ways: {result['sum']['received']:,} of {result['sum']['sent']:,} "
            f"arrived, the gateway's CPU {cost:.1f} µs per packet")
    return rows


def table(ours, theirs, version):
    say(f"   {'':<36}{'':<15}{'Sluice':>9}{'tailscaled ' + version:>22}{'ratio':>9}")
    for (what, unit, a), (_, _, b) in zip(ours, theirs):
        say(f"   {what:<36}{unit:<15}{a:>9.2f}{b:>22.2f}{a / b if b else 0:>9.2f}")
    say("   On veth a socket gateway (tailscaled) gets TCP as super-packets of up to 64 KiB where a network card would give it some fifty")
    say("   packets; with AF_XDP there are none, the sender's offload is off, and delivery runs on the sender's core.  So the TCP lines")
    say("   are shown without a verdict, and the gateways are compared by single packets that were encrypted ahead.")


def begin(net):
    where, lan = router.begin(net, v6=False)
    lan.serve()
    lan.hosts[0].iperf()
    began = time.monotonic()
    alice = net.stock("alice", v6=False, up=["--accept-routes"])
    bob = net.stock("bob", "blocked", up=["--accept-routes"])
    for client in (alice, bob):
        client.serve()
    say(f"4. Headscale is up, alice and bob ({version(alice)}) joined it in {time.monotonic() - began:.1f} s")
    gw = tailnet.Gateway(net, where, tag=None)
    gw.driver = net.options.driver
    net.nodes.append(gw)
    gw.start()
    say(f"5. gw$ sluice up --login-server {tailnet.LOGIN} --auth-key ... --ca-file ca.crt --advertise-routes={','.join(lan.prefixes)}")
    gw.up(*router.words(lan.prefixes))
    indented(gw.said)
    say(f"   ctl$ headscale nodes approve-routes -i {net.node_id(gw)} -r {','.join(lan.prefixes)}")
    net.approve_routes(gw, lan.prefixes)
    lab.wait_for(lambda: alice.fetch(lan.hosts[0], seconds=1), 20, "the routes at alice")
    return where, lan, alice, bob, gw


def version(stock):
    return stock.ts("version")[1].split("-")[0].split("\n")[0].strip()


def show_port(gw):
    if gw.driver != "kernel":
        try:
            router.wait_xdp(gw, "eth0", "lan0", seconds=10)
        except lab.LabError as e:
            say(f"   not every port is AF_XDP: {e}")
    code, out, err = gw.command("status", "--ports")
    need(code == 0, f"sluice status --ports: {err}")
    say("   gw$ sluice status --ports")
    indented(out)


def show(net):
    where, lan, alice, bob, gw = begin(net)
    show_port(gw)
    say("6. a client and the LAN, both ways")
    demo_tailnet.show_ping(alice, gw, "", "direct")
    show_ways(alice, lan, "directly")
    show_ways(bob, lan, "by relay, as no UDP passes where it is")
    say(f"7. how fast, all on this machine's {os.cpu_count()} cores; the clients are the stock program")
    ours = measure(net, gw, lan, alice, bob)
    code, out, err = gw.command("status", "--ports")
    indented(out)
    code = gw.stop()
    need(code == 0, f"sluice run ended with {code}:\n{gw.process.tail()}")
    say("8. the same with tailscaled in the gateway's place")
    net.hs("nodes", "delete", "-i", net.node_id(gw), "--force")
    where.host.forward()
    stock = router.run(net, where, lan, gateway="tailscaled")
    lab.wait_for(lambda: alice.fetch(lan.hosts[0], seconds=1), 30, "the routes at alice")
    demo_tailnet.show_ping(alice, stock, "", "direct")
    lab.wait_for(lambda: bob.fetch(lan.hosts[0], seconds=1), 30, "the routes at bob")
    theirs = measure(net, stock, lan, alice, bob)
    say("9. side by side")
    table(ours, theirs, version(stock))


if __name__ == "__main__":
    sys.exit(demo_tailnet.main(show, __doc__, "Headscale and two relays --- wan --- alice, bob, gw --- lan1, lan2"))
