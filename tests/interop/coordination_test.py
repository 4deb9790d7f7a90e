#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Headscale judges the gateway's coordination client, version in tests/lab/versions; coordprobe (tests/tool) runs it.

    srv: lo 127.0.0.1:8080 Headscale over http, 127.0.0.2:8443 another over https, certificates of a CA of its own

Joins with a key and by hand, restarts, keys that are wrong in every way, certificates, pings of routers, logout.
"""
import json, os, re, signal, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from tap import Tap

JOINED = "map first=1"


class Server:
    """A Headscale."""

    def __init__(self, test, name, address, port, tls):
        self.test, self.name, self.address, self.port = test, name, address, port
        self.dir = f"{test.site.dir}/{name}"
        self.url = f"{'https' if tls else 'http'}://{address}:{port}"
        os.makedirs(self.dir)
        config = {"server_url": self.url, "listen_addr": f"{address}:{port}", "metrics_listen_addr": f"{address}:9090",
                  "grpc_listen_addr": f"{address}:50443", "noise": {"private_key_path": f"{self.dir}/noise.key"},
                  "prefixes": {"v4": "100.64.0.0/10"}, "unix_socket": f"{self.dir}/hs.sock", "disable_check_updates": True,
                  "database": {"type": "sqlite", "sqlite": {"path": f"{self.dir}/db.sqlite"}}, "log": {"level": "info"},
                  "derp": {"server": {"enabled": False}, "urls": [], "paths": [f"{self.dir}/derp.yaml"],
                           "auto_update_enabled": False},
                  "dns": {"magic_dns": False, "base_domain": "tailnet.test", "override_local_dns": False,
                          "nameservers": {"global": []}}}
        if tls:
            config.update(tls_cert_path=f"{test.tls}/srv.crt", tls_key_path=f"{test.tls}/srv.key")
        with open(f"{self.dir}/derp.yaml", "w") as f:
            f.write("regions: {1: {regionid: 1, regioncode: x, regionname: x, nodes: [{name: 1a, regionid: 1, hostname: x.test}]}}\n")
        with open(f"{self.dir}/config.yaml", "w") as f:
            json.dump(config, f)  # JSON is YAML
        self.start()
        self.run("users", "create", "lab")
        self.key = self.new_key("--reusable")

    def start(self):
        self.process = self.test.host.spawn([self.test.headscale, "-c", f"{self.dir}/config.yaml", "serve"], self.name)
        lab.wait_for(lambda: f"{self.address}:{self.port}" in self.test.host.run("ss -Hltn"), 20, f"headscale at {self.url}")
        lab.wait_for(lambda: self.try_run("users", "list")[0] == 0, 20, "headscale's socket")

    def try_run(self, *words):
        return self.test.host.try_run([self.test.headscale, "-c", f"{self.dir}/config.yaml", *words])

    def run(self, *words):
        code, out, err = self.try_run(*words, "-o", "json")
        if code != 0:
            raise lab.LabError(f"headscale {' '.join(words)}: {out}{err}")
        return json.loads(out) if out.strip()[:1] in ("{", "[") else out

    def new_key(self, *options):
        return self.run("preauthkeys", "create", "-u", "1", *options)["key"]

    def restart(self):
        self.process.signal(signal.SIGKILL)
        self.process.wait()
        self.start()


class Test:
    def __init__(self, options, site, tap):
        self.site, self.tap, self.host = site, tap, site.host("srv")
        self.probe = lab.find_program("coordprobe", options.tools or options.bin)
        self.headscale = lab.find_program("headscale", options.peers)
        self.tls = f"{site.dir}/tls"
        self.ca = f"{self.tls}/ca.crt"
        self.number = 0

    def certificates(self):
        os.makedirs(self.tls)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        lab.sh(["openssl", "req", "-x509", *key, "-days", "3", "-subj", "/CN=CA", "-keyout", f"{self.tls}/ca.key", "-out",
                self.ca])
        lab.sh(["openssl", "req", *key, "-subj", "/CN=srv", "-keyout", f"{self.tls}/srv.key", "-out", f"{self.tls}/srv.csr"])
        with open(f"{self.tls}/ext", "w") as f:
            f.write("subjectAltName=IP:127.0.0.2\n")
        lab.sh(["openssl", "x509", "-req", "-in", f"{self.tls}/srv.csr", "-CA", self.ca, "-CAkey", f"{self.tls}/ca.key",
                "-CAcreateserial", "-days", "3", "-out", f"{self.tls}/srv.crt", "-extfile", f"{self.tls}/ext"])

    def state(self):
        self.number += 1
        return f"{self.site.dir}/state{self.number}"

    def words(self, server, *options, key=True, ca=True):
        return [self.probe, "--server", server.url, *(["--auth-key", server.key] if key else []),
                *(["--ca", self.ca] if ca else []), *options]

    def run(self, server, *options, **kw):
        """Exit status, output."""
        code, out, err = self.host.try_run(self.words(server, *options, **kw), 90)
        return code, out + err

    def joins(self, what, server, *options, **kw):
        code, out = self.run(server, "--seconds", "10", "--until", JOINED, *options, **kw)
        self.tap.ok(code == 0, what, out)
        return out

    def fails(self, what, server, said, *options, **kw):
        code, out = self.run(server, "--seconds", "10", "--until", "failure", *options, **kw)
        self.tap.ok(code == 0 and re.search(said, out), what, out)


def check_keys(t, hs):
    once = hs.new_key()
    expired = hs.new_key("--expiration", "1s")
    state = t.state()
    t.joins("a key that may be used once", hs, "--auth-key", once, "--state", state, key=False)
    t.fails("not twice", hs, r"refuses this node \| authkey already used \| make a new", "--auth-key", once, key=False)
    t.joins("but a restart with it is none", hs, "--auth-key", once, "--state", state, key=False)
    t.joins("nor one without", hs, "--state", state, key=False)
    time.sleep(1)
    t.fails("an expired key", hs, r"\| authkey expired \|", "--auth-key", expired, key=False)
    t.fails("a key that is none", hs, r"\| invalid pre auth key \| check that the auth key", "--auth-key", "garbage", key=False)
    t.fails("a key cut short", hs, r"\| check that the auth key", "--auth-key", hs.key[:30], key=False)
    out = t.joins("another server key than the one that was remembered", hs, "--server-key", "ab" * 32)
    t.tap.ok("no secure connection" in out, "which is told, and asked for again", out)


def check_certificates(t, https, http):
    t.joins("https, with --ca-file", https)
    t.fails("https, without", https, r"by no authority known here .* --ca-file", ca=False)
    https.url, right = https.url.replace("127.0.0.2", "127.0.0.3"), https.url
    t.fails("nobody there", https, r"cannot reach .* Connection refused")
    https.url = right.replace("https", "http")
    t.fails("http in place of https", https, r"HTTP request to an HTTPS server")
    https.url = right
    http.url, right = http.url.replace("http", "https"), http.url
    t.fails("https in place of http", http, r"does not speak TLS")
    http.url = right


def check_login(t, hs):
    """By hand."""
    probe = t.host.spawn(t.words(hs, "--seconds", "20", "--until", JOINED, "--logout", key=False), "login", capture=True)
    lab.wait_for(lambda: "/register/" in probe.text(), 10, "the URL")
    ident = re.search(r"/register/(\S+)", probe.text())[1]
    hs.run("auth", "register", "--auth-id", ident, "--user", "lab")
    probe.wait(30)
    t.tap.ok(JOINED in probe.text() and "server knows=1" in probe.text(), "a login that somebody opens, and logout",
             probe.text())
    code, out = t.run(hs, "--seconds", "10", "--maps", "3", "--relogin")
    keys = re.findall(r"self key=(\S+)", out)
    names = set(re.findall(r"self=(coordprobe\S*)", out))
    t.tap.ok(len(set(keys)) == 2 and len(names) == 1, "a new node key: another key, the same node", out)


def check_restarts(t, hs, times):
    probe = t.host.spawn(t.words(hs, "--seconds", "120", "--until", "never"), "restarts", capture=True)
    lab.wait_for(lambda: JOINED in probe.text(), 15, "the first map")
    slowest = 0
    for n in range(times):
        hs.restart()
        began = time.monotonic()
        lab.wait_for(lambda n=n: probe.text().count(JOINED) == n + 2, 15, f"the map after restart {n + 1}")
        slowest = max(slowest, time.monotonic() - began)
    t.tap.ok(probe.text().count("phase registering") == 1, f"{times} restarts, {times} maps, one registration", probe.text())
    t.tap.note(f"a restarted server's map comes after {slowest:.1f} s at the latest")
    probe.signal(signal.SIGKILL)
    probe.wait()


def check_pings(t, hs):
    """Two routers with one route: Headscale pings them every 10 s."""
    options = ["--seconds", "40", "--route", "10.50.0.0/24"]
    routers = [t.host.spawn(t.words(hs, *options, "--hostname", f"router{i}", *more), f"router{i}", capture=True)
               for i, more in enumerate(([], ["--dead"]))]
    lab.wait_for(lambda: all(JOINED in r.text() for r in routers), 15, "two routers")
    ids = {n["given_name"]: n["id"] for n in hs.run("nodes", "list")}
    for name in ("router0", "router1"):
        hs.run("nodes", "approve-routes", "-i", str(ids[name]), "-r", "10.50.0.0/24")
    for r in routers:
        r.wait(60)
    silent = set(re.findall(r"did not respond\S* node\.id=(\d+)", re.sub(r"\x1b\[[0-9;]*m", "", hs.process.tail(4000))))
    t.tap.ok(all("pinged" in r.text() for r in routers), "routers are pinged", routers[0].text())
    t.tap.equal(silent, {str(ids["router1"])}, "who answers is alive, who moves no packets is not")


def main():
    options = lab.enter(__doc__)
    tap = Tap()
    with lab.Lab(options, "coordination") as site:
        t = Test(options, site, tap)
        if not t.probe or not t.headscale:
            tap.skip("coordination", f"{'headscale' if t.probe else 'coordprobe'} is not there: scripts/setup, --tools")
            return tap.done()
        t.certificates()
        http = Server(t, "http", "127.0.0.1", 8080, False)
        https = Server(t, "https", "127.0.0.2", 8443, True)
        out = t.joins("http", http)
        tap.note(out.split("facts")[0])
        check_keys(t, http)
        check_certificates(t, https, http)
        check_login(t, http)
        check_restarts(t, https, 10 if options.long else 3)
        check_pings(t, http)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
