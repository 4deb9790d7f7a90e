# SPDX-License-Identifier: BSD-3-Clause
"""Sites made of network namespaces, with real peers and a gateway in its place.

    lan 192.168.77.2 --- lan0 gw wan0 --- 198.18.0.1 wan 198.18.N.1 --- eth0 peerN 198.18.N.2
        fd77::2          192.168.77.1      fd18::1       fd18:N::1             fd18:N::2
                         fd77::1           gw: 198.18.0.2, fd18::2
    inside the tunnel:   gw 10.99.0.1, fd99::1                                 peerN 10.99.N.2, fd99::N:2

See README.md beside this file.  A test begins with

    options = lab.enter(__doc__)

which returns in a PID, mount (and, unprivileged, user) namespace of its own, and then makes a `Site`.
"""
import argparse, base64, ctypes, json, os, re, shlex, shutil, signal, socket, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HZ = os.sysconf("SC_CLK_TCK")
NOBODY = 65534
INSIDE = "SLUICE_LAB_INSIDE"  # which stage of enter() has been reached

INNER = ("10.99.0.0/16", "fd99::/64")
LAN = ("192.168.77.0/24", "fd77::/64")
LAN_HOST = ("192.168.77.2", "fd77::2")
GW_INNER = ("10.99.0.1", "fd99::1")
GW_OUTER = ("198.18.0.2", "fd18::2")
GW_OUTER_2 = ("198.19.0.2", "fd19::2")  # the second way out of a multi-homed gateway
PORT = 51820


class LabError(Exception):
    pass


def sh(command, check=True, timeout=60, **kw):
    """Runs a command (a list, or a line that is split), returns its output."""
    words = shlex.split(command) if isinstance(command, str) else command
    r = subprocess.run(words, text=True, capture_output=True, timeout=timeout, **kw)
    if check and r.returncode != 0:
        raise LabError(f"{' '.join(words)}: status {r.returncode}: {(r.stderr or r.stdout).strip()}")
    return r.stdout


def wait_for(question, seconds, what, pause=0.05):
    """Asks until the answer is true and returns it; LabError with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise LabError(f"waited {seconds} s for: {what() if callable(what) else what}")
        time.sleep(pause)


# ---- options, and a namespace for the whole test --------------------------------------------------------------------

def add_options(parser):
    env = os.environ.get
    parser.add_argument("--bin", default=env("SLUICE_BIN"), metavar="DIR", help="where sluice and its programs are")
    parser.add_argument("--tools", default=env("SLUICE_TOOLS"), metavar="DIR", help="where seqflow and wgrecord are")
    parser.add_argument("--peers", metavar="DIR",
                        default=env("SLUICE_PEERS", os.path.expanduser("~/.cache/sluice/peers")))
    parser.add_argument("--gateway", default="sluice", choices=["sluice", "wireguard-go", "boringtun", "tailscaled"])
    parser.add_argument("--driver", default=env("SLUICE_DRIVER", "auto"), choices=["auto", "kernel", "af_xdp"],
                        help="dataplane.driver of Sluice's configuration")
    parser.add_argument("--unprivileged", action="store_true", help="as uid 65534 in a user namespace")
    parser.add_argument("--long", action="store_true", help="the soak form of the test")
    parser.add_argument("--only", default="", metavar="WORD[,WORD]", help="cases whose name contains one of them")
    parser.add_argument("--logs", metavar="DIR", help="keep configurations and logs there")
    parser.add_argument("--slow", type=float, default=float(env("SLUICE_SLOW", "1")), metavar="N",
                        help="divide packet rates by N (sanitizer builds)")


def find_program(name, folder):
    """In a prefix (bin/, sbin/, libexec/), or anywhere in a build folder."""
    if folder:
        for sub in ("", "bin", "sbin", "libexec/sluice", "tests/tool"):
            path = os.path.join(folder, sub, name)
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return os.path.abspath(path)
        for top, _, files in os.walk(folder):
            path = os.path.join(top, name)
            if name in files and os.access(path, os.X_OK):
                return os.path.abspath(path)
    return shutil.which(name)


class Programs:
    """Where everything is that a lab runs; None for what is not there."""

    def __init__(self, options):
        self.sluice = find_program("sluice", options.bin)
        tools = options.tools or options.bin
        self.seqflow, self.wgrecord = find_program("seqflow", tools), find_program("wgrecord", tools)
        self.peers = {"wireguard-go": find_program("wireguard-go", options.peers),
                      "boringtun": find_program("boringtun-cli", options.peers)}


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def supervise(words, env, before=None):
    """Runs a stage of enter() and becomes it: SIGTERM is handed on, Ctrl-C reaches the whole group anyway."""
    child = subprocess.Popen(words, env=env, preexec_fn=before)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    status = child.wait()
    return status if status >= 0 else 128 - status


def namespaces_for_pids(prefix):
    """PID namespaces need a /proc of their own, which a container may forbid."""
    probe = subprocess.run([*prefix, "unshare", "-Urmpf", "--mount-proc", "true"], capture_output=True)
    return ["-pf", "--kill-child", "--mount-proc"] if probe.returncode == 0 else ["-f", "--kill-child"]


def hand_down(path, temporary, name):
    """Makes a folder visible under `temporary`, which uid 65534 can reach whatever the modes above it are."""
    if not path or not os.path.isdir(path):
        return path
    at = os.path.join(temporary, name)
    os.mkdir(at)
    sh(["mount", "--bind", os.path.abspath(path), at])
    return at


def system_python():
    """One that uid 65534 may run: this one may lie in root's home."""
    return "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable


def prepare_unprivileged(options, script):
    """Root, in a mount namespace of its own: what the unprivileged stage needs and could not make."""
    t = os.environ["SLUICE_LAB_TEMPORARY"]
    sh(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", t])
    root = hand_down(ROOT, t, "repository")
    env = dict(os.environ, **{INSIDE: "within"})
    for name, path in (("SLUICE_BIN", options.bin), ("SLUICE_TOOLS", options.tools), ("SLUICE_PEERS", options.peers)):
        if path:
            env[name] = hand_down(path, t, name.lower())
    # Where the node is 0600, an unprivileged user could not open it, whatever its rights over its own namespaces.
    os.mknod(f"{t}/tun", 0o020666, os.makedev(10, 200))
    os.chmod(f"{t}/tun", 0o666)
    sh(["mount", "--bind", f"{t}/tun", "/dev/net/tun"])
    if options.logs:
        os.makedirs(options.logs, exist_ok=True)
        os.mkdir(f"{t}/logs", 0o777)
        sh(["mount", "--bind", os.path.abspath(options.logs), f"{t}/logs"])
        env["SLUICE_LOGS"] = f"{t}/logs"
        os.chmod(options.logs, 0o777)
    env.update(HOME="/nonexistent", PYTHONDONTWRITEBYTECODE="1")
    drop = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--pdeathsig", "KILL"]
    words = [*drop, "unshare", "-Urnm", *namespaces_for_pids(drop[:-2]), system_python(),
             os.path.join(root, os.path.relpath(script, ROOT)), *sys.argv[1:]]
    os.chdir("/")
    os.execvpe(words[0], words, env)


def become_init():
    """In a PID namespace somebody has to collect orphans, or they stay zombies and look alive."""
    sh("mount -t tmpfs -o mode=755 tmpfs /run")
    os.makedirs("/run/netns")
    os.makedirs("/run/wireguard")
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    while True:
        try:
            pid, status = os.wait()
        except InterruptedError:
            continue
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 255)


def enter(description, more=None):
    """Parses the options, starts the test again inside namespaces of its own and returns the options there.

    more: function that adds options to the parser."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    if more:
        more(parser)
    options = parser.parse_args()
    stage, script = os.environ.get(INSIDE), os.path.abspath(sys.argv[0])
    if stage == "within":
        for name in ("bin", "tools", "peers", "logs"):  # the paths that are visible here
            setattr(options, name, os.environ.get("SLUICE_" + name.upper(), getattr(options, name)))
        become_init()
        return options
    if stage == "prepare":
        prepare_unprivileged(options, script)
    if os.geteuid() != 0:
        options.unprivileged = True
        words, stage = ["unshare", "-Urnm", *namespaces_for_pids([])], "within"
    elif options.unprivileged:
        words, stage = ["unshare", "-m"], "prepare"
    else:
        words, stage = ["unshare", "-m", *namespaces_for_pids([])], "within"
    with tempfile.TemporaryDirectory(prefix="sluice-lab-") as temporary:
        os.chmod(temporary, 0o755)
        env = dict(os.environ, **{INSIDE: stage, "SLUICE_LAB_TEMPORARY": temporary})
        for name in ("bin", "tools", "peers", "logs"):
            if getattr(options, name):
                env["SLUICE_" + name.upper()] = os.path.abspath(getattr(options, name))
        sys.exit(supervise([*words, sys.executable, script, *sys.argv[1:]], env, die_with_parent))


def wanted(options, name):
    return not options.only or any(word in name for word in options.only.split(","))


# ---- processes ------------------------------------------------------------------------------------------------------

def proc_stat(pid):
    """(state, parent, CPU seconds, start time in ticks), or None."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            field = f.read().rsplit(") ", 1)[1].split()
    except (OSError, IndexError):
        return None
    return field[0], int(field[1]), (int(field[11]) + int(field[12])) / HZ, int(field[19])


def is_alive(pid):
    s = proc_stat(pid) if pid else None
    return s is not None and s[0] not in "ZX"


def children(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            s = proc_stat(int(entry))
            if s and s[1] == pid and s[0] not in "ZX":
                found.append(int(entry))
    return sorted(found)


def descendants(pid):
    found = []
    for c in children(pid):
        found += [c, *descendants(c)]
    return found


def program_of(pid):
    """Name of the program a process runs, longer than comm's 15 letters."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return os.path.basename(f.read().split(b"\0")[0].decode(errors="replace"))
    except OSError:
        return ""


def pss_kib(pid):
    """Proportional set size, or 0 for a process that is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            return sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    except OSError:
        return 0


class Process:
    """A program that runs until it is told to end; its output is in `log` (and `out`, where that was asked for)."""

    def __init__(self, words, log, out=None, env=None):
        self.words, self.log, self.out = words, log, out
        self.output = open(out, "wb") if out else None
        self.errors = open(log, "ab")
        self.popen = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=self.output or self.errors,
                                      stderr=self.errors, start_new_session=True, env=env)
        self.pid = self.popen.pid
        self.born = (proc_stat(self.pid) or (0, 0, 0, 0))[3]

    def alive(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.alive():
            self.popen.send_signal(number)

    def wait(self, seconds=10):
        return self.popen.wait(seconds)

    def stop(self, seconds=10):
        """SIGTERM, then SIGKILL; returns the exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            return -signal.SIGKILL

    def cpu(self):
        s = proc_stat(self.pid)
        return s[2] if s else 0.0

    def text(self):
        with open(self.out or self.log, errors="replace") as f:
            return f.read()

    def tail(self, lines=15):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])


# ---- hosts ----------------------------------------------------------------------------------------------------------

class Drops:
    """A counter of what somebody else than the gateway dropped.  Each drop explains one loss of one flow, and no other."""

    def __init__(self, where, read, by_relay=False):
        """read: None where it cannot be asked; by_relay: what a relay had for a client that did not take it, which may be us"""
        self.where, self.read, self.by_relay = where, read, by_relay
        self.claimed = 0


class Watch:
    """What a counter has counted since, and no flow has claimed.  Flows that run together share one: of two that began one
    after the other, the later could not tell which claims are for drops before its own time."""

    def __init__(self, drops):
        self.drops, self.before, self.claimed = drops, drops.read(), drops.claimed

    def claim(self, most):
        """How much of `most` it explains."""
        now = self.drops.read()
        if now is None or self.before is None:
            return 0
        n = max(0, min(most, now - self.before - (self.drops.claimed - self.claimed)))
        self.drops.claimed += n
        return n


class Host:
    """A network namespace."""

    def __init__(self, lab, name):
        self.lab, self.name, self.ns = lab, name, lab.prefix + name
        self.has_zero_sum_fault = False  # see seqflow --no-zero-sum
        self.has_stock_wireguard = False
        self.sockets_drop = Drops(f"sockets of {name}", self.sockets_full)
        self.sends_drop = []  # of a stock program here, of what it is given to send
        sh(["ip", "netns", "add", self.ns])
        lab.hosts.append(self)
        self.ip("link set lo up")
        # Addresses are ours: nobody else has them, and waiting for that to be detected costs a second each.
        for key in ("net.ipv6.conf.all.accept_dad", "net.ipv6.conf.default.accept_dad", "net.ipv4.conf.all.rp_filter",
                    "net.ipv4.conf.default.rp_filter"):
            self.sysctl(key, 0)

    def words(self, command):
        return ["ip", "netns", "exec", self.ns, *(shlex.split(command) if isinstance(command, str) else command)]

    def run(self, command, **kw):
        return sh(self.words(command), **kw)

    def try_run(self, command, timeout=60):
        """(exit status, stdout, stderr)"""
        r = subprocess.run(self.words(command), text=True, capture_output=True, timeout=timeout)
        return r.returncode, r.stdout, r.stderr

    def ip(self, line, check=True):
        return sh(["ip", "-n", self.ns, *shlex.split(line)], check=check)

    def sysctl(self, key, value=None):
        if value is None:
            return self.run(["sysctl", "-n", key]).strip()
        return self.run(["sysctl", "-qw", f"{key}={value}"])

    def forward(self):
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.sysctl(key, 1)

    def spawn(self, command, name, **kw):
        return self.lab.spawn(self.words(command), f"{self.name}-{name}", **kw)

    def ping(self, to, count=3, interval=0.2, wait=5, options=""):
        """How many answers came; None where the ping could not be sent."""
        _, out, _ = self.try_run(f"ping -n -q -c {count} -i {interval} -W 2 -w {wait} {options} {to}", wait + 10)
        m = re.search(r"(\d+) received", out)
        return int(m.group(1)) if m else None

    def ping_until(self, to, seconds, options=""):
        """Seconds until the first answer; LabError when none comes."""
        began = time.monotonic()
        wait_for(lambda: self.ping(to, 1, wait=1, options=options), seconds, f"{self.name}: ping {to}", 0)
        return time.monotonic() - began

    def sockets_full(self):
        """Datagrams that found the socket full, of all UDP sockets of this host together."""
        udp = [line.split() for line in self.run("cat /proc/net/snmp").splitlines() if line.startswith("Udp:")]
        v6 = re.search(r"Udp6RcvbufErrors\s+(\d+)", self.run("cat /proc/net/snmp6"))
        return int(udp[1][udp[0].index("RcvbufErrors")]) + (int(v6[1]) if v6 else 0)

    def has_stock_tunnel(self, device):
        """A stock program is between, which loses what finds its sockets or its TUN's queue full."""
        def full():
            return sum(int(line.split(":")[1].split()[11]) for line in self.run("cat /proc/net/dev").splitlines()
                       if line.strip().startswith(f"{device}:"))

        self.has_stock_wireguard = True
        self.sends_drop = [Drops(f"queue of {self.name}'s tunnel", full)]

    def device_drops(self):
        """Packets that the queues of this host's devices refused, and datagrams that found their socket full."""
        found = {}
        for line in self.run("cat /proc/net/dev").splitlines()[2:]:
            name, rest = line.split(":", 1)
            field = rest.split()
            for what, at in (("rx", 3), ("tx", 11)):
                if int(field[at]):
                    found[f"{name.strip()} {what}"] = int(field[at])
        full = self.sockets_full()
        if full:
            found["udp socket full"] = full
        return found


class Lab:
    """Namespaces, processes and a folder; close() ends and removes all of it, also at the end of a `with`."""

    def __init__(self, options, name="lab", keep=False):
        self.options, self.name = options, name
        self.prefix = f"s{to_base36(os.getpid())}{to_base36(Lab.count)}-"
        Lab.count += 1
        self.hosts, self.processes = [], []
        self.lock = threading.Lock()
        self.keep = keep
        self.programs = Programs(options)
        self.dir = tempfile.mkdtemp(prefix=f"sluice-{name}-")
        self.port = 20000

    count = 0

    def spawn(self, words, name, capture=False, env=None):
        """capture: stdout goes to a file of its own (Process.text())"""
        with self.lock:
            n = len(self.processes)
        base = os.path.join(self.dir, f"{n:03d}-{name.replace('/', '_')}")
        p = Process(words, base + ".log", base + ".out" if capture else None, env)
        with self.lock:
            self.processes.append(p)
        return p

    def next_port(self):
        with self.lock:
            self.port += 1
            return self.port

    def host(self, name):
        return Host(self, name)

    def link(self, a, a_device, a_addresses, b, b_device, b_addresses, mtu=1500, queues=1):
        """A veth pair.  queues: of each end; the kernel spreads flows over them."""
        more = f"mtu {mtu} numrxqueues {queues} numtxqueues {queues}"
        a.ip(f"link add {a_device} {more} type veth peer name {b_device} {more} netns {b.ns}")
        for host, device, addresses in ((a, a_device, a_addresses), (b, b_device, b_addresses)):
            for address in addresses:
                host.ip(f"addr add {address} dev {device}" + (" nodad" if ":" in address else ""))
            host.ip(f"link set {device} up")

    def close(self):
        if self.keep:
            return
        with self.lock:
            running, self.processes = [p for p in self.processes if p.alive()], []
        for p in running:
            p.signal(signal.SIGCONT)
            p.signal(signal.SIGTERM)
        end = time.monotonic() + 8
        for p in running:
            try:
                p.popen.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                p.popen.kill()
                p.popen.wait()
        for h in self.hosts:
            sh(["ip", "netns", "del", h.ns], check=False)
        self.hosts = []
        if self.options.logs:
            to = os.path.join(self.options.logs, f"{self.name}-{os.getpid()}-{self.prefix}")
            shutil.copytree(self.dir, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock", "run", "etc"))
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def to_base36(n):
    digits = ""
    while True:
        n, d = divmod(n, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[d] + digits
        if n == 0:
            return digits


# ---- keys -----------------------------------------------------------------------------------------------------------

def new_key():
    return sh("wg genkey").strip()


def public_key(private):
    return sh("wg pubkey", input=private).strip()


def new_psk():
    return base64.b64encode(os.urandom(32)).decode()


def write_secret(path, text):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as f:
        f.write(text + "\n")
    return path


# ---- a stock WireGuard on a host: a peer, or a gateway to compare with ------------------------------------------------

class StockWireguard:
    """wireguard-go or boringtun with one device.  Control sockets have one folder for all namespaces, so the device's
    name is the namespace's."""

    def __init__(self, host, kind):
        self.host, self.kind, self.lab = host, kind, host.lab
        self.device = host.ns.replace("-", "")[:15]
        self.process = None
        self.handshakes = {}  # boringtun: when the last one of each peer was

    def start(self, mtu=1420, addresses=()):
        program = self.lab.programs.peers[self.kind]
        if program is None:
            raise LabError(f"{self.kind} is not installed")
        # One thread of boringtun: several read from one socket and put packets of a flow out of order.  No connected
        # sockets: they keep their first source address, so that it could not roam.
        more = "" if self.kind == "wireguard-go" else "--threads 1 --disable-drop-privileges --disable-connected-udp"
        self.host.has_zero_sum_fault = self.kind == "wireguard-go"
        self.host.has_stock_tunnel(self.device)
        env = dict(os.environ, WG_PROCESS_FOREGROUND="1", LOG_LEVEL="error")
        self.process = self.host.spawn(f"{program} -f {more} {self.device}", self.kind, env=env)
        control = f"/var/run/wireguard/{self.device}.sock"
        wait_for(lambda: os.path.exists(control) or not self.process.alive(), 10, f"{self.kind} on {self.host.name}")
        wait_for(lambda: subprocess.run(["wg", "show", self.device], capture_output=True).returncode == 0, 20,
                 lambda: f"{self.kind} on {self.host.name}: {self.process.tail()}")
        for address in addresses:
            self.host.ip(f"addr add {address} dev {self.device}" + (" nodad" if ":" in address else ""))
        self.host.ip(f"link set {self.device} mtu {mtu} txqueuelen 2000 up")

    def set(self, *words):
        sh(["wg", "set", self.device, *map(str, words)])

    def set_secret(self, name, value, *before):
        """wg takes keys from files."""
        path = write_secret(os.path.join(self.lab.dir, f"{self.device}.{name}"), value)
        self.set(*before, name, path)

    def ask(self):
        """(what the control socket says, when)"""
        text, began = b"", time.time()
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(f"/var/run/wireguard/{self.device}.sock")
            s.sendall(b"get=1\n\n")
            while not text.endswith(b"\n\n"):
                more = s.recv(65536)
                if not more:
                    break
                text += more
        return text, began

    def dump(self):
        """{public key: {endpoint or None, handshake (seconds since 1970, 0: never), rx, tx}}"""
        found, peer = {}, None
        # Ages are worth nothing where the machine stood still between question and answer.
        for _ in range(20):
            text, now = self.ask()
            if time.time() - now < 0.1:
                break
        for line in text.decode().splitlines():
            key, _, value = line.partition("=")
            if key == "public_key":
                public = base64.b64encode(bytes.fromhex(value)).decode()
                peer = found[public] = {"endpoint": None, "handshake": 0.0, "rx": 0, "tx": 0}
            elif peer is None:
                continue
            elif key == "endpoint":
                peer["endpoint"] = value
            elif key == "last_handshake_time_sec":
                peer["handshake"] += int(value)
            elif key == "last_handshake_time_nsec":
                peer["handshake"] += int(value) / 1e9
            elif key in ("rx_bytes", "tx_bytes"):
                peer[key[:2]] = int(value)
        if self.kind == "boringtun":
            for public, peer in found.items():
                peer["handshake"] = self.since_1970(public, peer["handshake"], now)
        return found

    def since_1970(self, public, age, now):
        """boringtun reports how long ago a handshake was; the same one is to have the same number each time."""
        if age == 0:
            return 0.0
        known = self.handshakes.get(public, 0.0)
        if abs(now - age - known) > 0.3:
            known = self.handshakes[public] = now - age
        return known

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None


class Peer:
    """A stock peer on a host of its own behind `wan`, and what the gateway is told about it."""

    def __init__(self, site, number, kind="wireguard-go", psk=False, outer=4, knows_gateway=True, known=False,
                 keepalive=0, gateway_keepalive=0, allowed=(), route_all=False):
        """knows_gateway: the peer has the gateway's endpoint; known: the gateway has the peer's.
        allowed: more prefixes behind this peer; route_all: the gateway sends everything else to it."""
        self.site, self.lab, self.number, self.kind, self.outer = site, site.lab, number, kind, outer
        self.name = f"peer{number}"
        self.host = site.add_peer_host(self.name, number)
        self.private = new_key()
        self.public = public_key(self.private)
        self.psk = new_psk() if psk else None
        self.inner = (f"10.99.{number}.2", f"fd99::{number}:2")
        self.address = (f"198.18.{number}.2", f"fd18:{number:x}::2")
        self.knows_gateway, self.known = knows_gateway, known
        self.keepalive, self.gateway_keepalive = keepalive, gateway_keepalive
        self.allowed = [f"{self.inner[0]}/32", f"{self.inner[1]}/128", *allowed]
        if route_all:
            self.allowed += ["0.0.0.0/0", "::/0"]
        self.wg = StockWireguard(self.host, kind)
        self.gateway_address = GW_OUTER

    def endpoint(self):
        """Where the gateway finds this peer."""
        return endpoint(self.address[self.outer == 6])

    def start(self, mtu=1420):
        gw = self.site.gateway
        self.wg.start(mtu, [f"{self.inner[0]}/32", f"{self.inner[1]}/128"])
        self.wg.set_secret("private-key", self.private)
        self.wg.set("listen-port", PORT)
        allowed = ",".join((*INNER, *LAN))
        words = ["peer", gw.public, "allowed-ips", allowed]
        if self.knows_gateway:
            words += ["endpoint", endpoint(self.gateway_address[self.outer == 6])]
        if self.keepalive:
            words += ["persistent-keepalive", self.keepalive]
        if self.psk:
            write_secret(f"{self.lab.dir}/{self.wg.device}.psk", self.psk)
            words += ["preshared-key", f"{self.lab.dir}/{self.wg.device}.psk"]
        self.wg.set(*words)
        for prefix in (*INNER, *LAN):
            self.host.ip(f"route add {prefix} dev {self.wg.device}" + (" metric 10" if ":" in prefix else ""))

    def handshake(self):
        """When the latest was made, in seconds since 1970; 0: never."""
        return self.wg.dump().get(self.site.gateway.public, {}).get("handshake", 0)

    def stop(self):
        self.wg.stop()


def endpoint(address, port=PORT):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


# ---- gateways -------------------------------------------------------------------------------------------------------

class StockGateway:
    """wireguard-go or boringtun in the gateway's place: for the side-by-side benchmark, and to try tests out."""

    restarts = False

    def __init__(self, site, kind):
        self.site, self.lab, self.host, self.kind = site, site.lab, site.gw, kind
        self.private = new_key()
        self.public = public_key(self.private)
        self.wg = StockWireguard(self.host, kind)
        self.mtu = 1420

    def start(self, wait=True):
        self.wg.start(self.mtu, [f"{GW_INNER[0]}/16", f"{GW_INNER[1]}/64"])
        self.host.forward()
        self.wg.set_secret("private-key", self.private)
        self.wg.set("listen-port", PORT)
        for p in self.site.peers:
            self.add(p)

    def add(self, p):
        words = ["peer", p.public, "allowed-ips", ",".join(p.allowed)]
        if p.known:
            words += ["endpoint", p.endpoint()]
        if p.gateway_keepalive:
            words += ["persistent-keepalive", p.gateway_keepalive]
        if p.psk:
            words += ["preshared-key", write_secret(f"{self.lab.dir}/gw-{p.name}.psk", p.psk)]
        self.wg.set(*words)
        for prefix in p.allowed[2:]:
            if not prefix.endswith("/0"):
                self.host.ip(f"route add {prefix} dev {self.wg.device}")

    @property
    def device(self):
        return self.wg.device

    def pids(self):
        return {"gateway": self.wg.process.pid} if self.wg.process and self.wg.process.alive() else {}

    def cpu(self):
        return sum(proc_stat(p)[2] for p in self.pids().values())

    def pss(self):
        return sum(pss_kib(p) for p in self.pids().values())

    def stop(self):
        self.wg.stop()
        return 0

    def endpoint_of(self, peer):
        """Where the gateway sends for this peer, as "address:port"; None: nowhere."""
        return self.wg.dump().get(peer.public, {}).get("endpoint")

    def last_handshake(self, peer):
        """Seconds since the latest handshake, None: never."""
        at = self.wg.dump().get(peer.public, {}).get("handshake", 0)
        return time.time() - at if at else None


class Sluice:
    """The gateway under test, run by `sluice run`."""

    restarts = True
    device = "sluice0"
    kind = "sluice"
    roles = ("keeper", "forwarder", "controlplane")

    def __init__(self, site):
        self.site, self.lab, self.host = site, site.lab, site.gw
        self.program = self.lab.programs.sluice
        if self.program is None:
            raise LabError("no sluice found: give --bin DIR or SLUICE_BIN")
        self.private = new_key()
        self.public = public_key(self.private)
        self.dir = os.path.join(self.lab.dir, "gateway")
        os.makedirs(f"{self.dir}/keys", mode=0o700)
        self.config, self.run_dir, self.state_dir = (f"{self.dir}/{n}" for n in ("sluice.yaml", "run", "state"))
        self.workers, self.mtu, self.extra = "auto", None, ""
        self.driver, self.ports = getattr(site.options, "driver", "auto"), []
        self.process = None
        self.began = 0.0

    def dataplane_yaml(self):
        """ports are said with `af_xdp` only: told about them, `auto` would take them too"""
        lines = ["dataplane:", f"  workers: {self.workers}"]
        if self.driver != "auto":
            lines.append(f"  driver: {self.driver}")
        if self.ports and self.driver == "af_xdp":
            lines.append(f"  ports: [{', '.join(self.ports)}]")
        return lines

    def peer_yaml(self, p):
        lines = [f"    - name: {p.name}", f"      public_key: {p.public}"]
        if p.psk:
            path = write_secret(f"{self.dir}/keys/{p.name}.psk", p.psk)
            lines.append(f"      preshared_key_file: {path}")
        if p.known:
            # In YAML a plain scalar may not begin with a bracket.
            lines.append(f'      endpoint: "{p.endpoint()}"')
        allowed = ", ".join(f'"{a}"' for a in p.allowed)
        lines.append(f"      allowed_ips: [{allowed}]")
        if p.gateway_keepalive:
            lines.append(f"      persistent_keepalive: {p.gateway_keepalive}")
        return lines

    def yaml(self, peers=None):
        peers = self.site.peers if peers is None else peers
        key = write_secret(f"{self.dir}/keys/gateway.key", self.private)
        lines = ["version: 1", *self.dataplane_yaml(), "wireguard:", f"  private_key_file: {key}",
                 f"  listen_port: {PORT}", f'  addresses: ["{GW_INNER[0]}/16", "{GW_INNER[1]}/64"]']
        if self.mtu:
            lines.append(f"  mtu: {self.mtu}")
        if peers:
            lines.append("  peers:")
        for p in peers:
            lines += self.peer_yaml(p)
        return "\n".join(lines) + "\n" + self.extra

    def write_config(self, peers=None):
        with open(self.config, "w") as f:
            f.write(self.yaml(peers))

    def words(self, command, *more):
        return [self.program, command, *more, "--run-dir", self.run_dir]

    def start(self, wait=True):
        self.write_config()
        self.start_again(wait)

    def start_again(self, wait=True, seconds=20):
        self.began = time.monotonic()
        self.process = self.host.spawn(self.words("run", "--config", self.config, "--state-dir", self.state_dir), "sluice")
        if wait:
            wait_for(lambda: self.is_ready() or not self.process.alive(), seconds,
                     lambda: f"sluice run to be ready:\n{self.process.tail()}")
            if not self.process.alive():
                raise LabError(f"sluice run ended with {self.process.popen.returncode}:\n{self.process.tail()}")

    def is_ready(self):
        if not all(self.pids().get(r) for r in self.roles):
            return False
        s = self.status()
        return s is not None and len(s.get("peers", [])) >= len(self.site.peers)

    def command(self, *words, timeout=20):
        """(exit status, stdout, stderr) of a sluice command with our run directory, run on the gateway."""
        return self.host.try_run(self.words(*words), timeout)

    def status(self):
        """The object that `sluice status --json` prints; None where it fails."""
        code, out, _ = self.command("status", "--json")
        if code != 0:
            return None
        try:
            return json.loads(out)
        except ValueError:
            raise LabError(f"sluice status --json printed no JSON: {out[:300]!r}")

    def pids(self):
        """{role: pid} of the processes that live now, found in /proc."""
        found = {}
        if not self.process or not self.process.alive():
            return found
        found["run"] = self.process.pid
        for pid in children(self.process.pid):
            name = program_of(pid)
            if name == "sluice-dataplane":
                found["keeper"] = pid
                for c in children(pid):
                    if program_of(c) in ("sluice-dataplane", "sluice-forwarder"):
                        found["forwarder"] = c
            elif name == "sluice-controlplane":
                found["controlplane"] = pid
        return found

    def kill(self, role, number=signal.SIGKILL):
        """Returns the pid that was killed."""
        pid = self.pids().get(role)
        if pid is None:
            raise LabError(f"no {role} to kill; running: {self.pids()}\n{self.process.tail()}")
        os.kill(pid, number)
        return pid

    def wait_new(self, role, old, seconds=20):
        """Waits until another process plays the role; returns its pid."""
        def other():
            pid = self.pids().get(role)
            return pid if pid and pid != old else None

        return wait_for(other, seconds, lambda: f"a new {role} after {old}\n{self.process.tail()}", 0.01)

    def cpu(self):
        return sum((proc_stat(p) or (0, 0, 0.0))[2] for p in self.pids().values())

    def pss(self):
        return sum(pss_kib(p) for p in self.pids().values())

    def reload(self):
        return self.command("reload")

    def stop(self, seconds=15):
        status = self.process.stop(seconds)
        return status

    def peer_status(self, peer):
        s = self.status() or {}
        for p in s.get("peers", []):
            if p.get("public_key") == peer.public:
                return p
        return None

    def endpoint_of(self, peer):
        return (self.peer_status(peer) or {}).get("endpoint")

    def last_handshake(self, peer):
        return (self.peer_status(peer) or {}).get("last_handshake_age_s")


class Site:
    """The standard topology: see the drawing at the top."""

    def __init__(self, options, name="site", multi_homed=False, keep=False, lan_mtu=1500):
        self.lab = Lab(options, name, keep)
        self.options, self.peers = options, []
        try:
            self.build(options, multi_homed, lan_mtu)
        except BaseException:
            self.lab.keep = False
            self.lab.close()
            raise

    def build(self, options, multi_homed, lan_mtu):
        lab = self.lab
        self.wan, self.gw, self.lan = lab.host("wan"), lab.host("gw"), lab.host("lan")
        self.wan.forward()
        lab.link(self.gw, "wan0", ["198.18.0.2/24", "fd18::2/64"], self.wan, "to-gw", ["198.18.0.1/24", "fd18::1/64"])
        lab.link(self.gw, "lan0", ["192.168.77.1/24", "fd77::1/64"], self.lan, "eth0", ["192.168.77.2/24", "fd77::2/64"])
        if lan_mtu != 1500:
            self.gw.ip(f"link set lan0 mtu {lan_mtu}")
            self.lan.ip(f"link set eth0 mtu {lan_mtu}")
        if multi_homed:
            lab.link(self.gw, "wan1", ["198.19.0.2/24", "fd19::2/64"], self.wan, "to-gw-2",
                     ["198.19.0.1/24", "fd19::1/64"])
            self.gw.ip("route add default via 198.19.0.1 metric 100")
            self.gw.ip("-6 route add default via fd19::1 metric 2000")
        self.gw.ip("route add default via 198.18.0.1")
        self.gw.ip("-6 route add default via fd18::1")
        self.lan.ip("route add default via 192.168.77.1")
        self.lan.ip("-6 route add default via fd77::1")
        self.gateway = Sluice(self) if options.gateway == "sluice" else StockGateway(self, options.gateway)
        if self.gateway.kind == "sluice":
            self.gateway.ports = ["wan0", "lan0", *(["wan1"] if multi_homed else [])]

    def add_peer_host(self, name, number):
        host = self.lab.host(name)
        self.lab.link(host, "eth0", [f"198.18.{number}.2/24", f"fd18:{number:x}::2/64"], self.wan, f"to-{name}",
                      [f"198.18.{number}.1/24", f"fd18:{number:x}::1/64"])
        host.ip(f"route add default via 198.18.{number}.1")
        host.ip(f"-6 route add default via fd18:{number:x}::1")
        return host

    def peer(self, *args, **kw):
        p = Peer(self, len(self.peers) + 1, *args, **kw)
        self.peers.append(p)
        return p

    def start(self):
        """The gateway, then every peer."""
        self.gateway.start()
        for p in self.peers:
            p.start()

    def record(self, name="wgrecord", save=None, save_max=2000, device="to-gw"):
        return Recorder(self, name, save, save_max, device)

    def diagnose(self):
        """What one wants to see when a test failed."""
        lines = []
        for h in self.lab.hosts:
            try:
                drops = h.device_drops()
            except LabError:
                continue
            if drops:
                lines.append(f"dropped by devices and sockets of {h.name}: {drops}")
        if self.gateway.kind == "sluice" and self.gateway.process:
            lines.append(f"drops: {(self.gateway.status() or {}).get('drops')}")
            lines.append("log of sluice run:\n" + self.gateway.process.tail(25))
        return "\n".join(lines)

    def close(self):
        # First the gateway: what it leaves behind should be its own doing, not ours.
        try:
            if self.gateway.kind == "sluice" and self.gateway.process and not self.lab.keep:
                self.gateway.process.signal(signal.SIGCONT)
                self.gateway.stop()
        finally:
            self.lab.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None and kind not in (SystemExit, KeyboardInterrupt):
            try:
                print("".join(f"# {line}\n" for line in self.diagnose().splitlines()), end="", file=sys.stderr)
            except Exception:
                pass
        self.close()


# ---- traffic --------------------------------------------------------------------------------------------------------

class Flow:
    """Numbered packets from one host to another (seqflow), in both families at once."""

    run_number = 0

    def __init__(self, source, sink, to, rate, flows, size, seconds=None, name="flow", more=(), via=(), drops=(), watches=None):
        """via: hosts in between whose stock programs lose what finds their sockets and queues full
        drops: more counters of what others dropped on the way; watches: {Drops: Watch} of flows that run together"""
        lab = source.lab
        with lab.lock:
            Flow.run_number += 1
            run = os.getpid() << 12 & 0xfffff000 | Flow.run_number & 0xfff
        port = lab.next_port()
        tool = lab.programs.seqflow
        if tool is None:
            raise LabError("no seqflow found: give --tools DIR or SLUICE_TOOLS")
        self.name, self.lab = name, lab
        self.rate = rate / getattr(lab.options, "slow", 1)
        watches = {} if watches is None else watches
        self.own, *self.foreign = [watches.get(d) or Watch(d) for d in (sink.sockets_drop, *Flow.on_the_way(source, sink, via), *drops)]
        self.sink = sink.spawn([tool, "recv", "--port", str(port), "--flows", str(flows)], f"{name}-recv", capture=True)
        wait_for(lambda: "listening" in self.sink.tail(), 20, "seqflow recv")
        words = [tool, "send", "--port", str(port), "--rate", f"{self.rate:g}", "--flows", str(flows), "--size", str(size),
                 "--run", str(run)]
        words += more
        # wireguard-go gives up IPv6 packets whose checksum comes out as 0; that is not what is asked here.
        if not more and (any(h.has_zero_sum_fault for h in (source, *via)) or lab.options.gateway == "wireguard-go"):
            words += ["--no-zero-sum"]
        for address in to:
            words += ["--to", address]
        if seconds:
            words += ["--seconds", str(seconds)]
        self.source = source.spawn(words, f"{name}-send", capture=True)

    @staticmethod
    def on_the_way(source, sink, via):
        """What leaves a tunnel passes the sockets of its program, what enters one the device's queue."""
        return ([h.sockets_drop for h in dict.fromkeys((sink, *via)) if h.has_stock_wireguard] +
                [d for h in dict.fromkeys((source, *via)) for d in h.sends_drop])

    def state(self):
        """What the sink has seen so far."""
        # Whole lines only: a long one comes in pieces.
        before = self.sink.text().count("\n")
        self.sink.signal(signal.SIGUSR1)
        wait_for(lambda: self.sink.text().count("\n") > before, 20, "state of seqflow")
        return json.loads(self.sink.text().splitlines()[before])

    def stop(self, patience=3):
        """Ends the sender, waits for what is still under way, and returns a Result."""
        self.source.signal(signal.SIGTERM)
        return self.result(patience)

    def result(self, patience=3, seconds=30):
        self.source.wait(seconds)
        try:
            self.sink.wait(patience)  # it ends by itself when the goodbyes have come
        except subprocess.TimeoutExpired:
            self.sink.stop()
        sent, got = last_json(self.source), last_json(self.sink)
        missing = max(0, sent["sent"] - got["received"] - got["socket_dropped"])
        dropped = []
        with self.lab.lock:
            self.own.claim(got["socket_dropped"])  # the sink's host counts them too
            for watch in self.foreign:
                n = watch.claim(missing)
                missing -= n
                if n:
                    dropped.append((watch.drops, n))
        return Result(self.name, sent, got, dropped)


def last_json(process):
    lines = process.text().splitlines()
    if not lines:
        raise LabError(f"{' '.join(process.words)} said nothing: {process.tail()}")
    return json.loads(lines[-1])


class Result:
    """What became of the packets of one Flow."""

    def __init__(self, name, sent, got, dropped=()):
        """dropped: [(Drops, how many)], which is what others than the gateway lost"""
        self.name, self.raw_sent, self.raw = name, sent, got
        self.sent, self.received = sent["sent"], got["received"]
        # By the sender's own count: the goodbyes may be lost too.
        self.missing = self.sent - self.received
        self.sink_dropped, self.dropped = got["socket_dropped"], list(dropped)
        # Said apart, and not held against who is between.
        self.lost = max(0, self.missing - self.sink_dropped - sum(n for _, n in self.dropped))
        self.by_relay = sum(n for d, n in self.dropped if d.by_relay)
        self.late_ms, self.stood_still_ms = sent["largest_late_ms"], sent["stood_still_ms"]
        self.duplicated, self.reordered = got["duplicated"], got["reordered"]
        self.corrupted, self.foreign = got["corrupted"], got["foreign"]
        self.blocked, self.errors, self.slipped_ms = sent["blocked"], sent["errors"], sent["slipped_ms"]
        self.largest_gap_ms, self.largest_delay_ms = got["largest_gap_ms"], got["largest_delay_ms"]
        self.gaps, self.missing_numbers = got["gaps"], got["missing"]
        self.seconds = max((f["seconds"] for f in got["flows"]), default=0)

    @property
    def pps(self):
        return self.received / self.seconds if self.seconds else 0

    def is_perfect(self, at_least=1):
        return self.received >= at_least and not (self.lost or self.duplicated or self.reordered or self.corrupted)

    def __str__(self):
        apart = ", ".join(f"{text} {n:g}" for text, n in (
            ("dropped by the sink's own socket", self.sink_dropped),
            *((f"dropped by the {d.where}", n) for d, n in self.dropped), ("refused by the sender's own queue", self.blocked),
            ("send errors", self.errors), ("sender woke late by ms", round(self.late_ms) if self.stood_still_ms else 0),
            ("corrupted", self.corrupted), ("foreign", self.foreign)) if n)
        return (f"{self.name}: sent {self.sent}, received {self.received}, lost {self.lost}, duplicated {self.duplicated}, "
                f"reordered {self.reordered}, {self.pps:.0f}/s, largest gap {self.largest_gap_ms:.0f} ms, "
                f"largest delay {self.largest_delay_ms:.0f} ms" + (f"; apart: {apart}" if apart else "") +
                ("; missing " + ", ".join(f"flow {m['flow']}: {m['from']}-{m['to']}" for m in self.missing_numbers[:6])
                 if self.missing_numbers else ""))


class Traffic:
    """Both directions between two hosts, v4 and v6 in each."""

    def __init__(self, a, a_addresses, b, b_addresses, rate=1000, flows=4, size=200, seconds=None, name="", via=(), drops=()):
        watched = {*Flow.on_the_way(a, b, via), *Flow.on_the_way(b, a, via), a.sockets_drop, b.sockets_drop, *drops}
        more = {"via": via, "drops": drops, "watches": {d: Watch(d) for d in watched}}
        self.flows = [Flow(a, b, b_addresses, rate, flows, size, seconds, f"{name}up", **more),
                      Flow(b, a, a_addresses, rate, flows, size, seconds, f"{name}down", **more)]

    def stop(self, patience=3):
        for f in self.flows:
            f.source.signal(signal.SIGTERM)
        return [f.result(patience) for f in self.flows]

    def received(self):
        return [f.state()["received"] for f in self.flows]


def peer_lan_traffic(site, peer, **kw):
    return Traffic(peer.host, peer.inner, site.lan, LAN_HOST, **kw)


class Recorder:
    """wgrecord on wan's side of the gateway's link: "out" there is towards the gateway."""

    def __init__(self, site, name, save, save_max, device):
        tool = site.lab.programs.wgrecord
        if tool is None:
            raise LabError("no wgrecord found: give --tools DIR or SLUICE_TOOLS")
        # Linux before 6.2 cannot hand out UDP super-packets with their size.
        if tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2]) < (6, 2):
            site.wan.try_run(f"ethtool -K {device} tx-udp-segmentation off")
            site.gw.try_run("ethtool -K wan0 tx-udp-segmentation off")
            for p in site.peers:
                p.host.try_run("ethtool -K eth0 tx-udp-segmentation off")
        words = [tool, device]
        for prefix in (*INNER, *LAN):
            words += ["--inner", prefix]
        if save:
            words += ["--save", save, "--save-max", str(save_max)]
        self.process = site.wan.spawn(words, name, capture=True)
        wait_for(lambda: "listening" in self.process.tail() or not self.process.alive(), 20, "wgrecord")
        if not self.process.alive():
            raise LabError(f"wgrecord: {self.process.tail()}")

    def state(self):
        before = len(self.process.text().splitlines())
        self.process.signal(signal.SIGUSR1)
        wait_for(lambda: len(self.process.text().splitlines()) > before, 20, "state of wgrecord")
        return Recording(json.loads(self.process.text().splitlines()[-1]))

    def stop(self):
        self.process.stop()
        return Recording(last_json(self.process))


class Recording:
    """What wgrecord saw; `from_gateway` and `to_gateway` are its two directions."""

    def __init__(self, raw):
        self.raw = raw
        self.from_gateway, self.to_gateway = raw["in"], raw["out"]
        self.complete = raw["capture_dropped"] == 0 and raw["malformed"] == 0
        both = (raw["in"], raw["out"])
        self.nonce_reused, self.repeated, self.clear, self.index_reused, self.data = (
            sum(w[k] for w in both) for k in ("nonce_reused", "repeated", "clear", "index_reused", "data"))
        self.sessions, self.samples = raw["sessions"], raw["samples"]

    def __str__(self):
        return (f"wire: {self.data} data packets of {self.sessions} sessions, nonces reused {self.nonce_reused}, "
                f"sent twice {self.repeated}, indices reused {self.index_reused}, in clear {self.clear}, "
                f"not captured {self.raw['capture_dropped']}" + ("".join(f"\n  {s}" for s in self.samples)))


if __name__ == "__main__":
    sys.exit("a module for tests; see README.md")
