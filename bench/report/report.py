#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""usage: sluice-bench report [OPTIONS] FILE...

Makes tables and plots of trials, or compares them with a baseline.  FILE is what a command wrote with --out, or printed with
--json, packed by xz or not; "-" is stdin.  Several files make one report.

  --markdown         tables as Markdown on stdout: what it does without options
  --svg DIR          charts as SVG files in DIR, and DIR/report.md that shows them above the tables
  --html DIR         one page, DIR/index.html, with charts and tables
  --baseline FILE    compare with the trials of FILE; exit status 1 if anything became worse beyond the measured noise
  --threshold PCT    beside the noise, how much worse is allowed, in percent: 3 unless given
  --any-machine      compare with a baseline of another machine
  --help             this
"""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import baseline, page, plots, tables
from records import FAILED, OK, USAGE, BenchError, read_trials

VALUES = ("--svg", "--html", "--baseline", "--threshold")
SWITCHES = ("--markdown", "--any-machine", "--help")


def usage(what, why):
    return BenchError(what, why, "`sluice-bench report --help` has its options.", USAGE)


def parse(words):
    """({option: value}, files)"""
    found, files, words = {}, [], list(words)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if word == "-h" or (name in SWITCHES and not equals):
            found["--help" if word == "-h" else name] = True
        elif name in VALUES:
            if not equals and not words:
                raise usage(name, "wants a value")
            found[name] = value if equals else words.pop(0)
        elif word.startswith("-") and word != "-":
            raise usage(word, "there is no such option")
        else:
            files.append(word)
    return found, files


def threshold_of(options):
    text = options.get("--threshold", "3")
    try:
        percent = float(text)
    except ValueError:
        percent = -1
    if not 0 <= percent <= 1000:
        raise usage(f"--threshold {text}", "no percentage")
    return percent / 100


def write(folder, name, text):
    path = os.path.join(folder, name)
    try:
        os.makedirs(folder, exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    except OSError as e:
        raise BenchError(path, e.strerror, "Choose a folder that can be written.") from None
    return path


def write_svg(folder, trials, charts):
    for p in charts:
        write(folder, f"{p.name}.svg", p.svg)
    path = write(folder, "report.md", tables.markdown(trials, [(p.tier, p.kind, p.title, f"{p.name}.svg") for p in charts]))
    print(f"{len(charts)} charts and {path}")


def against_baseline(options, trials):
    rows, missing, added = baseline.compare(read_trials(options["--baseline"]), trials, threshold_of(options),
                                            options.get("--any-machine", False))
    print(baseline.text(rows, missing, added, threshold_of(options)), end="")
    return FAILED if any(r.verdict == "worse" for r in rows) else OK


def report(options, files):
    if not files:
        raise usage("no file is given", "there is nothing to report")
    threshold_of(options)
    trials = [t for path in files for t in read_trials(path)]
    status = OK
    charts = plots.all_plots(trials) if "--svg" in options or "--html" in options else []
    if "--svg" in options:
        write_svg(options["--svg"], trials, charts)
    if "--html" in options:
        print(write(options["--html"], "index.html", page.html(trials, charts)))
    if "--baseline" in options:
        status = against_baseline(options, trials)
    if "--markdown" in options or not {"--svg", "--html", "--baseline"} & set(options):
        print(tables.markdown(trials), end="")
    return status


def main():
    try:
        options, files = parse(sys.argv[1:])
        if "--help" in options:
            print(__doc__, end="")
            return OK
        status = report(options, files)
        sys.stdout.flush()
        return status
    except BenchError as e:
        return e.say()
    except BrokenPipeError:
        # The reader left: what it has is what it wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


if __name__ == "__main__":
    sys.exit(main())
