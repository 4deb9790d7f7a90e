# SPDX-License-Identifier: BSD-3-Clause
"""A member of a tailnet that costs nothing while it is measured: `sluice-bench generate --ahead` in the place of a stock client,
with packets that were encrypted before the clock started, so that only the gateway does any WireGuard work.

The stock client stays alive, to answer disco: gateways answer handshakes only where disco works.  The generator has the
client's node key and another port, and what the gateway sends to the client's port goes to that one while it runs.
"""
import base64, json, os, re, sys

import lab
from lab import LabError, wait_for

PORT = 51820
HEADERS = 28  # of the inner packets: IPv4, UDP


def node_key(stock):
    """The private node key that a tailscaled keeps in its state, in WireGuard's notation."""
    with open(f"{stock.dir}/tailscaled.state") as f:
        values = json.load(f)
    profile = next(v for k, v in values.items() if k.startswith("profile-"))
    key = json.loads(base64.b64decode(profile))["Config"]["PrivateNodeKey"]
    return base64.b64encode(bytes.fromhex(key.removeprefix("privkey:"))).decode()


def public_key(net, node):
    return base64.b64encode(bytes.fromhex(net.node(node.name)["node_key"].removeprefix("nodekey:"))).decode()


class Redirected:
    """While it lasts, what the gateway sends to the client by WireGuard comes to the generator."""

    def __init__(self, client):
        self.host = client.host

    def __enter__(self):
        self.host.run(["nft", "-f", "-"], input="""
            table netdev ahead { chain in_ { type filter hook ingress device "eth0" priority -1;
              udp dport 41641 @th,64,32 { 0x02000000, 0x04000000 } udp dport set %d
            }; }""" % PORT)

    def __exit__(self, *_):
        self.host.try_run("nft delete table netdev ahead")


def load(net, gw, client, clear, size, direction="both", rate=20000, seconds=3, cores="0,0"):
    """(result of a trial of `sluice-bench generate`, CPU seconds of the gateway's processes meanwhile).

    client: stock, direct by v4; clear: a host of the LAN; gw: without SNAT; size: bytes of payload; rate: packets/s, None: as many
    as go.  LabError where it cannot."""
    bench = lab.find_program("sluice-bench", net.options.bin)
    if bench is None:
        raise LabError("no sluice-bench found: give --bin DIR or SLUICE_BIN")
    key = lab.write_secret(os.path.join(net.lab.dir, f"{client.name}.key"), node_key(client))
    words = [bench, "generate", "--device", f"{gw.place.outer}:41641", "--device-key", public_key(net, gw), "--key", key, "--inner",
             client.ip4, "--listen", str(PORT), "--tunnel-netns", f"/run/netns/{client.host.ns}", "--clear", clear.ip4, "--clear-netns",
             f"/run/netns/{clear.host.ns}", "--direction", direction, "--size", str(size + HEADERS), "--mtu", "1280", "--flows", "16",
             "--rate", f"{rate:g}" if rate else "max", "--seconds", f"{seconds:g}", "--cores", cores, "--ahead", "--json", "--quiet"]
    with Redirected(client):
        before = gw.cpu()
        child = lab.subprocess.run(words, capture_output=True, text=True, timeout=60 + 10 * seconds)
        spent = gw.cpu() - before
    if child.returncode != 0:
        raise LabError(f"sluice-bench generate: {child.stderr.strip()}")
    return json.loads(child.stdout)[0]["result"], spent


if __name__ == "__main__":
    sys.exit("a module for tests; see README.md")
