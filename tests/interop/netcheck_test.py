#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Real servers and routers judge netcheck and port mapping: derper's STUN, miniupnpd's NAT-PMP, PCP and UPnP.

    in: netprobe 10.1.1.2 --- nat 10.1.1.1 | 44.128.1.2 --- wan --- stun 198.18.2.2 (v6 2001:db8:2::2), 198.18.3.2

miniupnpd maps nothing on an outer address that the registries reserve: hence 44.128.1.2, which leaves no namespace.
"""
import json, os, shutil, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from tap import Tap

BY = {"NAT-PMP": 1, "PCP": 2, "UPnP": 3}
LOCAL, STUN, MAPPED, GUESS = 1, 2, 3, 4  # kinds of endpoints
OUTER = "44.128.1.2"
PORT = 41641


class Net:
    def __init__(self, options, site):
        self.site = site
        self.probe_program = lab.find_program("netprobe", options.tools or options.bin)
        self.derper = lab.find_program("derper", options.peers)
        self.miniupnpd = lab.find_program("miniupnpd", "/usr/sbin")
        self.inside, self.nat, self.wan = site.host("in"), site.host("nat"), site.host("wan")
        self.stun = [site.host("stun1"), site.host("stun2")]
        site.link(self.inside, "eth0", ["10.1.1.2/24"], self.nat, "inside", ["10.1.1.1/24"])
        site.link(self.nat, "eth0", [f"{OUTER}/24"], self.wan, "to-nat", ["44.128.1.1/24"])
        self.inside.ip("route add default via 10.1.1.1")
        self.nat.ip("route add default via 44.128.1.1")
        # What must never be told, nor asked through: a tunnel as ours, and a tailnet's address elsewhere.
        self.inside.ip("link add sluice0 type veth peer name other")
        self.inside.ip("addr add 192.0.2.77/24 dev sluice0")
        self.inside.ip("link set sluice0 up")
        self.inside.ip("addr add 100.101.102.103/32 dev lo")
        for h in (self.nat, self.wan):
            h.forward()
        for n, host in enumerate(self.stun, 2):
            site.link(host, "eth0", [f"198.18.{n}.2/24"], self.wan, f"to-{n}", [f"198.18.{n}.1/24"])
            host.ip(f"route add default via 198.18.{n}.1")
        self.rules("masquerade")
        self.daemon = None
        self.serial = 0

    def rules(self, how, udp="accept"):
        self.nat.run(["nft", "-f", "-"], input=f"""
            flush ruleset
            table ip nat {{ chain post {{ type nat hook postrouting priority srcnat; oifname "eth0" {how}; }}; }}
            table inet guard {{ chain forward {{ type filter hook forward priority filter; meta l4proto udp {udp}; }}; }}
            table inet upnp {{
              chain prerouting {{ type nat hook prerouting priority dstnat; }}
              chain postrouting {{ type nat hook postrouting priority srcnat; }}
              chain forward {{ type filter hook forward priority 10; }}
            }}""")

    def start_stun(self):
        tls = f"{self.site.dir}/tls"
        os.makedirs(tls)
        for n, host in enumerate(self.stun, 2):
            address = f"198.18.{n}.2"
            p = host.spawn([self.derper, "-a", f"{address}:443", "-http-port", "-1", "-stun", "-hostname", address, "-certmode",
                            "manual", "-certdir", tls, "-c", f"{tls}/{n}.json"], f"derper{n}")
            lab.wait_for(lambda h=host: ":3478" in h.run("ss -Hlun"), 15, f"a STUN server at {address}")
            assert p.alive()
        path = f"{self.site.dir}/map.json"
        with open(path, "w") as f:
            json.dump({"Regions": {str(n): {"RegionID": n, "Nodes": [{
                "Name": f"{n}a", "HostName": f"198.18.{n}.2", "IPv4": f"198.18.{n}.2", "IPv6": "none",
                "InsecureForTests": True}]} for n in (2, 3)}}, f)
        return path

    def start_router(self, upnp="yes", natpmp="yes", more="", block=""):
        self.stop_router()
        self.serial += 1
        d = f"{self.site.dir}/upnp{self.serial}"
        os.makedirs(d)
        with open(f"{d}/conf", "w") as f:
            f.write(f"ext_ifname=eth0\nlistening_ip=inside\nport=5000\nenable_upnp={upnp}\nenable_natpmp={natpmp}\n"
                    f"lease_file={d}/leases\nsecure_mode=yes\nsystem_uptime=no\nuuid=00000000-0000-0000-0000-000000000001\n"
                    "upnp_table_name=upnp\nupnp_nat_table_name=upnp\nupnp_forward_chain=forward\n"
                    "upnp_nat_chain=prerouting\nupnp_nat_postrouting_chain=postrouting\n"
                    f"min_lifetime=120\nmax_lifetime=86400\n{more}allow 1024-65535 10.1.1.0/24 1024-65535\n"
                    "deny 0-65535 0.0.0.0/0 0-65535\n")
        if block:
            self.nat.run(["nft", "-f", "-"], input=block)
        self.daemon = self.nat.spawn([self.miniupnpd, "-d", "-f", f"{d}/conf", "-P", f"{d}/pid"], f"miniupnpd{self.serial}")
        lab.wait_for(lambda: any(p in self.nat.run("ss -Hlun") for p in (":1900", ":5351")) or not self.daemon.alive(), 10,
                     "miniupnpd")
        if not self.daemon.alive():
            raise lab.LabError(f"miniupnpd: {self.daemon.tail()}")

    def stop_router(self):
        if self.daemon:
            self.daemon.stop()
            self.daemon = None

    def probe(self, *words):
        return Probe(self.inside.spawn([self.probe_program, *words], "netprobe", capture=True))

    def mappings(self):
        """What the router's rules say leads inside: outer port -> "address:port"."""
        out = self.nat.run("nft -j list chain inet upnp prerouting")
        found = {}
        for rule in (r["rule"] for r in json.loads(out)["nftables"] if "rule" in r):
            port = to = None
            for e in rule["expr"]:
                if e.get("match", {}).get("left", {}).get("payload", {}).get("field") == "dport":
                    port = e["match"]["right"]
                if "dnat" in e:
                    to = f"{e['dnat']['addr']}:{e['dnat']['port']}"
                if str(e.get("match", {}).get("left")) == "{'payload': {'base': 'th', 'offset': 16, 'len': 16}}":
                    port = e["match"]["right"]
            if to:
                found[port] = to
        return found


class Probe:
    def __init__(self, process):
        self.process = process

    def lines(self):
        return [json.loads(line) for line in self.process.text().splitlines() if line.endswith("}")]

    def all(self, key):
        return [line[key] for line in self.lines() if key in line]

    def last(self, key):
        return (self.all(key) or [None])[-1]

    def mapped(self):
        return next(((line["mapped"], line["by"]) for line in reversed(self.lines()) if "mapped" in line), (None, 0))

    def wait(self, question, seconds, what):
        lab.wait_for(lambda: question() or not self.process.alive(), seconds, f"{what}: {self.lines()}")
        return question()

    def kinds(self):
        return dict(self.last("endpoints") or [])

    def stop(self):
        self.process.stop()


def check_netcheck(net, tap, path):
    p = net.probe("--map", path, "--seconds", "30")
    p.wait(lambda: p.last("report"), 10, "a report")
    report, kinds = p.last("report"), p.kinds()
    tap.ok(report["udp"] and report["ipv4"] and not report["ipv6"], "netcheck: derper's STUN answers", f"{report}")
    tap.ok(report["global_v4"] == f"{OUTER}:{PORT}" and report["mapping_varies"] is False, "netcheck: an easy NAT", f"{report}")
    tap.ok([r["id"] for r in report["regions"]] == [2, 3] and report["preferred_region"] in (2, 3), "netcheck: both regions",
           f"{report}")
    tap.ok(kinds == {f"{OUTER}:{PORT}": STUN, f"10.1.1.2:{PORT}": LOCAL},
           "netcheck: outside and inside are told, no tunnel's address", f"{kinds}")
    p.stop()


def check_hard(net, tap, path):
    net.rules("masquerade fully-random")
    p = net.probe("--map", path, "--seconds", "30", "--port", "41642")
    p.wait(lambda: p.last("report"), 10, "a report")
    report, kinds = p.last("report"), p.kinds()
    tap.ok(report["mapping_varies"] is True, "netcheck: a hard NAT", f"{report}")
    tap.ok(kinds.get(f"{OUTER}:41642") == GUESS and kinds.get(report["global_v4"]) == STUN, "netcheck: and the guess",
           f"{kinds}")
    p.stop()
    net.rules("masquerade")


def check_blocked(net, tap, path):
    net.rules("masquerade", udp="drop")
    p = net.probe("--map", path, "--seconds", "30")
    p.wait(lambda: p.last("report"), 15, "a report")
    report = p.last("report")
    tap.ok(not report["udp"] and len(report["regions"]) == 2 and report["regions"][0]["latency_https_ms"],
           "netcheck: where UDP is blocked, latency by https", f"{report}")
    tap.ok(report["preferred_region"] in (2, 3), "netcheck: and a home", f"{report}")
    p.stop()
    net.rules("masquerade")


def check_protocol(net, tap, name, *words, seconds=10):
    began = time.monotonic()
    p = net.probe("--seconds", "60", *words)
    p.wait(lambda: p.mapped()[0], seconds, f"a mapping by {name}")
    took = time.monotonic() - began
    external, by = p.mapped()
    rules = net.mappings()
    tap.ok(external and external.startswith(f"{OUTER}:") and by == BY[name], f"port mapping: {name}", f"{p.lines()}")
    tap.ok(list(rules.values()) == [f"10.1.1.2:{PORT}"] and external == f"{OUTER}:{list(rules)[0]}",
           f"port mapping: {name}: the router's rule leads to us", f"{rules} {external}")
    tap.note(f"{name}: {external} after {took:.2f} s; protocols {p.last('protocols')}")
    return p, external


def given_back(net, tap, name, p):
    p.stop()
    try:
        lab.wait_for(lambda: not net.mappings(), 20, "the mapping's end")
    except lab.LabError:
        pass
    tap.ok(not net.mappings(), f"port mapping: {name}: it is given back", f"{net.mappings()}\n{p.lines()}")


def check_natpmp(net, tap):
    net.start_router()
    p, external = check_protocol(net, tap, "NAT-PMP")
    tap.ok(p.last("protocols")["pmp"] == 2, "port mapping: NAT-PMP is seen", f"{p.lines()}")
    given_back(net, tap, "NAT-PMP", p)
    p, external = check_protocol(net, tap, "NAT-PMP")
    p.process.signal(9)
    p.process.wait()
    p, again = check_protocol(net, tap, "NAT-PMP")
    tap.ok(again == external, "port mapping: NAT-PMP: who was killed gets the same port again", f"{external} {again}")
    given_back(net, tap, "NAT-PMP after a kill", p)


def check_pcp(net, tap):
    # PCP only: what NAT-PMP says has version 0 in its first byte.
    net.start_router(block="""table inet onlypcp { chain input { type filter hook input priority filter;
                              udp dport 5351 @th,64,8 0 drop; }; }""")
    p, external = check_protocol(net, tap, "PCP", "--secret", "word")
    tap.ok(p.last("protocols")["pcp"] == 2, "port mapping: PCP is seen", f"{p.lines()}")
    p.process.signal(9)
    p.process.wait()
    p, again = check_protocol(net, tap, "PCP", "--secret", "word")
    tap.ok(again == external, "port mapping: PCP: who was killed gets the same port again", f"{external} {again}")
    given_back(net, tap, "PCP", p)
    net.nat.run("nft delete table inet onlypcp")


def check_upnp(net, tap):
    net.start_router(natpmp="no")
    p, external = check_protocol(net, tap, "UPnP", seconds=20)
    tap.ok(p.last("protocols") == {"upnp": 2, "pmp": 1, "pcp": 1}, "port mapping: only UPnP is seen", f"{p.lines()}")
    p.process.signal(9)
    p.process.wait()
    p, again = check_protocol(net, tap, "UPnP", seconds=20)
    tap.ok(again == external, "port mapping: UPnP: who was killed gets the same port again", f"{external} {again}")
    given_back(net, tap, "UPnP", p)
    net.start_router(natpmp="no", more="force_igd_desc_v1=yes\n")
    p, external = check_protocol(net, tap, "UPnP", seconds=20)
    given_back(net, tap, "UPnP version 1", p)


def check_together(net, tap, path):
    net.start_router()
    p = net.probe("--map", path, "--seconds", "60", "--changed-at", "3")
    first = next(iter(p.wait(lambda: p.mapped()[0] and p.last("report") and p.kinds(), 10, "both")))
    kinds = p.kinds()
    tap.ok(kinds.get(p.mapped()[0]) == MAPPED, "the mapped port is told", f"{kinds} {first}")
    p.wait(lambda: len(p.all("report")) >= 2, 10, "another look")
    time.sleep(1)
    tap.ok(len(p.all("mapped")) == 1, "it stays when the network changes a little",
           f"{p.lines()}")
    tap.ok(p.last("report")["mapped"] == p.mapped()[0] and "NAT-PMP" in p.last("report")["port_mapping"],
           "and is in the report", f"{p.last('report')}")
    p.stop()
    net.stop_router()


def check_nobody(net, tap):
    p = net.probe("--seconds", "8")
    p.wait(lambda: not p.process.alive(), 20, "its end")
    tap.ok(p.mapped()[0] is None and {"upnp": 1, "pmp": 1, "pcp": 1} in p.all("protocols"),
           "port mapping: a router that maps nothing", f"{p.lines()}")


def main():
    options = lab.enter(__doc__)
    tap = Tap()
    missing = [n for n in ("derper", "miniupnpd", "nft") if not lab.find_program(n, options.peers) and
               not lab.find_program(n, "/usr/sbin") and not shutil.which(n)]
    if missing:
        tap.skip("netcheck and port mapping", f"{', '.join(missing)} missing: scripts/setup installs it")
        return tap.done()
    with lab.Lab(options, "netcheck") as site:
        net = Net(options, site)
        path = net.start_stun()
        check_netcheck(net, tap, path)
        check_hard(net, tap, path)
        check_blocked(net, tap, path)
        check_natpmp(net, tap)
        check_pcp(net, tap)
        check_upnp(net, tap)
        check_together(net, tap, path)
        check_nobody(net, tap)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
