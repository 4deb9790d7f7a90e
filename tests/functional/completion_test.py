#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What bash proposes for a command line that begins with `sluice`, or `sluice-bench`: every command and option, and nothing else.

    completion_test.py --bin DIR   DIR: a prefix that `meson install` filled, or a build folder
"""
import argparse, os, re, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lab"))
from tap import Tap

SCRIPT = os.path.join(ROOT, "controlplane", "cli", "completion", "sluice.bash")
PLACES = ("bin/sluice", "controlplane/cli/sluice", "sluice")
BENCH_SCRIPT = os.path.join(ROOT, "bench", "completion", "sluice-bench.bash")
BENCH_PLACES = ("bin/sluice-bench", "bench/sluice-bench", "sluice-bench")
SIDE_PLACES = {"sluice-dataplane": ("bin", "dataplane"), "sluice-controlplane": ("bin", "controlplane/gateway")}
RUN = """
source "$1"; complete=$2; shift 2
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
"$complete"
((${#COMPREPLY[@]} == 0)) || printf '%s\\n' "${COMPREPLY[@]}"
"""


def proposals(*words, folder=None, script=SCRIPT, function="_sluice"):
    """For these words, the last of which is being typed."""
    run = subprocess.run(["bash", "--norc", "-c", RUN, "bash", script, function, *words], capture_output=True, text=True,
                         cwd=folder, timeout=30)
    return sorted(run.stdout.splitlines()) if run.returncode == 0 and not run.stderr else run.stderr or run.returncode


def said_by(path, *words):
    return subprocess.run([path, *words], capture_output=True, text=True, timeout=30).stdout


def options_in(text):
    return {"--" + name for name in re.findall(r"(?<![\w-])--([a-z][a-z-]*)", text)}


def check_commands(tap, sluice):
    commands = re.findall(r"(?m)^  ([a-z]+) +\S", said_by(sluice, "help"))
    tap.ok(len(commands) >= 9, "`sluice help` lists the commands", commands)
    tap.equal(proposals("sluice", ""), sorted(commands + ["--help", "--version"]), "all commands are proposed")
    tap.equal(proposals("sluice", "re"), ["reload"], "what was typed narrows them")
    tap.equal(proposals("sluice", "help", ""), sorted(set(commands) - {"help"} | {"config"}), "help takes a command, or config")
    tap.equal(proposals("sluice", "help", "run", ""), [], "and one only")
    for command in commands:
        if command == "help":
            continue
        wanted = sorted(options_in(said_by(sluice, "help", command)) | {"--run-dir", "--help"})
        tap.equal(proposals("sluice", command, "-"), wanted, f"{command} has these options")


def check_values(tap):
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "gateways"))
        open(os.path.join(folder, "gateway one.yaml"), "w").close()
        both, one = ["gateway one.yaml", "gateways"], ["gateways"]
        tap.equal(proposals("sluice", "run", "--config", "gat", folder=folder), both, "--config takes a file")
        tap.equal(proposals("sluice", "run", "--config", "=", "gat", folder=folder), both, "--config=file too")
        tap.equal(proposals("sluice", "run", "--config", "=", folder=folder), both, "also with nothing behind it")
        tap.equal(proposals("sluice", "run", "--state-dir", "gat", folder=folder), one, "--state-dir takes a folder")
        tap.equal(proposals("sluice", "import", "--key-dir", "gat", folder=folder), one, "--key-dir takes a folder")
        tap.equal(proposals("sluice", "status", "--run-dir", "gat", folder=folder), one, "--run-dir takes a folder")
        tap.equal(proposals("sluice", "check", "gat", folder=folder), both, "check takes a file")
        tap.equal(proposals("sluice", "up", "--ca-file", "gat", folder=folder), both, "--ca-file takes a file")
        tap.equal(proposals("sluice", "up", "--auth-key", "gat", folder=folder), [], "--auth-key takes no name")
        tap.equal(proposals("sluice", "debug", "pa", folder=folder), ["paths"], "debug takes one of three")
        tap.equal(proposals("sluice", "import", "--force", "gat", folder=folder), both, "import takes a file behind options")
        tap.equal(proposals("sluice", "import", "--key-dir", "gateways", "gat", folder=folder), both, "and behind their values")
        tap.equal(proposals("sluice", "status", "gat", folder=folder), [], "status takes none")


def bench_proposals(*words, folder=None):
    return proposals(*words, folder=folder, script=BENCH_SCRIPT, function="_sluice_bench")


def check_bench(tap, bench):
    """It asks the program, so what is tested is that it understands each command's help."""
    overview = said_by(bench, "--help")
    commands = re.findall(r"(?m)^  ([a-z]+) +\S", overview.partition("\nTiers")[0])
    tap.ok(len(commands) >= 6, "`sluice-bench --help` lists the commands", overview)
    tap.equal(bench_proposals(bench, ""), sorted(commands + ["--help", "--version"]), "all of its commands are proposed")
    tap.equal(bench_proposals(bench, "cry"), ["crypto"], "what was typed narrows them")
    tap.equal(bench_proposals(bench, "help", ""), sorted(commands), "help takes a command")
    tap.equal(bench_proposals(bench, "help", "crypto", ""), [], "and one only")
    for command in commands:
        wanted = sorted(options_in(said_by(bench, command, "--help")))
        tap.equal(bench_proposals(bench, command, "-"), wanted, f"sluice-bench {command} has these options")
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "results"))
        open(os.path.join(folder, "result one.jsonl"), "w").close()
        both = ["result one.jsonl", "results"]
        tap.equal(bench_proposals(bench, "crypto", "--out", "res", folder=folder), both, "--out takes a file")
        tap.equal(bench_proposals(bench, "crypto", "--out", "=", "res", folder=folder), both, "--out=file too")
        tap.equal(bench_proposals(bench, "size", "--bin", "res", folder=folder), ["results"], "a folder where the help says DIR")
        tap.equal(bench_proposals(bench, "crypto", "--sizes", "res", folder=folder), [], "a number is not proposed")
        tap.equal(bench_proposals(bench, "report", "res", folder=folder), both, "report takes files")
        tap.equal(bench_proposals(bench, "crypto", "res", folder=folder), [], "crypto takes none")


def check_program(tap, folder, name):
    path = next((p for p in (os.path.join(folder, d, name) for d in SIDE_PLACES[name]) if os.access(p, os.X_OK)), None)
    if path is None:
        tap.skip(f"{name} has its options", "it is not built")
        return
    tap.equal(proposals("/usr/bin/" + name, "-"), sorted(options_in(said_by(path, "--help"))), f"{name} has its options")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.environ.get("SLUICE_BIN"), help="where the programs are")
    options, _ = parser.parse_known_args()  # the other tests know more
    tap = Tap()
    places = (os.path.join(options.bin or "", place) for place in PLACES)
    sluice = next((p for p in places if options.bin and os.access(p, os.X_OK)), None)
    if sluice is None:
        sys.exit(f"{options.bin}: there is no sluice; name a prefix or a build folder with --bin")
    check_commands(tap, sluice)
    check_values(tap)
    for name in SIDE_PLACES:
        check_program(tap, options.bin, name)
    bench = next((p for p in (os.path.join(options.bin, place) for place in BENCH_PLACES) if os.access(p, os.X_OK)), None)
    if bench is None:
        tap.skip("sluice-bench has its options", "it is not built")
    else:
        check_bench(tap, os.path.abspath(bench))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
