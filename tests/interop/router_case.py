# SPDX-License-Identifier: BSD-3-Clause
"""What the cases of router_test.py share."""
import re, sys

import lab, router
from tailnet_case import Case, at_once

# Sends so many datagrams, one after the answer to the other; prints how many were answered, or the error of a refusal.
ASK = """
import socket, sys
address, port, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
s.connect((address, port))
got = 0
try:
    for n in range(count):
        data = (b"%d " % n).ljust(size, b".")
        s.send(data)
        try:
            got += s.recv(9000) == data
        except TimeoutError:
            pass
    print(got)
except OSError as e:
    print(e.strerror)
"""
ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", int(sys.argv[1])))
while True:
    data, who = s.recvfrom(9000)
    s.sendto(data, who)
"""
FAMILIES = (4, 6)
ECHO_PORT = 7
FEW = 50  # packets that come along where some hundred are counted: neighbour discovery, a first packet before all is known


class RouterCase(Case):
    """A case with a gateway in front of a LAN."""

    def reached(self, who, to, family, seconds=20):
        """An answer over HTTP, asked for until it comes; what it says, or None."""
        try:
            return lab.wait_for(lambda: who.fetch(to, seconds=2, family=family), seconds, "an answer", 0.2)
        except lab.LabError:
            return None

    def ready(self, gw, lan):
        """Sluice's ports are the workers', where that is what is asked for: so that every case is about AF_XDP."""
        if gw.is_sluice and self.options.driver != "kernel":
            self.eventually(lambda: router.is_xdp(gw, "eth0", lan.device), 20, f"eth0 and {lan.device} are AF_XDP ports",
                            lambda: (gw.status() or {}).get("ports"))

    def by_workers(self, gw, lan, packets, what, do):
        """Does it, and judges by counters that the workers carried it, and no socket, host interface or kernel."""
        if not gw.is_sluice or self.options.driver == "kernel":
            return do()
        before = router.Counters(gw)
        result = do()
        d = router.Counters(gw) - before
        ports = {"eth0", lan.device}
        carried = all(d[f"{p} {way}"] >= packets for p in ports for way in ("rx", "tx"))
        self.ok(carried and d.sockets <= FEW and d.host_interface <= FEW and d.kernel_forwarded == 0,
                f"{what}: by the workers' ports, and by nothing else", f"{packets} packets or more each way were sent: {d}")
        return result


def serve_echo(node, port=ECHO_PORT):
    node.host.spawn([sys.executable, "-c", ECHO, str(port)], "echo")
    lab.wait_for(lambda: f":{port}" in node.host.run(f"ss -Hlun sport = :{port}"), 10, f"UDP echo on {node.name}")


def ask(source, address, count=20, port=ECHO_PORT, size=20):
    """How many datagrams were answered, as text, or why it was refused."""
    return source.host.try_run([sys.executable, "-c", ASK, address, str(port), str(count), str(size)], 60)[1].strip()


def download(source, address, size, seconds=30):
    """Bytes that came over HTTP."""
    host = f"[{address}]" if ":" in address else address
    out = source.host.try_run(f"sh -c 'curl -s -m {seconds} http://{host}/{size} | wc -c'", seconds + 10)[1]
    return int(out.strip() or 0)


def hops(source, address):
    """Who answered a traceroute, hop by hop."""
    six = "-6 " if ":" in address else ""
    out = source.host.try_run(f"traceroute {six}-n -q 1 -w 2 -m 5 {address}", 40)[1]
    return [m[1] for m in re.finditer(r"(?m)^ *\d+  (\S+)", out)]


def stock_in(net):
    """Hosts whose stock programs are between, for traffic that they may lose."""
    return [n.host for n in net.nodes if not n.is_sluice]


def start(case, *jobs):
    return at_once(lambda job: job(), jobs)


if __name__ == "__main__":
    sys.exit("a module for tests; see router_test.py")
