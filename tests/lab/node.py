# SPDX-License-Identifier: BSD-3-Clause
"""Members of a tailnet: stock tailscaled, and Sluice.  What they have in common is `Node`: who can be fetched from and pinged."""
import json, os, re, signal, sys, time

import lab
from lab import LabError, wait_for

LOGIN = "https://ctl.lab.test"
VERSIONS = {"new": "", "old": "-oldest"}  # what the programs' names end in, see `versions`

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
        self.host.has_zero_sum_fault = True
        self.host.has_stock_tunnel(self.device)
        self.host.sends_drop.append(lab.Drops(f"queue of {self.name} for its relay", self.relay_full))

    def cpu(self):
        return self.process.cpu()

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

    def relay_full(self):
        """Packets that found its queue of 32 for the connection to a relay full."""
        code, out, _ = self.ts("debug", "metrics")
        if code != 0:
            return None
        return sum(int(n) for n in re.findall(r"(?m)^magicsock_send_derp_(?:dropped|error_queue) (\d+)", out))

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
        self.workers, self.driver, self.ports, self.extra = "auto", getattr(net.options, "driver", "auto"), [], ""

    def yaml(self, peers=None):
        return "\n".join(["version: 1", *self.dataplane_yaml()]) + "\n" + self.extra

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


if __name__ == "__main__":
    sys.exit("a module for tests; see README.md")
