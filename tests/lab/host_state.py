# SPDX-License-Identifier: BSD-3-Clause
"""Everything about a host's network that a program could have changed, as lines that can be compared."""
import difflib, re, sys, time

# Lines that change by themselves: lifetimes, statistics, keys made on first use.
RESTLESS = re.compile(r"fastopen_key|stable_secret|nf_conntrack_count|expires|valid_lft|random|uuid|_mem =|fib_sync_mem|"
                      r"tcp_challenge|drop_entry|icmp_ratelimit")
KEPT = re.compile("managed|extern_learn|proxy|PERMANENT|NOARP")
COMMANDS = ("ip -o link", "ip -o addr", "ip route show table all", "ip -6 route show table all", "ip rule", "ip -6 rule",
            "ip neigh show nud permanent", "sysctl -a --pattern ^net[.]", "bpftool net")


def snapshot(host):
    lines = []
    for command in COMMANDS:
        lines += [f"{command}: {line}" for line in host.try_run(command)[1].splitlines() if not RESTLESS.search(line)]
    # What the kernel learns it forgets; what somebody entered for it to keep stays.
    lines += [f"ip neigh: {line.rsplit(' ', 1)[0]}" for line in host.try_run("ip -d neigh")[1].splitlines() if KEPT.search(line)]
    _, ruleset, _ = host.try_run(["sh", "-c", "command -v nft >/dev/null && nft list ruleset"])
    return sorted(lines) + ruleset.splitlines()


def difference(before, now):
    return "\n".join(difflib.unified_diff(before, now, "before", "after", lineterm="", n=0))


def wait_same(host, before, seconds=5):
    """What is different after so long ("": nothing); devices take a moment to go."""
    end = time.monotonic() + seconds
    while True:
        now = snapshot(host)
        if now == before or time.monotonic() > end:
            return difference(before, now)
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit("a module for tests; see README.md")
