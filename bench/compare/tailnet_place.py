# SPDX-License-Identifier: BSD-3-Clause
"""One device in its place in a tailnet: a subnet router, with source NAT and the filter as its users have them.

    Headscale --- wan --- client (its stock client stays alive; our generator has its place) | gw --- switch --- lan1

tests/lab has the tailnet, and the way to take a client's place (ahead.py).
"""
import os, types

import ahead, device_place, lab, router, tailnet
from records import BenchError

MTU = 1280
TAKE_OVER = """
table netdev ahead { chain in_ { type filter hook ingress device "eth0" priority -1;
  udp dport 41641 @th,64,32 { 0x01000000, 0x02000000, 0x03000000, 0x04000000 } udp dport set %d
}; }""" % ahead.PORT


class TailnetPlace(device_place.Place):
    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def close(self):
        if getattr(self, "net", None):
            try:
                self.net.close()
            except lab.LabError:
                pass

    def start(self):
        options = types.SimpleNamespace(**vars(self.options))
        options.gateway = self.device.kind
        self.net = net = tailnet.Tailnet(options, f"compare-{self.device.label.partition('@')[0].replace('#', '-')}")
        where, self.lan = router.begin(net, v6=False, hosts=1, gateway=self.device.kind)
        self.client = net.stock("client", v6=False, up=["--accept-routes"])
        self.clear = self.lan.hosts[0]
        self.sides = ([(where.host, "eth0"), (where.host, "lan0")],
                      [(net.wan, "to-gw"), (net.wan, "to-client"), (self.lan.switch, "to-gw"), (self.lan.switch, "to-lan1")])
        own = {"driver": self.device.driver, "ports": ["eth0", "lan0"] if self.is_xdp() else [], "workers": self.scenario.workers}
        with self.steered_start():
            self.gw = router.run(net, where, self.lan, gateway=self.device.kind, **own)
        self.clear.serve()
        lab.wait_for(lambda: self.client.fetch(self.clear, seconds=1), 30, "the route at the client")
        if self.client.ping_direct(self.gw) is None:
            raise BenchError(self.device.label, "the client has no direct path to it", "See the logs: --keep-logs DIR.")
        self.key = lab.write_secret(os.path.join(net.lab.dir, "client.key"), ahead.node_key(self.client))
        if self.with_tcp:
            self.clear.iperf()
        self.stock = self.client

    def gateway(self):
        return self.gw

    def pids(self):
        if self.device.kind == "sluice":
            return self.gw.pids()
        return {"tailscaled": self.gw.process.pid}

    def ends(self):
        net, client, clear = self.net, self.client, self.clear
        return ["--device", f"{self.gw.place.outer}:41641", "--device-key", ahead.public_key(net, self.gw), "--key", self.key,
                "--inner", client.ip4, "--listen", str(ahead.PORT), "--mtu", str(MTU), "--tunnel-netns", f"/run/netns/{client.host.ns}",
                "--clear", clear.ip4, "--clear-netns", f"/run/netns/{clear.host.ns}",
                *(["--tunnel-xdp", "eth0", "--clear-xdp", "eth0"] if self.scenario.frames else [])]

    def generate(self, bench, load, rate, seconds):
        host = self.client.host
        host.run(["nft", "-f", "-"], input=TAKE_OVER)
        try:
            return super().generate(bench, load, rate, seconds)
        finally:
            host.try_run("nft delete table netdev ahead")

    def log_of_gateway(self):
        return (self.gw.process.tail(12) if self.gw.process else "").strip() or "(none)"
