#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""TCP through a gateway, side by side: sluice and others in the same place, in turns, in one run.

    peer1 (wireguard-go) --- wan --- gw (the gateway in turn) --- lan

Prints for each gateway and direction Gbit/s and the CPU seconds that all of its processes took per Gbit,
as min / median / max over the repeats, and the ratio to the first gateway. The chain shares this machine's
cores, so a rate says what the whole chain does: ratios within one run are what counts.
"""
import json, os, statistics, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "lab"))
import lab

WAYS = {"peer to LAN (gateway decrypts)": "", "LAN to peer (gateway encrypts)": "-R"}


def measure(site, p, options, seconds):
    before = site.gateway.cpu()
    code, out, err = p.host.try_run(f"iperf3 -c {lab.LAN_HOST[0]} -t {seconds} -J {options}", timeout=seconds + 30)
    cpu = site.gateway.cpu() - before
    if code != 0:
        raise SystemExit(f"iperf3: {out[-300:]}{err}")
    end = json.loads(out)["end"]["sum_received"]
    return end["bits_per_second"] / 1e9, cpu / (end["bytes"] * 8 / 1e9)


def one_gateway(options, kind, seconds, streams):
    options.gateway = kind
    with lab.Site(options, "bench") as site:
        p = site.peer("wireguard-go", keepalive=25)
        site.start()
        p.host.ping_until(lab.LAN_HOST[0], 15)
        site.lan.spawn("iperf3 -s", "iperf3")
        time.sleep(0.5)
        measure(site, p, "", 1)  # warm up
        return {way: measure(site, p, f"{flags} -P {streams}", seconds) for way, flags in WAYS.items()}


def spread(values):
    v = sorted(values)
    return f"{v[0]:.2f} / {statistics.median(v):.2f} / {v[-1]:.2f}"


def report(gateways, results):
    for way in WAYS:
        print(f"\n{way}")
        print(f"  {'gateway':14} {'Gbit/s':22} {'CPU s per Gbit':22} rate and cost against {gateways[0]}")
        first = [statistics.median(r[way][i] for r in results[gateways[0]]) for i in (0, 1)]
        for kind in gateways:
            rates, costs = ([r[way][i] for r in results[kind]] for i in (0, 1))
            print(f"  {kind:14} {spread(rates):22} {spread(costs):22} "
                  f"{statistics.median(rates) / first[0]:.2f} x, {statistics.median(costs) / first[1]:.2f} x")


def more(parser):
    parser.add_argument("--gateways", default="sluice,wireguard-go", metavar="NAME[,NAME]")
    parser.add_argument("--repeat", type=int, default=3, metavar="N")
    parser.add_argument("--seconds", type=int, default=4, metavar="N", help="of one measurement")
    parser.add_argument("--streams", type=int, default=1, metavar="N", help="TCP connections at once")
    parser.add_argument("--json", metavar="FILE")


def main():
    options = lab.enter(__doc__, more)
    gateways = options.gateways.split(",")
    results = {kind: [] for kind in gateways}
    for i in range(options.repeat):
        for kind in gateways:
            print(f"run {i + 1} of {options.repeat}: {kind}", file=sys.stderr, flush=True)
            results[kind].append(one_gateway(options, kind, options.seconds, options.streams))
    report(gateways, results)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(results, f, indent=1)


main()
