#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A changed configuration is applied under traffic; what did not change does not notice.

    lan --- gw --- wan --- peer1 (untouched, under traffic)
                    '----- peer2 ... peer4 (come, go and change)      (addresses: tests/lab/lab.py)

Then every kind of bad configuration: an error that names file, line and column, and the running configuration stays.
"""
import os, re, signal, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from tap import Tap


class Untouched:
    """Traffic of the peer that nobody changes, judged at the end."""

    def __init__(self, tap, site, p, rate=1000):
        self.tap, self.site, self.p = tap, site, p
        self.handshake = p.handshake()
        self.pids = site.gateway.pids()
        self.traffic = lab.peer_lan_traffic(site, p, rate=rate, flows=4, name="untouched ")

    def judge(self, what):
        results = self.traffic.stop()
        for r in results:
            self.tap.note(r)
        self.tap.ok(all(r.is_perfect() for r in results), f"{what}: the untouched peer lost 0, doubled 0, reordered 0",
                    "\n".join(map(str, results)) + "\n" + self.site.diagnose())
        self.tap.equal(self.p.handshake(), self.handshake, f"{what}: its session is the same")
        self.tap.equal(self.site.gateway.pids(), self.pids, f"{what}: no process was replaced")


def reaches(site, p, seconds=10):
    try:
        (p.host.ping_until(lab.LAN_HOST[0], seconds) if p.knows_gateway else site.lan.ping_until(p.inner[0], seconds))
    except lab.LabError:
        return False
    return all(p.host.ping(a, 2) == 2 for a in lab.LAN_HOST) and all(site.lan.ping(a, 2) == 2 for a in p.inner)


def is_cut_off(site, p):
    return all(site.lan.ping(a, 2, wait=2) == 0 for a in p.inner) and p.host.ping(lab.LAN_HOST[0], 2, wait=2) == 0


def apply(tap, gw, what, peers=None):
    gw.write_config(peers)
    code, out, err = gw.reload()
    return tap.ok(code == 0, f"{what}: sluice reload says yes", f"status {code}\n{out}{err}\n{gw.process.tail()}")


def routes(site):
    return site.gw.run("ip route show table all") + site.gw.run("ip -6 route show table all")


def changes(tap, site):
    gw, (a, b, c, d) = site.gateway, site.peers
    untouched = Untouched(tap, site, a)
    recorder = site.record()
    time.sleep(0.5)

    apply(tap, gw, "a peer more", [a, b, c])
    c.start()
    tap.ok(reaches(site, c), "a peer that was added is reached", site.diagnose())

    apply(tap, gw, "a peer less", [a, c])
    tap.ok(is_cut_off(site, b), "a peer that was removed is cut off")
    apply(tap, gw, "the peer again", [a, b, c])
    tap.ok(reaches(site, b, 20), "the peer is reached again", site.diagnose())

    # Inside the gateway's own prefix, so that nothing is sent to anybody else while no peer has it.
    c.allowed.append("10.99.50.0/24")
    for host, address in ((c.host, "10.99.50.1"), (b.host, "10.99.50.129")):
        host.ip(f"addr add {address}/32 dev lo")
    tap.ok(site.lan.ping("10.99.50.1", 2, wait=2) == 0, "a prefix nobody was given is not reached")
    session = c.handshake()
    apply(tap, gw, "a prefix more", [a, b, c])
    tap.ok(site.lan.ping("10.99.50.1") == 3, "a prefix that was added is reached", routes(site))
    tap.equal(c.handshake(), session, "in the session that was there")
    b.allowed.append("10.99.50.128/25")
    apply(tap, gw, "a prefix inside another peer's", [a, b, c])
    tap.ok(site.lan.ping("10.99.50.129") == 3 and site.lan.ping("10.99.50.1") == 3, "the longest prefix wins")
    c.allowed = c.allowed[:2]
    b.allowed = b.allowed[:2]
    apply(tap, gw, "the prefixes are gone", [a, b, c])
    tap.ok("10.99.50." not in routes(site) and site.lan.ping("10.99.50.1", 2, wait=2) == 0, "and so are their routes",
           routes(site))

    c.psk = lab.new_psk()
    apply(tap, gw, "a peer gets a preshared key", [a, b, c])
    lab.write_secret(f"{site.lab.dir}/c.psk", c.psk)
    if c.kind == "boringtun":  # which cannot change a peer that it has
        c.wg.set("peer", gw.public, "remove")
    c.wg.set("peer", gw.public, "preshared-key", f"{site.lab.dir}/c.psk", "endpoint", lab.endpoint(lab.GW_OUTER[0]),
             "allowed-ips", ",".join((*lab.INNER, *lab.LAN)))
    tap.ok(reaches(site, c, 20), "it is reached with the key", site.diagnose())

    # By signal: no answer, so one waits for the effect.
    d.start()
    gw.write_config([a, b, c, d])
    gw.process.signal(signal.SIGHUP)
    tap.ok(reaches(site, d, 20), "SIGHUP: a peer whose endpoint is configured is reached from the LAN first", site.diagnose())
    gw.write_config([a, b, c])
    gw.process.signal(signal.SIGHUP)
    time.sleep(1)
    tap.ok(is_cut_off(site, d), "SIGHUP: it is gone again")

    order = [c, a, b]
    apply(tap, gw, "the same peers in another order", order)
    apply(tap, gw, "nothing changed", order)
    untouched.judge("under all these changes")
    recording = recorder.stop()
    tap.note(recording)
    tap.ok(recording.complete and not recording.clear and not recording.nonce_reused,
           "meanwhile nothing left in clear, no nonce was used twice", recording)


def device(tap, site):
    """What belongs to the host port: address and MTU."""
    gw, a = site.gateway, site.peers[0]
    gw.mtu = 1380
    if apply(tap, gw, "another MTU", site.peers[:3]):
        link = site.gw.run(f"ip link show {gw.device}")
        tap.ok("mtu 1380" in link, "the host port has the new MTU", link)
    gw.mtu = None
    apply(tap, gw, "the old MTU", site.peers[:3])
    old = gw.yaml
    gw.yaml = lambda peers=None: old(peers).replace(f'"{lab.GW_INNER[1]}/64"]', f'"{lab.GW_INNER[1]}/64", 10.98.0.1/24]')
    if apply(tap, gw, "another address", site.peers[:3]):
        addresses = site.gw.run(f"ip addr show {gw.device}")
        tap.ok("10.98.0.1" in addresses and lab.GW_INNER[0] in addresses, "the host port has it beside the old", addresses)
    gw.yaml = old
    apply(tap, gw, "the address is gone", site.peers[:3])
    tap.ok("10.98.0.1" not in site.gw.run(f"ip addr show {gw.device}"), "from the host port too")
    tap.ok(reaches(site, a), "the peers work")


def bad_configurations(gw, site):
    """(what, file's text, a word that the error has to contain)"""
    good = gw.yaml(site.peers[:3])
    key = f"{gw.dir}/keys/gateway.key"
    readable = f"{gw.dir}/keys/readable.key"
    with open(readable, "w") as f:
        f.write(lab.new_key() + "\n")
    os.chmod(readable, 0o644)
    short = lab.write_secret(f"{gw.dir}/keys/short.key", "c2hvcnQ=")
    b = site.peers[1]
    replace = good.replace
    yield "an unknown key", replace("listen_port:", "listenport:"), "listenport"
    yield "an unknown key in a peer", replace("      allowed_ips:", "      colour: red\n      allowed_ips:", 1), "colour"
    yield "the same prefix at two peers", replace(f'"{b.inner[0]}/32"', f'"{site.peers[0].inner[0]}/32"'), "10.99.1.2"
    yield "the same public key twice", replace(b.public, site.peers[0].public), ""
    yield "the gateway's own key as a peer's", replace(b.public, gw.public), ""
    yield "a public key that is too short", replace(b.public, b.public[:-6]), ""
    yield "a key file that is not there", replace(key, key + ".gone"), "gateway.key.gone"
    yield "a key file that others can read", replace(key, readable), "readable.key"
    yield "a key file with a short key", replace(key, short), "short.key"
    yield "a port out of range", replace("listen_port: 51820", "listen_port: 70000"), "70000"
    yield "an address that is none", replace("10.99.0.1/16", "10.99.0.300/16"), "10.99.0.300"
    yield "a prefix length out of range", replace(f"{b.inner[0]}/32", f"{b.inner[0]}/33"), "/33"
    yield "a prefix with host bits", replace(f"{b.inner[0]}/32", "10.7.0.1/16"), ""
    yield "YAML that does not parse", good + "  - ]: [\n", ""
    yield "a tab as indentation", replace("  listen_port", "\tlisten_port"), ""
    yield "an empty file", "", ""
    yield "another version", replace("version: 1", "version: 2"), "version"
    yield "no private key", re.sub(r"  private_key_file:.*\n", "", good), "private_key_file"
    yield "an unknown driver", replace("  workers: auto", "  workers: auto\n  driver: magic"), "magic"


def refusals(tap, site):
    gw = site.gateway
    gw.write_config(site.peers[:3])
    code, out, err = gw.reload()
    tap.ok(code == 0, "the good configuration is applied", err)
    untouched = Untouched(tap, site, site.peers[0], 500)
    before = {p["name"] for p in gw.status()["peers"]}
    others = os.path.join(site.lab.dir, "bad.yaml")
    for what, text, word in bad_configurations(gw, site):
        with open(gw.config, "w") as f:
            f.write(text)
        code, out, err = gw.reload()
        said = out + err
        # "a prefix with host bits" may be accepted with the bits cleared; then reload and check must agree on it.
        with open(others, "w") as f:
            f.write(text)
        check_code, check_out, check_err = site.gw.try_run([gw.program, "check", others])
        if what == "a prefix with host bits" and code == 0 and check_code == 0:
            tap.ok(True, "a prefix with host bits is accepted by reload and check alike")
            gw.write_config(site.peers[:3])
            gw.reload()
            continue
        tap.ok(code == 1 and word in said, f"{what}: reload refuses it, and says what", f"status {code}\n{said}")
        tap.ok(check_code == 1 and re.search(r"bad\.yaml:\d+:\d+: ", check_out + check_err) and word in check_out + check_err,
               f"{what}: check says file:line:column", f"status {check_code}\n{check_out}{check_err}")
    with open(gw.config, "w") as f:
        f.write("version: nonsense\n")
    gw.process.signal(signal.SIGHUP)
    time.sleep(1)
    tap.ok(gw.process.alive(), "SIGHUP with a bad configuration: sluice run stays")
    tap.equal({p["name"] for p in gw.status()["peers"]}, before, "the running configuration stays")
    untouched.judge("under all these refusals")
    gw.write_config(site.peers[:3])
    code, out, err = gw.reload()
    tap.ok(code == 0, "a good configuration is accepted afterwards", err)


def main():
    options = lab.enter(__doc__)
    tap = Tap()
    there = [k for k, path in lab.Programs(options).peers.items() if path]
    with lab.Site(options, "reload") as site:
        gw = site.gateway
        for i in range(3):
            site.peer(there[i % len(there)])
        d = site.peer(there[0], knows_gateway=False, known=True)
        everyone, site.peers = site.peers, site.peers[:2]
        gw.start()
        for p in site.peers:
            p.start()
            p.host.ping_until(lab.LAN_HOST[0], 10)
        site.peers = everyone
        for name, part in (("changes", changes), ("device", device), ("refusals", refusals)):
            if not lab.wanted(options, name):
                continue
            try:
                part(tap, site)
            except Exception:
                tap.broken(f"{name} runs to its end")
                tap.note(site.diagnose())
        d.stop()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
