#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`sluice status` says what is so, as text and as JSON with stable keys (tests/lab/README.md lists them).

    lan --- gw --- wan --- peer1, peer2             (addresses: tests/lab/lab.py)
"""
import json, os, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from tap import Tap

NUMBER = (int, float)
OR_NULL = type(None)
SHAPE = {  # what every status contains
    "processes": dict, "peers": list, "ports": list, "workers": list, "drops": dict,
    "next_hops": list, "next_hops_left_out": int,
}
PEER_SHAPE = {
    "name": str, "public_key": str, "endpoint": (str, OR_NULL), "last_handshake_age_s": (*NUMBER, OR_NULL),
    "rx_bytes": int, "tx_bytes": int, "rx_packets": int, "tx_packets": int, "session_age_s": (*NUMBER, OR_NULL),
}
PORT_SHAPE = {
    "name": str, "driver": str, "mode": (str, OR_NULL), "queues": (int, OR_NULL), "roles": list, "up": (bool, OR_NULL),
    "mtu": (int, OR_NULL), "device": (str, OR_NULL), "why": (str, OR_NULL), "rx_packets": (int, OR_NULL),
    "tx_packets": (int, OR_NULL),
}
WORKER_SHAPE = {"core": (int, OR_NULL), "packets": int, "known_flows": int, "cycles_per_packet": (*NUMBER, OR_NULL), "idle_share": NUMBER}


def check_shape(tap, what, thing, shape):
    wrong = {k: thing.get(k, "missing") for k, kinds in shape.items() if not isinstance(thing.get(k, ...), kinds)}
    tap.ok(not wrong, f"{what} has its keys with the right kinds of values", wrong)


def peer_of(status, p):
    return next(q for q in status["peers"] if q["public_key"] == p.public)


VIEWS = {  # of `sluice status`: the keys of its JSON, words of its text
    "--peers": ({"peers"}, ("peer", "handshake")),
    "--ports": ({"ports", "workers", "next_hops", "next_hops_left_out"}, ("wire", "next hop", "worker", "kernel")),
    "--drops": ({"drops"}, ("dropped",)),
    "--flows": ({"flows", "flows_left_out"}, ("inside", "remote")),
}


def views(tap, gw, p):
    """Single parts, for people and for programs."""
    for view, (keys, words) in VIEWS.items():
        code, text, err = gw.command("status", view)
        for word in words:
            tap.ok(code == 0 and word in text.lower(), f"status {view} names {word}", text + err)
        tap.equal(p.name in text, view == "--peers", f"status {view}: {'the peers' if view == '--peers' else 'no peer'}")
        code, text, err = gw.command("status", view, "--json")
        tap.equal((code, set(json.loads(text or "{}"))), (0, keys), f"status {view} --json has its part and no other")
    code, text, err = gw.command("status", "--drops", "--ports", "--json")
    tap.equal(set(json.loads(text)), VIEWS["--drops"][0] | VIEWS["--ports"][0], "two parts are both there")
    for port in gw.status()["ports"]:
        check_shape(tap, f"port {port.get('name')}", port, PORT_SHAPE)
    code, text, err = gw.command("routes")
    tap.ok(code == 1 and "tailnet" in err, "`sluice routes` is for members of a tailnet, and says so", text + err)


def main():
    options = lab.enter(__doc__)
    tap = Tap()
    kind = next(k for k, path in lab.Programs(options).peers.items() if path)
    with lab.Site(options, "status") as site:
        gw = site.gateway
        code, out, err = gw.command("status")
        tap.ok(code == 1 and (out + err).strip(), "status without a gateway: 1, and says so", f"{code} {out}{err}")
        p, silent = site.peer(kind), site.peer(kind)
        gw.start()
        p.start()

        s = gw.status()
        check_shape(tap, "status", s, SHAPE)
        for q in s["peers"]:
            check_shape(tap, f"peer {q.get('name')}", q, PEER_SHAPE)
        tap.ok(len(s["workers"]) >= 1 and len(s["ports"]) >= 1, "there are workers and ports", s)
        for w in s["workers"]:
            check_shape(tap, "worker", w, WORKER_SHAPE)
        q = peer_of(s, p)
        tap.ok(q["endpoint"] is None and q["last_handshake_age_s"] is None and q["session_age_s"] is None,
               "a peer that never came has no endpoint, handshake or session", q)
        found = {r: s["processes"].get(r, {}).get("pid") for r in gw.roles}
        tap.equal(found, {r: gw.pids().get(r) for r in gw.roles}, "the processes are those that run")

        p.host.ping_until(lab.LAN_HOST[0], 10)
        traffic = lab.peer_lan_traffic(site, p, rate=1000, flows=2, size=500, name="status ")
        time.sleep(3)
        up, down = traffic.stop()
        time.sleep(1.2)  # counters are read once a second
        s = gw.status()
        q = peer_of(s, p)
        tap.note(q)
        tap.ok(q["endpoint"] == p.endpoint(), "the endpoint is where the peer is", q["endpoint"])
        tap.ok(0 <= q["last_handshake_age_s"] < 60 and 0 <= q["session_age_s"] < 60, "the ages are those of the session", q)
        tap.ok(up.received <= q["rx_packets"] < up.sent + 200 and down.received <= q["tx_packets"] < down.sent + 200,
               "its packets are counted", f"{q}\n{up}\n{down}")
        tap.ok(q["rx_bytes"] > up.received * 500 and q["tx_bytes"] > down.received * 500, "its bytes are counted", q)
        q = peer_of(s, silent)
        tap.ok(q["rx_packets"] == 0 and q["last_handshake_age_s"] is None, "the other peer has nothing", q)
        handled = sum(w["packets"] for w in s["workers"])
        tap.ok(handled >= up.received + down.received, "the workers' packets are counted", s["workers"])
        tap.ok(all(0 <= w["idle_share"] <= 1 for w in s["workers"]), "idle shares are shares", s["workers"])
        tap.ok(any(w["cycles_per_packet"] for w in s["workers"]), "cycles per packet are measured", s["workers"])

        before = sum(s["drops"].values())
        inject = os.path.join(lab.ROOT, "tests", "tool", "inject.py")
        site.wan.run([sys.executable, inject, "junk", "--to", lab.GW_OUTER[0], "--source", "198.18.1.2", "--count", "300"])
        site.lan.ping("10.99.200.2", 2, wait=2)
        time.sleep(1.2)
        s = gw.status()
        tap.note({k: v for k, v in s["drops"].items() if v})
        tap.ok(sum(s["drops"].values()) > before and all(isinstance(v, int) for v in s["drops"].values()),
               "what was refused is counted by reason", s["drops"])

        code, text, err = gw.command("status")
        for word in (p.name, silent.name, p.endpoint(), "worker"):
            tap.ok(code == 0 and word in text.lower(), f"the text names {word}", text + err)
        tap.ok(gw.private not in text and gw.private not in str(s), "no private key is in it")
        for line in text.splitlines():
            tap.note(line)

        code, text, err = gw.command("status", "--dataplane")
        for word in ("forwarder", "cipher", "8 and more", s["aead_backend"], "worker", "dropped"):
            tap.ok(code == 0 and word in text.lower(), f"the view of the data plane names {word}", text + err)
        tap.ok(p.name not in text, "and no peer", text)
        for line in text.splitlines():
            tap.note(line)
        views(tap, gw, p)
        aead = s["aead"]
        tap.ok(aead["backends"].get("libsodium") == "works" and "wrong" not in aead["backends"].values(),
               "no back end of the cipher is wrong here", aead["backends"])
        for c in aead["classes"]:
            times = c["ns_per_packet"]
            tap.ok(aead["backends"].get(c["in_use"]) == "works", f"{c['direction']} {c['burst_min']} {c['size_max']}: one in use", c)
            tap.ok(not times or times[c["in_use"]] < 1.1 * min(times.values()), "and it is one of the fastest", c)

        old = gw.kill("controlplane")
        gw.wait_new("controlplane", old)
        lab.wait_for(gw.is_ready, 20, "status after the control plane's restart")
        q = lab.wait_for(lambda: (lambda q: q if q and q["endpoint"] else None)(gw.peer_status(p)), 10, "the endpoint")
        tap.ok(q["endpoint"] == p.endpoint() and q["rx_packets"] >= up.received,
               "endpoint and counters survive the control plane", q)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
