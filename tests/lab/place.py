# SPDX-License-Identifier: BSD-3-Clause
"""A host's place in a tailnet's underlay: its link to wan, and the router that is between them; tailnet.py draws it.

Kinds: `open`; `cone`: every inner port keeps one outer port (endpoint-independent mapping), only who was written to may answer;
`symmetric`: a new random outer port for each destination; `blocked`: no UDP passes.
"""
import os, sys

import lab
from lab import LabError, wait_for

KINDS = ("open", "cone", "symmetric", "blocked")
# miniupnpd maps nothing on an outer address that the registries reserve, as 198.18 is; this one was for tests of radio
# amateurs, and leaves no namespace.
MAPPED_NET = "44.128"


class Place:
    """A host with its way to wan."""

    def __init__(self, net, name, kind="open", v6=None, portmap=False, mtu=1500, queues=1):
        """v6: None: where there is no NAT.  portmap: a real miniupnpd on the router; "upnp": UPnP only.
        mtu, queues: of the host's link."""
        self.net, self.name, self.kind, self.portmap, self.mtu, self.queues = net, name, kind, portmap, mtu, queues
        self.v6 = kind in ("open", "blocked") if v6 is None else v6
        self.n = net.next_number()
        self.host = net.lab.host(name)
        self.router = None
        self.outer = f"{MAPPED_NET}.{self.n}.2" if portmap else f"198.18.{self.n}.2"
        self.gateway = self.outer[:-1] + "1"
        if kind == "open":
            self.connect(self.host)
        else:
            self.behind_router()
        self.host.has_stock_wireguard = False

    def connect(self, host):
        """The link to wan, with the default routes."""
        net, n = self.net, self.n
        v6 = ([f"2001:db8:{n:x}::2/64"], [f"2001:db8:{n:x}::1/64"]) if self.v6 else ([], [])
        net.lab.link(host, "eth0", [f"{self.outer}/24", *v6[0]], net.wan, f"to-{self.name}", [f"{self.gateway}/24", *v6[1]],
                     self.mtu, self.queues)
        host.ip(f"route add default via {self.gateway}")
        if self.v6:
            host.ip(f"-6 route add default via 2001:db8:{n:x}::1")

    def behind_router(self):
        net, n = self.net, self.n
        self.router = net.lab.host(f"{self.name}-nat")
        self.router.forward()
        self.connect(self.router)
        inner = f"2001:db8:{0x1000 + n:x}::"
        v6 = ([f"{inner}2/64"], [f"{inner}1/64"]) if self.v6 else ([], [])
        self.link_inside(self.host, [f"10.1.{n}.2/24", *v6[0]], [f"10.1.{n}.1/24", *v6[1]])
        self.host.ip(f"route add default via 10.1.{n}.1")
        if self.v6:
            self.host.ip(f"-6 route add default via {inner}1")
            net.wan.ip(f"-6 route add {inner}/64 via 2001:db8:{n:x}::2")
        self.rules()
        if self.portmap:
            self.start_miniupnpd()

    def link_inside(self, host, addresses, router_addresses):
        self.net.lab.link(host, "eth0", addresses, self.router, "inside", router_addresses, self.mtu, self.queues)

    def rules(self):
        how = {"cone": "masquerade", "symmetric": "masquerade fully-random", "blocked": "masquerade"}[self.kind]
        blocked = "meta l4proto udp drop" if self.kind == "blocked" else ""
        # What nobody asked for is dropped before it has a conntrack entry: one would take the outer port away from the
        # host that is about to punch a hole from it, and Linux would give it another.
        self.router.run(["nft", "-f", "-"], input=f"""
            table ip nat {{ chain post {{ type nat hook postrouting priority srcnat; oifname "eth0" {how}; }}; }}
            table inet guard {{
              chain input {{ type filter hook input priority filter; iifname "eth0" meta l4proto udp ct state new drop; }}
              chain forward {{
                type filter hook forward priority filter; policy drop;
                {blocked}
                ct status dnat accept
                iifname "inside" accept
                ct state established,related accept
              }}
            }}""")

    def start_miniupnpd(self):
        """NAT-PMP, PCP and UPnP, with chains of its own that ours let pass."""
        net, d = self.net, f"{self.net.lab.dir}/{self.name}-upnp"
        os.makedirs(d)
        self.router.run(["nft", "-f", "-"], input="""
            table inet upnp {
              chain prerouting { type nat hook prerouting priority dstnat; }
              chain postrouting { type nat hook postrouting priority srcnat; }
              chain forward { type filter hook forward priority 10; }
            }""")
        with open(f"{d}/conf", "w") as f:
            f.write(f"ext_ifname=eth0\nlistening_ip=inside\nport=5000\nenable_upnp=yes\n"
                    f"enable_natpmp={'no' if self.portmap == 'upnp' else 'yes'}\n"
                    f"lease_file={d}/leases\nsecure_mode=yes\nsystem_uptime=yes\nuuid=00000000-0000-0000-0000-{self.n:012d}\n"
                    "upnp_table_name=upnp\nupnp_nat_table_name=upnp\nupnp_forward_chain=forward\n"
                    "upnp_nat_chain=prerouting\nupnp_nat_postrouting_chain=postrouting\n"
                    f"min_lifetime=120\nmax_lifetime=86400\nallow 1024-65535 10.1.{self.n}.0/24 1024-65535\n"
                    "deny 0-65535 0.0.0.0/0 0-65535\n")
        program = lab.find_program("miniupnpd", "/usr/sbin")
        if program is None:
            raise LabError("no miniupnpd: scripts/setup installs it")
        self.miniupnpd = self.router.spawn([program, "-d", "-f", f"{d}/conf", "-P", f"{d}/pid"], "miniupnpd")
        wait_for(lambda: "1900" in self.router.run(["ss", "-lun"]) or not self.miniupnpd.alive(), 10, "miniupnpd")
        if not self.miniupnpd.alive():
            raise LabError(f"miniupnpd: {self.miniupnpd.tail()}")

    def block_udp(self, block=True, family=""):
        """On wan: nothing of this place's UDP passes from now on; family: "4" or "6" only."""
        which = f"meta nfproto ipv{family} " if family else ""
        device = f"to-{self.name}"
        self.net.wan.run(["nft", "-f", "-"], input=f"table inet block_{self.n}; delete table inet block_{self.n}")
        if block:
            self.net.wan.run(["nft", "-f", "-"], input=f"""
                table inet block_{self.n} {{ chain forward {{ type filter hook forward priority filter;
                  {which}iifname "{device}" meta l4proto udp drop
                  {which}oifname "{device}" meta l4proto udp drop; }}; }}""")

    def move(self, back=False):
        """An open place's host gets another address, and loses the one that it had."""
        n = self.n if back else self.n + 100
        old = self.n + 100 if back else self.n
        wan, host = self.net.wan, self.host
        wan.ip(f"addr add 198.18.{n}.1/24 dev to-{self.name}", check=False)
        host.ip(f"addr add 198.18.{n}.2/24 dev eth0")
        if self.v6:
            wan.ip(f"addr add 2001:db8:{n:x}::1/64 dev to-{self.name} nodad", check=False)
            host.ip(f"addr add 2001:db8:{n:x}::2/64 dev eth0 nodad")
            host.ip(f"-6 route replace default via 2001:db8:{n:x}::1 dev eth0")
            host.ip(f"addr del 2001:db8:{old:x}::2/64 dev eth0")
        host.ip(f"route replace default via 198.18.{n}.1 dev eth0")
        host.ip(f"addr del 198.18.{old}.2/24 dev eth0")
        self.outer = f"198.18.{n}.2"
        return self.outer


if __name__ == "__main__":
    sys.exit("a module for tests; see README.md")
