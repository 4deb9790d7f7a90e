#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`sluice run` begins, ends, dies and begins again; what it changed on its host is undone.

    lan --- gw --- wan --- peer1                    (addresses: tests/lab/lab.py)
"""
import os, re, signal, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import lab
from host_state import snapshot, wait_same
from tap import Tap

def undone(tap, before, host, what):
    said = wait_same(host, before)
    return tap.ok(not said, what, said)


def programs_alive():
    """Processes of ours in this PID namespace, whoever is their parent."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and lab.is_alive(int(entry)):
            name = lab.program_of(int(entry))
            if name.startswith("sluice"):
                found[int(entry)] = name
    return found


def works(tap, site, p, what, seconds=20):
    try:
        took = p.host.ping_until(lab.LAN_HOST[0], seconds)
    except lab.LabError as e:
        return tap.ok(False, what, f"{e}\n{site.diagnose()}")
    tap.note(f"{what}: first answer after {took:.2f} s")
    return tap.ok(all(p.host.ping(a) == 3 for a in lab.LAN_HOST) and all(site.lan.ping(a) == 3 for a in p.inner), what,
                  site.diagnose())


def begin_and_end(tap, site, p, before):
    gw = site.gateway
    tap.ok(gw.stop() == 0, "SIGTERM: exit status 0", gw.process.tail())
    tap.equal(programs_alive(), {}, "SIGTERM: no process stays")
    undone(tap, before, site.gw, "SIGTERM: addresses, routes, rules, devices and sysctls are as they were")
    gw.start_again()
    works(tap, site, p, "a second run right after works")


def two_at_a_time(tap, site, p):
    gw = site.gateway
    pids = gw.pids()
    log_before = gw.process.text()
    second = site.gw.spawn(gw.words("run", "--config", gw.config, "--state-dir", gw.state_dir), "second")
    try:
        code = second.wait(10)
    except Exception:
        second.stop()
        code = None
    tap.ok(code not in (None, 0), "a second run in the same run directory is refused", f"status {code}\n{second.tail()}")
    tap.ok(second.tail().strip() != "", "it says why", second.tail())
    tap.equal(gw.pids(), pids, "the first one keeps its processes")
    tap.ok(p.host.ping(lab.LAN_HOST[0]) == 3, "and its traffic", gw.process.text()[len(log_before):])


def killed(tap, site, p, before):
    gw = site.gateway
    everyone = lab.descendants(gw.process.pid)
    gw.process.signal(signal.SIGKILL)
    gw.process.wait()
    try:
        lab.wait_for(lambda: not any(map(lab.is_alive, everyone)), 3, "every child to be gone", 0.01)
        tap.ok(True, "kill -9 of sluice run leaves no child")
    except lab.LabError:
        tap.ok(False, "kill -9 of sluice run leaves no child", {c: lab.program_of(c) for c in everyone if lab.is_alive(c)})
    # What the dead one had set is not in this configuration: only the journal knows it.
    site.gateway.mtu = 1400
    left = p.allowed[2:]
    p.allowed = p.allowed[:2]
    gw.start()
    routes = site.gw.run("ip route show table all") + site.gw.run("ip -6 route show table all")
    tap.ok(left and not any(prefix in routes for prefix in left), "the next run first undoes what the dead one had set",
           f"{left} in\n{routes}")
    works(tap, site, p, "the run after a kill -9 works")
    tap.ok(gw.stop() == 0, "and ends with status 0")
    undone(tap, before, site.gw, "and leaves the host as it was before the first")
    # The same once more, but nobody starts again: the next SIGTERM has nothing to undo, `run` has everything.
    gw.start_again()
    gw.process.signal(signal.SIGKILL)
    gw.process.wait()
    gw.start_again()
    gw.stop()
    undone(tap, before, site.gw, "killed at once, run again, ended: the host is as it was")
    gw.start_again()
    works(tap, site, p, "and the next run works")


def restarts(tap, site, p):
    gw = site.gateway
    for role in ("controlplane", "forwarder"):
        log_before, old = len(gw.process.text()), gw.kill(role)
        try:
            began = time.monotonic()
            new = gw.wait_new(role, old)
            tap.note(f"{role} {old} was killed, {new} came after {1000 * (time.monotonic() - began):.0f} ms")
            tap.ok(True, f"a killed {role} is started again")
        except lab.LabError as e:
            tap.ok(False, f"a killed {role} is started again", e)
        lab.wait_for(gw.is_ready, 20, "the gateway to be ready again")
        time.sleep(0.3)
        log = gw.process.text()[log_before:]
        # The text names the program or its role, and what happened to it.
        named = re.search(r"control.?plane" if role == "controlplane" else r"forwarder|data.?plane", log)
        tap.ok(named and re.search(r"died|killed|signal|ended|restart|again", log), f"the restart of the {role} is logged", log)
        works(tap, site, p, f"traffic passes after the {role}'s restart")
    keeper, forwarder = gw.pids()["keeper"], gw.pids()["forwarder"]
    os.kill(keeper, signal.SIGKILL)
    try:
        lab.wait_for(lambda: not lab.is_alive(forwarder), 2, "", 0.005)
        tap.ok(True, "a killed keeper takes its forwarder along")
    except lab.LabError:
        tap.ok(False, "a killed keeper takes its forwarder along")
    gw.wait_new("keeper", keeper)
    gw.wait_new("forwarder", forwarder)
    # The peer finds out after 15 s that its session is gone (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT) and begins a new one.
    works(tap, site, p, "a killed keeper is started again, and traffic passes", 40)


def pauses(tap, site):
    """Killed as soon as it is back, again and again: it is not restarted in a tight loop."""
    gw, waited = site.gateway, []
    for _ in range(7):
        old = gw.kill("controlplane")
        began = time.monotonic()
        gw.wait_new("controlplane", old, 60)
        waited.append(time.monotonic() - began)
    tap.note("pauses in ms: " + " ".join(f"{1000 * w:.0f}" for w in waited))
    tap.ok(waited[0] < 1, "the first restart comes at once", waited)
    tap.ok(max(waited[-2:]) > 2 * waited[0] and max(waited[-2:]) > 0.1, "the pauses grow", waited)
    lab.wait_for(gw.is_ready, 60, "the gateway to be ready after that")


def programs(tap, site):
    gw = site.gateway
    folder = os.path.dirname(gw.program)
    for name in ("sluice", "sluice-dataplane", "sluice-controlplane"):
        path = lab.find_program(name, site.options.bin) or os.path.join(folder, name)
        for option in ("--version", "--help"):
            code, out, err = site.gw.try_run([path, option])
            tap.ok(code == 0 and (out + err).strip(), f"{name} {option}", f"status {code}\n{out}{err}")
        if name != "sluice":
            words = [path, "--config", gw.config, "--run-dir", gw.run_dir, "--state-dir", gw.state_dir, "--check"]
            code, out, err = site.gw.try_run(words)
            tap.ok(code == 0, f"{name} --check accepts the configuration", f"status {code}\n{out}{err}")


def main():
    options = lab.enter(__doc__)
    tap = Tap()
    with lab.Site(options, "lifecycle") as site:
        p = site.peer("wireguard-go" if lab.Programs(options).peers["wireguard-go"] else "boringtun",
                      allowed=("10.50.0.0/16", "fd50::/64"))
        before = snapshot(site.gw)
        site.start()
        works(tap, site, p, "a first run works")
        for name, part in (("end", lambda: begin_and_end(tap, site, p, before)), ("two", lambda: two_at_a_time(tap, site, p)),
                           ("programs", lambda: programs(tap, site)), ("restarts", lambda: restarts(tap, site, p)),
                           ("killed", lambda: killed(tap, site, p, before)), ("pauses", lambda: pauses(tap, site))):
            if not lab.wanted(options, name):
                continue
            try:
                part()
            except Exception:
                tap.broken(f"{name} runs to its end")
                tap.note(site.diagnose())
                if not site.gateway.process.alive():
                    site.gateway.start_again()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
