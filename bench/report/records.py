# SPDX-License-Identifier: BSD-3-Clause
"""Files of trials: one JSON object a line, each of which says everything needed to read it alone.

Source: bench/harness/run.h and trial_file.h, of which this is the counterpart in Python.
"""
import errno, fcntl, json, lzma, os, subprocess, sys, time

SCHEMA = "sluice-bench/1"
LINE_BEGIN = f'{{"schema": "{SCHEMA}"'  # what a torn line of ours begins with
SAME_MACHINE = ("cpu", "family", "model", "stepping", "microcode", "class", "flags", "cores", "kernel", "mitigations",
                "governor", "smt", "hypervisor")
SAME_BUILD = ("version", "commit", "compiler", "flags", "libraries", "id")
OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class BenchError(Exception):
    """What is wrong, why, and what to do."""

    def __init__(self, what, why, advice=None, status=FAILED):
        super().__init__(what)
        self.what, self.why, self.advice, self.status = what, why, advice, status

    def say(self):
        text = f"sluice-bench: {self.what}: {self.why}\n" + (f"  {self.advice}\n" if self.advice else "")
        print(text, end="", file=sys.stderr, flush=True)
        return self.status


# ---- reading --------------------------------------------------------------------------------------------------------

def is_trial(o):
    texts = ("schema", "tier", "kind", "key")
    return (isinstance(o, dict) and o.get("schema") == SCHEMA and all(isinstance(o.get(n), str) for n in texts) and
            isinstance(o.get("axes"), dict) and isinstance(o.get("result"), dict))


def is_torn(line):
    """As an interrupted write leaves it, or a power cut: zeros."""
    line = line.rstrip("\n")
    return not line.strip("\0") or line.startswith(LINE_BEGIN) or LINE_BEGIN.startswith(line)


def parse(line):
    """The object, or None."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def why_no_trial(o):
    if o is None:
        return "no JSON"
    if isinstance(o, dict) and str(o.get("schema", "")).startswith("sluice-bench/") and o["schema"] != SCHEMA:
        return f"of schema {o['schema']}; this program reads {SCHEMA}"
    return f"no trial of {SCHEMA}"


def take_line(path, number, line, is_last):
    o = parse(line)
    if o is None and is_last and is_torn(line):
        BenchError(f"{path}, line {number}", "torn, as an interrupted write leaves it", "It is left out.").say()
        return []
    if not is_trial(o):
        raise BenchError(f"{path}, line {number}", why_no_trial(o),
                         "Give files that `sluice-bench COMMAND --out FILE` or `--json` wrote.")
    return [o]


def read_text(path):
    try:
        if path == "-":
            return sys.stdin.read()
        with (lzma.open(path, "rt", encoding="utf-8") if path.endswith(".xz") else open(path, encoding="utf-8")) as f:
            return f.read()
    except (OSError, UnicodeDecodeError, lzma.LZMAError, EOFError) as e:
        why = e.strerror if isinstance(e, OSError) else "no text"
        raise BenchError(path, why, "Give files that `sluice-bench COMMAND --out FILE` wrote.") from None


def read_array(path, trials):
    """What --json prints: one array of trials."""
    for number, o in enumerate(trials, 1):
        if not is_trial(o):
            raise BenchError(f"{path}, element {number}", why_no_trial(o), "Give what `sluice-bench COMMAND --json` printed.")
    return trials


def read_trials(path):
    """All trials of a file, lines of --out or the array of --json; BenchError if it is anything else, or has none."""
    text = read_text(path)
    whole = parse(text) if text.lstrip()[:1] == "[" else None
    lines = text.splitlines(keepends=True)
    if isinstance(whole, list):
        trials = read_array(path, whole)
    else:
        trials = [t for n, line in enumerate(lines, 1) if line.strip() for t in take_line(path, n, line, n == len(lines))]
    if not trials:
        raise BenchError(path, "no trial is in it", "Did the run that should have written it end too early? See what it said.")
    return trials


# ---- writing --------------------------------------------------------------------------------------------------------

def differs(a, b, names):
    """The first of the names in which two objects differ, or None."""
    return next((n for n in names if (a or {}).get(n) != (b or {}).get(n)), None)


def machine_and_build(bench):
    """What `sluice-bench machine` says about where and with what trials are made."""
    try:
        said = subprocess.run([bench, "machine"], capture_output=True, text=True, timeout=60, check=True).stdout
        both = json.loads(said)
        return both["machine"], both["build"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as e:
        raise BenchError(f"{bench} machine", str(e), "Install Sluice completely: sluice-bench starts this script.") from None


class Run:
    """The trials of one run of a command; each is on the disk when add() returns."""

    def __init__(self, tier, kind, command, machine, build, out=None, resume=False):
        self.tier, self.kind, self.command, self.machine, self.build = tier, kind, command, machine, build
        self.path, self.file, self.trials, self.old = out, None, [], {}
        if resume and not out:
            raise BenchError("--resume without --out", "what shall it go on with?", "Name the file: --out FILE --resume.", USAGE)
        if out:
            self.open(out, resume)

    def open(self, path, resume):
        try:
            self.file = open(path, "a+", encoding="ascii")
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            if e.errno == errno.EWOULDBLOCK:
                raise BenchError(path, "another run writes it", "Wait for its end, or give another file.") from None
            raise BenchError(path, e.strerror, "Give --out a file that can be written, in a folder that is there.") from None
        if os.path.getsize(path) == 0:
            return
        if not resume:
            raise BenchError(path, "is there already",
                             "Go on with it by --resume, or give --out another name; nothing is overwritten.")
        self.take_old(path)

    def take_old(self, path):
        self.file.seek(0)
        lines = self.file.read().splitlines(keepends=True)
        end = 0
        for number, line in enumerate(lines, 1):
            for t in take_line(path, number, line, number == len(lines)):
                self.check_origin(path, number, t)
                end += len(line)
                if t["kind"] == self.kind:
                    self.old[t["key"]] = t
        self.file.truncate(end)
        if lines and end and not "".join(lines)[:end].endswith("\n"):
            self.file.write("\n")

    def check_origin(self, path, number, t):
        for which, name in (("machine", differs(t.get("machine"), self.machine, SAME_MACHINE)),
                            ("build of sluice-bench", differs(t.get("build"), self.build, SAME_BUILD))):
            if name:
                raise BenchError(f'{path}, line {number}: "{name}" differs', f"of another {which}",
                                 "Figures of two are not mixed: give --out another file.")

    def found(self, key):
        """The trial, if the file that is gone on with has it; it then belongs to this run."""
        t = self.old.pop(key, None)
        if t:
            self.trials.append(t)
        return t

    def add(self, key, axes, result):
        t = {"schema": SCHEMA, "tier": self.tier, "kind": self.kind, "key": key,
             "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "command": self.command, "machine": self.machine,
             "build": self.build, "axes": axes, "result": result}
        self.trials.append(t)
        if self.file:
            try:
                self.file.write(json.dumps(t) + "\n")
                self.file.flush()
                os.fsync(self.file.fileno())
            except OSError as e:
                raise BenchError(self.path, e.strerror,
                                 "Make room; what was measured so far is kept, --resume goes on.") from None
        return t
