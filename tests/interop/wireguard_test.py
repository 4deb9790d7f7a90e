#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stock WireGuard programs judge the gateway: wireguard-go and boringtun, at the versions in tests/lab/versions.

    lan --- gw --- wan --- peer1 ... peerN          (addresses: tests/lab/lab.py)

Cases, each a site of its own, all at the same time, so that the 120 s until keys are renewed are waited for once:

    matrix       {wireguard-go, boringtun} x {peer initiates, gateway initiates} x {psk, none} x outer {v4, v6}, each
                 with v4 and v6 inside, LAN both ways, under numbered traffic for longer than a rekey takes
    roaming      a peer's address and port change under traffic, also from v4 to v6
    keepalive    persistent keepalive from either side, and the passive one
    strangers    replayed and invented packets change nothing
    errors       too big, TTL exceeded, unreachable, MSS; from peer to peer
    everything   a peer with 0.0.0.0/0 and ::/0: no loop
    homes        a gateway with two addresses answers from the one that was written to

--long adds: 1 GiB each way over two rekeys with each program (case "long"), and the whole matrix at the full rate.
"""
import os, re, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from tap import Tap

REKEY_S = 120  # REKEY_AFTER_TIME of the whitepaper, section 6.1
FULL_RATE = 1000
KINDS = ("wireguard-go", "boringtun")
TOOL = os.path.join(lab.ROOT, "tests", "tool")


class Case:
    """What every case has: options, TAP, the kinds of peers that are installed, and a name before each sentence."""

    def __init__(self, options, tap, name):
        self.options, self.tap, self.name, self.diagnosed = options, tap, name, False

    def ok(self, passed, what, detail=None):
        return self.tap.ok(passed, f"{self.name}: {what}", detail)

    def note(self, text):
        self.tap.note(f"{self.name}: {text}")

    def site(self, **kw):
        return lab.Site(self.options, self.name, **kw)

    def perfect(self, site, results, what):
        """Nothing lost, doubled, out of order; what the ends' own sockets dropped is said in the detail."""
        good = all(r.is_perfect() for r in results)
        for r in results:
            self.note(r)
        said = "" if good else "\n".join(map(str, results))
        if not good and not self.diagnosed:
            self.diagnosed = True  # once is enough
            said += "\n" + site.diagnose()
        return self.ok(good, what, said)


def installed(options, tap):
    there = [k for k in KINDS if lab.Programs(options).peers[k]]
    for k in KINDS:
        if k not in there:
            tap.skip(f"everything with {k}", f"{k} is not installed (scripts/setup says why)")
    return there


def reach_lan(p, seconds=30):
    """By both families: a worker that sends to the LAN itself drops what comes before it knows whose MAC that is."""
    for address in lab.LAN_HOST:
        p.host.ping_until(address, seconds)


# ---- matrix ---------------------------------------------------------------------------------------------------------

def describe(p):
    return (f"{p.kind}, {'peer' if p.knows_gateway else 'gateway'} initiates, {'psk' if p.psk else 'no psk'}, "
            f"outer v{p.outer}")


def is_full_rate(case, p):
    """Two cores carry the full rate for one case of each program and initiator; the rest renews its keys at a tenth."""
    if case.options.long or (os.cpu_count() or 1) >= 12:
        return True
    return (p.psk is not None) == (p.outer == 4) and (p.kind == "wireguard-go") == (p.psk is not None)


def first_contact(case, site, p):
    """The side that knows an endpoint begins; then everybody reaches everybody."""
    name = describe(p)
    if p.knows_gateway:
        reach_lan(p)
    else:
        site.lan.ping_until(p.inner[0], 10)
    case.ok(all(p.host.ping(a, 2) == 2 for a in (*lab.LAN_HOST, *lab.GW_INNER)),
            f"{name}: the peer reaches the LAN and the gateway by v4 and v6")
    case.ok(all(site.lan.ping(a, 2) == 2 for a in p.inner), f"{name}: the LAN reaches the peer by v4 and v6")


def run_matrix(case, kinds):
    with case.site() as site:
        for kind in kinds:
            for peer_begins in (True, False):
                for psk in (True, False):
                    for outer in (4, 6):
                        site.peer(kind, psk=psk, outer=outer, knows_gateway=peer_begins, known=not peer_begins)
        site.start()
        case.note(f"{len(site.peers)} peers at one gateway are up")
        case.tap.side_by_side([(f"matrix: {describe(p)}", lambda p=p: first_contact(case, site, p)) for p in site.peers])
        groups = [site.peers]
        if case.options.long:
            groups = [site.peers[i::4] for i in range(4)]
        for group in groups:
            matrix_traffic(case, site, group)
        case.ok(all(site.gateway.pids().values()), "the gateway runs")


def matrix_traffic(case, site, group):
    recorder = site.record()
    traffic, began = {}, {}
    for p in group:
        rate = FULL_RATE if is_full_rate(case, p) else FULL_RATE / 10
        began[p] = p.handshake()
        traffic[p] = lab.peer_lan_traffic(site, p, rate=rate, flows=2, size=200, name=p.name)
    seconds = REKEY_S + 12
    case.note(f"traffic runs for {seconds} s")
    time.sleep(seconds)
    for p in group:
        results = traffic[p].stop()
        case.perfect(site, results, f"{describe(p)}: {results[0].pps:.0f} and {results[1].pps:.0f} packets/s over a rekey, "
                                    "0 lost, 0 reordered, 0 doubled")
        case.ok(p.handshake() > began[p], f"{describe(p)}: the keys were renewed meanwhile")
    recording = recorder.stop()
    case.note(recording)
    case.ok(recording.complete and not recording.nonce_reused and not recording.clear,
            "no nonce used twice, nothing in clear", recording)


# ---- roaming --------------------------------------------------------------------------------------------------------

def new_place(site, p):
    """A second link for the peer; returns a function that makes it the way out."""
    n = p.number + 100
    site.lab.link(p.host, "eth1", [f"198.18.{n}.2/24", f"fd18:{n:x}::2/64"], site.wan, f"to-{p.name}b",
                  [f"198.18.{n}.1/24", f"fd18:{n:x}::1/64"])

    def move(to_new):
        k, device = (n, "eth1") if to_new else (p.number, "eth0")
        p.host.ip(f"route replace default via 198.18.{k}.1 dev {device} src 198.18.{k}.2")
        p.host.ip(f"-6 route replace default via fd18:{k:x}::1 dev {device} src fd18:{k:x}::2 metric 1024")
        return f"198.18.{k}.2"

    return move


def sent_to(site, p, address, seconds=30):
    """Waits until the gateway sends to the peer at this address."""
    lab.wait_for(lambda: (site.gateway.endpoint_of(p) or "").strip("[").startswith(address), seconds,
                 lambda: f"endpoint {address} for {p.name}, it is {site.gateway.endpoint_of(p)}")


def roam(case, site, p):
    move = new_place(site, p)
    reach_lan(p)
    handshake = p.handshake()
    traffic = lab.peer_lan_traffic(site, p, rate=FULL_RATE, flows=2, name=p.name)
    time.sleep(2)
    # The old address stays for what is under way, as with a machine that joins another network before it leaves one.
    for to_new in (True, False, True):
        sent_to(site, p, move(to_new))
        time.sleep(1)
    results = traffic.stop()
    case.perfect(site, results, f"{p.kind}: three moves under traffic, 0 lost, 0 reordered")
    traffic = lab.peer_lan_traffic(site, p, rate=200, flows=2, name=p.name + "hard")
    time.sleep(1)
    p.wg.set("listen-port", 40000 + p.number)
    lab.wait_for(lambda: (site.gateway.endpoint_of(p) or "").endswith(f":{40000 + p.number}"), 20,
                 "the new port as endpoint")
    time.sleep(1)
    results = traffic.stop()
    for r in results:
        case.note(r)
    case.ok(results[0].lost == 0 and max(r.largest_gap_ms for r in results) < 1000,
            f"{p.kind}: the port changes at once: the gateway follows within a second", results[1])
    # boringtun cannot change a peer that it has; answers that are under way would undo the change, so nobody answers.
    if p.kind == "wireguard-go":
        for family in (1, 0):
            p.wg.set("peer", site.gateway.public, "endpoint", lab.endpoint(lab.GW_OUTER[family]))
            lab.Flow(p.host, site.lan, [lab.LAN_HOST[0]], 20, 1, 100, 0.2, "oneway").result()
            sent_to(site, p, "fd18:" if family else "198.18.")
            case.ok(p.host.ping(lab.LAN_HOST[0]) == 3, f"{p.kind}: the outer address changes to v{6 if family else 4}")
    case.ok(p.handshake() == handshake, f"{p.kind}: all of it in one session")


def run_roaming(case, kinds):
    with case.site() as site:
        peers = [site.peer(k) for k in kinds]
        site.start()
        case.tap.side_by_side([(f"roaming: {p.kind}", lambda p=p: roam(case, site, p)) for p in peers])


# ---- keepalive ------------------------------------------------------------------------------------------------------

def run_keepalive(case, kinds):
    with case.site() as site:
        recorder = site.record()
        theirs = site.peer(kinds[0], keepalive=2)
        ours = site.peer(kinds[-1], knows_gateway=False, known=True, gateway_keepalive=2)
        site.start()
        lab.wait_for(ours.handshake, 10, "a handshake that only the gateway's keepalive asks for")
        case.ok(True, f"the gateway begins with {ours.kind} because a keepalive is configured")
        lab.wait_for(theirs.handshake, 10, "a handshake of the peer with a keepalive")
        before = recorder.state()
        time.sleep(11)
        after = recorder.state()
        out = after.from_gateway["keepalives"] - before.from_gateway["keepalives"]
        into = after.to_gateway["keepalives"] - before.to_gateway["keepalives"]
        # The peer that gets keepalives every 2 s never answers with passive ones more often than every 10 s.
        case.ok(4 <= out <= 8, "a keepalive every 2 s leaves the gateway", f"{out} in 11 s")
        case.ok(4 <= into <= 8, "the peer's keepalives arrive", f"{into} in 11 s")
        case.ok(site.lan.ping(theirs.inner[0], 1) == 1 and site.lan.ping(theirs.inner[1], 1) == 1,
                "the LAN reaches a peer that only ever sent keepalives")
        p = site.peer(kinds[0])  # known to nobody but the next check
        site.peers.remove(p)
        passive_keepalive(case, kinds[0])


def passive_keepalive(case, kind):
    with case.site() as site:
        p = site.peer(kind)
        site.start()
        reach_lan(p)
        recorder = site.record()
        traffic = lab.Flow(p.host, site.lan, lab.LAN_HOST, 5, 1, 100, seconds=1, name="oneway")
        traffic.result()
        case.ok(recorder.state().from_gateway["keepalives"] == 0, "nothing is sent back for a one-way flow at once")
        time.sleep(11)
        n = recorder.stop().from_gateway["keepalives"]
        case.ok(n == 1, "10 s after data with nothing to send, one keepalive (whitepaper 6.5)", f"{n} keepalives")


# ---- strangers ------------------------------------------------------------------------------------------------------

def inject(case, host, *words):
    out = host.run([sys.executable, os.path.join(TOOL, "inject.py"), *words], timeout=120).strip()
    case.note(f"injected {out}")
    return lab.json.loads(out)


def state_of(site):
    return {p.name: (p.handshake(), site.gateway.endpoint_of(p)) for p in site.peers}


def run_strangers(case, kinds):
    with case.site() as site:
        peers = [site.peer(k, outer=o) for k, o in zip(kinds * 2, (4, 6))]
        site.start()
        stranger = site.add_peer_host("stranger", 99)
        save = os.path.join(site.lab.dir, "wire.pcap")
        recorder = site.record(save=save, save_max=3000)
        for p in peers:
            reach_lan(p)
        traffic = [lab.peer_lan_traffic(site, p, rate=400, flows=2, name=p.name) for p in peers]
        time.sleep(2)
        recorder.stop()
        # Both sides may have begun at once; whoever's initiation was left unanswered tries again after REKEY_TIMEOUT.
        time.sleep(6)
        before, pids = state_of(site), site.gateway.pids()
        gw = [w for a in lab.GW_OUTER for w in ("--to", a)]
        # Everything again from where it came, then as if the stranger had recorded and sent it.
        n = inject(case, site.wan, "replay", save, *gw, "--limit", "1500")
        case.ok(n["types"].get("1", 0) > 0 and n["types"].get("4", 0) > 100, "initiations and data were replayed", n)
        for source in ("198.18.99.2", "fd18:63::2"):
            inject(case, stranger, "replay", save, *gw, "--source", source, "--sport", "7", "--limit", "800")
            inject(case, stranger, "junk", *gw, "--source", source, "--count", "1200")
            inject(case, site.wan, "junk", *gw, "--source", source.replace("99.2", "1.2").replace("63::", "2::"),
                   "--count", "600", "--seed", "2")
        time.sleep(1)
        after = state_of(site)
        for p, t in zip(peers, traffic):
            results = t.stop()
            case.perfect(site, results, f"{p.kind}, outer v{p.outer}: traffic under replays and junk, 0 lost, 0 doubled")
        case.ok(before == after, "endpoints and handshakes of the peers are the same", f"{before}\n{after}")
        case.ok(site.gateway.pids() == pids, "no process of the gateway was replaced")
        got = stranger.run("cat /proc/net/dev").split("eth0:")[1].split()[1]
        # Neighbour discovery, router and multicast noise only: some thousand packets were sent.
        case.ok(int(got) < 100, "the stranger got no answers", f"{got} packets arrived at it")
        case.ok(all(p.host.ping(a, 2) == 2 for p in peers for a in lab.LAN_HOST), "the peers go on")


# ---- errors ---------------------------------------------------------------------------------------------------------

def ping_says(host, to, options, wanted_text, case, what):
    _, out, err = host.try_run(f"ping -n -c 2 -i 0.3 -W 2 {options} {to}")
    case.ok(re.search(wanted_text, out + err), what, out + err)


def mss_of(case, site, server, device, addresses, client, what, limit):
    """A TCP connection from `client` to `server`: the MSS in the SYN as the server sees it."""
    sniffer = server.spawn([sys.executable, os.path.join(TOOL, "synmss.py"), device, "20"], "synmss", capture=True)
    lab.wait_for(lambda: "listening" in sniffer.text(), 20, "synmss")
    for address, (version, most) in zip(addresses, limit):
        host = f"[{address}]" if version == 6 else address
        client.try_run(f"curl -s -m 2 http://{host}:9/")
        end = time.monotonic() + 3
        while not (seen := [line.split() for line in sniffer.text().splitlines() if line.startswith(f"{version} 9 ")]) \
                and time.monotonic() < end:
            time.sleep(0.05)
        case.ok(seen and all(int(s[2]) == most for s in seen), f"{what}, v{version}: MSS {most} in the SYN", seen)
    sniffer.stop()


def run_errors(case, kinds):
    with case.site() as site:
        a, b = site.peer(kinds[0]), site.peer(kinds[-1], outer=6)
        site.gateway.start()
        a.start(mtu=1500)
        b.start(mtu=1500)
        for p in (a, b):
            reach_lan(p)
        case.ok(a.host.ping(b.inner[0]) == 3 and a.host.ping(b.inner[1]) == 3, "peer to peer through the gateway")
        traffic = lab.Traffic(a.host, a.inner, b.host, b.inner, rate=500, flows=2, name="peers")
        time.sleep(3)
        case.perfect(site, traffic.stop(), f"{a.kind} to {b.kind} and back under traffic, 0 lost, 0 reordered")

        ping_says(site.lan, a.inner[0], "-M do -s 1450", r"mtu ?= ?1420", case, "LAN to peer, v4: too big says MTU 1420")
        ping_says(site.lan, a.inner[1], "-M do -s 1430", r"mtu ?= ?1420", case, "LAN to peer, v6: too big says MTU 1420")
        ping_says(a.host, b.inner[0], "-M do -s 1450", r"mtu ?= ?1420", case, "peer to peer, v4: too big says MTU 1420")
        ping_says(a.host, b.inner[1], "-M do -s 1430", r"mtu ?= ?1420", case, "peer to peer, v6: too big says MTU 1420")
        ping_says(a.host, b.inner[0], "-t 1", rf"From {lab.GW_INNER[0]} .*Time to live exceeded", case,
                  "peer to peer, v4: TTL 1 ends at the gateway, which says so")
        ping_says(a.host, b.inner[1], "-t 1", rf"From {lab.GW_INNER[1]} .*(Hop limit|[Tt]ime exceeded)", case,
                  "peer to peer, v6: hop limit 1 ends at the gateway, which says so")
        case.ok(a.host.ping(b.inner[0], options="-t 2") == 3 and a.host.ping(b.inner[1], options="-t 2") == 3,
                "peer to peer: TTL 2 arrives")
        ping_says(a.host, lab.LAN_HOST[0], "-t 1", r"Time to live exceeded", case, "peer to LAN, v4: TTL exceeded")
        ping_says(a.host, lab.LAN_HOST[1], "-t 1", r"(Hop limit|[Tt]ime exceeded)", case, "peer to LAN, v6: hop limit")
        ping_says(a.host, "10.99.200.2", "", r"nreachable|prohibited", case, "peer to an address of no peer, v4: unreachable")
        ping_says(a.host, "fd99::c8:2", "", r"nreachable|prohibited|No route", case,
                  "peer to an address of no peer, v6: unreachable")
        ping_says(site.lan, "10.99.200.2", "", r"nreachable|prohibited", case, "LAN to an address of no peer: unreachable")
        limit = ((4, 1380), (6, 1360))
        mss_of(case, site, site.lan, "eth0", lab.LAN_HOST, a.host, "peer to LAN", limit)
        mss_of(case, site, a.host, a.wg.device, a.inner, site.lan, "LAN to peer", limit)
        mss_of(case, site, b.host, b.wg.device, b.inner, a.host, "peer to peer", limit)
        # A checksum that comes out as 0 is sent as 0xffff (RFC 768); IPv6 receivers drop a 0.
        for p in (a, b):
            for version, address in zip((4, 6), p.inner):
                r = lab.Flow(site.lan, p.host, [address], 500, 1, 100, seconds=1, name=f"zero-sum v{version} ",
                             more=["--zero-sum"]).result()
                case.ok(r.is_perfect(), f"LAN to {p.kind}, v{version}: UDP whose checksum comes out as 0 arrives", r)
        # A large UDP datagram that may be fragmented arrives whole.
        case.ok(site.lan.ping(a.inner[0], 2, options="-M dont -s 3000") == 2, "LAN to peer: fragments pass, v4")
        case.ok(a.host.ping(b.inner[0], 2, options="-M dont -s 3000") == 2, "peer to peer: fragments pass, v4")
        big = "head -c 300000 /dev/zero | tr '\\0' x"
        a.host.spawn(["sh", "-c", f"{big} > {site.lab.dir}/big; cd {site.lab.dir} && exec {sys.executable} -m "
                      "http.server --bind :: 8080"], "http")
        for host, name in ((site.lan, "LAN"), (b.host, "other peer")):
            for address in (a.inner[0], f"[{a.inner[1]}]"):
                got = lab.wait_for(lambda: host.try_run(f"curl -s -m 8 http://{address}:8080/big")[1], 12, "curl")
                case.ok(len(got) == 300000, f"HTTP from a peer with MTU 1500 to the {name}, {address}", len(got))


# ---- a peer for everything ------------------------------------------------------------------------------------------

def run_everything(case, kinds):
    with case.site() as site:
        everything = site.peer(kinds[0], knows_gateway=False, known=True, route_all=True)
        other = site.peer(kinds[-1])
        site.gateway.start()
        everything.start()
        other.start()
        for address in ("203.0.113.9/32", "2001:db8:9::9/128"):
            everything.host.ip(f"addr add {address} dev lo" + (" nodad" if ":" in address else ""))
        recorder = site.record()
        site.lan.ping_until(everything.inner[0], 10)
        other.host.ping_until(lab.LAN_HOST[0], 10)
        case.ok(site.lan.ping("203.0.113.9") == 3 and site.lan.ping("2001:db8:9::9") == 3,
                "the LAN reaches the internet behind the peer, v4 and v6")
        case.ok(other.host.ping(lab.LAN_HOST[0]) == 3 and site.lan.ping(other.inner[1]) == 3, "the other peer still works")
        traffic = lab.Traffic(site.lan, lab.LAN_HOST, everything.host, ("203.0.113.9", "2001:db8:9::9"), rate=100,
                              flows=2, name="everything")
        sent = site.gw.run("cat /proc/net/dev").split("wan0:")[1].split()
        time.sleep(5)
        after = site.gw.run("cat /proc/net/dev").split("wan0:")[1].split()
        results = traffic.stop()
        # The sink's answers go out by the peer's own way, not through the tunnel, so only one direction is judged.
        case.ok(results[0].is_perfect(), "traffic to the internet behind the peer arrives", f"{results[0]}\n{site.diagnose()}")
        packets, size = int(after[9]) - int(sent[9]), int(after[8]) - int(sent[8])
        case.ok(packets < 2000 and size < 1000000, "no packet goes round and round",
                f"{packets} packets, {size} bytes left the gateway for about 500")
        recording = recorder.stop()
        case.ok(not recording.clear, "nothing left in clear", recording)


# ---- two homes ------------------------------------------------------------------------------------------------------

def run_homes(case, kinds):
    with case.site(multi_homed=True) as site:
        first = [site.peer(k, outer=o) for k, o in zip(kinds * 2, (4, 6))]
        second = [site.peer(k, outer=o) for k, o in zip(kinds * 2, (4, 6))]
        site.gateway.start()
        for p in second:
            p.gateway_address = lab.GW_OUTER_2
        for p in site.peers:
            p.start()
            reach_lan(p)
        case.ok(all(site.lan.ping(a) == 3 for p in site.peers for a in p.inner), "every peer is reached")
        time.sleep(1)
        for p in site.peers:
            wanted = lab.endpoint(p.gateway_address[p.outer == 6])
            got = p.wg.dump()[site.gateway.public]["endpoint"]
            case.ok(got == wanted, f"{p.kind} that wrote to {wanted} is answered from there", got)


# ---- a gibibyte -----------------------------------------------------------------------------------------------------

def run_long(case, kinds):
    with case.site() as site:
        peers = [site.peer(k) for k in kinds]
        site.start()
        for p in peers:
            reach_lan(p)
        recorder = site.record()
        rate, size, seconds = 3600, 1300, 2 * REKEY_S + 15
        traffic = [lab.peer_lan_traffic(site, p, rate=rate, flows=4, size=size, name=p.name) for p in peers]
        time.sleep(seconds)
        for p, t in zip(peers, traffic):
            results = t.stop()
            case.perfect(site, results, f"{p.kind}: over two rekeys, 0 lost, 0 reordered, 0 doubled")
            case.ok(all(r.received * size >= 2**30 for r in results), f"{p.kind}: 1 GiB each way",
                    [r.received * size for r in results])
        recording = recorder.stop()
        case.ok(recording.complete and not recording.nonce_reused and not recording.clear,
                "no nonce used twice, nothing in clear", recording)


def main():
    options = lab.enter(__doc__)
    tap = Tap()
    kinds = installed(options, tap)
    if not kinds:
        return tap.done()
    cases = {"matrix": run_matrix, "roaming": run_roaming, "keepalive": run_keepalive, "strangers": run_strangers,
             "errors": run_errors, "everything": run_everything, "homes": run_homes}
    chosen = [(n, f) for n, f in cases.items() if lab.wanted(options, n)]

    def alone(name, function):
        try:
            function(Case(options, tap, name), kinds)
        except Exception:
            tap.broken(f"{name} runs to its end")

    # The matrix is at its limit when it has the machine for itself, and it mostly waits: the others go beside it one
    # after the other.
    def others():
        for name, function in chosen:
            if name != "matrix":
                alone(name, function)

    tap.side_by_side([(n, lambda f=f, n=n: alone(n, f)) for n, f in chosen if n == "matrix"] + [("others", others)])
    if options.long and lab.wanted(options, "long"):
        alone("long", run_long)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
