#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Prints a line at the sight of every WireGuard handshake message on a device: "TYPE in|out", flushed at once.

    handshakes.py DEVICE
"""
import socket, sys


def main():
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    s.bind((sys.argv[1], 0))
    print("listening", flush=True)
    while True:
        packet, address = s.recvfrom(65536)
        if len(packet) < 48:
            continue
        version = packet[0] >> 4
        head, protocol = ((packet[0] & 15) * 4, packet[9]) if version == 4 else (40, packet[6])
        message = packet[head + 8:]
        if protocol == 17 and len(message) in (148, 92, 64) and message[0] in (1, 2, 3) and message[1:4] == b"\0\0\0":
            print(message[0], "out" if address[2] == socket.PACKET_OUTGOING else "in", flush=True)


if __name__ == "__main__":
    sys.exit(main())
