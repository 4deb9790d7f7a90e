#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A data plane alone is asked for ports that carry frames, by keeperprobe in the place of a control plane.

    open       a port is opened over AF_XDP, asked for again, refused by name, kept when forwarder and control plane die,
               and closed; nothing is left on the interface
    end        SIGTERM, and kill -9 of the keeper, leave no program on the interface
    kernel     dataplane.driver: kernel opens none, keeps fewer rights, and says why
"""
import json, os, re, signal, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from tap import Tap

CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK = 1 << 12, 1 << 13, 1 << 14


class Probe:
    """A control plane that asks for ports."""

    def __init__(self, place):
        tool = lab.find_program("keeperprobe", place.options.tools or place.options.bin)
        if tool is None:
            raise lab.LabError("no keeperprobe found: give --tools DIR or SLUICE_TOOLS")
        self.process = subprocess.Popen(place.gw.words([tool, place.run_dir]), text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=1)
        self.first = self.process.stdout.readline()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def open(self, name):
        """(mode, text)"""
        m = re.match(r"open ifindex \d+ mode (\d): ?(.*)", self.ask(f"open {name} generic"))
        return int(m[1]), m[2]

    def close(self, name):
        return self.ask(f"close {name}")

    def pids(self):
        """(process of the forwarder, how many there were)"""
        words = self.ask("pids").split()
        return int(words[2]), int(words[4])

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


class Place:
    """A data plane and the host behind its only interface."""

    def __init__(self, options, name, driver="auto", queues=1):
        self.options, self.lab = options, lab.Lab(options, name)
        self.gw, self.far = self.lab.host("gw"), self.lab.host("far")
        self.lab.link(self.gw, "eth0", ["192.168.77.1/24"], self.far, "eth0", ["192.168.77.2/24"], queues=queues)
        self.run_dir = f"{self.lab.dir}/run"
        self.config = f"{self.lab.dir}/sluice.yaml"
        key = lab.write_secret(f"{self.lab.dir}/key", lab.new_key())
        with open(self.config, "w") as f:
            f.write(f"version: 1\ndataplane:\n  driver: {driver}\n  workers: auto\nwireguard:\n  private_key_file: {key}\n"
                    "  addresses: [10.99.0.1/16]\n")
        self.program = lab.find_program("sluice-dataplane", options.bin)
        self.process = None

    def start(self):
        self.process = self.gw.spawn([self.program, "--config", self.config, "--run-dir", self.run_dir], "dataplane")
        lab.wait_for(lambda: "forwarder runs" in self.process.tail() or not self.process.alive(), 20, "the data plane")

    def keeper(self):
        """ip netns exec became it."""
        return self.process.pid

    def program_on(self, device="eth0"):
        """What is attached: a number, or None."""
        link = json.loads(self.gw.ip(f"-j -d link show dev {device}"))[0]
        return (link.get("xdp") or {}).get("prog", {}).get("id")

    def rights(self, pid):
        with open(f"/proc/{pid}/status") as f:
            return int(re.search(r"CapEff:\s+(\w+)", f.read())[1], 16)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lab.close()


def cannot(place, tap, what):
    """Whether AF_XDP is not to be had here; said once."""
    text = place.process.tail(30)
    if "no AF_XDP ports" not in text:
        return False
    tap.skip(what, re.search(r"no AF_XDP ports[^\n]*", text)[0])
    return True


def opening(tap, options):
    with Place(options, "ports-open", queues=2) as place:
        place.start()
        if cannot(place, tap, "ports are opened"):
            return
        p = Probe(place)
        mode, why = p.open("eth0")
        if not tap.ok(mode != 0, "a port is opened", why):
            return
        tap.note(f"mode {mode}: {why}")
        program = place.program_on()
        tap.ok(program is not None, "the steer program is on the interface")
        tap.ok("eth0 af_xdp" in p.ask("rows"), "state.ports names it")
        tap.equal(p.open("eth0")[0], mode, "asked for again it is what it is")
        tap.ok("no interface has this name and index" in p.ask("raw 4 1 eth0"), "a name that is another interface's is refused")
        tap.ok("no interface has this name and index" in p.ask("raw 4 77777 eth0"), "an interface that is not there is refused")
        tap.ok("it is not open" in p.ask("raw 5 1 lo"), "closing what is not open is answered")
        tap.ok(place.far.ping("192.168.77.1", 1), "what is not ours passes to the kernel")

        for i in range(3):
            old, starts = p.pids()
            os.kill(old, signal.SIGKILL)
            lab.wait_for(lambda: p.pids()[1] > starts, 20, "another forwarder")
            lab.wait_for(lambda: "eth0 af_xdp" in p.ask("rows"), 10, "the port in its hands")
        tap.equal(place.program_on(), program, "three forwarders later the same program is there")
        p.end()
        p = Probe(place)
        tap.ok("eth0 af_xdp" in p.ask("rows"), "the next control plane finds the port open")
        tap.equal(p.open("eth0")[0], mode, "and may ask for it")

        p.close("eth0")
        tap.equal(place.program_on(), None, "closed: the interface is as it was")
        tap.ok("eth0" not in p.ask("rows"), "and its row is free")
        # The kernel lets go of a socket's queue a moment after its end.
        mode = lab.wait_for(lambda: p.open("eth0")[0], 20, "the port once more", 0.2)
        tap.ok(mode != 0, "it can be opened again")
        # With the port open, and no forwarder there at the moment in which it is closed.
        os.kill(p.pids()[0], signal.SIGKILL)
        p.close("eth0")
        tap.equal(place.program_on(), None, "closed while the forwarder is dead")
        p.end()
        tap.ok(place.rights(place.keeper()) & ~(CAP_NET_ADMIN | CAP_NET_RAW | CAP_IPC_LOCK) == 0,
               "the keeper kept only what opening a port takes", hex(place.rights(place.keeper())))


def ending(tap, options):
    for what, number in (("SIGTERM", signal.SIGTERM), ("kill -9 of the keeper", signal.SIGKILL)):
        with Place(options, "ports-end") as place:
            place.start()
            if cannot(place, tap, f"{what} leaves nothing"):
                continue
            p = Probe(place)
            mode, why = p.open("eth0")
            if not tap.ok(mode != 0 and place.program_on() is not None, f"{what}: a port is open", why):
                continue
            os.kill(place.keeper(), number)
            place.process.wait(20)
            lab.wait_for(lambda: place.program_on() is None, 20, lambda: f"{what} to leave no program on the interface")
            tap.ok(True, f"{what} leaves no program on the interface")
            p.process.kill()


def kernel(tap, options):
    with Place(options, "ports-kernel", driver="kernel") as place:
        place.start()
        p = Probe(place)
        mode, why = p.open("eth0")
        tap.ok(mode == 0 and "dataplane.driver" in why, "with the kernel's driver no port is opened, and the option is named", why)
        tap.equal(place.program_on(), None, "nothing is attached")
        tap.ok(place.rights(place.keeper()) & ~CAP_IPC_LOCK == 0, "the keeper keeps no right over the network",
               hex(place.rights(place.keeper())))
        p.end()


def main():
    options = lab.enter(__doc__)
    tap = Tap()
    for function in (opening, ending, kernel):
        if not lab.wanted(options, function.__name__):
            continue
        try:
            function(tap, options)
        except Exception:
            tap.broken(f"{function.__name__} runs to its end")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
