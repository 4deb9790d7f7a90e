# SPDX-License-Identifier: BSD-3-Clause
"""Subnet routers in a tailnet: LANs with hosts behind a gateway, and what shows which way packets took.

    wan --- eth0 gw lan0 --- switch --- lan1 192.168.77.2, fd77::2
                 192.168.77.1           lan2 192.168.77.3, fd77::3
                 fd77::1

    one-armed:  wan --- router --- switch --- eth0 gw 192.168.77.1     the hosts know the router as their way out, and gw
                        192.168.77.254   `--- lan1, lan2               as the way to the tailnet

The switch is a bridge in a namespace of its own.  A second site has another number than 77.

    with tailnet.Tailnet(options, "name") as net:
        gw, lan = router.site(net, "gw")              # runs, advertises lan's prefixes, which are approved
        a = net.stock("a", up=["--accept-routes"])
        a.fetch(lan.hosts[0])                         # "lan1 saw 192.168.77.1"
"""
import re, sys

import lab, node, place
from lab import LabError, wait_for

TAILNET = ("100.64.0.0/10", "fd7a:115c:a1e0::/48")


class LanHost(node.Node):
    """A host of a LAN, with a web server that says who asked."""

    def __init__(self, lan, number):
        self.net, self.lan, self.name = lan.net, lan, f"{lan.prefix}{number}"
        self.host = lan.net.lab.host(self.name)
        self.device = "eth0"
        self.addresses = (f"192.168.{lan.number}.{number + 1}", f"fd{lan.number}::{number + 1:x}")
        self.web = None

    def serve(self, port=80):
        self.web = super().serve(port)
        return self.web

    def iperf(self):
        """Listens for iperf3."""
        process = self.host.spawn("iperf3 -s", "iperf3")
        wait_for(lambda: ":5201" in self.host.run("ss -Hltn sport = :5201"), 10, f"iperf3 on {self.name}")
        return process


class Lan:
    """A switch with hosts on it, which have the gateway as their way out."""

    def __init__(self, net, gateway_place, number=77, hosts=2, queues=1, prefix="lan"):
        """queues: of the gateway's lan0"""
        self.net, self.place, self.number, self.prefix = net, gateway_place, number, prefix
        self.gateway, self.device = self.addresses(1), "lan0"
        self.switch = net.lab.host(f"{prefix}-switch")
        self.switch.ip("link add bridge type bridge stp_state 0 mcast_snooping 0")
        self.switch.ip("link set bridge up")
        self.plug(gateway_place.host, "lan0", "to-gw", 1, queues)
        self.hosts = []
        for n in range(1, hosts + 1):
            self.add_host(n)

    def addresses(self, host):
        return (f"192.168.{self.number}.{host}", f"fd{self.number}::{host:x}")

    def with_length(self, host):
        return [f"{a}/{64 if ':' in a else 24}" for a in self.addresses(host)]

    @property
    def prefixes(self):
        return [f"192.168.{self.number}.0/24", f"fd{self.number}::/64"]

    def plug(self, host, device, port, number, queues=1):
        """A host's device into the switch."""
        self.net.lab.link(host, device, self.with_length(number), self.switch, port, [], queues=queues)
        self.switch.ip(f"link set {port} master bridge")

    def add_host(self, n):
        h = LanHost(self, n)
        self.plug(h.host, "eth0", f"to-{h.name}", n + 1)
        for address in self.gateway:
            h.host.ip(f"{'-6 ' * (':' in address)}route add default via {address}")
        self.hosts.append(h)
        return h

    def serve(self):
        for h in self.hosts:
            h.serve()


class OneArmedPlace(place.Place):
    """Behind a router whose inside is a switch, the LAN's: the gateway has one interface, the hosts are beside it."""

    def link_inside(self, host, addresses, router_addresses):
        net = self.net
        self.router.ip("link add inside type bridge stp_state 0 mcast_snooping 0")
        self.router.ip("link set inside up")
        for address in ("192.168.77.254/24", "fd77::fe/64 nodad"):
            self.router.ip(f"addr add {address} dev inside")
        for address in router_addresses:
            self.router.ip(f"addr add {address} dev inside")
        self.plug(host, "to-gw", ["192.168.77.1/24", "fd77::1/64", *addresses])

    def plug(self, host, port, addresses):
        self.net.lab.link(host, "eth0", addresses, self.router, port, [], self.mtu, self.queues)
        self.router.ip(f"link set {port} master inside")


class OneArmedLan(Lan):
    """The hosts beside a one-armed gateway."""

    def __init__(self, net, gateway_place, hosts=2):
        self.net, self.place, self.number, self.prefix, self.device = net, gateway_place, 77, "lan", "eth0"
        self.gateway, self.switch, self.hosts = self.addresses(1), gateway_place.router, []
        for n in range(1, hosts + 1):
            h = LanHost(self, n)
            gateway_place.plug(h.host, f"to-{h.name}", self.with_length(n + 1))
            h.host.ip("route add default via 192.168.77.254")
            for prefix, via in zip(TAILNET, self.gateway):
                h.host.ip(f"{'-6 ' * (':' in via)}route add {prefix} via {via}")
            self.hosts.append(h)


def words(routes, snat=True, accept=False):
    """What `up` is told; Sluice and tailscale spell it alike."""
    return [*(["--advertise-routes=" + ",".join(routes)] if routes else []),
            *([] if snat else ["--snat-subnet-routes=false"]), *(["--accept-routes"] if accept else [])]


def begin(net, name="gw", kind="open", number=77, hosts=2, lan_queues=1, one_armed=False, gateway=None, **kw):
    """(place, lan) of a gateway that does not run yet.  gateway: "tailscaled" or "sluice", None: what is under test."""
    kw = {k: v for k, v in kw.items() if k in ("mtu", "queues", "v6", "portmap")}
    if one_armed:
        where = OneArmedPlace(net, name, "cone", **kw)
        lan = OneArmedLan(net, where, hosts)
    else:
        where = net.place(name, kind, **kw)
        lan = Lan(net, where, number, hosts, lan_queues, "lan" if number == 77 else f"lan{number}-")
    if (gateway or net.options.gateway) != "sluice":
        where.host.forward()  # Sluice does what it needs itself
    return where, lan


def run(net, where, lan, snat=True, accept=False, routes=None, approve=True, gateway=None, up=(), **kw):
    """The gateway of a place that stands: it advertises lan's prefixes (or routes), which are approved."""
    routes = lan.prefixes if routes is None else routes
    start = {"sluice": net.sluice, "tailscaled": net.stock, None: net.member}[gateway]
    if gateway == "tailscaled":
        kw = {"tag": "tag:gw", **{k: v for k, v in kw.items() if k not in ("driver", "ports", "workers")}}
    gw = start(where.name, place=where, up=[*words(routes, snat, accept), *up], **kw)
    if routes and approve:
        net.approve_routes(gw, routes)
    return gw


def site(net, name="gw", **kw):
    """(gateway, lan): begin() and run()."""
    where, lan = begin(net, name, **kw)
    lan.serve()
    own = {k: kw[k] for k in ("snat", "accept", "routes", "approve", "gateway", "up", "driver", "ports", "workers", "tag") if k in kw}
    return run(net, where, lan, **own), lan


# ---- which way packets took ---------------------------------------------------------------------------------------------

class Counters:
    """What a Sluice gateway's ports, and the kernel of its host, have counted; one minus another is what came between."""

    def __init__(self, gw, values=None):
        self.gw = gw
        self.values = values if values is not None else {**self.of_ports(), **self.of_kernel()}

    def of_ports(self):
        """{"eth0 rx": packets, ...} by the data plane's own books"""
        found = {}
        for p in (self.gw.status() or {}).get("ports", []):
            for way in ("rx", "tx"):
                found[f"{p['name']} {way}"] = p.get(f"{way}_packets") or 0
        return found

    def of_kernel(self):
        """What the kernel forwarded, and what passed the host interface."""
        host = self.gw.host
        v4 = [line.split() for line in host.run("cat /proc/net/snmp").splitlines() if line.startswith("Ip:")]
        v6 = re.search(r"Ip6OutForwDatagrams\s+(\d+)", host.run("cat /proc/net/snmp6"))
        found = {"forwarded v4": int(v4[1][v4[0].index("ForwDatagrams")]), "forwarded v6": int(v6[1]) if v6 else 0}
        for line in host.run("cat /proc/net/dev").splitlines():
            device, _, rest = line.partition(":")
            if device.strip() == self.gw.device:
                field = rest.split()
                found["host interface in"], found["host interface out"] = int(field[1]), int(field[9])
        return found

    def __sub__(self, earlier):
        return Counters(self.gw, {k: v - earlier.values.get(k, 0) for k, v in self.values.items()})

    def __getitem__(self, name):
        return self.values.get(name, 0)

    @property
    def kernel_forwarded(self):
        return self["forwarded v4"] + self["forwarded v6"]

    @property
    def host_interface(self):
        return self["host interface in"] + self["host interface out"]

    @property
    def sockets(self):
        """Packets of the data plane's UDP sockets."""
        return self["wire rx"] + self["wire tx"]

    def __str__(self):
        return ", ".join(f"{k} {v}" for k, v in self.values.items())


def port(gw, name):
    """A port of the gateway's status, {} where it has none of that name."""
    return next((p for p in (gw.status() or {}).get("ports", []) if p.get("name") == name), {})


def is_xdp(gw, *names):
    return all(port(gw, n).get("driver") == "af_xdp" for n in names)


def wait_xdp(gw, *names, seconds=20):
    """Until these ports are AF_XDP ports; LabError with what the status says of them."""
    wait_for(lambda: is_xdp(gw, *names), seconds, lambda: f"AF_XDP on {names}: {(gw.status() or {}).get('ports')}")


if __name__ == "__main__":
    sys.exit("a module for tests; see README.md")
