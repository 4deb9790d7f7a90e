# SPDX-License-Identifier: BSD-3-Clause
"""Cases of router_test.py: what the gateway does to its host.  They are about Sluice alone."""
import os, re, signal, sys, time

import host_state, lab, router
from router_case import FAMILIES, start, stock_in
from tailnet_case import TOOL, traffic

QUEUES = 4


def is_stock(case):
    if case.options.gateway == "sluice":
        return False
    case.tap.skip(case.name, "only Sluice has ports")
    return True


def through(case, net, a, lan, how):
    """The client and the LAN, both ways."""
    h = lan.hosts[0]
    for family in FAMILIES:
        case.equal((case.reached(a, h, family), case.reached(h, a, family)),
                   (f"{h.name} saw {lan.gateway[family == 6]}", f"a saw {h.addresses[family == 6]}"), f"{how}: both ways, v{family}")


def carried(case, gw, a, lan, how, by_workers=True, rate=500, seconds=2):
    """Numbered packets; by the workers or, judged by the kernel's own count, by the kernel."""
    least = int(rate * seconds * 0.8 / case.options.slow)

    def run():
        flow = traffic(a, lan.hosts[0], rate=rate, flows=16, name=f"{how.split()[0]} ", via=stock_in(case.net))
        time.sleep(seconds)
        return flow.stop()

    if by_workers:
        return case.perfect(case.by_workers(gw, lan, least, how, run), f"{how}: 0 lost")
    before = router.Counters(gw)
    results = run()
    d = router.Counters(gw) - before
    case.ok(d.kernel_forwarded >= 2 * least, f"{how}: forwarded by the kernel", d)
    return case.perfect(results, f"{how}: 0 lost")


# ---- ports --------------------------------------------------------------------------------------------------------------

def run_ports(case):
    if is_stock(case):
        return
    if case.options.driver == "kernel":
        return case.tap.skip("ports", "they are about AF_XDP")
    for part in (found, queues, one_armed, forced, in_the_way):
        with case.tailnet() as net:
            part(case, net)


def explained(case, gw, name, driver, word=""):
    p = router.port(gw, name)
    return case.ok(p.get("driver") == driver and word in (p.get("why") or ""), f"status: {name} is {driver}, and why", p)


def found(case, net):
    """The prefixes say which interface the LAN is, the default route which the WAN is; another one is left alone."""
    where, lan = router.begin(net)
    other = net.lab.host("other")
    net.lab.link(where.host, "dmz0", ["10.66.0.1/24"], other, "eth0", ["10.66.0.2/24"])
    lan.serve()
    gw, a = start(case, lambda: router.run(net, where, lan), lambda: net.stock("a", up=["--accept-routes"]))
    a.serve()
    case.ready(gw, lan)
    for name in ("eth0", "lan0"):
        explained(case, gw, name, "af_xdp", "zero copy")
        case.ok(router.port(gw, name).get("mode") in ("zero copy", "copy", "generic"), f"{name}: its mode is said", router.port(gw, name))
    case.ok(router.port(gw, "dmz0").get("driver") != "af_xdp", "an interface that nobody named is left alone", router.port(gw, "dmz0"))
    case.equal(gw.host.sysctl("net.ipv4.ip_forward"), "0", "the kernel does not forward")
    through(case, net, a, lan, "found by themselves")


def queues(case, net):
    """Flows spread over queues and workers."""
    where, lan = router.begin(net, queues=QUEUES, lan_queues=QUEUES)
    lan.serve()
    gw, a, b = start(case, lambda: router.run(net, where, lan, workers="[0, 1]" if (os.cpu_count() or 1) > 1 else "auto"),
                     lambda: net.stock("a", up=["--accept-routes"]), lambda: net.stock("b", "cone", version="old", up=["--accept-routes"]))
    for client in (a, b):
        client.serve()
    case.ready(gw, lan)
    case.equal([router.port(gw, n).get("queues") for n in ("eth0", "lan0")], [QUEUES, QUEUES], f"{QUEUES} queues each")
    through(case, net, a, lan, f"{QUEUES} queues")
    case.ok(case.reached(b, lan.hosts[0], 4), f"{QUEUES} queues, another client")
    carried(case, gw, a, lan, f"{QUEUES} queues, two workers")
    packets = [w.get("packets", 0) for w in (gw.status() or {}).get("workers", [])]
    case.ok(len(packets) >= min(2, os.cpu_count() or 1) and all(packets), "every worker carried some", packets)


def one_armed(case, net):
    where, lan = router.begin(net, one_armed=True)
    lan.serve()
    gw, a = start(case, lambda: router.run(net, where, lan), lambda: net.stock("a", up=["--accept-routes"]))
    a.serve()
    router.wait_xdp(gw, "eth0")
    through(case, net, a, lan, "one interface for both")
    carried(case, gw, a, lan, "one-armed")


def forced(case, net):
    where, lan = router.begin(net)
    lan.serve()
    gw, a = start(case, lambda: router.run(net, where, lan, driver="kernel"), lambda: net.stock("a", up=["--accept-routes"]))
    a.serve()
    through(case, net, a, lan, "dataplane.driver: kernel")
    case.ok(not router.is_xdp(gw, "eth0") and not router.is_xdp(gw, "lan0"), "dataplane.driver: kernel: no AF_XDP port", (gw.status() or {}).get("ports"))
    case.ok("xdp" not in gw.host.run("bpftool net show dev lan0").split("tc:")[0].replace("xdp:", ""), "and no XDP program", gw.host.run("bpftool net"))
    carried(case, gw, a, lan, "kernel port with SNAT", by_workers=False)
    gw.set("--snat-subnet-routes=false")
    case.eventually(lambda: a.fetch(lan.hosts[0], seconds=1) == f"lan1 saw {a.ip4}", 15, "kernel port: SNAT is switched off")
    carried(case, gw, a, lan, "kernel port without SNAT", by_workers=False)


def in_the_way(case, net):
    """Another XDP program has the LAN's interface: named, worked around, and taken over from when it is gone."""
    where, lan = router.begin(net)
    lan.serve()
    other = where.host.spawn([sys.executable, os.path.join(TOOL, "xdp_pass.py"), "lan0"], "xdp_pass", capture=True)
    lab.wait_for(lambda: "attached" in other.text() or not other.alive(), 10, "an XDP program on lan0")
    gw, a = start(case, lambda: router.run(net, where, lan), lambda: net.stock("a", up=["--accept-routes"]))
    a.serve()
    through(case, net, a, lan, "another XDP program on the LAN's interface")
    case.ok(router.is_xdp(gw, "eth0"), "the other interface is an AF_XDP port", router.port(gw, "eth0"))
    program = re.search(r"lan0\(\d+\) \w+ id (\d+)", gw.host.run("bpftool net"))[1]
    case.eventually(lambda: f"XDP program with id {program}" in (router.port(gw, "lan0").get("why") or ""), 10,
                    "status names the program that is in the way", lambda: router.port(gw, "lan0"))
    other.stop()
    case.eventually(lambda: router.is_xdp(gw, "lan0"), 40, "it is gone: the port becomes an AF_XDP port", lambda: router.port(gw, "lan0"))
    through(case, net, a, lan, "the other program gone")
    carried(case, gw, a, lan, "the other program gone")


# ---- restore ------------------------------------------------------------------------------------------------------------

def run_restore(case):
    if is_stock(case):
        return
    with case.tailnet() as net:
        where, lan = router.begin(net)
        lan.serve()
        host = where.host
        before = host_state.snapshot(host)
        gw, a = start(case, lambda: router.run(net, where, lan), lambda: net.stock("a", up=["--accept-routes"]))
        a.serve()
        in_use(case, net, gw, a, lan)
        case.ok(host_state.snapshot(host) != before, "what it changes is seen by this comparison")

        def undone(what):
            d = host_state.wait_same(host, before, 10)
            case.ok(not d, f"{what}: links, neighbours, routes, rules, nft, bpf and sysctls are as they were", d)

        code, out, err = gw.command("down")
        case.equal(code, 0, "`sluice down`")
        d = host_state.wait_same(host, before, 10)
        ours = [line for line in d.splitlines()[2:] if line[0] in "+-" and gw.device not in line and not line.startswith("@@")]
        case.equal(ours, [], f"`sluice down`: but for {gw.device}, which waits for the next `up`, all is as it was")
        code, out, err = gw.net.enter(gw.host, gw.words("up"))
        case.equal(code, 0, f"`sluice up` again: {(out + err).strip().splitlines()[-1:]}")
        in_use(case, net, gw, a, lan)
        case.equal(gw.stop(), 0, "SIGTERM")
        undone("SIGTERM")
        gw.start_again()
        in_use(case, net, gw, a, lan)
        everyone = list(filter(None, gw.pids().values()))
        for pid in everyone:
            os.kill(pid, signal.SIGKILL)
        gw.process.popen.wait()
        lab.wait_for(lambda: not any(map(lab.is_alive, everyone)), 10, "all of them to be gone")
        code, out, err = gw.command("down", "--state-dir", gw.state_dir)
        case.equal(code, 0, f"kill -9 of everything, then `sluice down`: {(out + err).strip()}")
        undone("kill -9 and `sluice down`")


def in_use(case, net, gw, a, lan):
    for family in FAMILIES:
        case.ok(case.reached(a, lan.hosts[0], family) and case.reached(lan.hosts[0], a, family), f"in use, v{family}")
    case.ready(gw, lan)


# ---- kill ---------------------------------------------------------------------------------------------------------------

TALK_PORT = 7007
# Answers each line of a connection with the address and port that it comes from, and the line.
TALK_SERVER = """
import socket, threading
def serve(c, a):
    for line in c.makefile("r"): c.sendall(f"{a[0]} {a[1]} {line}".encode())
s = socket.create_server(("::", %d), family=socket.AF_INET6, dualstack_ipv6=True)
while True: threading.Thread(target=serve, args=s.accept(), daemon=True).start()
""" % TALK_PORT
# One connection, a number ten times a second, and what is answered.
TALK_CLIENT = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], %d), 10)
s.settimeout(30)
f = s.makefile("r")
n = 0
while True:
    s.sendall(b"%%d\\n" %% n)
    print(f.readline().strip(), flush=True)
    n += 1
    time.sleep(0.1)
""" % TALK_PORT
KILLS = 5
PAUSE_S = 2.2 # the supervisor starts a child that lived for less after a growing pause


def talked(talk):
    """[(address, port, number)] that came back."""
    return [tuple(line.split()) for line in talk.text().splitlines()[:-1]]


def run_kill(case):
    """Both processes at once, under way: translated flows go on with the ports that they had."""
    if is_stock(case):
        return
    with case.tailnet() as net:
        where, lan = router.begin(net)
        lan.serve()
        h = lan.hosts[0]
        gw, a = start(case, lambda: router.run(net, where, lan), lambda: net.stock("a", up=["--accept-routes"]))
        a.serve()
        case.ready(gw, lan)
        case.ok(a.ping_direct(gw), "the client is direct", a.said)
        through(case, net, a, lan, "before")
        h.host.spawn([sys.executable, "-c", TALK_SERVER], "talk")
        lab.wait_for(lambda: f":{TALK_PORT}" in h.host.run(f"ss -Hltn sport = :{TALK_PORT}"), 10, "the LAN host to listen")
        talks = [a.host.spawn([sys.executable, "-u", "-c", TALK_CLIENT, h.addresses[n]], "talk", capture=True) for n in range(2)]
        for talk in talks:
            lab.wait_for(lambda: len(talked(talk)) > 5, 20, "a connection to the LAN")
        flow = traffic(a, h, rate=1000, name="kill ", via=stock_in(net))
        for _ in range(KILLS):
            killed = [(role, gw.kill(role)) for role in ("controlplane", "forwarder")]
            for role, pid in killed:
                gw.wait_new(role, pid)
            time.sleep(PAUSE_S)
        results = flow.stop()
        for r in results:
            case.note(r)
        case.ok(all(r.received > 0.9 * r.sent and not (r.duplicated or r.corrupted) for r in results),
                f"both processes killed {KILLS} times: UDP goes on, none twice", "\n".join(map(str, results)))
        for n, talk in enumerate(talks):
            had = len(talked(talk))
            lab.wait_for(lambda: len(talked(talk)) > had + 5, 30, f"the connection to go on\n{talk.tail()}")
            lines = talked(talk)
            case.ok(talk.alive() and {line[:2] for line in lines} == {lines[0][:2]} and [int(line[2]) for line in lines] == list(range(len(lines))),
                    f"a TCP connection goes on from the same port, every line answered, v{FAMILIES[n]}", lines[-3:])
            case.ok(lines[0][0].removeprefix("::ffff:") == lan.gateway[n], f"it is translated, v{FAMILIES[n]}", lines[0])
        through(case, net, a, lan, "after")


CASES = {"ports": run_ports, "restore": run_restore, "kill": run_kill}

if __name__ == "__main__":
    sys.exit("a module for tests; see router_test.py")
