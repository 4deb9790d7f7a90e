#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""20,000 packets/s of a flooder at the UDP port, handshakes and junk, from one source and from many, while AF_XDP ports carry
an honest peer's 2,000 packets/s: those lose nothing, and a peer that must make a new session gets one.

    lan --- gw --- wan --- peer1 (honest traffic), peer2 (new sessions)      (addresses: tests/lab/lab.py)
                    '----- the flooder, with any source address
"""
import json, os, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from tap import Tap

RATE = 20000


def more(parser):
    parser.add_argument("--seconds", type=float, default=6, help="of each flood (6); beyond 130, peer1 renews its session in each")


class Flood:
    """n sources from 203.0.113.1 on, sent by the router between gateway and peers."""

    def __init__(self, site, kind, n, seconds):
        tool = lab.find_program("flood", site.options.tools or site.options.bin)
        if tool is None:
            raise lab.LabError("no flood found: give --tools DIR or SLUICE_TOOLS")
        words = [tool, kind, lab.GW_OUTER[0], str(lab.PORT), "203.0.113.1", str(n), str(RATE), str(seconds)]
        self.process = subprocess.Popen(site.wan.words(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(self):
        out, err = self.process.communicate(timeout=900)
        if self.process.returncode != 0:
            raise lab.LabError(f"flood: {err.strip()}")
        return json.loads(out)


def ports(site):
    return {p["name"]: p for p in (site.gateway.status() or {}).get("ports", [])}


def counters(site):
    """(dropped by the program on wan0, not taken in time by the ports, received by them)"""
    now = ports(site)
    link = [now[name] for name in ("wan0", "lan0")]
    return now["wan0"]["steered_out"], sum(p["rx_dropped"] for p in link), sum(p["rx_packets"] for p in link)


def flood(tap, site, kind, n, least_share):
    """least_share: of the flood, that the program drops."""
    honest, other = site.peers
    what = f"{kind} from {'one source' if n == 1 else f'{n} sources'}"
    traffic = lab.peer_lan_traffic(site, honest, rate=1000, flows=4, name=f"{kind}{n} ")
    lab.wait_for(lambda: min(traffic.received()) > 500, 20, "honest traffic")
    began, before = time.monotonic(), counters(site)
    f = Flood(site, kind, n, site.options.seconds)
    time.sleep(1)
    other.stop()
    other.start()
    took = other.host.ping_until(lab.LAN_HOST[0], 30)
    sent = f.result()
    seconds = time.monotonic() - began
    up, down = traffic.stop()
    time.sleep(1.2)  # counters are read once a second
    after = counters(site)
    dropped, late = after[0] - before[0], after[1] - before[1]
    lost = up.sent - up.received + down.sent - down.received
    tap.note(f"{what}: {sent['sent']} in {sent['seconds']:.1f} s, {dropped} dropped by the program; honest: {up}; {down}; "
             f"{late} packets of all were not taken in time; a new session took {took:.1f} s")
    tap.ok(dropped >= least_share * sent["sent"], f"{what}: the program drops at least {least_share:.0%} of it", f"{dropped} of {sent}")
    # On a machine that is busy with other things, a ring may run over: then it is not known whose packets were lost.
    tap.ok(lost <= late, f"{what}: 2,000 honest packets a second lose nothing", f"{lost} lost, {late} late: {up} {down}")
    tap.ok(up.received > 500 and down.received > 500, f"{what}: there was honest traffic", f"{up} {down}")
    tap.ok(took < 20, f"{what}: a peer makes a new session", f"{took:.1f} s")
    if site.options.seconds > 130:
        q = site.gateway.peer_status(honest)
        tap.ok(q["last_handshake_age_s"] < seconds, f"{what}: the honest peer has renewed its session", q)


def main():
    options = lab.enter(__doc__, more)
    tap = Tap()
    if options.unprivileged or os.geteuid() != 0:
        tap.skip("everything", "AF_XDP needs root")
        return tap.done()
    if not lab.Programs(options).peers["wireguard-go"]:
        tap.skip("everything", "wireguard-go is not installed")
        return tap.done()
    options.driver = "af_xdp"
    with lab.Site(options, "flood") as site:
        for _ in range(2):
            site.peer("wireguard-go")
        site.start()
        lab.wait_for(lambda: all(ports(site).get(n, {}).get("driver") == "af_xdp" for n in ("wan0", "lan0")), 20,
                     lambda: f"both ports over AF_XDP: {ports(site)}")
        # What comes first is lost while the kernel asks for the LAN host's address.
        for p in site.peers:
            for address in lab.LAN_HOST:
                p.host.ping_until(address, 20)
        for kind, n, least_share in (("handshakes", 1, 0.9), ("handshakes", 50000, 0.7), ("junk", 1, 0.6), ("junk", 50000, 0.5)):
            if lab.wanted(options, f"{kind}{n}"):
                flood(tap, site, kind, n, least_share)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
