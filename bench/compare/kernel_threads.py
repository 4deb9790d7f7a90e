# SPDX-License-Identifier: BSD-3-Clause
"""Threads of the kernel that deliver a device's packets ("threaded NAPI"): where they run, and what they spend.

Over veth, delivery runs in the sender's context, as if a network card worked on the neighbour's core.  Given threads, it can
be put onto the core of the side that receives, and its time is known, whatever else runs there: up to the socket or the ring
of AF_XDP, GRO, routing and firewall of what the kernel forwards included.

The lab has process numbers of its own, where the kernel's threads are not seen.  So a helper stays outside, made before the
lab is entered, and answers questions over a socket.
"""
import json, os, re, signal, socket, tempfile, time

VARIABLE = "SLUICE_COMPARE_KERNEL_THREADS"
NAME = re.compile(r"napi/")


def find():
    """{pid: name} of the threads that there are."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as f:
                name = f.read().strip()
        except OSError:
            continue
        if NAME.match(name):
            found[int(pid)] = name
    return found


def thread_s(pid):
    try:
        return time.clock_gettime(~pid << 3 | 2)  # its CPU clock, as in spent.py
    except OSError:
        return None


def answer(question):
    if question["what"] == "list":
        return {str(p): n for p, n in find().items()}
    if question["what"] == "pin":
        for pid in question["pids"]:
            if pid in find():  # never anybody else's
                os.sched_setaffinity(pid, question["cores"])
                # A fair share, as the kernel's own threads for softirqs have beside processes of its priority.
                os.sched_setscheduler(pid, os.sched_getscheduler(0), os.sched_getparam(0))
                os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0))
        return {}
    return {str(p): thread_s(p) for p in question["pids"]}


def serve(listener):
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as f:
            try:
                f.write(json.dumps(answer(json.loads(f.readline()))) + "\n")
            except (OSError, ValueError, KeyError):
                f.write("null\n")


def begin():
    """Outside: start the helper.  Returns what end() takes."""
    if os.environ.get(VARIABLE) or os.geteuid() != 0:
        return None
    folder = tempfile.mkdtemp(prefix="sluice-compare-")
    path = f"{folder}/kernel-threads"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    os.environ[VARIABLE] = path
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        import ctypes
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            serve(listener)
        finally:
            os._exit(0)
    listener.close()
    return child, folder


def end(helper):
    if helper:
        child, folder = helper
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.unlink(f"{folder}/kernel-threads")
        os.rmdir(folder)


def ask(what, **more):
    """The helper's answer, None: there is none."""
    if not os.environ.get(VARIABLE):
        return None
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.environ[VARIABLE])
        with s.makefile("rw") as f:
            f.write(json.dumps({"what": what, **more}) + "\n")
            f.flush()
            return json.loads(f.readline())


def listed():
    return {int(p): n for p, n in (ask("list") or {}).items()}


def pin(pids, cores):
    ask("pin", pids=list(pids), cores=list(cores))


def spent(pids):
    """{pid: CPU seconds}"""
    return {int(p): s or 0.0 for p, s in (ask("spent", pids=list(pids)) or {}).items()}
