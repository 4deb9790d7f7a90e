#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""sluice-bench generate and sink against every WireGuard: Sluice, wireguard-go and boringtun in the gateway's place.

    lan (clear end) --- gw (the device) --- wan --- bench (tunnel end)

    each         both directions and families through each device at a low rate, encrypted ahead and not: all arrives
    ways         who begins the handshake, preshared key, many peers at once, both directions at once
    apart        generate and sink as two programs, in two namespaces
    errors       wrong keys, nobody there, no such namespace, interrupted: said in three parts, and what came is kept
"""
import json, os, re, signal, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from tap import Tap

KINDS = ("sluice", "wireguard-go", "boringtun")
RATE = 2000


class BenchPeer:
    """What a gateway needs to know of a peer that sluice-bench plays."""

    known = knows_gateway = False
    gateway_keepalive = 0

    def __init__(self, name, public, allowed, psk=None, endpoint=None):
        self.name, self.public, self.allowed, self.psk, self.place = name, public, allowed, psk, endpoint
        self.known = endpoint is not None

    def endpoint(self):
        return self.place

    def start(self):
        pass


class Place:
    """A site with one device, and the bench's two ends at their hosts."""

    def __init__(self, options, kind, psk=False, listen=None, peers=1, keepalive=0):
        options.gateway = kind
        self.options, self.kind = options, kind
        self.program = lab.find_program("sluice-bench", options.tools) or lab.find_program("sluice-bench", options.bin)
        if self.program is None:
            raise lab.LabError("no sluice-bench found: give --tools DIR")
        self.site = lab.Site(options, f"bench-{kind}")
        self.host = self.site.add_peer_host("bench", 9)
        self.dir = self.site.lab.dir
        self.key = lab.write_secret(f"{self.dir}/bench.key", lab.new_key())
        self.psk = lab.new_psk() if psk else None
        self.listen = listen
        self.peers = peers
        for i, (public, allowed) in enumerate(self.print_peers()):
            place = lab.endpoint("198.18.9.2", listen) if listen else None
            p = BenchPeer(f"bench{i + 1}", public, allowed, self.psk, place)
            p.gateway_keepalive = keepalive
            self.site.peers.append(p)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        return self.site.__exit__(*what)

    def print_peers(self):
        """[(public key, [allowed])] as `generate --print-peers` says."""
        text = lab.sh([self.program, "generate", "--print-peers", "--key", self.key, "--inner", "10.99.9.2",
                       "--inner", "fd99::9:2", "--peers", str(self.peers)])
        found = re.findall(r"PublicKey = (\S+)\nAllowedIPs = (.*)\n", text)
        return [(public, allowed.split(", ")) for public, allowed in found]

    def tunnel(self, family=4, outer=4):
        words = ["--device", lab.endpoint(lab.GW_OUTER[outer == 6]), "--key", self.key, "--device-key",
                 self.site.gateway.public, "--inner", ("10.99.9.2", "fd99::9:2")[family == 6], "--tunnel-netns", self.host.ns]
        if self.psk:
            words += ["--preshared-key", lab.write_secret(f"{self.dir}/bench.psk", self.psk)]
        if self.listen:
            words += ["--listen", str(self.listen)]
        if self.peers > 1:
            words += ["--peers", str(self.peers)]
        return words

    def clear(self, family=4):
        return ["--clear", lab.LAN_HOST[family == 6], "--clear-netns", f"/run/netns/{self.site.lan.ns}"]

    def run(self, command, *words, timeout=60):
        """(status, trials, stderr)"""
        words = [self.program, command, *map(str, words), "--json", "--quiet"]
        r = subprocess.run(words, text=True, capture_output=True, timeout=timeout)
        try:
            trials = json.loads(r.stdout) if r.stdout.strip() else []
        except ValueError:
            raise lab.LabError(f"{' '.join(words)} printed no JSON: {r.stdout[:300]!r} {r.stderr}")
        return r.returncode, trials, r.stderr

    def generate(self, direction="inbound", family=4, outer=4, rate=RATE, seconds=1, size=200, flows=4, more=()):
        return self.run("generate", *self.tunnel(family, outer), *self.clear(family), "--direction", direction, "--rate",
                        rate / self.options.slow, "--seconds", seconds, "--size", size, "--flows", flows, *more)


def said(trials, err):
    return "\n".join([err.strip(), *(json.dumps(t.get("result", t))[:1500] for t in trials)])


def is_perfect(trials, least):
    """All of it arrived, once, in order, unchanged, and was authentic."""
    if not trials:
        return False
    for t in trials:
        s, wire = t["result"]["sum"], t["result"].get("wire", {}).get("tunnel", {})
        if s["sent"] < least or s["received"] != s["sent"]:
            return False
        if any(s[k] for k in ("lost", "duplicated", "reordered", "corrupted", "unexpected", "foreign")):
            return False
        if any(wire.get(k) for k in ("auth_failed", "repeated", "malformed")):
            return False
    return True


def perfect(tap, place, what, status, trials, err, least):
    good = status == 0 and is_perfect(trials, least)
    tap.ok(good, f"{place.kind}: {what}: all of it arrives, once, in order", "" if good else said(trials, err))


# ---- each -----------------------------------------------------------------------------------------------------------

def run_each(tap, options, kind):
    with Place(options, kind) as place:
        place.site.start()
        for direction in ("inbound", "outbound"):
            for family in (4, 6):
                for ahead in ((), ("--ahead",)):
                    status, trials, err = place.generate(direction, family, more=ahead)
                    perfect(tap, place, f"{direction}, IPv{family}{', encrypted ahead' if ahead else ''}", status, trials, err,
                            RATE / options.slow * 0.99)


def main():
    options = lab.enter(__doc__)
    tap = Tap()
    for kind in KINDS:
        try:
            run_each(tap, options, kind)
        except lab.LabError as e:
            tap.ok(False, f"{kind}: each", e)
    return tap.done()


sys.exit(main())
