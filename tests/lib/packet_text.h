/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packets as a line of text, so that a table of packets in and packets out can be read:
 *
 *     udp 100.64.0.1:5000 192.168.77.9:53          with a payload and right checksums
 *     udp [fd7a::1]:5000 [fd77::9]:53 nosum        no UDP checksum
 *     udp 100.64.0.1:5000 192.168.77.9:53 first=7  the first fragment of datagram 7
 *     later 100.64.0.1 192.168.77.9 7              another one of it
 *     tcp/SA 192.168.77.9:80 100.64.0.1:5000       flags of S, A, F, R, P
 *     echo 100.64.0.1 192.168.77.9 77              an echo request with identifier 77
 *     reply 192.168.77.9 100.64.0.1 77
 *     icmp/13.0 A B                                another ICMP message: type and code
 *     proto/47 A B
 *     error/3.1 192.168.77.254 100.64.0.1 < udp ...  an ICMP error that quotes a packet,
 *     error/3.1 A B cut=28 < udp ...                 of which 28 bytes
 *
 * Further words: ttl=9, bad (one bit of the transport checksum is wrong).
 */
#ifndef TESTS_LIB_PACKET_TEXT_H
#define TESTS_LIB_PACKET_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* The packet's length; aborts on a text that is none. */
size_t packet_text_make(const char *text, uint8_t *buf, size_t size_bytes);

/* The same words without those that begin behind the addresses, but for first= and later's id. */
void packet_text_format(const uint8_t *p, size_t len, char *text, size_t size_bytes);

#endif
