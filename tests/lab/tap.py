# SPDX-License-Identifier: BSD-3-Clause
"""TAP for tests in Python: one `ok` or `not ok` line per check, the plan at the end.  Threads may share it."""
import os, sys, threading, time, traceback


class Tap:
    def __init__(self, out=None):
        # What a program writes to our stdout must not get between the lines.
        self.out = out or os.fdopen(os.dup(1), "w", buffering=1)
        self.lock = threading.Lock()
        self.count = self.failed = self.skipped = 0
        self.began = time.monotonic()

    def line(self, text):
        with self.lock:
            self.out.write(text + "\n")
            self.out.flush()

    def note(self, text):
        """A comment: progress, and figures that a check was decided by."""
        self.line("\n".join(f"# {time.monotonic() - self.began:6.1f} s  {t}" for t in str(text).splitlines()))

    def ok(self, passed, what, detail=None):
        """One check; `what` is the sentence that it proves, `detail` is shown when it fails."""
        with self.lock:
            self.count += 1
            self.failed += not passed
            self.out.write(f"{'ok' if passed else 'not ok'} {self.count} - {what}\n")
            if not passed and detail is not None:
                self.out.write("".join(f"#   {t}\n" for t in str(detail).splitlines()))
            self.out.flush()
        return bool(passed)

    def equal(self, got, wanted, what):
        return self.ok(got == wanted, what, f"got    {got!r}\nwanted {wanted!r}")

    def skip(self, what, reason):
        with self.lock:
            self.count += 1
            self.skipped += 1
            self.out.write(f"ok {self.count} - {what} # SKIP {reason}\n")
            self.out.flush()

    def broken(self, what):
        """Called in an except block: what happened is a failed check, not the end of the test."""
        self.ok(False, what, traceback.format_exc())

    def done(self):
        """The plan; the exit status."""
        self.line(f"1..{self.count}")
        return 1 if self.failed or not self.count else 0

    def side_by_side(self, jobs):
        """Runs (name, function) in threads of their own and waits for all."""
        def guarded(name, function):
            try:
                function()
            except BaseException:
                self.broken(f"{name} runs to its end")

        threads = [threading.Thread(target=guarded, args=job, name=job[0]) for job in jobs]
        for t in threads:
            t.start()
        for t in threads:
            t.join()


if __name__ == "__main__":
    sys.exit("a module for tests; see README.md")
