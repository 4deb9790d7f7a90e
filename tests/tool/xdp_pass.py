#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Holds an XDP program on a device that passes everything, as long as it runs: somebody else's, in our way.

    xdp_pass.py DEVICE
"""
import ctypes, platform, signal, socket, struct, sys

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_PROG_LOAD, BPF_LINK_CREATE = 5, 28
BPF_PROG_TYPE_XDP, BPF_XDP = 6, 37
XDP_PASS = 2


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(SYS_BPF, command, buffer, len(attributes))
    if fd < 0:
        sys.exit(f"bpf({command}): errno {ctypes.get_errno()}")
    return fd


def main():
    # mov r0, XDP_PASS; exit
    code = ctypes.create_string_buffer(struct.pack("<BBhi", 0xb7, 0, 0, XDP_PASS) + struct.pack("<BBhi", 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"BSD")
    load = struct.pack("<IIQQIIQII16s", BPF_PROG_TYPE_XDP, 2, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0, 0, b"other_program")
    program = bpf(BPF_PROG_LOAD, load)
    bpf(BPF_LINK_CREATE, struct.pack("<IIII", program, socket.if_nametoindex(sys.argv[1]), BPF_XDP, 0))
    print("attached", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
