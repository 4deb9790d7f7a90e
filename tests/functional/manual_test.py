#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The manual says what the programs say: every command, option, drop reason and key of the status, and nothing more.

    manual_test.py --bin DIR       DIR: a prefix that `meson install` filled, or a build folder
"""
import argparse, json, os, re, shutil, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lab"))
from tap import Tap

MAN = os.path.join(ROOT, "docs", "man")
PLACES = {  # below --bin: installed, or in a build folder
    "sluice": ("bin/sluice", "controlplane/cli/sluice", "sluice"),
    "sluice-bench": ("bin/sluice-bench", "bench/sluice-bench", "sluice-bench"),
    "sluice-dataplane": ("bin/sluice-dataplane", "dataplane/sluice-dataplane", "sluice-dataplane"),
    "sluice-controlplane": ("bin/sluice-controlplane", "controlplane/gateway/sluice-controlplane", "sluice-controlplane"),
}


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def program(folder, name):
    return next((p for p in (os.path.join(folder, place) for place in PLACES[name]) if os.access(p, os.X_OK)), None)


def said_by(path, *words):
    run = subprocess.run([path, *words], capture_output=True, text=True, timeout=30)
    return run.stdout + run.stderr


def section(page, name):
    """The lines of a section, without its heading."""
    found = re.search(rf"(?ms)^\.Sh {re.escape(name)}\n(.*?)(?=^\.Sh |\Z)", page)
    return found.group(1) if found else ""


def items(text):
    """First words of the items of a list: {name: what follows up to the next item}."""
    return {m.group(1): m.group(2) for m in re.finditer(r"(?ms)^\.It Cm (\S+)(.*?)(?=^\.It Cm |\Z)", text)}


def options_in(text):
    return set(re.findall(r"(?<![\w-])--([a-z][a-z-]*)", text))


def flags_in(page):
    return set(re.findall(r"\bFl -([a-z][a-z-]*)", page))


def check_commands(tap, sluice):
    page = read("docs", "man", "sluice.1")
    overview = said_by(sluice, "help")
    commands = re.findall(r"(?m)^  ([a-z]+) +\S", overview)
    tap.ok(len(commands) >= 9 and "help" in commands, "`sluice help` lists the commands", overview)
    described = items(section(page, "DESCRIPTION"))
    tap.equal(sorted(described), sorted(commands), "sluice.1 describes these commands and no other")
    synopsis = set(re.findall(r"(?m)^\.Cm ([a-z]+)$", section(page, "SYNOPSIS")))
    tap.equal(sorted(synopsis), sorted(commands), "its synopsis has them too")
    for command in commands:
        if command == "help":
            continue
        wanted = options_in(said_by(sluice, "help", command))
        tap.equal(sorted(wanted - flags_in(described.get(command, ""))), [], f"the options of {command} are described")


def check_config(tap, sluice):
    page = section(read("docs", "man", "sluice.yaml.5"), "OPTIONS")
    text = said_by(sluice, "help", "config")
    options = dict(re.findall(r"(?ms)^(\S+): (.*?)(?=^\S|\Z)", text))
    described = items(page)
    tap.ok(len(options) >= 15, "`sluice help config` lists the options", text)
    tap.equal(sorted(described), sorted(options), "sluice.yaml.5 describes these options and no other")
    for name, help_text in options.items():
        body = " ".join(described.get(name, "").split())
        default = re.search(r"(?m)^ +default: (.*)$", help_text)
        if default:
            shown = re.search(r"Default: (?:\.Cm )?(\S+?) ?\.(?: |$)", body)
            tap.equal(shown and shown.group(1), default.group(1), f"the default of {name} is the right one")
        required = re.match(r".*, required$", help_text.split("\n")[0]) is not None
        tap.equal("equired" in body, required, f"{name} is {'' if required else 'not '}said to be required")


def check_example(tap, sluice, name, text):
    with tempfile.TemporaryDirectory() as folder:
        for key in set(re.findall(r"/etc/sluice/(\S+\.(?:key|psk))", text)):
            with open(os.path.join(folder, key), "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
                f.write(said_by(sluice, "genkey"))
        path = os.path.join(folder, "sluice.yaml")
        with open(path, "w") as f:
            f.write(text.replace("/etc/sluice/", folder + "/"))
        run = subprocess.run([sluice, "check", path], capture_output=True, text=True, timeout=30)
        tap.ok(text and run.returncode == 0 and not run.stderr, f"the example of {name} is right", run.stdout + run.stderr)


def check_examples(tap, sluice):
    page = section(read("docs", "man", "sluice.yaml.5"), "EXAMPLES")
    for number, example in enumerate(re.findall(r"(?s)\.Bd -literal\n(.*?)\n\.Ed", page), 1):
        check_example(tap, sluice, f"sluice.yaml.5 ({number})", example)
    check_example(tap, sluice, "README.md", read("README.md").partition("```yaml\n")[2].partition("```")[0])


def check_drops(tap):
    header = read("dataplane", "path", "drop.h")
    reasons = set(re.findall(r'X\(DROP_\w+,\s*(?:\\\s*)?"(\w+)"', header)) - {"none"}
    tap.ok(len(reasons) >= 20, "drop.h has reasons", reasons)
    page = items(section(read("docs", "man", "sluice.1"), "DROP REASONS"))
    tap.equal(sorted(page), sorted(reasons), "sluice.1 explains these drop reasons and no other")
    table = re.findall(r"(?m)^\| `(\w+)` \|", read("docs", "drops.md"))
    tap.equal(sorted(table), sorted(reasons), "docs/drops.md explains these and no other")


def check_status(tap):
    source = "".join(read("controlplane", "gateway", "api", f"{name}_json.c") for name in ("status", "network"))
    # What became of handshakes is counted under names that speak for themselves.
    source = re.sub(r"(?ms)^handshakes\(.*?^}", "", source)
    keys = set(re.findall(r'\bput\(\w+, "(\w+)"', source)) - {"ok"}  # of the answer, not of the status
    words = set(re.findall(r"\w+", section(read("docs", "man", "sluice.1"), "STATUS IN JSON")))
    tap.ok(len(keys) >= 30, "the status has keys", keys)
    tap.equal(sorted(keys - words), [], "sluice.1 has every key of the status")


def check_program(tap, path, name):
    if path is None:
        tap.skip(f"the options of {name} are in its page", "it is not built")
        return
    page = read("docs", "man", f"{name}.8")
    tap.equal(sorted(options_in(said_by(path, "--help"))), sorted(flags_in(page)), f"{name}.8 has exactly the options of --help")


BENCH_SCRIPTS = ("compare", "report", "size", "tailnet")


def check_bench(tap, path):
    if path is None:
        tap.skip("sluice-bench.1 describes the commands", "it is not built")
        return
    page = read("docs", "man", "sluice-bench.1")
    overview = said_by(path, "--help")
    commands = re.findall(r"(?m)^  ([a-z]+) +\S", overview.partition("\nTiers")[0])
    described = items(section(page, "COMMANDS"))
    tap.equal(sorted(described), sorted(commands), "sluice-bench.1 describes these commands and no other")
    for command in commands:
        text = described.get(command, "")
        help_text = said_by(path, command, "--help")
        own, said = flags_in(text), options_in(help_text)
        if command in BENCH_SCRIPTS and "the script of" in help_text:
            tap.skip(f"the options of {command} are in its page", "the script is not there")
            continue
        tap.equal(sorted(own - said), [], f"sluice-bench {command} has what its manual says")
        if command in BENCH_SCRIPTS:
            continue  # their help has more, for tests
        shared = set().union(*(flags_in(section(page, name)) for name in ["MEASURING", *re.findall(r"\bSx (\w+)", text)]))
        tap.equal(sorted(said - own - shared), [], f"all options of sluice-bench {command} are described")
    for member in ("machine", "build"):
        words = set(re.findall(r"\w+", section(page, "TRIALS IN JSON")))
        keys = set(json.loads(said_by(path, "machine"))[member])
        tap.equal(sorted(keys - words), [], f"every member of {member} is in the page")


def check_syntax(tap):
    pages = sorted(os.listdir(MAN))
    tap.ok(len(pages) >= 4, "there are manual pages", pages)
    if shutil.which("mandoc") is None:
        tap.skip("mandoc finds nothing wrong", "there is no mandoc here")
        return
    for page in pages:
        run = subprocess.run(["mandoc", "-Tlint", "-Wwarning", os.path.join(MAN, page)], capture_output=True, text=True)
        tap.ok(run.returncode == 0, f"mandoc finds nothing wrong with {page}", run.stdout + run.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.environ.get("SLUICE_BIN"), help="where the programs are")
    options, _ = parser.parse_known_args()  # the other tests know more
    tap = Tap()
    sluice = options.bin and program(options.bin, "sluice")
    if not sluice:
        sys.exit(f"{options.bin}: there is no sluice; name a prefix or a build folder with --bin")
    check_syntax(tap)
    check_commands(tap, sluice)
    check_config(tap, sluice)
    check_examples(tap, sluice)
    check_drops(tap)
    check_status(tap)
    check_bench(tap, program(options.bin, "sluice-bench"))
    for name in ("sluice-dataplane", "sluice-controlplane"):
        check_program(tap, program(options.bin, name), name)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
