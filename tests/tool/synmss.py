#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Prints the MSS option of every TCP SYN that arrives at a device, a line each: "IPVERSION DESTINATION-PORT MSS FLAGS".

    synmss.py DEVICE SECONDS
"""
import socket, struct, sys, time


def main():
    device, seconds = sys.argv[1], float(sys.argv[2])
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    s.bind((device, 0))
    s.settimeout(0.2)
    print("listening", flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            packet, address = s.recvfrom(65536)
        except socket.timeout:
            continue
        if not packet or address[2] == socket.PACKET_OUTGOING:
            continue
        version = packet[0] >> 4
        head, protocol = ((packet[0] & 15) * 4, packet[9]) if version == 4 else (40, packet[6])
        tcp = packet[head:]
        if protocol != 6 or len(tcp) < 20 or not tcp[13] & 2:
            continue
        at, mss = 20, 0
        while at < (tcp[12] >> 4) * 4:
            if tcp[at] == 0:
                break
            if tcp[at] == 1:
                at += 1
                continue
            if tcp[at] == 2:
                mss = struct.unpack_from("!H", tcp, at + 2)[0]
            at += max(2, tcp[at + 1])
        print(version, struct.unpack_from("!H", tcp, 2)[0], mss, "syn-ack" if tcp[13] & 16 else "syn", flush=True)


if __name__ == "__main__":
    sys.exit(main())
