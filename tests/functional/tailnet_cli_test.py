#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The commands for a tailnet, against a daemon that says what the test wants (controlplane/gateway/gateway_api.h).

    tailnet_cli_test.py --bin DIR   DIR: a prefix that `meson install` filled, or a build folder
"""
import argparse, copy, json, os, socket, stat, subprocess, sys, tempfile, threading, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lab"))
from tap import Tap

PLACES = ("bin/sluice", "controlplane/cli/sluice", "sluice")
SERVER = "https://hs.example"
KEY = "hskey-auth-0123456789abcdef"

PEER = {"name": "client1.tail.example", "host_name": "client1", "addresses": ["100.64.0.2", "fd7a:115c:a1e0::2"],
        "node_key": "nodekey:" + "ab" * 32, "os": "linux", "user": "alice@example", "tags": [], "online": True,
        "last_seen": None, "key_expiry": None, "expired": False, "routes": [],
        "path": {"kind": "direct", "endpoint": "10.0.0.2:41641", "region": 0, "region_code": "", "latency_ms": 1.5},
        "home_region": 1, "home_region_code": "fra", "active": True, "rx_bytes": 500, "tx_bytes": 700,
        "last_handshake_age_s": 3, "note": ""}
NETCHECK = {"age_s": 3, "udp": True, "ipv4": True, "ipv6": False, "global_v4": "192.0.2.1:41641", "global_v6": None,
            "mapping_varies": False, "port_mapping": ["PCP"], "mapped": None, "preferred_region": 1,
            "regions": [{"id": 2, "code": "nyc", "name": "New York", "latency_ms": 80.2},
                        {"id": 1, "code": "fra", "name": "Frankfurt", "latency_ms": 4.25},
                        {"id": 3, "code": "syd", "name": "Sydney", "latency_ms": None}]}
TAILNET = {"state": "Running", "auth_url": None, "server": SERVER, "connected": True, "phase": "following the map",
           "from_disk": False, "error": None, "warnings": [], "domain": "example", "user": "alice@example",
           "prefs": {"login_server": SERVER, "hostname": "", "accept_routes": False, "accept_dns": True, "shields_up": False,
                     "snat_subnet_routes": True, "advertise_routes": [], "advertise_tags": [], "ca_file": ""},
           "prefs_from_file": {},
           "self": {"name": "gw.tail.example", "host_name": "gw", "addresses": ["100.64.0.1", "fd7a:115c:a1e0::1"],
                    "node_key": "nodekey:" + "cd" * 32, "key_expiry": None, "tags": [], "home_region": 1,
                    "home_region_code": "fra", "endpoints": []},
           "netcheck": NETCHECK, "peers": [PEER]}


def tailnet(**changes):
    return {**copy.deepcopy(TAILNET), **changes}


def peer(**changes):
    return {**copy.deepcopy(PEER), **changes}


def error(what="it failed", why="so it is", do="do this", **more):
    return {"what": what, "why": why, "do": do, **more}


class Daemon:
    """Answers the local API.  answers: cmd -> an answer, or a function of the request."""

    def __init__(self, folder):
        self.folder, self.requests, self.answers = folder, [], {}
        self.states = []  # successive "tailnet"s of the status; the last one stays
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(folder, "control.sock"))
        self.listener.listen(8)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, client.makefile("rw") as lines:
                for line in lines:
                    answer = self.answer(json.loads(line))
                    lines.write(json.dumps(answer) + "\n")
                    lines.flush()

    def answer(self, request):
        self.requests.append(request)
        cmd = request["cmd"]
        if cmd == "status":
            now = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return {"ok": True, "version": "1", "tailnet": now, "notes": []}
        answer = self.answers.get(cmd, {"ok": True, "warnings": []})
        return answer(request) if callable(answer) else answer

    def asked(self, cmd):
        return [r for r in self.requests if r["cmd"] == cmd]

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread, which must not meet the next one's descriptor
        self.thread.join(10)
        self.listener.close()


class Cli:
    def __init__(self, sluice, tap):
        self.sluice, self.tap = sluice, tap
        self.folder = tempfile.mkdtemp(prefix="sluice-cli-")
        self.daemon = None

    def start(self, *states, **answers):
        """A daemon in another folder each time."""
        if self.daemon:
            self.daemon.close()
        self.daemon = Daemon(tempfile.mkdtemp(dir=self.folder))
        self.daemon.states = list(states) or [tailnet()]
        self.daemon.answers = answers

    def run(self, command, *args, folder=None, env=None):
        words = [self.sluice, command, "--run-dir", folder or self.daemon.folder, *args]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})})

    def expect(self, what, command, *args, status=0, out=None, err=None, **more):
        run = self.run(command, *args, **more)
        good = run.returncode == status and (out is None or out in run.stdout) and (err is None or err in run.stderr)
        self.tap.ok(good, what, f"status {run.returncode}\nstdout: {run.stdout}\nstderr: {run.stderr}")
        return run

    def path(self, name, text, mode=0o600):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path


def test_status(cli, tap):
    cli.start(tailnet(peers=[
        peer(),
        peer(name="relayed.tail.example", path={"kind": "relay", "endpoint": None, "region": 1, "region_code": "fra"}),
        peer(name="both.tail.example", path={"kind": "both", "endpoint": "10.0.0.9:1", "region": 1, "region_code": "fra"}),
        peer(name="quiet.tail.example", active=False, rx_bytes=0, tx_bytes=0),
        peer(name="idle.tail.example", active=False),
        peer(name="off.tail.example", active=False, online=False, rx_bytes=0, tx_bytes=0, last_seen="2020-01-01T00:00:00Z"),
        peer(name="old.tail.example", active=False, expired=True, rx_bytes=0, tx_bytes=0),
        peer(name="tagged.tail.example", tags=["tag:a"], addresses=["fd7a:115c:a1e0::9"]),
    ]))
    run = cli.expect("status of a tailnet", "status")
    lines = {line.split()[1]: line for line in run.stdout.splitlines() if line and not line.startswith("#")}
    tap.equal(list(lines), ["gw", "client1", "relayed", "both", "quiet", "idle", "off", "old", "tagged"], "one line a member")
    tap.ok(lines["gw"].startswith("100.64.0.1 ") and lines["gw"].endswith(" -"), "ourselves", lines["gw"])
    tap.ok(lines["client1"].endswith("linux   active; direct 10.0.0.2:41641, tx 700 rx 500"), "a direct peer", lines["client1"])
    tap.ok('active; relay "fra", tx 700' in lines["relayed"], "a relayed peer", lines["relayed"])
    tap.ok('active; relay "fra", trying 10.0.0.9:1, tx' in lines["both"], "one by both ways", lines["both"])
    tap.ok(lines["quiet"].endswith(" -"), "a peer without traffic", lines["quiet"])
    tap.ok(lines["idle"].endswith("idle, tx 700 rx 500"), "one that had traffic", lines["idle"])
    tap.ok("offline, last seen " in lines["off"] and lines["off"].endswith("d ago"), "one that is off", lines["off"])
    tap.ok("key expired" in lines["old"], "one whose key has expired", lines["old"])
    tap.ok("tagged-devices" in lines["tagged"] and lines["tagged"].startswith("fd7a:115c:a1e0::9 "), "a tagged one", lines["tagged"])
    tap.ok("#" not in run.stdout, "nothing about health when all is well", run.stdout)
    run = cli.expect("--active", "status", "--active")
    tap.ok("client1" in run.stdout and "quiet" not in run.stdout, "only those with traffic", run.stdout)
    run = cli.expect("--peers=false", "status", "--peers=false")
    tap.equal(len(run.stdout.splitlines()), 1, "only ourselves")
    run = cli.expect("--self=false --header", "status", "--self=false", "--header")
    tap.ok(run.stdout.startswith("IP ") and " gw " not in run.stdout, "a header, and no line of ours", run.stdout)
    run = cli.expect("--json", "status", "--json")
    tap.equal(json.loads(run.stdout)["tailnet"]["peers"][0], peer(), "everything in JSON")

    cli.start(tailnet(connected=False, phase="waiting to try again", from_disk=True, warnings=["a warning"],
                      error=error("the server does not answer"), netcheck={**NETCHECK, "udp": False}))
    run = cli.expect("status without the server", "status", out="#     - the server does not answer; so it is; do this\n")
    for part in ("from disk", "UDP is blocked", "#     - a warning\n"):
        tap.ok(part in run.stdout, f"says: {part}", run.stdout)
    cli.start(tailnet(self={**TAILNET["self"], "key_expiry": "2020-01-01T00:00:00Z"}))
    cli.expect("a node key that expires", "status", out="the node key expires 2020-01-01T00:00:00Z")
    cli.start(tailnet(state="Stopped"))
    cli.expect("status when stopped", "status", status=1, out="Sluice is stopped")
    cli.expect("as JSON it is an answer", "status", "--json", status=0)
    cli.start(tailnet(state="NeedsLogin", auth_url="https://hs.example/register/x"))
    cli.expect("status when logged out", "status", status=1, out="Log in at: https://hs.example/register/x\n")
    cli.start(tailnet(state="NeedsMachineAuth"))
    cli.expect("status when not approved", "status", status=1, out="not yet approved")
    cli.start(tailnet(peers=[peer(name="", host_name="\x1b[31mred\x9b1m", os="li\nnux")]))
    run = cli.expect("a peer's name is not for the terminal", "status", out='("?[31mred')
    tap.ok("\x1b" not in run.stdout and "\x9b" not in run.stdout and "li?nux" in run.stdout, "none of its signs", run.stdout)


def route(prefix, **changes):
    return {"prefix": prefix, "advertised": True, "approved": True, "primary": True, "primary_elsewhere": None, "reachable": True,
            "interface": "lan0", "driver": "af_xdp", "mode": "copy", **changes}


def test_routes(cli, tap):
    cli.start(tailnet(
        routes=[route("192.168.77.0/24"), route("fd77::/64", driver="kernel", mode=None),
                route("10.1.0.0/16", approved=False, primary=False),
                route("10.2.0.0/16", approved=False, primary=False, primary_elsewhere="gw2"),
                route("10.3.0.0/16", reachable=False, interface=None, driver=None, mode=None),
                route("10.4.0.0/16", advertised=False)],
        accepted_routes=[{"prefix": "10.9.0.0/24", "from": "far", "primary": True, "used": True, "note": ""},
                         {"prefix": "192.168.77.8/29", "from": "odd\x1b", "primary": True, "used": False,
                          "note": "it lies inside a network of our own"}]))
    run = cli.expect("routes", "routes")
    lines = run.stdout.splitlines()
    after = {line.split()[0]: (line, lines[n + 1] if n + 1 < len(lines) else "") for n, line in enumerate(lines) if line.strip()}
    for prefix, own, next_line in (
            ("192.168.77.0/24", "yes       yes      lan0, af_xdp (copy)", "fd77::/64"),
            ("fd77::/64", "lan0, kernel", "10.1.0.0/16"),
            ("10.1.0.0/16", "no        no ", "waits for approval"),
            ("10.2.0.0/16", "no        no ", "gw2 serves it"),
            ("10.3.0.0/16", "nothing", "no route of its own"),
            ("10.4.0.0/16", "yes", "not offered any more"),
            ("10.9.0.0/24", "yes   far", ""),
            ("192.168.77.8/29", "no    odd?", "")):
        line, behind = after.get(prefix, ("", ""))
        tap.ok(own in line and next_line in behind, f"{prefix}: {own.strip()} {next_line}", run.stdout)
    run = cli.expect("routes as JSON", "routes", "--json")
    tap.equal(sorted(json.loads(run.stdout)), ["accepted_routes", "routes"], "both lists are in it")
    cli.start(tailnet(routes=[], accepted_routes=[]))
    run = cli.expect("no routes at all", "routes", out="(none)")
    tap.equal(run.stdout.count("(none)"), 2, "on neither side")


FLOW = {"protocol": "tcp", "state": "open", "inside": "100.64.0.2:5000", "outside": "192.168.77.1:61000", "remote": "192.168.77.2:80",
        "age_s": 75, "idle_s": 2}


def test_views(cli, tap):
    cli.start(flows={"ok": True, "flows": [FLOW, {**FLOW, "outside": None}], "flows_left_out": 7})
    run = cli.expect("flows", "status", "--flows", out="and 7 more")
    tap.ok("192.168.77.1:61000" in run.stdout and "1m15s" in run.stdout, "each has a line", run.stdout)
    run = cli.expect("flows as JSON", "status", "--flows", "--json")
    tap.equal(json.loads(run.stdout), {"flows": [FLOW, {**FLOW, "outside": None}], "flows_left_out": 7}, "as they are")
    run = cli.expect("--peers in a tailnet", "status", "--peers")
    tap.ok("client1" in run.stdout and "#" not in run.stdout, "its members", run.stdout)
    cli.start(flows={"ok": False, "error": error("the flows cannot be read")})
    cli.expect("flows that cannot be read", "status", "--flows", status=1, err="the flows cannot be read")


def test_up(cli, tap):
    cli.start(tailnet(state="NeedsLogin"), tailnet(state="Starting", phase="asking the server for its key"),
              tailnet(state="Starting", phase="asking the server for its key"), tailnet(state="Starting", phase="registering"),
              tailnet())
    run = cli.expect("up with an auth key", "up", "--login-server", SERVER + "/", "--auth-key", KEY, "--accept-routes",
                     "--advertise-tags=tag:a,tag:b", "--advertise-routes=10.7.0.0/16,fd07::/48")
    request = cli.daemon.asked("up")[0]
    tap.equal(request["prefs"], {"login_server": SERVER, "accept_routes": True, "advertise_tags": ["tag:a", "tag:b"],
                                 "advertise_routes": ["10.7.0.0/16", "fd07::/48"]}, "what was mentioned is asked for")
    tap.equal([request["auth_key"], request["reset"], request["force_reauth"]], [KEY, False, False], "with the key")
    tap.equal(run.stderr.count("asking the server for its key"), 1, "each phase is said once")
    tap.ok("registering" in run.stderr and "connected to https://hs.example as gw.tail.example" in run.stderr, "up to the end",
           run.stderr)
    tap.ok(KEY not in run.stdout + run.stderr, "the key is not printed")

    cli.start(tailnet(state="Stopped"), tailnet())
    cli.expect("up with the key in a file", "up", f"--auth-key=file:{cli.path('key', KEY + chr(10))}", "--login-server", SERVER)
    tap.equal(cli.daemon.asked("up")[0].get("auth_key"), KEY, "its content is taken")
    cli.expect("a key that others may read", "up", f"--auth-key=file:{cli.path('open', KEY, 0o644)}", status=2, err="chmod 600")
    cli.expect("a key's file that is not there", "up", "--auth-key=file:/nowhere/key", status=2, err="cannot be opened")
    cli.expect("a key that is none", "up", "--auth-key=x y", status=2, err="holds no auth key")

    url = "https://hs.example/register/nodekey:abc"
    cli.start(tailnet(state="NeedsLogin"), tailnet(state="NeedsLogin", auth_url=url), tailnet(state="NeedsLogin", auth_url=url),
              tailnet())
    run = cli.expect("up with a person", "up", "--qr", out=f"\nTo authenticate, visit:\n\n\t{url}\n\n")
    tap.ok(run.stdout.count(url) == 1 and run.stdout.rstrip().endswith("Success."), "said once, and success at the end", run.stdout)
    tap.ok(run.stdout.count("\u2588") > 50, "with a QR code", run.stdout)
    cli.start(tailnet(state="NeedsMachineAuth"), tailnet(state="NeedsMachineAuth"), tailnet())
    cli.expect("up with an admin's approval", "up", out="To approve your machine")

    cli.start(tailnet(state="NeedsLogin"), tailnet(state="NeedsLogin", error=error("the auth key is not valid", final=True)))
    run = cli.expect("a wrong key", "up", status=1, err="sluice up: the auth key is not valid; so it is; do this\n")
    cli.start(tailnet(state="Stopped"), tailnet(state="Starting", error=error("the server cannot be reached", final=False)))
    began = time.monotonic()
    run = cli.expect("a server that does not answer", "up", "--timeout", "1s", status=1,
                     err="the server cannot be reached; so it is; do this")
    tap.ok(0.9 < time.monotonic() - began < 10, "after the time that was given")
    cli.start(tailnet(state="Stopped"), tailnet(state="Starting", error=error("the server cannot be reached", final=False)),
              tailnet(state="Starting"), tailnet())
    cli.expect("one that answers later", "up", err="(trying again)")
    cli.start(tailnet(state="NeedsLogin"), tailnet(state="NeedsLogin", auth_url=url))
    cli.expect("nobody logs in", "up", "--timeout=300ms", status=1, err="nobody has logged in")
    cli.start(tailnet(connected=False), tailnet(connected=False), tailnet())
    cli.expect("an old map does not pass for a connection", "up", err="connected to")
    cli.start(tailnet(connected=False, from_disk=True, error=error("the server does not answer", final=False)))
    cli.expect("without the server, with what was last known", "up", err="does not answer, going on as gw.tail.example")
    cli.start(tailnet(netcheck={**NETCHECK, "udp": False}))
    cli.expect("up where UDP is blocked", "up", err="UDP is blocked")
    cli.start(tailnet(), up={"ok": False, "error": error("login_server cannot be changed", "the file has it in line 3", "edit it")})
    cli.expect("what the daemon refuses", "up", status=1,
               err="sluice up: login_server cannot be changed; the file has it in line 3; edit it\n")
    cli.start(None)
    cli.expect("a gateway without a tailnet", "up", status=1, err="this gateway is no member of a tailnet")


def test_mentioned(cli, tap):
    prefs = {**TAILNET["prefs"], "hostname": "other", "accept_routes": True, "accept_dns": False, "advertise_tags": ["tag:a"]}
    cli.start(tailnet(prefs=prefs))
    run = cli.expect("up that would take settings back", "up", "--shields-up", status=1,
                     err="\n\tsluice up --shields-up --login-server=https://hs.example --hostname=other --accept-routes "
                         "--accept-dns=false --advertise-tags=tag:a\n")
    tap.equal(cli.daemon.asked("up"), [], "changes nothing")
    cli.expect("up alone changes nothing", "up")
    cli.expect("--reset", "up", "--shields-up", "--reset")
    tap.equal(cli.daemon.asked("up")[-1]["reset"], True, "is passed on")
    cli.expect("all that is not default mentioned", "up", "--hostname=x", "--accept-routes=false", "--accept-dns",
               "--advertise-tags=", "--login-server=" + SERVER)
    tap.equal(cli.daemon.asked("up")[-1]["prefs"], {"hostname": "x", "accept_routes": False, "accept_dns": True,
                                                    "advertise_tags": [], "login_server": SERVER}, "is as it is mentioned")
    run = cli.expect("login mentions what it likes", "login", "--auth-key", KEY)
    tap.ok(cli.daemon.asked("login")[0]["force_reauth"] is True, "and is a new login", cli.daemon.asked("login"))
    cli.start(tailnet(prefs=prefs, prefs_from_file={"hostname": 4, "accept_routes": 5, "accept_dns": 6, "advertise_tags": 7,
                                                    "login_server": 8}))
    cli.expect("what the file says needs no mention", "up", "--shields-up")
    cli.start(tailnet(prefs={**TAILNET["prefs"], "login_server": "https://controlplane.tailscale.com",
                             "hostname": socket.gethostname().split(".")[0]}))
    cli.expect("upstream's server and the host's name are defaults", "up", "--shields-up")


def test_set(cli, tap):
    cli.start(tailnet(), set={"ok": True, "warnings": ["mind this"]})
    cli.expect("set", "set", "--hostname=b", "--accept-dns=false", "--advertise-routes=", "--ca-file", cli.path("ca.pem", "x"),
               err="sluice set: warning: mind this\n")
    tap.equal(cli.daemon.asked("set")[0]["prefs"], {"hostname": "b", "accept_dns": False, "advertise_routes": [],
                                                   "ca_file": os.path.join(cli.folder, "ca.pem")}, "asks for these")
    cli.expect("set with nothing", "set", status=2, err="there is nothing to set")
    for what, arg, said in (("a route with host bits", "--advertise-routes=10.7.0.1/16", "bits set behind its length"),
                            ("a route without length", "--advertise-routes=10.7.0.1", "a route is an address"),
                            ("a default route", "--advertise-routes=0.0.0.0/0,::/0", "exit node"),
                            ("a word that is not true or false", "--shields-up=maybe", "takes true or false"),
                            ("a file that is not there", "--ca-file=/nowhere/ca", "cannot be read"),
                            ("a name with a dot", "--hostname=a.b", "letters, digits")):
        cli.expect(what, "set", arg, status=2, err=said)
    cli.expect("tags are for up", "set", "--advertise-tags=tag:a", status=2)
    cli.start(tailnet(state="Stopped"))
    cli.expect("down when stopped", "down", err="already stopped")
    tap.equal(cli.daemon.asked("down"), [], "asks for nothing")
    cli.start(tailnet(), logout={"ok": True, "warnings": ["the server could not be told"]})
    cli.expect("down", "down")
    tap.equal(len(cli.daemon.asked("down")), 1, "is asked for")
    cli.expect("logout", "logout", err="the server could not be told")


def pong(**changes):
    return {"ok": True, "pong": {"name": "client1", "address": "100.64.0.2", "latency_ms": 1.25, "endpoint": "10.0.0.2:41641",
                                 "region": 0, "region_code": "", "peer_api_port": 0, "is_self": False, **changes}}


def test_ping(cli, tap):
    relayed = pong(endpoint=None, region=1, region_code="fra", latency_ms=35.4)
    answers = [{"ok": True, "pong": None}, relayed, pong()]
    cli.start(tailnet(), ping=lambda r: answers.pop(0))
    run = cli.expect("ping until direct", "ping", "client1")
    tap.equal(run.stdout, 'ping "client1" timed out\npong from client1 (100.64.0.2) via DERP(fra) in 35ms\n'
              "pong from client1 (100.64.0.2) via 10.0.0.2:41641 in 1.2ms\n", "says what came")
    request = cli.daemon.asked("ping")[0]
    tap.equal(request, {"cmd": "ping", "target": "client1", "type": "disco", "size": 0, "timeout_ms": 5000}, "asks for disco")
    cli.start(tailnet(), ping=relayed)
    cli.expect("never direct", "ping", "-c", "2", "client1", status=1, err="direct connection not established")
    cli.expect("never direct, which is fine", "ping", "-c=1", "--until-direct=false", "client1")
    cli.start(tailnet(), ping={"ok": True, "pong": None})
    cli.expect("no answer", "ping", "--c=2", "--timeout=10ms", "client1", status=1, err="no reply")
    tap.equal(cli.daemon.asked("ping")[0]["timeout_ms"], 10, "waits as long as it is told")
    cli.start(tailnet(), ping=pong(endpoint=None, peer_api_port=4321))
    cli.expect("TSMP", "ping", "--tsmp", "--size=100", "client1", out="pong from client1 (100.64.0.2, 4321) via TSMP in 1.2ms\n")
    tap.equal(len(cli.daemon.asked("ping")), 1, "once is enough")
    tap.equal([cli.daemon.asked("ping")[0][k] for k in ("type", "size")], ["tsmp", 100], "asks for TSMP of this size")
    cli.start(tailnet(), ping=pong(endpoint=None))
    cli.daemon.answers["whois"] = {"ok": True, "node": {**PEER, "addresses": ["127.0.0.1", "::1"]}}
    if os.geteuid() == 0:
        cli.expect("ICMP", "ping", "--icmp", "client1", out="pong from client1 (127.0.0.1) via ICMP in ")
        cli.daemon.answers["whois"] = {"ok": True, "node": {**PEER, "addresses": ["::1"]}}
        cli.expect("ICMP over IPv6", "ping", "--icmp", "--size=1000", "client1", out="pong from client1 (::1) via ICMP in ")
        cli.daemon.answers["whois"] = {"ok": True, "node": {**PEER, "addresses": ["240.0.0.1"]}}
        cli.expect("ICMP to nobody", "ping", "--icmp", "--timeout=50ms", "-c", "1", "client1", status=1)
    cli.expect("peer API", "ping", "-peerapi", "client1", out="hit peerapi of client1 (100.64.0.2) in")
    cli.start(tailnet(), ping=pong(is_self=True, address="100.64.0.1"))
    cli.expect("ourselves", "ping", "gw", out="100.64.0.1 is local Tailscale IP\n")
    cli.start(tailnet(), ping={"ok": False, "error": error("no member is called x")})
    cli.expect("nobody", "ping", "x", status=1, err="sluice ping: no member is called x; so it is; do this\n")
    cli.expect("ping nobody", "ping", status=2)
    cli.expect("two kinds at once", "ping", "--tsmp", "--icmp", "x", status=2, err="exclude each other")


def test_others(cli, tap):
    cli.start(tailnet(), netcheck={"ok": True, "netcheck": NETCHECK}, version={"ok": True, "version": "9.9"})
    run = cli.expect("netcheck", "netcheck", out="\t* UDP: true\n\t* IPv4: yes, 192.0.2.1:41641\n\t* IPv6: (no addr found)\n"
                     "\t* MappingVariesByDestIP: false\n\t* PortMapping: PCP\n\t* Nearest DERP: Frankfurt\n\t* DERP latency:\n")
    order = [line.split()[1] for line in run.stdout.splitlines() if line.startswith("\t\t- ")]
    tap.equal(order, ["fra:", "nyc:", "syd:"], "the nearest region first, those without answer last")
    tap.equal(json.loads(cli.run("netcheck", "--json").stdout), NETCHECK, "as JSON")
    tap.equal(cli.run("ip").stdout, "100.64.0.1\nfd7a:115c:a1e0::1\n", "ip")
    tap.equal([cli.run("ip", f).stdout for f in ("-1", "-4", "-6")], ["100.64.0.1\n", "100.64.0.1\n", "fd7a:115c:a1e0::1\n"],
              "-1, -4, -6")
    for name in ("client1", "CLIENT1", "client1.tail.example", "client1.tail.example.", "100.64.0.2", "fd7a:115c:a1e0::2"):
        tap.equal(cli.run("ip", "-4", name).stdout, "100.64.0.2\n", f"ip of {name}")
    cli.expect("ip of nobody", "ip", "client", status=1, err="client is not known")
    cli.expect("two families", "ip", "-4", "-6", status=2)
    cli.start(tailnet(), whois={"ok": True, "node": {**PEER, "stable_id": "n1"}, "user": {"id": 7, "login_name": "alice@example",
                                "display_name": "Alice"}, "capabilities": {"example.com/cap": [{"a": 1}]}})
    run = cli.expect("whois", "whois", "100.64.0.2:80", out="  Name:          client1.tail.example\n")
    for part in ("ID:            n1", "User:\n  Name:          alice@example\n  ID:            7", "  - example.com/cap: [{\"a\":1}]"):
        tap.ok(part in run.stdout, f"says {part.splitlines()[0]}", run.stdout)
    tap.equal(cli.daemon.asked("whois")[0]["target"], "100.64.0.2:80", "with the port")
    tap.equal(json.loads(cli.run("whois", "--json", "x").stdout)["user"]["id"], 7, "as JSON")
    cli.start(tailnet(), version={"ok": True, "version": "9.9"})
    own = subprocess.run([cli.sluice, "--version"], capture_output=True, text=True).stdout.split()[1]
    tap.equal(cli.run("version").stdout, own + "\n", "version")
    tap.equal(cli.run("version", "--daemon").stdout, f"Client: {own}\nDaemon: 9.9\n", "version --daemon")
    tap.equal(json.loads(cli.run("version", "--daemon", "--json").stdout), {"version": own, "cap": 116, "daemon": "9.9"}, "as JSON")
    derp = {"ok": True, "home_region": 1, "regions": [{"id": 1, "code": "fra", "name": "Frankfurt", "state": "connected",
            "node": "fra1", "rx_bytes": 5000, "tx_bytes": 1, "tx_dropped": 3, "latency_ms": 4, "nodes": [{"name": "1a", "host_name": "fra1.example",
            "ipv4": "192.0.2.9", "ipv6": None, "derp_port": 443, "stun_port": 3478, "stun_only": False}]}]}
    paths = {"ok": True, "peers": [{"name": "client1", "node_key": "n", "disco_key": "d", "home_region": 1,
             "direct": "10.0.0.2:41641", "local": None, "latency_ms": 1, "trusted_ms": 4000, "relay": False, "region": 0,
             "candidates": [{"endpoint": "10.0.0.2:41641", "sources": ["map", "pong"], "latency_ms": 1, "ping_age_ms": 900,
                             "pong_age_ms": 899}]}]}
    cli.start(tailnet(), derp=derp, paths=paths, map={"ok": True, "map": {"peers": [1]}})
    cli.expect("debug derp", "debug", "derp", out="Frankfurt  (home)\n      connected fra1, latency 4.0ms, received 4.9 KiB, sent 1 B, dropped 3 packets")
    cli.expect("debug paths", "debug", "paths", out="direct 10.0.0.2:41641, 1.0ms, trusted for 4.000s; relay not in use")
    tap.equal(json.loads(cli.run("debug", "map").stdout), {"peers": [1]}, "debug map")
    tap.equal(json.loads(cli.run("debug", "--json", "paths").stdout)["peers"], paths["peers"], "debug --json paths")
    cli.expect("debug of what is not there", "debug", "moon", status=2, err="map, derp, paths")


def test_nobody(cli, tap):
    empty = tempfile.mkdtemp(dir=cli.folder)
    for command in ("down", "logout", "netcheck", "ip", "status"):
        cli.expect(f"{command} without a gateway", command, folder=empty, status=1, err="start one with `sluice up`")
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("127.0.0.1", 0))
    config = cli.path("taken.yaml", f"version: 1\ntailnet:\n  port: {taken.getsockname()[1]}\n")
    if os.geteuid() != 0:
        cli.expect("up without root", "up", folder=empty, status=1, err="needs root")
        return
    cli.expect("up where the port is in use", "up", "--accept-risk=all", "--config", config, folder=empty, status=1,
               err=f"in use by {open('/proc/self/comm').read().strip()} (pid {os.getpid()})")
    config = cli.path("wg.yaml", "version: 1\nwireguard:\n  private_key_file: wg.key\n  addresses: []\n")
    cli.expect("up with a wrong configuration", "up", "--accept-risk=all", "--config", config, folder=empty, status=1,
               err="wg.key cannot be opened")
    tap.ok(not os.path.exists(os.path.join(empty, "sluice.log")), "nothing was started")


def in_own_network(*words):
    """As root of a network namespace without anything: what is started there stays there."""
    script = 'ip link set lo up && exec "$@"'
    return subprocess.run(["unshare", "--net", "sh", "-c", script, "sh", *words], capture_output=True, text=True, timeout=60)


def test_launch(cli, tap):
    """`up` starts what does not run; there is no server, so it goes no further."""
    programs = [os.path.join(os.path.dirname(cli.sluice), place) for place in
                ("sluice-controlplane", "../gateway/sluice-controlplane")]
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun") or not any(map(os.path.exists, programs)):
        tap.skip("up starts a gateway", "it needs root, /dev/net/tun, and sluice-controlplane beside it")
        return
    run_dir, config = tempfile.mkdtemp(dir=cli.folder), cli.path("c.yaml", "version: 1\n")
    words = [cli.sluice, "up", "--run-dir", run_dir, "--state-dir", run_dir + "/state", "--config", config, "--timeout=500ms",
             "--login-server=http://127.0.0.1:1", "--auth-key=" + KEY, "--accept-risk=all"]
    first = in_own_network(*words)
    tap.ok(first.returncode == 1 and "starting the gateway" in first.stderr and "127.0.0.1:1" in first.stderr,
           "up starts a gateway, which does not reach its server", first)
    status = json.loads(cli.run("status", "--json", folder=run_dir).stdout or "{}")
    pid = status.get("processes", {}).get("run", {}).get("pid")
    tap.ok(pid is not None and status["tailnet"]["state"] != "Running", "it goes on", status)
    if pid is None:
        return
    tap.equal((os.getsid(pid), os.readlink(f"/proc/{pid}/fd/0")), (pid, "/dev/null"), "in a session of its own, without a terminal")
    second = in_own_network(*words)
    tap.ok(second.returncode == 1 and "starting" not in second.stderr, "another up finds it", second)
    os.kill(pid, 15)
    end = time.monotonic() + 15
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
        time.sleep(0.05)
        with open(f"/proc/{pid}/stat") if os.path.exists(f"/proc/{pid}/stat") else open(os.devnull) as f:
            if " Z " in f.read():
                break  # nobody gathers it where no init runs
    with open(os.path.join(run_dir, "sluice.log")) as f:
        log = f.read()
    tap.ok("started version" in log and KEY not in log, "its log is in the run directory, without the key", log)
    cli.expect("afterwards nobody answers", "status", folder=run_dir, status=1, err="no gateway answers")
    cli.path("c.yaml", "version: 1\ndataplane:\n  interface: lo\n")
    third = in_own_network(*words)
    tap.ok(third.returncode == 1 and "interface lo cannot be opened" in third.stderr and "forwarder runs" not in third.stderr,
           "one that cannot start says why, and nothing of an earlier one", third)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.environ.get("SLUICE_BIN"), help="where the programs are")
    options, _ = parser.parse_known_args()  # the other tests know more
    sluice = next((p for p in (os.path.join(options.bin or "", place) for place in PLACES) if os.access(p, os.X_OK)), None)
    if not options.bin or not sluice:
        sys.exit(f"{options.bin}: there is no sluice; name a prefix or a build folder with --bin")
    tap = Tap()
    cli = Cli(os.path.abspath(sluice), tap)
    for test in (test_status, test_routes, test_views, test_up, test_mentioned, test_set, test_ping, test_others, test_nobody, test_launch):
        test(cli, tap)
    subprocess.run(["rm", "-r", cli.folder], check=False)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
