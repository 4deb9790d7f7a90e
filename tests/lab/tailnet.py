# SPDX-License-Identifier: BSD-3-Clause
"""Tailnets made of network namespaces: Headscale, relays, stock tailscaled nodes and Sluice, each behind the NAT it is given.

                  ctl 198.18.0.2, 2001:db8:0::2    Headscale with a relay and STUN ("lab", region 999), https, the lab's CA
    wan (router) --- rly 198.18.1.2, 2001:db8:1::2    a second relay and STUN ("wan", 998), so that nodes see mappings vary
                  open   N: host 198.18.N.2, 2001:db8:N::2
                  others N: router 198.18.N.2 --- host 10.1.N.2 (v6, where asked for: 2001:db8:10NN::2, routed and guarded)

Kinds of places: open, cone, symmetric, blocked; see place.py.

    with tailnet.Tailnet(options, "name") as net:
        a = net.stock("a", "cone")            # a running tailscaled that has joined
        g = net.sluice("gw", "open")          # the same, Sluice
        a.ping_direct(g)
"""
import json, os, re, shutil, signal, sys

import lab
from lab import LabError, wait_for
from node import LOGIN, VERSIONS, Gateway, Stock
from place import Place

ALLOW_ALL = {"tagOwners": {"tag:gw": ["lab@"], "tag:guest": ["lab@"]},
             "acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}


def missing_programs(options, versions=("new", "old")):
    """Names of what is not installed and everything here needs."""
    names = ["headscale", "derper"] + [p + VERSIONS[v] for v in versions for p in ("tailscale", "tailscaled")]
    found = [n for n in names if not lab.find_program(n, options.peers)]
    return found + [n for n in ("nft", "openssl") if not lab.find_program(n, "/usr/sbin") and not shutil.which(n)]


class Tailnet:
    """The underlay, Headscale and the relays; nodes are added."""

    def __init__(self, options, name="tailnet", policy=None, keep=False):
        self.lab, self.options = lab.Lab(options, name, keep), options
        self.peers, self.nodes, self.number, self.stock_env = [], [], 1, {}
        self.tls = f"{self.lab.dir}/tls"
        self.ctl_dir = f"{self.lab.dir}/ctl"
        self.headscale = None
        try:
            self.build(policy or ALLOW_ALL)
        except BaseException:
            self.lab.keep = False
            self.lab.close()
            raise

    def program(self, name):
        path = lab.find_program(name, self.options.peers)
        if path is None:
            raise LabError(f"{name} is not installed: scripts/setup")
        return path

    def next_number(self):
        with self.lab.lock:
            self.number += 1
            return self.number

    # ---- processes: with an /etc of the lab's own, where ctl.lab.test is known

    def own_etc(self, host, words):
        return host.words(["sh", "-c", 'mount --bind "$0" /etc && exec "$@"', f"{self.lab.dir}/etc", *words])

    def spawn(self, host, words, name, **kw):
        return self.lab.spawn(self.own_etc(host, words), f"{host.name}-{name}", **kw)

    def enter(self, host, words, timeout=60):
        """(exit status, stdout, stderr)"""
        r = lab.subprocess.run(self.own_etc(host, words), text=True, capture_output=True, timeout=timeout)
        return r.returncode, r.stdout, r.stderr

    def make_etc(self):
        def unreadable(folder, names):
            return [n for n in names if n.startswith("shadow") or n.startswith("gshadow") or n == "private" or
                    not os.access(os.path.join(folder, n), os.R_OK)]

        shutil.copytree("/etc", f"{self.lab.dir}/etc", symlinks=True, ignore=unreadable)
        etc = f"{self.lab.dir}/etc"
        for name in ("resolv.conf", "hosts"):
            if os.path.lexists(f"{etc}/{name}"):
                os.unlink(f"{etc}/{name}")
        with open(f"{etc}/resolv.conf", "w") as f:
            f.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")  # nobody there: all names are in hosts
        with open(f"{etc}/hosts", "w") as f:
            f.write("127.0.0.1 localhost\n::1 localhost\n")
            for n, host in enumerate(("ctl", "rly")):
                f.write(f"198.18.{n}.2 {host}.lab.test\n2001:db8:{n:x}::2 {host}.lab.test\n")

    # ---- what a tailnet needs

    def build(self, policy):
        os.makedirs(self.tls)
        os.makedirs(self.ctl_dir)
        self.make_etc()
        self.wan, self.ctl, self.rly = (self.lab.host(n) for n in ("wan", "ctl", "rly"))
        self.wan.forward()
        for n, host in enumerate((self.ctl, self.rly)):
            self.lab.link(host, "eth0", [f"198.18.{n}.2/24", f"2001:db8:{n:x}::2/64"], self.wan, f"to-{host.name}",
                          [f"198.18.{n}.1/24", f"2001:db8:{n:x}::1/64"])
            host.ip(f"route add default via 198.18.{n}.1")
            host.ip(f"-6 route add default via 2001:db8:{n:x}::1")
        self.certificates()
        self.write_policy(policy)
        self.write_config()
        self.derper = self.spawn(self.rly, [self.program("derper"), "-a", ":443", "-http-port", "-1", "-stun", "-hostname",
                                            "rly.lab.test", "-certmode", "manual", "-certdir", self.tls, "-c",
                                            f"{self.ctl_dir}/derper.json"], "derper")
        self.start_headscale()
        # Both serve it to their own host only.
        self.relay_drops = [
            lab.Drops("relay wan", lambda: self.relay_full(self.rly, "-k", "--resolve", "rly.lab.test:443:127.0.0.1",
                                                           "https://rly.lab.test/debug/varz"), by_relay=True),
            lab.Drops("relay lab", lambda: self.relay_full(self.ctl, "http://127.0.0.1:9090/debug/varz"), by_relay=True)]
        self.hs("users", "create", "lab")

    def certificates(self):
        """A CA, and a certificate for each of the two servers."""
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        ca = f"{self.tls}/ca"
        lab.sh(["openssl", "req", "-x509", *key, "-days", "30", "-subj", "/CN=lab CA", "-keyout", f"{ca}.key", "-out",
                f"{ca}.crt"])
        for n, host in enumerate(("ctl", "rly")):
            at = f"{self.tls}/{host}.lab.test"
            with open(f"{at}.ext", "w") as f:
                f.write(f"subjectAltName=DNS:{host}.lab.test,IP:198.18.{n}.2,IP:2001:db8:{n:x}::2\n")
            lab.sh(["openssl", "req", *key, "-subj", f"/CN={host}.lab.test", "-keyout", f"{at}.key", "-out", f"{at}.csr"])
            lab.sh(["openssl", "x509", "-req", "-in", f"{at}.csr", "-CA", f"{ca}.crt", "-CAkey", f"{ca}.key",
                    "-CAcreateserial", "-days", "30", "-out", f"{at}.crt", "-extfile", f"{at}.ext"])

    def write_policy(self, policy):
        self.policy = policy
        with open(f"{self.ctl_dir}/policy.new", "w") as f:
            json.dump(policy, f)
        os.replace(f"{self.ctl_dir}/policy.new", f"{self.ctl_dir}/policy.hujson")

    def set_policy(self, policy):
        """Headscale reads a new one when it gets SIGHUP."""
        self.write_policy(policy)
        self.headscale.signal(signal.SIGHUP)

    def write_config(self):
        d, s = self.ctl_dir, self.tls
        with open(f"{d}/derp.yaml", "w") as f:
            f.write("regions:\n  998:\n    regionid: 998\n    regioncode: wan\n    regionname: Second\n    nodes: [{ name: 998a, "
                    "regionid: 998, hostname: rly.lab.test, ipv4: 198.18.1.2, ipv6: \"2001:db8:1::2\", stunport: 3478, "
                    "derpport: 443 }]\n")
        config = {
            "server_url": LOGIN, "listen_addr": "[::]:443", "metrics_listen_addr": "127.0.0.1:9090",
            "grpc_listen_addr": "127.0.0.1:50443",
            "tls_cert_path": f"{s}/ctl.lab.test.crt", "tls_key_path": f"{s}/ctl.lab.test.key",
            "noise": {"private_key_path": f"{d}/noise.key"},
            "prefixes": {"v4": "100.64.0.0/10", "v6": "fd7a:115c:a1e0::/48", "allocation": "sequential"},
            "database": {"type": "sqlite", "sqlite": {"path": f"{d}/db.sqlite"}},
            "unix_socket": f"{d}/headscale.sock", "disable_check_updates": True,
            "policy": {"mode": "file", "path": f"{d}/policy.hujson"}, "log": {"level": "info"},
            "derp": {"server": {"enabled": True, "region_id": 999, "region_code": "lab", "region_name": "Lab",
                                "verify_clients": True, "stun_listen_addr": "[::]:3478", "private_key_path": f"{d}/derp.key",
                                "ipv4": "198.18.0.2", "ipv6": "2001:db8:0::2"},
                     "urls": [], "paths": [f"{d}/derp.yaml"], "auto_update_enabled": False},
            "dns": {"magic_dns": True, "base_domain": "tailnet.test", "override_local_dns": False,
                    "nameservers": {"global": []}}}
        with open(f"{d}/config.yaml", "w") as f:
            json.dump(config, f)  # JSON is YAML

    def start_headscale(self, wait=True):
        self.headscale = self.spawn(self.ctl, [self.program("headscale"), "-c", f"{self.ctl_dir}/config.yaml", "serve"],
                                    "headscale")
        if wait:
            self.wait_headscale()

    def wait_headscale(self, seconds=30):
        wait_for(lambda: self.hs_try("users", "list")[0] == 0 or not self.headscale.alive(), seconds, "headscale")
        if not self.headscale.alive():
            raise LabError(f"headscale: {self.headscale.tail()}")

    def listens(self):
        return ":443" in self.ctl.run(["ss", "-Hltn", "sport", "=", ":443"])

    def kill_headscale(self):
        self.headscale.signal(signal.SIGKILL)
        self.headscale.popen.wait()

    def hs_try(self, *words):
        return self.enter(self.ctl, [self.program("headscale"), "-c", f"{self.ctl_dir}/config.yaml", *words])

    def hs(self, *words):
        """Headscale's own command line; its JSON where there is one."""
        code, out, err = self.hs_try(*words, "-o", "json")
        if code != 0:
            raise LabError(f"headscale {' '.join(words)}: {out}{err}")
        try:
            return json.loads(out)
        except ValueError:
            return out

    def auth_key(self, tag=None, expiration="24h", reusable=True):
        more = (["--tags", tag] if tag else []) + (["--reusable"] if reusable else [])
        return self.hs("preauthkeys", "create", "--user", "1", "--expiration", expiration, *more)["key"]

    def all_nodes(self):
        return self.hs("nodes", "list") or []

    def node(self, name):
        """Headscale's record of a node, the latest of that name."""
        found = [n for n in self.all_nodes() if n["given_name"] == name or n["name"] == name]
        return found[-1] if found else None

    def addresses_of(self, name):
        n = self.node(name)
        return sorted(n["ip_addresses"], key=lambda a: ":" in a) if n else None

    def node_id(self, node):
        return str(self.node(node.name)["id"])

    def approve_routes(self, node, routes):
        wait_for(lambda: set(routes) <= set(self.node(node.name).get("available_routes") or []), 20,
                 f"{node.name} to advertise {routes}")
        self.hs("nodes", "approve-routes", "-i", self.node_id(node), "-r", ",".join(routes))

    # ---- what relays drop

    def relay_full(self, host, *words):
        """Packets, disco apart, that found a client's queue of 32 in the relay full."""
        code, text, _ = host.try_run(["curl", "-sSf", "-m", "10", *words])
        return None if code != 0 else sum(int(n) for n in re.findall(r'derp_packets_dropped{reason="queue_\w+",kind="other"} (\d+)', text))

    # ---- nodes

    def place(self, name, kind="open", **kw):
        return Place(self, name, kind, **kw)

    def stock(self, name, kind="open", version="new", up=(), tag=None, place=None, **kw):
        """place: one that stands already"""
        node = Stock(self, place or self.place(name, kind, **kw), version, tag)
        self.nodes.append(node)
        node.start_daemon()
        node.up(*up)
        return node

    def sluice(self, name="gw", kind="open", up=(), tag="tag:gw", place=None, **kw):
        """kw: of the place, and driver, ports, workers, as the configuration has them"""
        own = {k: kw.pop(k) for k in ("driver", "ports", "workers") if k in kw}
        node = Gateway(self, place or self.place(name, kind, **kw), tag)
        vars(node).update(own)
        self.nodes.append(node)
        node.start()
        node.up(*up)
        return node

    def member(self, name="gw", kind="open", up=(), **kw):
        """What is under test: Sluice, or the stock program where --gateway tailscaled wants to see the tests judged."""
        if self.options.gateway == "sluice":
            return self.sluice(name, kind, up, **kw)
        for ours in ("driver", "ports", "workers"):
            kw.pop(ours, None)
        return self.stock(name, kind, up=up, **{"tag": "tag:gw", **kw})

    def diagnose(self):
        lines = []
        for node in self.nodes:
            if node.process and isinstance(node, Gateway):
                lines.append(f"{node.name}: drops {(node.status() or {}).get('drops')}")
                lines.append(f"log of sluice run on {node.name}:\n" + node.process.tail(25))
            elif node.process:
                lines.append(f"log of {node.name}:\n" + node.process.tail(6))
        return "\n".join(lines)

    def close(self):
        try:
            for node in self.nodes:
                if isinstance(node, Gateway) and node.process and not self.lab.keep:
                    node.process.signal(signal.SIGCONT)
                    node.stop()
        finally:
            self.lab.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None and kind not in (SystemExit, KeyboardInterrupt):
            try:
                print("".join(f"# {line}\n" for line in self.diagnose().splitlines()), end="", file=sys.stderr)
            except Exception:
                pass
        self.close()


if __name__ == "__main__":
    sys.exit("a module for tests; see README.md")
