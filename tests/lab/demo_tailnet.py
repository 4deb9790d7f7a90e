#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The lab of the tailnet's demo: scripts/demo installs and builds, then runs this.

    Headscale, two relays --- wan --- alice and bob (tailscaled), gw (Sluice)
"""
import json, os, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import demo, lab, tailnet
from demo import Failed, need, say


def indented(text):
    say("\n".join("      " + line for line in text.rstrip().splitlines()))


def show_ping(client, gw, how, wanted):
    """`tailscale ping`, until a pong comes the wanted way."""
    command = f"tailscale ping {how}{gw.name}".replace("  ", " ")
    for _ in range(20):
        pongs = client.ping(gw.name, *how.split(), count=10, timeout=2, until_direct=wanted == "direct")
        if pongs and (pongs[-1].direct if wanted == "direct" else pongs[-1].relay):
            say(f"   {client.name}$ {command}")
            indented(client.said.strip().splitlines()[-1])
            return
        time.sleep(0.5)
    raise Failed(f"no {wanted} pong for {client.name}'s {command}:\n{client.said}")


def show_curl(client, gw):
    for address in (gw.ip4, f"[{gw.ip6}]"):
        code, out, err = client.host.try_run(f"curl -sS -m 10 http://{address}/")
        need(code == 0, f"curl http://{address}/ from {client.name}: {err}")
        say(f"   {client.name}$ curl http://{address}/")
        indented(out)


def show_status(client, gw):
    code, theirs, err = client.ts("status")
    need(code == 0, f"tailscale status: {err}")
    code, ours, err = gw.command("status")
    need(code == 0, f"sluice status: {err}")
    left, right = theirs.splitlines(), ours.splitlines()
    width = max(map(len, left + [f"{client.name}$ tailscale status"]))
    if width + max(map(len, right)) > 150:
        for who, command, lines in ((client, "tailscale status", left), (gw, "sluice status", right)):
            say(f"   {who.name}$ {command}")
            indented("\n".join(lines))
        return
    left = [f"{client.name}$ tailscale status", *("   " + x for x in left)]
    right = [f"{gw.name}$ sluice status", *("   " + x for x in right)]
    for n in range(max(len(left), len(right))):
        a, b = (x[n] if n < len(x) else "" for x in (left, right))
        say(f"   {a:<{width + 5}}| {b}")


def join(net):
    began = time.monotonic()
    alice, bob = (net.stock(name) for name in ("alice", "bob"))
    say(f"4. Headscale is up, alice and bob ({alice.ts('version')[1].split('-')[0].strip()}) joined it in {time.monotonic() - began:.1f} s")
    gw = tailnet.Gateway(net, net.place("gw"), tag=None)
    net.nodes.append(gw)
    gw.start()
    say(f"5. gw$ sluice up --login-server {tailnet.LOGIN} --auth-key ... --ca-file ca.crt")
    began = time.monotonic()
    gw.up()
    indented(gw.said)
    say(f"   joined in {time.monotonic() - began:.1f} s as {gw.ip4}, {gw.ip6}")
    return alice, bob, gw


def show(net):
    alice, bob, gw = join(net)
    say("6. stock clients find it, and talk to it")
    for client in (alice, bob):
        show_ping(client, gw, "", "direct")
    gw.serve()
    alice.serve()
    say("   a page is served on the gateway, on its tailnet addresses")
    show_curl(alice, gw)
    say("   and the other way round")
    show_curl(gw, alice)
    say("7. the tailnet as alice sees it, and as the gateway sees it")
    lab.wait_for(lambda: gw.path_to(alice)[0] == "direct", 20, "the gateway's own direct path to alice")
    show_status(alice, gw)
    say("8. no UDP passes at the gateway any more: a relay (DERP) takes over")
    gw.place.block_udp()
    show_ping(alice, gw, "", "relayed")
    show_curl(alice, gw)
    show_status(alice, gw)
    say("9. UDP passes again")
    gw.place.block_udp(False)
    show_ping(alice, gw, "", "direct")


def keep(net):
    """Writes down what `--down` has to end."""
    pids = [p.pid for p in net.lab.processes if p.alive()]
    with open(demo.KEPT, "w") as f:
        json.dump({"processes": [(pid, demo.start_time(pid)) for pid in pids], "namespaces": [h.ns for h in net.lab.hosts],
                   "folder": net.lab.dir}, f)
    say("left up, as asked. To look around:")
    for node in net.nodes:
        command = f"{node.program} status --run-dir {node.run_dir}" if node.is_sluice else \
            f"{node.program} --socket={node.socket} status"
        say(f"   ip netns exec {node.host.ns} {command}")
    say(f"   ip netns exec {net.ctl.ns} {net.program('headscale')} -c {net.ctl_dir}/config.yaml nodes list")
    say("   scripts/demo --down             # takes all of it down")


def main(show=show, description=__doc__, drawing="Headscale and two relays --- wan --- alice, bob, gw"):
    if "--down" in sys.argv:
        return demo.down()
    options = demo.begin_options(description)
    net = None
    try:
        say(f"3. a lab of network namespaces:  {drawing}")
        missing = tailnet.missing_programs(options, ("new",))
        need(not missing, f"not installed: {', '.join(missing)}; scripts/setup says why")
        net = tailnet.Tailnet(options, "demo")
        show(net)
        if options.keep:
            keep(net)
            net.lab.keep = True
        else:
            for gw in net.nodes:
                code = gw.stop() if gw.is_sluice and gw.process.alive() else 0
                need(code == 0, f"sluice run ended with {code}:\n{gw.process.tail()}")
            net.close()
            say("everything is taken down")
        say("OK")
        return 0
    except KeyboardInterrupt:
        say("interrupted, taking everything down")
        status = 130
    except SystemExit:
        say("ended, taking everything down")
        status = 143
    except (Failed, lab.LabError) as e:
        say(f"FAILED: {e}")
        if net:
            say(net.diagnose())
        status = 1
    if net:
        net.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
