#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The commands of `sluice` that need no running gateway, through the program itself.

check, import, genkey, pubkey, genpsk, help: exit status, output, files.  Public keys are compared
with those of wg(8) where it is installed.

Usage: cli_test.py BUILD_DIR|SLUICE     (TAP on stdout)
"""

import base64
import os
import shutil
import stat
import subprocess
import sys
import tempfile

KEY = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="  # RFC 7748 section 6.1, Alice
PUBLIC = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
BOB = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="
EVE = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="

count = 0
failed = 0
sluice = None


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


def run(*args, stdin="", **more):
    return subprocess.run([sluice, *args], input=stdin, capture_output=True, text=True, timeout=60, **more)


def expect(result, status, what, out=None, err=None):
    """Exit status, and parts of what was written."""
    good = result.returncode == status
    good = good and (out is None or out in result.stdout)
    good = good and (err is None or err in result.stderr)
    ok(good, what, f"exit status {result.returncode}\nstdout: {result.stdout}\nstderr: {result.stderr}")


def write(path, text, mode=0o644):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def is_key(text):
    return len(text) == 45 and text.endswith("=\n") and len(base64.b64decode(text)) == 32


def test_usage():
    expect(run(), 2, "no command is wrong usage", err="usage: sluice COMMAND")
    expect(run("help"), 0, "help lists the commands", out="  import ")
    expect(run("--help"), 0, "--help too", out="  genpsk ")
    expect(run("help", "import"), 0, "help for a command", out="--key-dir DIR")
    expect(run("import", "--help"), 0, "a command's own --help", out="usage: sluice import")
    expect(run("help", "config"), 0, "help config lists every option",
           out="wireguard.peers[].persistent_keepalive: a number")
    expect(run("--version"), 0, "--version", out="sluice ")
    expect(run("chekc"), 2, "a mistyped command", err="did you mean check?")
    expect(run("frobnicate"), 2, "an unknown command", err="`sluice help` lists them")
    expect(run("check"), 2, "check without a file", err="usage: sluice check")
    expect(run("check", "a", "b"), 2, "check with two files", err="the name of one file")
    expect(run("check", "--frob", "a"), 2, "an unknown option", err="usage: sluice check")
    expect(run("genkey", "x"), 2, "genkey takes no arguments", err="it takes no arguments")
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            for command in (["help"], ["genkey"]):
                status = subprocess.run([sluice, *command], stdout=full, stderr=subprocess.DEVNULL, timeout=60)
                ok(status.returncode == 1, f"{command[0]} on a full disk fails")


def test_keys(folder):
    first, second = run("genkey"), run("genkey", "--run-dir", "/nowhere")
    ok(first.returncode == 0 and is_key(first.stdout), "genkey prints 44 characters", first)
    ok(first.stdout != second.stdout and is_key(second.stdout), "each time another key")
    raw = base64.b64decode(first.stdout)
    ok(raw[0] & 7 == 0 and raw[31] & 0xC0 == 0x40, "clamped as RFC 7748 says")
    ok(is_key(run("genpsk").stdout), "genpsk prints 44 characters")

    expect(run("pubkey", stdin=KEY + "\n"), 0, "pubkey of RFC 7748's key", out=PUBLIC + "\n")
    expect(run("pubkey", stdin=KEY), 0, "without a line break", out=PUBLIC + "\n")
    for what, text in (("nothing", ""), ("half a key", KEY[:20]), ("two keys", KEY + "\n" + KEY),
                       ("too much", "x" * 1000), ("a key that is not base64", "!" * 44)):
        result = run("pubkey", stdin=text)
        expect(result, 1, f"pubkey of {what} fails", err="stdin has no key")
    result = run("pubkey", stdin=KEY[:43] + "\n")
    ok(KEY[:20] not in result.stderr, "and does not repeat it")

    wg = shutil.which("wg")
    if wg is None:
        skip("pubkey agrees with wg", "wg is not installed")
    else:
        same = 0
        for _ in range(8):
            key = run("genkey").stdout
            theirs = subprocess.run([wg, "pubkey"], input=key, capture_output=True, text=True, timeout=60).stdout
            same += run("pubkey", stdin=key).stdout == theirs
        ok(same == 8, "pubkey agrees with wg", same)

    path = os.path.join(folder, "open.key")
    with open(path, "w") as f:
        os.fchmod(f.fileno(), 0o644)
        result = subprocess.run([sluice, "genkey"], stdout=f, stderr=subprocess.PIPE, text=True, timeout=60)
    ok(result.returncode == 0 and "chmod 600" in result.stderr, "genkey warns when others can read the file", result)
    with open(path, "w") as f:
        os.fchmod(f.fileno(), 0o600)
        result = subprocess.run([sluice, "genkey"], stdout=f, stderr=subprocess.PIPE, text=True, timeout=60)
    ok(result.returncode == 0 and result.stderr == "", "and only then", result)


def test_check(folder):
    config = os.path.join(folder, "gateway.yaml")
    text = ("version: 1\nwireguard:\n  private_key_file: wg.key\n  addresses: [10.99.0.1/24]\n"
            f"  peers:\n    - name: branch\n      public_key: {BOB}\n      allowed_ips: [10.99.0.2/32]\n")
    write(config, text)
    expect(run("check", config), 1, "a missing key file", err=f"{config}:3:21: private_key_file wg.key cannot be opened")
    write(os.path.join(folder, "wg.key"), KEY + "\n", 0o640)
    expect(run("check", config), 1, "a key file that the group can read", err="run `chmod 600` on it")
    os.chmod(os.path.join(folder, "wg.key"), 0o600)
    expect(run("check", config), 0, "a good configuration", out=f"{config}: good; 1 peer, 1 prefix\n", err="")
    result = run("check", "gateway.yaml", cwd=folder)
    expect(result, 0, "by a relative name", out="gateway.yaml: good; 1 peer, 1 prefix\n")
    ok(result.stderr == "", "and nothing on stderr", result.stderr)
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            status = subprocess.run([sluice, "check", config], stdout=full, stderr=subprocess.DEVNULL, timeout=60)
        ok(status.returncode == 1, "an answer that nobody gets is a failure")
    expect(run("check", "--run-dir", "/nowhere", config), 0, "--run-dir is taken", out="good")
    member = os.path.join(folder, "member.yaml")
    write(member, "version: 1\ntailnet:\n  login_server: https://hs.example/\n  auth_key_file: auth.key\n")
    expect(run("check", member), 0, "a member of a tailnet whose auth key is gone", out="good; a member of https://hs.example\n",
           err=f"{member}:4:18: warning: auth_key_file auth.key is not there")
    write(os.path.join(folder, "auth.key"), "hskey-auth-0123456789\n", 0o640)
    expect(run("check", member), 1, "an auth key's file that the group can read", err="run `chmod 600` on it")
    os.chmod(os.path.join(folder, "auth.key"), 0o600)
    result = run("check", "--print", member)
    expect(result, 0, "its canonical form", out='  login_server: "https://hs.example"\n', err="")
    ok("hskey" not in result.stdout and "wireguard" not in result.stdout, "has no key, and nothing of the other kind", result.stdout)
    write(member, "version: 1\n")
    expect(run("check", member), 0, "neither section is a tailnet's member", out="good; a member of a tailnet\n", err="")
    ok(KEY not in run("check", "--print", config).stdout, "the canonical form has no secret in it")

    printed = run("check", "--print", config)
    expect(printed, 0, "the canonical form", out="  listen_port: 51820\n")
    write(os.path.join(folder, "printed.yaml"), printed.stdout)
    again = run("check", "--print", os.path.join(folder, "printed.yaml"))
    ok(again.returncode == 0 and again.stdout == printed.stdout, "printed again it is the same", again)

    write(config, text + "      keepalive: 25\n      endpoint: nowhere\n")
    result = run("check", config)
    expect(result, 1, "every error is listed", err=f"{config}:9:7: unknown option keepalive")
    ok(f"{config}:10:17: endpoint is \"nowhere\"" in result.stderr and result.stdout == "", "on stderr", result)
    write(config, text.replace("10.99.0.2/32", "10.7.0.9/16"))
    expect(run("check", config), 0, "a warning is no error", out="good", err=":8:21: warning: allowed_ips has 10.7.0.9/16")
    expect(run("check", os.path.join(folder, "none.yaml")), 1, "a missing file", err="none.yaml:1:1: the file cannot be read")
    expect(run("check", folder), 1, "a folder", err="Is a directory")

    with open(config, "wb") as f:
        f.truncate((64 << 20) + 1)
    expect(run("check", config), 1, "a file of more than 64 MiB", err="larger than 64 MiB")


WG_QUICK = f"""[Interface]
Address = 10.8.0.1/24, fd08::1/64
ListenPort = 51821
PrivateKey = {KEY}
DNS = 10.8.0.1
Table = auto
PostUp = iptables -A FORWARD -i %i -j ACCEPT

# laptop
[Peer]
PublicKey = {BOB}
PresharedKey = {EVE}
AllowedIPs = 10.8.0.2/32, fd08::2/128

[Peer]
PublicKey = {EVE}
PresharedKey = {BOB}
AllowedIPs = 10.8.0.3/32
AllowedIPs = 10.20.1.1/16
Endpoint = vpn.example.net:51820
PersistentKeepalive = 25
"""

IMPORTED = f"""# Made by `sluice import`.
version: 1
dataplane:
  workers: auto
  driver: auto
  interface: sluice0
  routing_table: TABLE
  nat_ports: 61000-65535
wireguard:
  private_key_file: DIR/wg0.key
  listen_port: 51821
  addresses: [10.8.0.1/24, "fd08::1/64"]
  mtu: 1420
  peers:
    - name: laptop
      public_key: {BOB}
      preshared_key_file: DIR/wg0-laptop.psk
      allowed_ips: [10.8.0.2/32, "fd08::2/128"]
    - public_key: {EVE}
      preshared_key_file: DIR/wg0+2.psk
      endpoint: vpn.example.net:51820
      allowed_ips: [10.8.0.3/32, 10.20.0.0/16]
      persistent_keepalive: 25
"""


def routing_table():
    """The default, as `sluice help config` gives it."""
    lines = run("help", "config").stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("dataplane.routing_table:"))
    return next(line for line in lines[at:] if "default:" in line).split()[-1]


def test_import(folder):
    source = os.path.join(folder, "wg0.conf")
    keys = os.path.join(folder, "sub", "keys")
    write(source, WG_QUICK, 0o600)
    result = run("import", "--key-dir", keys, source)
    wanted = IMPORTED.replace("DIR", keys).replace("TABLE", routing_table())
    ok(result.returncode == 0 and result.stdout == wanted, "a wg-quick file becomes YAML", result.stdout + result.stderr)
    notes = result.stderr.splitlines()
    ok(len(notes) == 2 and notes[0].startswith(f"{source}:5:7: warning: DNS has no counterpart")
       and notes[1].startswith(f"{source}:7:10: warning: PostUp has no counterpart"),
       "what has no counterpart is named, with its line", result.stderr)
    ok(mode_of(keys) == 0o700 and mode_of(os.path.dirname(keys)) == 0o700, "the folder is for the owner only")
    files = {name: open(os.path.join(keys, name)).read() for name in sorted(os.listdir(keys))}
    ok(files == {"wg0+2.psk": BOB + "\n", "wg0-laptop.psk": EVE + "\n", "wg0.key": KEY + "\n"},
       "the keys are in their files, and no other file is there", files)
    ok(all(mode_of(os.path.join(keys, name)) == 0o600 for name in files), "with mode 600")
    ok(not any(key in result.stdout + result.stderr for key in (KEY,)), "no secret is printed")

    config = os.path.join(folder, "imported.yaml")
    write(config, result.stdout)
    expect(run("check", config), 0, "the result passes check", out="2 peers, 4 prefixes")

    write(source, WG_QUICK.replace(KEY, EVE).replace("PublicKey = " + EVE, "PublicKey = " + PUBLIC), 0o600)
    result = run("import", "--key-dir", keys, source)
    expect(result, 1, "keys are not overwritten", err="wg0.key: there is a file already")
    ok(result.stdout == "" and open(os.path.join(keys, "wg0.key")).read() == KEY + "\n", "and nothing is printed")
    os.remove(os.path.join(keys, "wg0.key"))
    expect(run("import", "--key-dir", keys, source), 1, "not one of them", err="wg0-laptop.psk: there is a file already")
    ok(sorted(os.listdir(keys)) == ["wg0+2.psk", "wg0-laptop.psk"], "what was written is taken back", os.listdir(keys))
    expect(run("import", "--force", "--key-dir", keys, source), 0, "with --force they are", out="private_key_file")
    ok(open(os.path.join(keys, "wg0.key")).read() == EVE + "\n" and len(os.listdir(keys)) == 3, "all of them")

    relative = run("import", "--key-dir", "rel", "wg0.conf", cwd=folder)
    ok(f"private_key_file: {os.path.realpath(folder)}/rel/wg0.key\n" in relative.stdout,
       "a relative folder is written as an absolute one", relative.stdout + relative.stderr)

    # Like what `wg showconf` prints: no Address, no names.
    write(source, f"[Interface]\nListenPort = 1\nPrivateKey = {KEY}\n\n[Peer]\nPublicKey = {BOB}\n", 0o600)
    result = run("import", "--key-dir", os.path.join(folder, "bare"), source)
    expect(result, 0, "a file of wg without addresses and AllowedIPs", out="allowed_ips: []", err="no Address")
    write(config, result.stdout)
    expect(run("check", config), 0, "passes check with warnings", out="good", err="warning: allowed_ips is empty")

    odd = os.path.join(folder, "my wg: #1.conf")
    write(odd, WG_QUICK, 0o600)
    result = run("import", "--key-dir", os.path.join(folder, 'o"d d'), odd)
    write(config, result.stdout)
    expect(run("check", config), 0, "odd file names pass check too", out="good")

    write(source, WG_QUICK.replace("Endpoint = vpn.example.net:51820", "Endpoint = vpn"), 0o600)
    unused = os.path.join(folder, "unused")
    result = run("import", "--key-dir", unused, source)
    expect(result, 1, "errors name file, line and column", err=f"{source}:20:12: Endpoint is \"vpn\"; it has no port")
    ok(result.stdout == "" and not os.path.exists(unused), "and nothing is written")
    write(source, WG_QUICK.replace("10.8.0.1/24", "10.8.0.0/24"), 0o600)
    result = run("import", "--key-dir", unused, source)
    expect(result, 1, "what Sluice cannot run is refused", err="addresses has 10.8.0.0/24")
    ok(result.stdout == "" and not (os.path.exists(unused) and os.listdir(unused)), "before a key is written")
    expect(run("import", "--key-dir", os.path.join(source, "x"), source), 1, "a folder that cannot be made")
    expect(run("import", os.path.join(folder, "none.conf")), 1, "a missing file", err="none.conf:1:1: the file cannot be read")
    expect(run("import"), 2, "import without a file", err="usage: sluice import")


def main():
    global sluice
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sluice = os.path.abspath(sys.argv[1])
    if os.path.isdir(sluice):
        sluice = os.path.join(sluice, "controlplane", "cli", "sluice")
    os.umask(0o022)
    for test in (test_keys, test_check, test_import):
        with tempfile.TemporaryDirectory(prefix="sluice-cli-") as folder:
            test(os.path.realpath(folder))
    test_usage()
    print(f"1..{count}")
    sys.exit(failed != 0)


main()
