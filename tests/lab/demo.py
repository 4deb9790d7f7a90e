#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The lab of the WireGuard demo: `scripts/demo wireguard` installs and builds, then runs this.

    lan 192.168.77.2 --- gw (Sluice) --- wan --- peer1 (wireguard-go)
"""
import json, os, re, signal, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab

KEPT = "/run/sluice-demo.json"


def say(text=""):
    print("\n".join(f"demo: {line}".rstrip() for line in str(text).splitlines() or [""]), flush=True)


class Failed(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Failed(what)


def show_ping(host, name, to, what):
    code, out, err = host.try_run(f"ping -n -c 3 -i 0.3 -W 2 {to}")
    m = re.search(r"(\d+) received.*?= [\d.]+/([\d.]+)/", out, re.S)
    need(code == 0 and m, f"no answer from {to}:\n{out}{err}")
    say(f"   {name} pings {what} {to}: {m[1]} of 3 answers, {float(m[2]):.2f} ms")


WEB = """
import http.server, socket, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"{sys.argv[1]} saw {self.client_address[0].removeprefix('::ffff:')}\\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
Server(("::", 80), Answer).serve_forever()
"""


def show_http(host, name, to, what):
    url = f"http://[{to}]/" if ":" in to else f"http://{to}/"
    code, out, err = host.try_run(f"curl -sS -m 5 {url}")
    need(code == 0, f"curl {url} from {name}: {err}")
    say(f"   {name} asks {url} ({what}): \"{out.strip()}\"")


def show_iperf(host, to, options, what):
    code, out, err = host.try_run(f"iperf3 -c {to} -t 3 -J {options}", timeout=30)
    try:
        end = json.loads(out)["end"]
        rate = end["sum_received"]["bits_per_second"] / 1e9
    except (ValueError, KeyError):
        raise Failed(f"iperf3 {what}: {out[-500:]}{err}")
    say(f"   {what}: {rate:.2f} Gbit/s")


def begin(site):
    gw = site.gateway
    p = site.peer("wireguard-go", keepalive=25)
    p.name = "branch"
    say("4. the gateway's configuration:")
    gw.write_config()
    say("\n".join("      " + line for line in gw.yaml().splitlines()))
    began = time.monotonic()
    site.start()
    p.host.ping_until(lab.LAN_HOST[0], 15)
    say(f"5. `sluice run` and wireguard-go are up, the first packet passed {time.monotonic() - began:.1f} s after we began")
    return p


def show(site, p):
    gw = site.gateway
    say("6. traffic, both ways, IPv4 and IPv6")
    for a in lab.LAN_HOST:
        show_ping(p.host, "peer", a, "LAN")
    for a in p.inner:
        show_ping(site.lan, "LAN", a, "peer")
    for host, name in ((site.lan, "lan"), (p.host, "peer")):
        host.spawn([sys.executable, "-c", WEB, name], "web")
    lab.wait_for(lambda: site.lan.try_run("curl -s -m 1 http://127.0.0.1/")[0] == 0, 10, "web server on the LAN")
    lab.wait_for(lambda: p.host.try_run("curl -s -m 1 http://127.0.0.1/")[0] == 0, 10, "web server at the peer")
    show_http(p.host, "peer", lab.LAN_HOST[0], "the LAN's web server")
    show_http(site.lan, "LAN", p.inner[1], "the peer's web server")
    site.lan.spawn("iperf3 -s", "iperf3")
    time.sleep(0.5)
    say(f"   iperf3, TCP, all on this machine's {os.cpu_count()} cores")
    show_iperf(p.host, lab.LAN_HOST[0], "", "peer to LAN (the gateway decrypts)")
    show_iperf(p.host, lab.LAN_HOST[0], "-R", "LAN to peer (the gateway encrypts)")
    say("7. the control plane is killed three times under 2,000 packets/s each way")
    traffic = lab.peer_lan_traffic(site, p, rate=2000, flows=2)
    for _ in range(3):
        time.sleep(1)
        old = gw.kill("controlplane")
        new = gw.wait_new("controlplane", old)
        say(f"   control plane {old} killed with -9, {new} took over")
        lab.wait_for(gw.is_ready, 20, "the control plane")
    time.sleep(1)
    for r, way in zip(traffic.stop(), ("peer to LAN", "LAN to peer")):
        say(f"   {way}: {r.sent} sent, {r.received} received, {r.lost} lost, {r.duplicated} twice, {r.reordered} out of order"
            + (f" ({r.sink_dropped} dropped by the counting program's own socket)" if r.sink_dropped else ""))
        need(r.is_perfect(), "packets were lost")
    say("8. sluice status")
    code, out, err = gw.command("status")
    need(code == 0, f"sluice status: {err}")
    say("\n".join("      " + line for line in out.splitlines()))


def start_time(pid):
    return (lab.proc_stat(pid) or (0, 0, 0, 0))[3]


def keep(site):
    """Writes down what `--down` has to end."""
    l = site.lab
    pids = [p.pid for p in l.processes if p.alive()]
    with open(KEPT, "w") as f:
        json.dump({"processes": [(pid, start_time(pid)) for pid in pids], "namespaces": [h.ns for h in l.hosts],
                   "folder": l.dir}, f)
    gw = site.gateway
    say("left up, as asked. To look around:")
    for h, what in ((site.gw, "the gateway"), (site.lan, "the LAN host"), (site.peers[0].host, "the peer"),
                    (site.wan, "what is between them")):
        say(f"   ip netns exec {h.ns} bash      # {what}")
    say(f"   ip netns exec {site.gw.ns} {gw.program} status --run-dir {gw.run_dir}")
    say(f"   {gw.config}      # then: {gw.program} reload --run-dir {gw.run_dir}")
    say("   scripts/demo --down             # takes all of it down")


def down():
    if not os.path.exists(KEPT):
        say("nothing is up")
        return 0
    with open(KEPT) as f:
        kept = json.load(f)
    # A process id may belong to somebody else by now; its start time tells.
    ours = [pid for pid, born in kept["processes"] if lab.is_alive(pid) and start_time(pid) == born]
    for pid in ours:
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 10
    while any(map(lab.is_alive, ours)) and time.monotonic() < end:
        time.sleep(0.1)
    for pid in filter(lab.is_alive, ours):
        os.kill(pid, signal.SIGKILL)
    for ns in kept["namespaces"]:
        lab.sh(["ip", "netns", "del", ns], check=False)
    lab.shutil.rmtree(kept["folder"], ignore_errors=True)
    os.unlink(KEPT)
    say(f"taken down: {len(ours)} processes, {len(kept['namespaces'])} namespaces")
    return 0


def more(parser):
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--verbose", action="store_true")


def begin_options(description):
    """The options, in namespaces that vanish with us, or with --keep in the machine's own /run."""
    if "--keep" in sys.argv:
        # So that others can enter.
        if os.geteuid() != 0:
            sys.exit("demo: --keep needs root: the namespaces have to be visible to others")
        if os.path.exists(KEPT):
            sys.exit("demo: one is up already; scripts/demo --down takes it down")
        parser = lab.argparse.ArgumentParser(description=description)
        lab.add_options(parser)
        more(parser)
        return parser.parse_args()
    return lab.enter(description, more)


def main():
    if "--down" in sys.argv:
        return down()
    options = begin_options(__doc__)
    site = None
    try:
        say("3. a lab of network namespaces:  lan 192.168.77.2 --- gw --- wan --- peer 10.99.1.2")
        site = lab.Site(options, "demo")
        p = begin(site)
        show(site, p)
        if options.keep:
            keep(site)
            site.lab.keep = True
        else:
            code = site.gateway.stop()
            need(code == 0, f"sluice run ended with {code}:\n{site.gateway.process.tail()}")
            site.close()
            say("9. everything is taken down")
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
        if site:
            say(site.diagnose())
        status = 1
    if site:
        site.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
