#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`sluice doctor`: each trap is set in a network namespace of its own, and must be found, with its fix.

What a running gateway says is said here by a socket that answers as one.  Without privileges for namespaces
only what needs none is run.

Usage: doctor_test.py BUILD_DIR|SLUICE     (TAP on stdout)
"""
import ctypes, json, os, shutil, socket, struct, subprocess, sys, tempfile, threading

count = failed = 0
sluice = None
UNSHARE = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]

CONFIG = """version: 1
dataplane:
  ports: [eth0]
wireguard:
  private_key_file: wg.key
  addresses: [10.99.0.1/24]
"""

PLACE = """set -e
ip link set lo up
ip link add eth0 type veth peer name far0
ip link set far0 up
ip link set eth0 up
for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done
"""


def ok(passed, what, details=""):
    global count, failed
    count += 1
    failed += not passed
    print(f"{'ok' if passed else 'not ok'} {count} - {what}", flush=True)
    if not passed:
        for line in str(details).splitlines():
            print(f"# {line}")


def skip(what, reason):
    global count
    count += 1
    print(f"ok {count} - {what} # SKIP {reason}", flush=True)


def doctor(folder, trap="", *args):
    """The findings of a host with this trap, and the exit status."""
    script = PLACE + trap + f'\nexec "{sluice}" doctor --json --config "{folder}/sluice.yaml" --run-dir "{folder}" ' + " ".join(args)
    result = subprocess.run([*UNSHARE, "sh", "-c", script], capture_output=True, text=True, timeout=60)
    try:
        return json.loads(result.stdout), result.returncode
    except json.JSONDecodeError:
        return {"findings": [], "error": result.stdout + result.stderr}, result.returncode


# What does not depend on the namespace, and this machine may have.
OF_THE_MACHINE = {"kernel", "clock", "memory lock", "huge pages", "tailscaled"}


def found(answer):
    return [f for f in answer["findings"] if f["check"] not in OF_THE_MACHINE]


def finds(folder, what, trap, check, text, fix):
    answer, status = doctor(folder, trap)
    hits = [f for f in answer["findings"] if f["check"] == check and text in f["what"] and fix in f["fix"]]
    ok(hits and status == 1, f"{what}: {hits[0]['fix'] if hits else 'not found'}", json.dumps(answer, indent=1))


TRAPS = (
    ("an interface that is not there", "ip link del eth0", "interface", "no interface eth0", "ip link"),
    ("an interface that is down", "ip link set eth0 down", "interface", "eth0 is down", "ip link set eth0 up"),
    ("a large MTU", "ip link set far0 mtu 9000; ip link set eth0 mtu 9000", "mtu", "9000", "ip link set eth0 mtu 1500"),
    ("a small MTU", "ip link set eth0 mtu 1200", "mtu", "1200", "ip link set eth0 mtu 1280"),
    ("strict rp_filter", "echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter", "rp_filter", "all interfaces",
     "sysctl -w net.ipv4.conf.all.rp_filter=2"),
)

INPUT = "nft add table inet fw; nft 'add chain inet fw in { type filter hook input priority 0; policy drop; }'\n"
FIREWALLS = (
    ("a firewall that drops our UDP port", INPUT, "UDP port 51820", "nft insert rule inet fw in udp dport 51820 accept"),
    ("a firewall that drops what comes out of the tunnel", INPUT + "nft add rule inet fw in udp dport 51000-52000 accept",
     "by sluice0", "nft insert rule inet fw in iifname sluice0 accept"),
    ("one that drops by its last rule",
     "nft add table ip fw; nft 'add chain ip fw in { type filter hook input priority 0; }'; nft add rule ip fw in tcp dport 22 accept;"
     " nft add rule ip fw in drop", "UDP port 51820", "nft insert rule ip fw in udp dport 51820 accept"),
    ("one that forwards nothing of ours",
     "nft add table inet fw; nft 'add chain inet fw f { type filter hook forward priority 0; policy drop; }'", "by sluice0",
     "nft insert rule inet fw f iifname sluice0 accept"),
)


class Gateway:
    """Answers every question with one status."""

    def __init__(self, folder, **more):
        self.status = {"ok": True, "attached": True, "listen_port": 41641, "interface": {"name": "sluice0"}, "notes": [],
                       "memory_locked": {"controlplane": True, "dataplane": True},
                       "ports": [{"name": "wire", "driver": "kernel"}, {"name": "eth0", "driver": "kernel"}], "tailnet": None}
        self.status.update(more)
        self.path = os.path.join(folder, "control.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(self.path)
        self.socket.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                if peer.makefile().readline():
                    peer.sendall(json.dumps(self.status).encode() + b"\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        os.unlink(self.path)


def tailnet(**more):
    return {"tailnet": {"state": "Running", "server": "https://hs.example", "netcheck": {"udp": True}, "routes": [], **more}}


ROUTE = {"prefix": "10.7.0.0/16", "advertised": True, "approved": True, "reachable": True}
GATEWAYS = (
    ("UDP is blocked", tailnet(netcheck={"udp": False}), "udp", "relays", "sluice netcheck"),
    ("a route is not approved", tailnet(routes=[{**ROUTE, "approved": False}]), "route", "has not approved it",
     "headscale nodes approve-routes --identifier ID --routes 10.7.0.0/16"),
    ("a route leads nowhere", tailnet(routes=[{**ROUTE, "reachable": False}]), "route", "no route leads there",
     "ip route add 10.7.0.0/16 via ROUTER"),
    ("nobody has logged in", tailnet(state="NeedsLogin"), "gateway", "in no tailnet", "sluice up"),
    ("no data plane", {"attached": False}, "gateway", "no data plane", "journalctl"),
    ("keys may be swapped out", {"memory_locked": {"controlplane": True, "dataplane": False}}, "memory lock", "swapped out",
     "LimitMEMLOCK=infinity"),
    ("AF_XDP in generic mode", {"ports": [{"name": "eth0", "driver": "af_xdp", "mode": "generic", "why": "no native XDP"}]}, "port",
     "no native XDP", "ethtool"),
    ("what the gateway says itself", {"notes": ["something is odd"]}, "note", "something is odd", ""),
)


def check_hosts(folder):
    answer, status = doctor(folder)
    ok(found(answer) == [] and "error" not in answer and answer["checks"] >= 10, "a host without a trap: nothing is found",
       json.dumps(answer, indent=1))
    ok(status == (1 if answer["findings"] else 0), "the exit status tells")
    for what, trap, check, text, fix in TRAPS:
        finds(folder, what, trap, check, text, fix)
    stock = shutil.copy(shutil.which("sleep"), os.path.join(folder, "tailscaled"))
    finds(folder, "a stock tailscaled beside us", f"{stock} 20 & while ! grep -q tailscaled /proc/$!/comm; do :; done", "tailscaled",
          "runs on this host", "systemctl disable --now tailscaled")
    if subprocess.run([*UNSHARE, "nft", "list", "ruleset"], capture_output=True).returncode != 0:
        skip("firewalls", "no nft here")
        return
    for what, trap, text, fix in FIREWALLS:
        finds(folder, what, trap, "firewall", text, fix)
    good = INPUT + "nft add rule inet fw in udp dport '{ 53, 51820 }' accept; nft add rule inet fw in iifname sluice0 accept"
    answer, _ = doctor(folder, good)
    ok(found(answer) == [], "a firewall that lets both in is fine", json.dumps(answer, indent=1))


SYS_BPF = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine)
BPF_PROG_LOAD, BPF_LINK_CREATE, BPF_PROG_TYPE_XDP, BPF_XDP = 5, 28, 6, 37
PASS = struct.pack("<BBhi", 0xb7, 0, 0, 2) + struct.pack("<BBhi", 0x95, 0, 0, 0)  # r0 = XDP_PASS; exit


def hold_xdp(interface):
    """Attach a program that passes everything, for as long as this process lives."""
    libc = ctypes.CDLL(None, use_errno=True)

    def bpf(command, attr):
        fd = libc.syscall(SYS_BPF, command, ctypes.create_string_buffer(attr, 128), 128)
        if fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return fd

    code, licence = ctypes.create_string_buffer(PASS), ctypes.create_string_buffer(b"GPL")
    program = bpf(BPF_PROG_LOAD, struct.pack("<IIQQ", BPF_PROG_TYPE_XDP, 2, ctypes.addressof(code), ctypes.addressof(licence)))
    return bpf(BPF_LINK_CREATE, struct.pack("<IIII", program, socket.if_nametoindex(interface), BPF_XDP, 0))


def check_xdp(folder):
    script = f"import sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r}); import doctor_test as t, time\n" \
             "t.hold_xdp('eth0'); print('held', flush=True); time.sleep(60)"
    write_script = os.path.join(folder, "hold.py")
    with open(write_script, "w") as f:
        f.write(script)
    hold = f"python3 {write_script} > {folder}/held 2>&1 & hold=$!\ntrap 'kill $hold' EXIT\n" \
           f"while kill -0 $hold 2>/dev/null && ! grep -q held {folder}/held; do sleep 0.05; done\n"
    command = PLACE + hold + f'"{sluice}" doctor --json --config "{folder}/sluice.yaml" --run-dir "{folder}"'
    with Gateway(folder):
        result = subprocess.run([*UNSHARE, "sh", "-c", command], capture_output=True, text=True, timeout=60)
    with open(os.path.join(folder, "held")) as f:
        held = f.read()
    if "held" not in held:
        skip("another XDP program", f"none can be attached here: {held.strip().splitlines()[-1:]}")
        return
    hits = [f for f in json.loads(result.stdout)["findings"] if f["check"] == "xdp" and "ip link set dev eth0 xdp off" in f["fix"]]
    ok(hits, f"another XDP program: {hits[0]['fix'] if hits else 'not found'}", result.stdout)


def check_gateways(folder):
    with Gateway(folder):
        answer, _ = doctor(folder)
        ok(found(answer) == [] and answer["running"], "a gateway without a trouble: nothing is found", json.dumps(answer, indent=1))
    for what, status, check, text, fix in GATEWAYS:
        with Gateway(folder, **status):
            finds(folder, what, "", check, text, fix)


def check_words(folder):
    result = subprocess.run([sluice, "doctor", "--nonsense"], capture_output=True, text=True)
    ok(result.returncode == 2, "an unknown option: exit status 2", result.stderr)
    with open(os.path.join(folder, "bad.yaml"), "w") as f:
        f.write("version: 1\ndataplane: 7\n")
    result = subprocess.run([sluice, "doctor", "--config", os.path.join(folder, "bad.yaml"), "--run-dir", folder],
                            capture_output=True, text=True)
    ok(result.returncode == 1 and "error: configuration" in result.stdout and "    sluice check" in result.stdout,
       "for people: what, why, and the command below it", result.stdout + result.stderr)


def main():
    global sluice
    sluice = sys.argv[1] if os.path.isfile(sys.argv[1]) else os.path.join(sys.argv[1], "controlplane", "cli", "sluice")
    folder = tempfile.mkdtemp(prefix="sluice-doctor-")
    try:
        with open(os.path.join(folder, "sluice.yaml"), "w") as f:
            f.write(CONFIG)
        check_words(folder)
        if subprocess.run([*UNSHARE, "sh", "-c", PLACE], capture_output=True).returncode == 0:
            check_hosts(folder)
            check_gateways(folder)
            check_xdp(folder)
        else:
            skip("traps in namespaces", "no network namespaces here")
    finally:
        shutil.rmtree(folder)
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main())
