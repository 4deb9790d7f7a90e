# SPDX-License-Identifier: BSD-3-Clause
"""Tailnets made of network namespaces: Headscale, relays, stock tailscaled nodes and Sluice, each behind the NAT it is given.

                  ctl 198.18.0.2, 2001:db8:0::2    Headscale with a relay and STUN ("lab", region 999), https, the lab's CA
    wan (router) --- rly 198.18.1.2, 2001:db8:1::2    a second relay and STUN ("wan", 998), so that nodes see mappings vary
                  open   N: host 198.18.N.2, 2001:db8:N::2
                  others N: router 198.18.N.2 --- host 10.1.N.2 (v6, where asked for: 2001:db8:10NN::2, routed and guarded)

Kinds of places: `open`; `cone`: every inner port keeps one outer port (endpoint-independent mapping), only who was written
to may answer; `symmetric`: a new random outer port for each destination; `blocked`: no UDP passes.

    with tailnet.Tailnet(options, "name") as net:
        a = net.stock("a", "cone")            # a running tailscaled that has joined
        g = net.sluice("gw", "open")          # the same, Sluice
        a.ping_direct(g)
"""
import json, os, re, shutil, signal, sys, time

import lab
from lab import LabError, wait_for

LOGIN = "https://ctl.lab.test"
REGIONS = ("lab", "wan")
KINDS = ("open", "cone", "symmetric", "blocked")
VERSIONS = {"new": "", "old": "-oldest"}  # what the programs' names end in, see `versions`
PROGRAMS = ("headscale", "derper", "tailscale", "tailscaled")
ALLOW_ALL = {"tagOwners": {"tag:gw": ["lab@"], "tag:guest": ["lab@"]},
             "acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}
# miniupnpd maps nothing on an outer address that the registries reserve, as 198.18 is; this one was for tests of radio
# amateurs, and leaves no namespace.
MAPPED_NET = "44.128"


def missing_programs(options, versions=("new", "old")):
    """Names of what is not installed and everything here needs."""
    names = ["headscale", "derper"] + [p + VERSIONS[v] for v in versions for p in ("tailscale", "tailscaled")]
    found = [n for n in names if not lab.find_program(n, options.peers)]
    return found + [n for n in ("nft", "openssl") if not lab.find_program(n, "/usr/sbin") and not shutil.which(n)]


class Place:
    """A host with its way to wan."""

    def __init__(self, net, name, kind="open", v6=None, portmap=False):
        """v6: None: where there is no NAT.  portmap: a real miniupnpd on the router; "upnp": UPnP only."""
        self.net, self.name, self.kind, self.portmap = net, name, kind, portmap
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
        net.lab.link(host, "eth0", [f"{self.outer}/24", *v6[0]], net.wan, f"to-{self.name}", [f"{self.gateway}/24", *v6[1]])
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
        net.lab.link(self.host, "eth0", [f"10.1.{n}.2/24", *v6[0]], self.router, "inside", [f"10.1.{n}.1/24", *v6[1]])
        self.host.ip(f"route add default via 10.1.{n}.1")
        if self.v6:
            self.host.ip(f"-6 route add default via {inner}1")
            net.wan.ip(f"-6 route add {inner}/64 via 2001:db8:{n:x}::2")
        self.rules()
        if self.portmap:
            self.start_miniupnpd()

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


WEB = """
import http.server, socket, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        size = int(self.path[1:] or 0)
        text = b"x" * size if size else f"{sys.argv[1]} saw {self.client_address[0].removeprefix('::ffff:')}\\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
Server(("::", int(sys.argv[2])), Answer).serve_forever()
"""


class Node:
    """What a stock node and Sluice have in common."""

    def __init__(self, net, place):
        self.net, self.place, self.host, self.name = net, place, place.host, place.name
        self.addresses = ()

    def learn_addresses(self):
        """(v4, v6) as the coordination server gave them."""
        self.addresses = tuple(wait_for(lambda: self.net.addresses_of(self.name), 10, f"addresses of {self.name}"))
        return self.addresses

    @property
    def ip4(self):
        return self.addresses[0]

    @property
    def ip6(self):
        return self.addresses[1]

    def serve(self, port=80):
        """A web server that says who asked, on all addresses."""
        process = self.host.spawn([sys.executable, "-c", WEB, self.name, str(port)], "web")
        wait_for(lambda: self.host.try_run(f"curl -s -m 1 http://127.0.0.1:{port}/")[0] == 0, 10, f"web server of {self.name}")
        return process

    def fetch(self, to, port=80, seconds=5, family=4):
        """What the web server there says; None for no answer."""
        address = to if isinstance(to, str) else to.ip4 if family == 4 else f"[{to.ip6}]"
        code, out, _ = self.host.try_run(f"curl -s -m {seconds} http://{address}:{port}/", seconds + 5)
        return out.strip() if code == 0 else None

    def ping_direct(self, to, seconds=30):
        """The first direct pong, or None."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for pong in self.ping(to, count=3, timeout=2, until_direct=True):
                if pong.direct:
                    return pong
            time.sleep(0.3)
        return None

    def reaches(self, to, port=80, seconds=5):
        """By both families."""
        return all((self.fetch(to, port, seconds, family) or "").startswith(f"{to.name} saw ") for family in (4, 6))


PONG = re.compile(r"pong from (\S+) \(([^)]*)\) via (\S+) in ([\d.]+)(ms|s|µs)")


class Pong:
    """A line of `tailscale ping`."""

    def __init__(self, match):
        self.name, self.address, self.via = match[1], match[2], match[3]
        self.relay = self.via[5:-1] if self.via.startswith("DERP(") else None
        self.ms = float(match[4]) * {"ms": 1, "s": 1000, "µs": 0.001}[match[5]]

    @property
    def direct(self):
        return self.relay is None

    @property
    def family(self):
        return 6 if self.via.startswith("[") else 4

    def __repr__(self):
        return f"{self.name} via {self.via} in {self.ms:g} ms"


class Stock(Node):
    """A stock tailscaled."""

    device = "tailscale0"
    is_sluice = False

    def __init__(self, net, place, version="new", tag=None, key=None):
        super().__init__(net, place)
        self.version, self.tag, self.key = version, tag, key
        self.dir = f"{net.lab.dir}/{self.name}.d"
        self.socket = f"{self.dir}/tailscaled.sock"
        os.makedirs(self.dir, mode=0o700, exist_ok=True)
        self.program, self.daemon = (net.program(p + VERSIONS[version]) for p in ("tailscale", "tailscaled"))
        self.process = None
        # Its sockets may be full where one process does everything, and it gives up IPv6 packets whose checksum is 0.
        self.host.has_stock_wireguard = self.host.has_zero_sum_fault = True

    def start_daemon(self):
        env = dict(os.environ, SSL_CERT_FILE=f"{self.net.tls}/ca.crt", SSL_CERT_DIR="/nonexistent",
                   TS_DEBUG_FIREWALL_MODE="nftables", DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nonexistent", **self.net.stock_env)
        self.process = self.net.spawn(self.host, [self.daemon, "--no-logs-no-support", f"--statedir={self.dir}",
                                      f"--socket={self.socket}", "--tun=tailscale0", "--port=41641"], "tailscaled", env=env)
        wait_for(lambda: os.path.exists(self.socket) or not self.process.alive(), 15, f"tailscaled on {self.name}")

    def up(self, *more, timeout=40):
        words = ["up", f"--login-server={LOGIN}", f"--auth-key={self.key or self.net.auth_key(self.tag)}",
                 f"--hostname={self.name}", "--accept-dns=false", f"--timeout={timeout}s", *more]
        code, out, err = self.ts(*words, timeout=timeout + 10)
        if code != 0:
            raise LabError(f"tailscale up on {self.name}: {out}{err}\n{self.process.tail(5)}")
        return self.learn_addresses()

    def ts(self, *words, timeout=60):
        """(exit status, stdout, stderr) of the stock command line."""
        return self.host.try_run([self.program, f"--socket={self.socket}", *words], timeout)

    def restart(self):
        """It comes back by itself, with what is in its folder."""
        self.process.stop()
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.start_daemon()

    def stop(self):
        self.process.stop()

    def kill(self):
        self.process.signal(signal.SIGKILL)
        self.process.popen.wait()

    def set(self, *words):
        code, out, err = self.ts("set", *words)
        if code != 0:
            raise LabError(f"tailscale set on {self.name}: {out}{err}")

    def state(self):
        return (self.status() or {}).get("BackendState")

    def status(self):
        return json.loads(self.ts("status", "--json")[1] or "null")

    def peer(self, other):
        """What this node's status says of another node; None where it does not know it."""
        for p in ((self.status() or {}).get("Peer") or {}).values():
            if p["HostName"] == other.name or p["DNSName"].split(".")[0] == other.name:
                return p
        return None

    def ping(self, to, *options, count=1, timeout=3, until_direct=False):
        """The pongs of `tailscale ping`."""
        address = to.ip4 if isinstance(to, Node) else to
        code, out, err = self.ts("ping", f"--c={count}", f"--timeout={timeout}s",
                                 f"--until-direct={'true' if until_direct else 'false'}", *options, address,
                                 timeout=count * (timeout + 2) + 20)
        self.said = out + err
        return [Pong(m) for m in PONG.finditer(out)]

    def path_to(self, other):
        """("direct", address) or ("relay", region), as its status has it."""
        p = self.peer(other) or {}
        return ("direct", p["CurAddr"]) if p.get("CurAddr") else ("relay", p.get("Relay"))


class Gateway(lab.Sluice, Node):
    """Sluice as a member, its daemons run by `sluice run` and joined by `sluice up`."""

    is_sluice = True

    def __init__(self, net, place, tag="tag:gw", key=None):
        Node.__init__(self, net, place)
        self.tag, self.key = tag, key
        self.lab, self.site, self.program = net.lab, net, net.lab.programs.sluice
        if self.program is None:
            raise LabError("no sluice found: give --bin DIR or SLUICE_BIN")
        self.dir = f"{net.lab.dir}/{self.name}.d"
        os.makedirs(self.dir, mode=0o700)
        self.config, self.run_dir, self.state_dir = (f"{self.dir}/{n}" for n in ("sluice.yaml", "run", "state"))
        self.process, self.began, self.said = None, 0.0, ""
        self.extra = ""

    def yaml(self, peers=None):
        return "version: 1\n" + self.extra

    def start_again(self, wait=True, seconds=20):
        self.began = time.monotonic()
        words = self.words("run", "--config", self.config, "--state-dir", self.state_dir)
        self.process = self.net.spawn(self.host, words, "sluice")
        if wait:
            wait_for(lambda: self.is_ready() or not self.process.alive(), seconds,
                     lambda: f"sluice run to be ready:\n{self.process.tail()}")
            if not self.process.alive():
                raise LabError(f"sluice run ended with {self.process.popen.returncode}:\n{self.process.tail()}")

    def is_ready(self):
        return all(self.pids().get(r) for r in self.roles) and self.status() is not None

    def up(self, *more, timeout=40):
        words = ["up", "--login-server", LOGIN, "--auth-key", self.key or self.net.auth_key(self.tag), "--ca-file",
                 f"{self.net.tls}/ca.crt", "--hostname", self.name, "--timeout", f"{timeout}s", *more]
        code, out, err = self.net.enter(self.host, self.words(*words), timeout + 10)
        self.said = out + err
        if code != 0:
            raise LabError(f"sluice up: status {code}: {out}{err}\n{self.process.tail()}")
        return self.learn_addresses()

    def restart(self):
        """It comes back by itself, with what is in its folder."""
        self.stop()
        self.start_again()

    def set(self, *words):
        code, out, err = self.command("set", *words)
        if code != 0:
            raise LabError(f"sluice set: {out}{err}")

    def ping(self, to, *options, count=1, timeout=3, until_direct=False):
        """The pongs of `sluice ping`."""
        address = to.ip4 if isinstance(to, Node) else to
        _, out, err = self.command("ping", f"--c={count}", f"--timeout={timeout}s",
                                   f"--until-direct={'true' if until_direct else 'false'}", *options, address,
                                   timeout=count * (timeout + 2) + 20)
        self.said = out + err
        return [Pong(m) for m in PONG.finditer(out)]

    def state(self):
        return self.tailnet().get("state")

    def tailnet(self):
        return (self.status() or {}).get("tailnet") or {}

    def peer(self, other):
        for p in self.tailnet().get("peers") or []:
            if other.ip4 in p.get("addresses", []) or p.get("host_name") == other.name:
                return p
        return None

    def path_to(self, other):
        path = (self.peer(other) or {}).get("path") or {}
        kind = path.get("kind")
        return (kind, path.get("endpoint") if kind == "direct" else path.get("region_code"))


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

    # ---- nodes

    def place(self, name, kind="open", **kw):
        return Place(self, name, kind, **kw)

    def stock(self, name, kind="open", version="new", up=(), tag=None, **kw):
        node = Stock(self, self.place(name, kind, **kw), version, tag)
        self.nodes.append(node)
        node.start_daemon()
        node.up(*up)
        return node

    def sluice(self, name="gw", kind="open", up=(), tag="tag:gw", **kw):
        node = Gateway(self, self.place(name, kind, **kw), tag)
        self.nodes.append(node)
        node.start()
        node.up(*up)
        return node

    def member(self, name="gw", kind="open", up=(), **kw):
        """What is under test: Sluice, or the stock program where --gateway tailscaled wants to see the tests judged."""
        if self.options.gateway == "sluice":
            return self.sluice(name, kind, up, **kw)
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
