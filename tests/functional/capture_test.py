#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`sluice capture` shows what goes through the tunnel in clear, what is dropped and why, and writes what tcpdump reads.

    lan --- gw --- wan --- peer1, peer2             (addresses: tests/lab/lab.py)
"""
import os, re, shutil, signal, socket, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from tap import Tap

WIRE, LAN = "(wire|wan0)", "(sluice0|lan0)"  # sockets, or AF_XDP
INJECT = os.path.join(lab.ROOT, "tests", "tool", "inject.py")
CONNECT = "import socket, sys; s = socket.socket(); s.settimeout(2); s.connect_ex((sys.argv[1], int(sys.argv[2])))"


class Capture:
    """One that runs until it has enough or is interrupted."""

    def __init__(self, gw, *words):
        self.process = subprocess.Popen(gw.host.words(gw.words("capture", *words)), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        lab.wait_for(lambda: self.process.poll() is not None or is_taken(gw), 20, "a capture that runs")

    def wait(self):
        """(exit status, lines, what it says at the end)"""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.splitlines(), err

    def during(self, traffic):
        """Traffic again and again until it has enough: the data plane may hear of it late."""
        for _ in range(50):
            if self.process.poll() is not None:
                break
            traffic()
        return self.wait()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.wait()


def is_taken(gw):
    """Somebody captures: others are refused for that, else for what they ask."""
    with socket.socket(socket.AF_UNIX) as api:
        api.settimeout(20)
        api.connect(os.path.join(gw.run_dir, "control.sock"))
        api.sendall(b'{"cmd":"capture","port":99999}\n')
        return b"captures already" in api.recv(65536)


def test_lines(tap, site, p, silent):
    gw = site.gateway
    c = Capture(gw, "-c", "6")
    code, lines, err = c.during(lambda: p.host.ping(lab.LAN_HOST[0], 3))
    tap.ok(code == 0 and len(lines) == 6 and "6 packets" in err, "capture ends after as many packets as were asked for",
           f"{code}\n{lines}\n{err}")
    for line in lines:
        tap.note(line)
    request = re.compile(rf"^\d\d:\d\d:\d\d\.\d{{6}} from {p.name} by {WIRE}: {p.inner[0]} > {lab.LAN_HOST[0]} icmp echo request, 84 bytes$")
    reply = re.compile(rf"^\S+ to {p.name} by {LAN}: {lab.LAN_HOST[0]} > {p.inner[0]} icmp echo reply, 84 bytes$")
    tap.ok(any(request.match(n) for n in lines), "a packet from the tunnel is shown in clear, with its peer", lines)
    tap.ok(any(reply.match(n) for n in lines), "and one for the tunnel", lines)

    c = Capture(gw, "--peer", silent.name)
    p.host.ping(lab.LAN_HOST[0], 3)
    code, lines, err = c.stop()
    tap.ok(code == 0 and not lines and "0 packets" in err, "of another peer there is nothing", f"{code} {lines} {err}")
    c = Capture(gw, "--peer", p.inner[0], "--port", "4242", "-c", "1")
    p.host.ping(lab.LAN_HOST[0], 2)
    code, lines, err = c.during(lambda: p.host.try_run([sys.executable, "-c", CONNECT, lab.LAN_HOST[0], "4242"]))
    tap.ok(code == 0 and len(lines) == 1 and f"{lab.LAN_HOST[0]}:4242 tcp SYN" in lines[0], "a peer by its address, and one port",
           f"{code} {lines} {err}")


def test_drops(tap, site, p):
    gw = site.gateway
    c = Capture(gw, "-c", "5")
    junk = [sys.executable, INJECT, "junk", "--to", lab.GW_OUTER[0], "--source", "198.18.1.2", "--count", "200"]
    code, lines, err = c.during(lambda: site.wan.run(junk))
    tap.ok(code == 0 and any(re.search(rf" dropped \(\w+\) by {WIRE}: 198\.18\.1\.2:\d+ > ", n) for n in lines),
           "what is dropped is shown with its reason and sender", f"{code} {lines} {err}")
    for line in lines:
        tap.note(line)
    c = Capture(gw, "-c", "1")
    code, lines, err = c.during(lambda: site.lan.ping("10.99.200.2", 2, wait=2))
    tap.ok(code == 0 and re.search(rf"dropped \(no_peer\) by {LAN}", lines[0]), "also towards the tunnel", f"{code} {lines} {err}")


def test_files(tap, site, p):
    gw = site.gateway
    if shutil.which("tcpdump") is None:
        tap.skip("files", "tcpdump is not installed")
        return
    path = os.path.join(gw.dir, "capture.pcapng")
    c = Capture(gw, "-w", path, "-c", "4")
    code, lines, err = c.during(lambda: p.host.ping(lab.LAN_HOST[0], 4))
    tap.ok(code == 0 and not lines and "4 packets" in err, "a file is written instead of lines", f"{code} {lines} {err}")
    read = subprocess.run(["tcpdump", "-e", "-n", "-r", path], capture_output=True, text=True)
    tap.ok(read.stdout.count("ICMP echo") == 4 and " In " in read.stdout and " Out " in read.stdout, "tcpdump reads it",
           read.stdout + read.stderr)
    with open(path, "rb") as f:
        data = f.read()
    tap.ok(all(re.search(text.encode(), data) for text in (WIRE, LAN, f"from {p.name}")), "it names ports and peers")

    both = subprocess.Popen(["sh", "-c", 'capture="$1"; shift; "$capture" "$@" | tcpdump -n -r -', "sh",
                             *gw.host.words(gw.words("capture", "-w", "-", "-c", "2"))],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    lab.wait_for(lambda: is_taken(gw), 20, "a capture that runs")
    for _ in range(50):
        if both.poll() is not None:
            break
        p.host.ping(lab.LAN_HOST[0], 3)
    out, _ = both.communicate(timeout=60)
    tap.equal(out.count("ICMP echo"), 2, "tcpdump reads it from a pipe")
    code, _, err = gw.command("capture", "-w", "/nonexistent/file")
    tap.ok(code == 1 and "/nonexistent/file cannot be written" in err, "a file that cannot be made is named", err)


def test_ends(tap, site, p):
    gw = site.gateway
    code, _, err = gw.command("capture", "--peer", "nobody")
    tap.ok(code == 1 and "no such peer" in err, "a peer that is not there is refused", err)
    c = Capture(gw)
    code, _, err = gw.command("capture")
    tap.ok(code == 1 and "end the other" in err, "a second one too", err)
    old = gw.kill("controlplane")
    code, _, err = c.wait()
    tap.ok(code == 1 and "ended the capture" in err, "when the control plane dies, it ends and says so", f"{code} {err}")
    gw.wait_new("controlplane", old)
    lab.wait_for(gw.is_ready, 20, "status after the control plane's restart")
    c = Capture(gw, "-c", "1")
    old = gw.kill("forwarder")
    gw.wait_new("forwarder", old)
    code, lines, err = c.during(lambda: p.host.ping(lab.LAN_HOST[0], 2))
    tap.ok(code == 0 and len(lines) == 1, "it goes on with a new forwarder", f"{code} {lines} {err}")


def main():
    options = lab.enter(__doc__)
    tap = Tap()
    kind = next(k for k, path in lab.Programs(options).peers.items() if path)
    with lab.Site(options, "capture") as site:
        gw = site.gateway
        p, silent = site.peer(kind), site.peer(kind)
        gw.start()
        p.start()
        p.host.ping_until(lab.LAN_HOST[0], 20)
        test_lines(tap, site, p, silent)
        test_drops(tap, site, p)
        test_files(tap, site, p)
        test_ends(tap, site, p)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
