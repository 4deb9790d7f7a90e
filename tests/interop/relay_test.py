#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stock relays judge the gateway's client of relays: derper and the one inside Headscale, versions in tests/lab/versions.

    rly: lo 127.0.0.1 plain, .2 TLS, .3 TLS without a name, .4 Headscale, .9 nobody; derpprobe's two clients

derpprobe (tests/tool) exchanges numbered packets of all sizes through them, asks for one who is not there, and hears the
other leave.
"""
import json, os, re, signal, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from tap import Tap

NAME = "rly.test"


class Relays:
    def __init__(self, options, site, tap):
        self.site, self.tap, self.host = site, tap, site.host("rly")
        self.probe = lab.find_program("derpprobe", options.tools or options.bin)
        self.derper, self.headscale = (lab.find_program(p, options.peers) for p in ("derper", "headscale"))
        self.tls = f"{site.dir}/tls"
        os.makedirs(self.tls)
        self.ca = f"{self.tls}/{NAME}.crt"
        lab.sh(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3",
                "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", f"{self.tls}/{NAME}.key",
                "-out", self.ca])

    def wait_open(self, address, port):
        lab.wait_for(lambda: f"{address}:{port}" in self.host.run("ss -Hltn"), 10, f"a relay at {address}:{port}")

    def start(self, name, address, port, *words):
        p = self.host.spawn([self.derper, "-a", f"{address}:{port}", "-http-port", "-1", "-stun=false", "-c",
                             f"{self.site.dir}/{name}.json", *words], name)
        self.wait_open(address, port)
        return p

    def start_tls(self):
        return self.start("tls", "127.0.0.2", 8443, "-hostname", NAME, "-certmode", "manual", "-certdir", self.tls)

    def start_headscale(self):
        d = f"{self.site.dir}/hs"
        os.makedirs(d)
        config = {"server_url": f"https://{NAME}", "listen_addr": "127.0.0.4:443", "metrics_listen_addr": "127.0.0.4:9090",
                  "grpc_listen_addr": "127.0.0.4:50443", "tls_cert_path": self.ca, "tls_key_path": f"{self.tls}/{NAME}.key",
                  "noise": {"private_key_path": f"{d}/noise.key"}, "prefixes": {"v4": "100.64.0.0/10"},
                  "database": {"type": "sqlite", "sqlite": {"path": f"{d}/db.sqlite"}}, "unix_socket": f"{d}/hs.sock",
                  "disable_check_updates": True, "log": {"level": "info"},
                  "derp": {"server": {"enabled": True, "region_id": 999, "region_code": "hs", "region_name": "Headscale",
                                      "verify_clients": False, "stun_listen_addr": "127.0.0.4:3478",
                                      "private_key_path": f"{d}/derp.key"},
                           "urls": [], "paths": [], "auto_update_enabled": False},
                  "dns": {"magic_dns": False, "base_domain": "tailnet.test", "override_local_dns": False,
                          "nameservers": {"global": []}}}
        with open(f"{d}/config.yaml", "w") as f:
            json.dump(config, f)  # JSON is YAML
        self.host.spawn([self.headscale, "-c", f"{d}/config.yaml", "serve"], "headscale")
        self.wait_open("127.0.0.4", 443)

    def map(self, *regions):
        """A file with a map: a region is a list of nodes."""
        path = f"{self.site.dir}/map-{len(os.listdir(self.site.dir))}.json"
        with open(path, "w") as f:
            json.dump({"Regions": {str(i): {"RegionID": i, "Nodes": [dict(n, Name=f"{i}-{k}") for k, n in enumerate(nodes)]}
                                   for i, nodes in enumerate(regions, 1)}}, f)
        return path

    def words(self, *options):
        return [self.probe, "--ca", self.ca, *options]

    def run(self, *options, ca=True):
        """Exit status, sums, states."""
        words = self.words(*options) if ca else [self.probe, *options]
        code, out, err = self.host.try_run(words, 60)
        return (code, *self.read(out), err)

    @staticmethod
    def read(out):
        lines = [json.loads(line) for line in out.splitlines()]
        return lines[-1] if lines else {}, [line for line in lines if "state" in line]

    def works(self, what, *options, **kw):
        code, sums, states, err = self.run(*options, **kw)
        self.tap.ok(code == 0 and sums["a"]["received"] == sums["b"]["received"] == 1000, what, f"{sums}\n{states}\n{err}")
        if sums:
            self.tap.note(f"{what}: connected after {sums['connect_ms']} ms, ping {sums['a']['ping_us']} us")
        return sums

    def refused(self, what, why, *options, **kw):
        code, sums, states, err = self.run("--timeout", "2", *options, **kw)
        said = {s["why"] for s in states if s["state"] == "waiting"}
        self.tap.ok(code == 1 and any(re.search(why, s) for s in said), what, f"{said}\n{sums}\n{err}")


def node(address, port=443, name=NAME, **more):
    return {"HostName": name, "IPv4": address, "IPv6": "none", "DERPPort": port, **more}


def check_certificates(r):
    tls = node("127.0.0.2", 8443)
    r.refused("a certificate of an authority that nobody knows is refused", "certificate", r.map([tls]), ca=False)
    r.works("unless the map says that tests are under way", r.map([dict(tls, InsecureForTests=True)]), ca=False)


def check_fingerprint(r):
    p = r.start("ip", "127.0.0.3", 443, "-hostname", "127.0.0.3", "-certmode", "manual", "-certdir", f"{r.tls}/..")
    name = re.search(r"sha256-raw:[0-9a-f]{64}", p.text())[0]
    r.works("a certificate that the map has the fingerprint of",
            r.map([node("127.0.0.3", name="127.0.0.3", CertName=name)]), ca=False)
    other = name[:-1] + ("1" if name[-1] == "0" else "0")
    r.refused("and another than that", "certificate|fingerprint",
              r.map([node("127.0.0.3", name="127.0.0.3", CertName=other)]), ca=False)


def check_flood(r):
    """More data than any relay takes, and disco messages between."""
    code, sums, states, err = r.run("--flood", "2", r.map([node("127.0.0.2", 8443)]))
    b = sums.get("b", {})
    r.tap.ok(code == 0 and b["disco"] >= 50 and b["disco_mean_us"] < 250000, "disco arrives in a flood of data",
             f"{sums}\n{states}\n{err}")
    if b:
        r.tap.note(f"{b['received'] / 2:.0f} packets/s arrived, disco after {b['disco_mean_us']} us in the mean, "
                   f"{b['disco_longest_us']} us at most")


def check_restart(r, relay):
    """The relay dies under traffic and comes back."""
    probe = r.host.spawn(r.words("--seconds", "6", r.map([node("127.0.0.2", 8443)])), "restart", capture=True)
    lab.wait_for(lambda: probe.text().count('"connected"') == 2, 10, "two clients")
    time.sleep(1)
    relay.signal(signal.SIGKILL)
    relay.wait()
    time.sleep(1)
    relay = r.start_tls()
    probe.wait(30)
    sums, states = r.read(probe.text())
    good = all(sums[c]["connects"] == 2 and sums[c]["received"] > 60 for c in "ab")
    r.tap.ok(good and probe.popen.returncode == 0, "after a relay's restart both clients are back",
             f"{sums}\n{states}\n{probe.tail()}")
    return relay


def main():
    options = lab.enter(__doc__)
    tap = Tap()
    with lab.Lab(options, "relay") as site:
        r = Relays(options, site, tap)
        if not r.probe or not r.derper:
            tap.skip("relays", f"{'derper' if r.probe else 'derpprobe'} is not there: scripts/setup, --tools")
            return tap.done()
        r.start("plain", "127.0.0.1", 3340, "-hostname", NAME)
        relay = r.start_tls()
        plain, tls, dead = node("127.0.0.1", 3340), node("127.0.0.2", 8443), node("127.0.0.9", 8443)

        sums = r.works("derper without TLS", "--plain", r.map([plain]))
        tap.ok(sums and not sums["a"]["fast_start"], "the key is waited for there")
        sums = r.works("derper with TLS", r.map([tls]))
        tap.ok(sums and sums["a"]["fast_start"] and sums["b"]["fast_start"], "its certificates tell the key: fast start")
        check_certificates(r)
        check_fingerprint(r)
        r.works("a region whose first node is dead", r.map([dead, dict(dead, STUNOnly=True), tls]))
        if r.headscale:
            r.start_headscale()
            hs = node("127.0.0.4")
            sums = r.works("the relay inside Headscale", r.map([hs]))
            tap.ok(sums and not sums["a"]["fast_start"], "the key is waited for there")
            # derper itself refuses to be asked for under another name.
            r.refused("a certificate with another name is refused", "name|match", r.map([node("127.0.0.4", name="other.test")]))
            r.works("unless the map says that this is its name",
                    r.map([node("127.0.0.4", name="other.test", CertName=NAME)]))
            r.works("two at home in different regions", "--home-a", "1", "--home-b", "2", r.map([tls], [hs]))
        else:
            tap.skip("the relay inside Headscale", "headscale is not there: scripts/setup")
        check_flood(r)
        check_restart(r, relay)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
