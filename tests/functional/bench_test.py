#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`sluice-bench` as a person meets it: commands, records, interruption, what goes wrong.  No figure is judged.

    bench_test.py --bin DIR        DIR: a prefix that `meson install` filled, or a build folder
"""
import argparse, collections, json, os, pty, re, resource, select, signal, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lab"))
from tap import Tap

PLACES = ("bin/sluice-bench", "bench/sluice-bench", "sluice-bench")
MEMBERS = ["schema", "tier", "kind", "key", "at", "command", "machine", "build", "axes", "result"]
SMALL = ["crypto", "--sizes", "64", "--bursts", "1,4", "--mix", "none", "--working-set", "0"]
QUICK = [*SMALL, "--seconds", "0.1"]
SCRIPTS = ("compare", "report", "size")

Ended = collections.namedtuple("Ended", "status out err")
program = None


def run(*words, stdout=subprocess.PIPE, env=None, **more):
    done = subprocess.run([program, *words], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120,
                          stdin=subprocess.DEVNULL, env=dict(os.environ, **(env or {})), **more)
    return Ended(done.returncode, done.stdout, done.stderr)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def trials_of(path):
    return [json.loads(line) for line in read(path).splitlines()]


def wait_until(true, seconds=30):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


# ---- the program ----------------------------------------------------------------------------------------------------

def commands():
    return re.findall(r"(?m)^  ([a-z]+) +(?:T\d\S* +)?\S", run("--help").out.partition("\nTiers")[0])


def check_overview(tap):
    all_of = commands()
    help_ = run("--help")
    tap.equal(help_.status, 0, "--help is a success")
    tap.ok({"crypto", "compare", "handshakes", "size", "report", "machine"} <= set(all_of), "the overview has the commands", help_)
    tap.ok(re.search(r"T1 .*never throughput", help_.out), "and says that T1 is never throughput", help_.out)
    bare = run()
    tap.ok(bare.status == 2 and bare.err == help_.out, "without a command it is wrong usage, with the overview", bare)
    tap.equal(run("help").out, help_.out, "`help` is --help")
    tap.ok(re.fullmatch(r"sluice-bench \d+\.\d+\.\d+\n", run("--version").out), "--version says the version")
    for name in all_of:
        one = run(name, "--help")
        if name in SCRIPTS and "the script of" in one.err:
            tap.skip(f"{name} --help explains it", "the script is not there")
            continue
        tap.ok(one.status == 0 and "usage:" in one.out.lower() and not one.err, f"{name} --help explains it", one)
        tap.equal(run("help", name).out, one.out, f"help {name} too")


def check_wrong_usage(tap):
    rows = [
        (["crypot"], "did you mean crypto?", "a swapped letter"),
        (["cryto"], "did you mean crypto?", "a letter less"),
        (["frobnicate"], "lists them", "nothing like it"),
        (["help", "reprot"], "did you mean report?", "also for help"),
        (["crypto", "--frob"], "--frob", "an option that is not there"),
        (["crypto", "word"], "word", "a word that is no option"),
        (["crypto", "--sizes", "0"], "1 to 9216", "a size of 0"),
        (["crypto", "--sizes", "64,"], "commas", "an empty size"),
        (["crypto", "--bursts", "1000"], "1 to 256", "too large a burst"),
        (["crypto", "--mix", "7x"], "--mix", "half a mix"),
        (["crypto", "--mix", "64"], "more than one size", "a mix of one size"),
        (["crypto", "--seconds", "nan"], "number", "no number of seconds"),
        (["crypto", "--seconds", "-1"], "number", "less than no time"),
        (["crypto", "--working-set", "1e3"], "MiB", "a working set that is no number"),
        (["crypto", "--only", "sluice,foo"], "libsodium", "a cipher that is not there: those that are"),
        (["crypto", "--out"], "out", "an option without its value"),
        (["machine", "word"], "usage", "a word behind machine"),
        (["handshakes"], "--gateway", "handshakes with nobody"),
        (["handshakes", "--generate", "0"], "1 to", "no keys at all"),
        (["handshakes", "--gateway", "localhost"], "ADDRESS:PORT", "a gateway without port"),
    ]
    for words, wanted, what in rows:
        end = run(*words)
        tap.ok(end.status == 2 and wanted in end.err and not end.out, f"wrong usage: {what}", end)
    end = run(*QUICK, env={"SLUICE_AEAD": "rot13"})
    tap.ok(end.status == 1 and "SLUICE_AEAD=rot13" in end.err, "a back end forced that is not there is named", end)


def check_machine(tap):
    end = run("machine")
    got = json.loads(end.out)
    tap.equal(sorted(got), ["build", "machine"], "machine says machine and build")
    wanted = ["class", "core_ghz", "core_per_tsc", "cores", "cpu", "family", "flags", "governor", "huge_pages", "hypervisor",
              "kernel", "memory_bytes", "microcode", "mitigations", "model", "smt", "stepping", "tsc_ghz"]
    tap.equal(sorted(got["machine"]), wanted, "the machine has its members")
    tap.equal(sorted(got["build"]), ["commit", "compiler", "flags", "id", "libraries", "version"], "the build has its members")
    tap.ok(got["machine"]["kernel"].split()[1] == os.uname().release, "the kernel is the one that runs", got["machine"])


# ---- crypto ---------------------------------------------------------------------------------------------------------

def check_trials(tap, trials, what):
    backends = list(dict.fromkeys(t["axes"]["backend"] for t in trials))
    tap.ok(backends[0] == "sluice" and "libsodium" in backends, f"{what}: the ciphers", backends)
    tap.equal(sorted(t["key"] for t in trials),
              sorted(f"{b}/{d}/64/{n}" for b in backends for d in ("seal", "open") for n in (1, 4)), f"{what}: each cell once")
    tap.ok(all(list(t) == MEMBERS and t["schema"] == "sluice-bench/1" and t["tier"] == "T0" and t["kind"] == "crypto"
               for t in trials), f"{what}: a trial says everything", trials[0])
    cycles = [t["result"]["cycles"] for t in trials]
    tap.ok(all(0 < c["best"] <= c["p10"] <= c["median"] <= c["p90"] and c["n"] >= 1 for c in cycles), f"{what}: a spread each",
           cycles)
    libraries = [t["result"]["ratio_to_library"] for t in trials if t["axes"]["backend"] == t["result"]["best_library"]]
    tap.ok(libraries and all(r == 1 for r in libraries), f"{what}: the best library is the measure", libraries)


def check_crypto(tap, folder):
    out = os.path.join(folder, "crypto.jsonl")
    end = run(*QUICK, "--json")
    trials = json.loads(end.out)
    check_trials(tap, trials, "--json")
    tap.equal(trials[0]["command"], ["sluice-bench", *QUICK, "--json"], "the command is kept as it was given")
    tap.equal(end.err, "", "a short run away from terminals is silent")
    end = run(*QUICK, "--out", out)
    tap.ok(end.status == 0 and re.search(r"(?m)^ +64 +4 .* \+ *\d+%", end.out), "without it there is a table with spread", end)
    tap.ok("T0: core cycles per packet" in end.out and "TSC" in end.out, "which says its unit and the clocks")
    check_trials(tap, trials_of(out), "--out")
    end = run(*QUICK, "--rows", "--one-key", "--only", "sluice")
    tap.equal(len(re.findall(r"(?m)^sluice/(?:seal|open)/64/[14]/one-key ", end.out)), 4, "--rows has a row for each trial")
    end = run("crypto", "--sizes", "64", "--bursts", "8", "--only", "sluice,libsodium", "--mix", "3x64,1x500", "--working-set", "1",
              "--seconds", "0.5", "--json")
    got = {t["key"]: t for t in json.loads(end.out)}
    tap.equal(sorted(k for k in got if k.startswith("sluice/seal")),
              ["sluice/seal/3x64,1x500/8", "sluice/seal/64/8", "sluice/seal/64/8/1MiB"], "a mix, warm ones, and ones in turn")
    mix = got["sluice/seal/3x64,1x500/8"]
    tap.ok({"sum_of_singles", "excess", "excess_median"} <= set(mix["result"]) and mix["axes"]["mean_size"] == 173,
           "a mix is compared with its sizes alone", mix)


# ---- interrupted, torn, refused -------------------------------------------------------------------------------------

def start(*words, **more):
    return subprocess.Popen([program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            stdin=subprocess.DEVNULL, **more)


def interrupted(words, out, number):
    """Starts, and ends it by a signal as soon as a trial is kept."""
    process = start(*words)
    wait_until(lambda: os.path.exists(out) and b"\n" in read(out))
    began = time.monotonic()
    process.send_signal(number)
    said, err = process.communicate(timeout=60)
    return Ended(process.returncode, said, err), time.monotonic() - began


def check_interrupted(tap, folder):
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)):
        name = number.name
        out = os.path.join(folder, f"{name}.jsonl")
        words = [*SMALL, "--out", out]
        end, seconds = interrupted([*words, "--seconds", "4"], out, number)
        tap.equal(end.status, status, f"{name}: exit status")
        kept = read(out)
        if status == 130:
            tap.ok(seconds < 5, f"{name}: it ends at once", seconds)
            tap.ok("--resume" in end.err and out in end.err, f"{name}: it says how to go on", end.err)
            tap.ok(re.search(r"(?m)^ +64 +1 ", end.out), f"{name}: it shows what it has", end.out)
            tap.ok(kept.endswith(b"\n"), f"{name}: all lines are whole", kept[-100:])
        else:
            kept = kept[:kept.rfind(b"\n") + 1]
        tap.ok(0 < len(kept.splitlines()), f"{name}: what was measured is kept", kept)
        end = run(*words, "--seconds", "0.2", "--resume", "--json")
        tap.ok(end.status == 0 and read(out).startswith(kept), f"{name}: --resume goes on behind it", end.err)
        check_trials(tap, trials_of(out), f"{name}, resumed")
        check_trials(tap, json.loads(end.out), f"{name}, all of it on stdout")
    process = start(*SMALL, "--seconds", "20", "--json")
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    said, err = process.communicate(timeout=60)
    tap.ok(process.returncode == 130 and isinstance(json.loads(said), list) and "--out" in err,
           "interrupted without a file: JSON all the same, and advice", err)


def check_files(tap, folder):
    out = os.path.join(folder, "good.jsonl")
    run(*QUICK, "--out", out)
    good, lines = read(out), read(out).splitlines(keepends=True)
    place = os.path.join(folder, "place.jsonl")

    def refused(data, wanted, what, *words):
        write(place, data)
        end = run(*QUICK, "--out", place, *words)
        tap.ok(end.status == 1 and wanted in end.err and "\n  " in end.err, f"{what} is refused, with advice", end)
        tap.ok(read(place) == data, f"{what} is left as it was")

    refused(good, "--resume", "a file that is there")
    refused(b"dear diary\n", "not a trial", "another file", "--resume")
    refused(lines[0] + lines[1][:100] + b"\n" + lines[2], "line 2", "a file that is broken in the middle", "--resume")
    refused(good.replace(b'"microcode": "', b'"microcode": "other '), '"microcode" differs', "another machine's file", "--resume")
    refused(good.replace(b'"compiler": "', b'"compiler": "other '), '"compiler" differs', "another build's file", "--resume")

    write(place, b"".join(lines[:5]) + lines[5][:len(lines[5]) // 2])
    end = run(*QUICK, "--out", place, "--resume")
    tap.ok(end.status == 0 and "torn" in end.err and "line 6" in end.err, "a torn last line is said", end.err)
    tap.ok(read(place).startswith(b"".join(lines[:5])), "what is before it stays")
    check_trials(tap, trials_of(place), "torn, resumed")

    write(place, b"")
    tap.equal(run(*QUICK, "--out", place).status, 0, "an empty file is as good as none")
    for path, wanted in ((os.path.join(folder, "none", "x"), "No such file"), (folder, "directory"), ("/dev/null", "not a file")):
        end = run(*QUICK, "--out", path)
        tap.ok(end.status == 1 and wanted in end.err and path in end.err, f"no place: {wanted}", end)
    end = run(*QUICK, "--resume")
    tap.ok(end.status == 1 and "--out FILE --resume" in end.err, "--resume alone has nothing to go on with", end)


def check_full(tap, folder):
    """A disk that is full in the middle: what is there stays whole."""
    out = os.path.join(folder, "full.jsonl")
    end = run(*QUICK, "--out", out, restore_signals=False,  # SIGXFSZ stays ignored, so that write() fails
              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)))
    tap.ok(end.status == 1 and out in end.err and "Make room" in end.err, "no room for a line is an error", end)
    tap.ok(0 < len(trials_of(out)) < 9 and read(out).endswith(b"\n"), "the lines before are whole")
    end = run(*QUICK, "--out", out, "--resume")
    tap.equal(end.status, 0, "with room again it goes on")
    check_trials(tap, trials_of(out), "after there was no room")
    with open("/dev/full", "w") as full:
        for words in (["--help"], ["--version"], ["machine"], QUICK, [*QUICK, "--json"]):
            end = run(*words, stdout=full)
            tap.ok(end.status == 1 and "could not be written" in end.err, f"no room for the output of {words[0]}", end)


def on_terminal(*words):
    """What it writes to a terminal, stdout elsewhere."""
    leader, follower = pty.openpty()
    process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL, stderr=follower, stdin=subprocess.DEVNULL)
    os.close(follower)
    text = b""
    try:
        while select.select([leader], [], [], 60)[0]:
            text += os.read(leader, 65536)
    except OSError:  # its other end is closed
        pass
    os.close(leader)
    return process.wait(), text.decode()


def check_progress(tap):
    status, text = on_terminal(*SMALL, "--seconds", "3")
    tap.ok(status == 0 and re.search(r"\r\d+/\d+  64 B, burst \d+  \S+  \d+ s left\x1b\[K", text),
           "on a terminal: trials, what is measured, time left, in place", repr(text[-400:]))
    tap.ok("\n" not in text and text.endswith("\r\x1b[K"), "which leaves nothing behind", repr(text[-100:]))
    status, text = on_terminal(*SMALL, "--seconds", "1", "--quiet")
    tap.equal((status, text), (0, ""), "--quiet: nothing")


# ---- scripts, handshakes --------------------------------------------------------------------------------------------

def check_scripts(tap, folder):
    os.mkdir(os.path.join(folder, "size"))
    script = os.path.join(folder, "size", "size.py")
    write(script, b"import os, sys\nprint(sys.argv[1:], os.environ['SLUICE_BENCH'], os.environ['SLUICE_BIN'])\nsys.exit(3)\n")
    mine = {"SLUICE_BENCH_SCRIPTS": folder}
    end = run("size", "--some", "words here", env=dict(mine, SLUICE_BIN="/x"))
    tap.equal((end.status, end.out), (3, f"['--some', 'words here'] {os.path.realpath(program)} /x\n"),
              "a script gets the words, where the program is, and has the last word")
    end = run("size", env=dict(mine, PATH="/nonexistent"))
    tap.ok(end.status == 1 and "python3" in end.err, "no python3 is said", end)
    end = run("compare", env=mine)
    tap.ok(end.status == 1 and os.path.join(folder, "compare/compare.py") in end.err and "SLUICE_BENCH_SCRIPTS" in end.err,
           "no script is said", end)


def check_handshakes(tap, folder):
    keys = os.path.join(folder, "keys")
    end = run("handshakes", "--generate", "3")
    tap.ok(re.fullmatch(r"(?:[A-Za-z0-9+/]{43}= [A-Za-z0-9+/]{43}=\n){3}", end.out), "--generate makes keys", end.out)
    write(keys, end.out.encode())
    nobody = ["handshakes", "--gateway", "127.0.0.1:9", "--public-key", end.out.split()[1], "--keys"]
    end = run(*nobody, keys, "--seconds", "1", "--json")
    result = json.loads(end.out)[0]["result"]
    tap.ok(end.status == 1 and (result["peers"], result["done"], result["failed"]) == (3, 0, 3), "nobody answers: it failed", end)
    tap.ok(result["initiations"] >= 3 and set(result["latency_ms"]) == {"best", "median", "p10", "p90", "p99", "n"},
           "its record is whole", result)
    end = run(*nobody, os.path.join(folder, "none"))
    tap.ok(end.status == 1 and "No such file" in end.err, "no file of keys", end)
    write(keys + ".bad", b"no key\n")
    end = run(*nobody, keys + ".bad")
    tap.ok(end.status == 1 and "--generate" in end.err, "a file of something else", end)
    process = start(*nobody, keys, "--seconds", "50", "--tries", "50")
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    tap.ok(process.returncode == 130 and "0 of 3" in err, "interrupted: how far it came", err)


def main():
    global program
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.environ.get("SLUICE_BIN"), help="where the programs are")
    options, _ = parser.parse_known_args()  # the other tests know more
    places = (os.path.join(options.bin or "", place) for place in PLACES)
    program = next((os.path.abspath(p) for p in places if options.bin and os.access(p, os.X_OK)), None)
    if program is None:
        sys.exit(f"{options.bin}: there is no sluice-bench; name a prefix or a build folder with --bin")
    for name in ("SLUICE_AEAD", "SLUICE_BIN", "SLUICE_BENCH_SCRIPTS"):
        os.environ.pop(name, None)
    tap = Tap()
    check_overview(tap)
    check_wrong_usage(tap)
    check_machine(tap)
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        check_crypto(tap, folder)
        check_interrupted(tap, folder)
        check_files(tap, folder)
        check_full(tap, folder)
        check_scripts(tap, folder)
        check_handshakes(tap, folder)
    check_progress(tap)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
