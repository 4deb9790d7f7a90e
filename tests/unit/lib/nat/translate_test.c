/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the RFCs ask of a translator: packets in, packets out.
 *
 * Source: RFC 4787 (UDP), RFC 5382 and RFC 7857 (TCP), RFC 5508 (ICMP), each requirement that is
 *         a packet's matter as a story.  Not here: 4787 REQ-2 (an inside host has one outside
 *         address per LAN: the route's), REQ-3a (the range is ours alone, above 1023), REQ-7 (no
 *         address by DHCP of our own), REQ-10 and 5382 REQ-6 (no ALG); 5382 REQ-4's silence for 6 s
 *         (nothing is ever answered); 5508 REQ-8 (stage/nat.c).
 */

#include <ctype.h>
#include <stdio.h>

#include "lib/net/checksum.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/nat/fixture.h"

/*
 * '#' fresh memory     '>' from the tunnel  '<' towards it    't' seconds pass, and the sweep
 * 'r' range of ports   'a' address outside  'x' another forwarder joins, as after a death
 * '!' two numbers differ
 * $a is a number that is bound where it first stands in a packet that comes out.
 */
struct step {
	char kind;
	const char *what;
	const char *in;
	const char *out; /* a packet, or a verdict */
};

static const struct step steps[] = {
	// --- RFC 4787 ---
	{ '#', "REQ-1: a mapping does not depend on the remote endpoint", NULL, NULL },
	{ '>', "to one remote endpoint", "udp 100.64.0.1:5000 192.168.77.9:53",
		"udp 192.168.77.1:$a 192.168.77.9:53" },
	{ '>', "to another address", "udp 100.64.0.1:5000 192.168.77.10:53",
		"udp 192.168.77.1:$a 192.168.77.10:53" },
	{ '>', "to another port", "udp 100.64.0.1:5000 192.168.77.9:54",
		"udp 192.168.77.1:$a 192.168.77.9:54" },
	{ '>', "another inside port has another mapping", "udp 100.64.0.1:5002 192.168.77.9:53",
		"udp 192.168.77.1:$b 192.168.77.9:53" },
	{ '<', "the answer comes back", "udp 192.168.77.9:53 192.168.77.1:$a",
		"udp 192.168.77.9:53 100.64.0.1:5000" },
	{ '<', "from the other address", "udp 192.168.77.10:53 192.168.77.1:$a",
		"udp 192.168.77.10:53 100.64.0.1:5000" },
	{ '<', "of the other port", "udp 192.168.77.9:53 192.168.77.1:$b",
		"udp 192.168.77.9:53 100.64.0.1:5002" },

	{ '#', "REQ-3: two inside endpoints never share a port while ports are free", NULL, NULL },
	{ '>', "a port inside the range is kept", "udp 100.64.0.1:61234 192.168.77.9:53",
		"udp 192.168.77.1:61234 192.168.77.9:53" },
	{ '>', "and is taken for the next", "udp 100.64.0.2:61234 192.168.77.9:53",
		"udp 192.168.77.1:$c 192.168.77.9:53" },
	{ '>', "towards other remote endpoints too", "udp 100.64.0.2:61234 192.168.77.10:53",
		"udp 192.168.77.1:$c 192.168.77.10:53" },
	{ '>', "TCP has ports of its own", "tcp/S 100.64.0.2:61234 192.168.77.9:53",
		"tcp/S 192.168.77.1:61234 192.168.77.9:53" },
	{ '<', "each gets its own: first", "udp 192.168.77.9:53 192.168.77.1:61234",
		"udp 192.168.77.9:53 100.64.0.1:61234" },
	{ '<', "each gets its own: second", "udp 192.168.77.9:53 192.168.77.1:$c",
		"udp 192.168.77.9:53 100.64.0.2:61234" },

	{ '#', "REQ-3, REQ-11: only when no port is free is one shared, to different remotes", NULL,
		NULL },
	{ 'r', "a range of one port", "62000-62000", NULL },
	{ '>', "the first has it", "udp 100.64.0.1:5000 192.168.77.9:53",
		"udp 192.168.77.1:62000 192.168.77.9:53" },
	{ '>', "the second cannot have it towards the same remote endpoint",
		"udp 100.64.0.2:5000 192.168.77.9:53", "drop:full" },
	{ '>', "but towards another", "udp 100.64.0.2:5000 192.168.77.9:54",
		"udp 192.168.77.1:62000 192.168.77.9:54" },
	{ '<', "each answer to its own: first", "udp 192.168.77.9:53 192.168.77.1:62000",
		"udp 192.168.77.9:53 100.64.0.1:5000" },
	{ '<', "each answer to its own: second", "udp 192.168.77.9:54 192.168.77.1:62000",
		"udp 192.168.77.9:54 100.64.0.2:5000" },

	{ '#', "REQ-4: the parity of a port is kept", NULL, NULL },
	{ 'r', "two ports", "62000-62001", NULL },
	{ '>', "odd", "udp 100.64.0.1:5001 192.168.77.9:53",
		"udp 192.168.77.1:62001 192.168.77.9:53" },
	{ '>', "even", "udp 100.64.0.1:5000 192.168.77.9:53",
		"udp 192.168.77.1:62000 192.168.77.9:53" },

	{ '#', "REQ-5: a UDP mapping lasts five minutes", NULL, NULL },
	{ '>', "it begins", "udp 100.64.0.1:5000 192.168.77.9:53",
		"udp 192.168.77.1:$d 192.168.77.9:53" },
	{ 't', "299 seconds", "299", NULL },
	{ '<', "it is still there", "udp 192.168.77.9:53 192.168.77.1:$d",
		"udp 192.168.77.9:53 100.64.0.1:5000" },
	{ 't', "302 seconds of silence", "302", NULL },
	{ '<', "now it has gone", "udp 192.168.77.9:53 192.168.77.1:$d", "drop:no_flow" },

	{ '#', "REQ-6: outbound packets keep it", NULL, NULL },
	{ '>', "it begins", "udp 100.64.0.1:61500 192.168.77.9:53",
		"udp 192.168.77.1:61500 192.168.77.9:53" },
	{ 't', "250 seconds", "250", NULL },
	{ '>', "another one", "udp 100.64.0.1:61500 192.168.77.9:53",
		"udp 192.168.77.1:61500 192.168.77.9:53" },
	{ 't', "250 seconds", "250", NULL },
	{ '<', "an answer still finds it", "udp 192.168.77.9:53 192.168.77.1:61500",
		"udp 192.168.77.9:53 100.64.0.1:61500" },

	{ '#', "REQ-8: filtering does not depend on the remote endpoint", NULL, NULL },
	{ '>', "an address of ours is known from here on", "udp 100.64.0.9:65000 192.168.77.9:53",
		"udp 192.168.77.1:65000 192.168.77.9:53" },
	{ '<', "nothing is mapped yet", "udp 192.168.77.9:53 192.168.77.1:61500", "drop:no_flow" },
	{ '<', "a port outside the range is the box's", "udp 192.168.77.9:53 192.168.77.1:5000",
		"same" },
	{ '>', "it begins", "udp 100.64.0.1:61500 192.168.77.9:53",
		"udp 192.168.77.1:61500 192.168.77.9:53" },
	{ '<', "a stranger may write to it", "udp 192.168.77.99:1 192.168.77.1:61500",
		"udp 192.168.77.99:1 100.64.0.1:61500" },
	{ '>', "and is answered from the same port", "udp 100.64.0.1:61500 192.168.77.99:1",
		"udp 192.168.77.1:61500 192.168.77.99:1" },

	{ '#', "REQ-9: hairpins, with the outside endpoint as the source", NULL, NULL },
	{ '>', "one inside host maps a port", "udp 100.64.0.1:61500 192.168.77.9:53",
		"udp 192.168.77.1:61500 192.168.77.9:53" },
	{ '>', "another one writes to it", "udp 100.64.0.2:61600 192.168.77.1:61500",
		"hairpin udp 192.168.77.1:61600 100.64.0.1:61500" },
	{ '>', "and is answered", "udp 100.64.0.1:61500 192.168.77.1:61600",
		"hairpin udp 192.168.77.1:61500 100.64.0.2:61600" },
	{ '>', "an unmapped port is nobody's", "udp 100.64.0.2:61600 192.168.77.1:61501",
		"drop:no_flow" },

	{ '#', "REQ-12: ICMP errors end no mapping, whoever sends them", NULL, NULL },
	{ '>', "it begins", "udp 100.64.0.1:61500 192.168.77.9:53",
		"udp 192.168.77.1:61500 192.168.77.9:53" },
	{ '<', "port unreachable",
		"error/3.3 192.168.77.9 192.168.77.1 < udp 192.168.77.1:61500 192.168.77.9:53",
		"error/3.3 192.168.77.9 100.64.0.1 < udp 100.64.0.1:61500 192.168.77.9:53" },
	{ '<', "of a router on the way",
		"error/3.4 192.168.77.254 192.168.77.1 < udp 192.168.77.1:61500 192.168.77.9:53",
		"error/3.4 192.168.77.254 100.64.0.1 < udp 100.64.0.1:61500 192.168.77.9:53" },
	{ '<', "the mapping is there", "udp 192.168.77.9:53 192.168.77.1:61500",
		"udp 192.168.77.9:53 100.64.0.1:61500" },

	{ '#', "REQ-14: fragments, in order", NULL, NULL },
	{ '>', "the first one", "udp 100.64.0.1:61500 192.168.77.9:53 first=7",
		"udp 192.168.77.1:61500 192.168.77.9:53 first=$i" },
	{ '>', "the next one", "later 100.64.0.1 192.168.77.9 7",
		"later 192.168.77.1 192.168.77.9 $i" },
	{ '>', "of another datagram: held", "later 100.64.0.1 192.168.77.9 8", "held" },
	{ '>', "of another host: held", "later 100.64.0.2 192.168.77.9 7", "held" },
	{ '<', "the answer's first one", "udp 192.168.77.9:53 192.168.77.1:61500 first=9",
		"udp 192.168.77.9:53 100.64.0.1:61500 first=9" },
	{ '<', "the answer's next one", "later 192.168.77.9 192.168.77.1 9",
		"later 192.168.77.9 100.64.0.1 9" },
	{ '#', "REQ-14: fragments, out of order", NULL, NULL },
	{ '>', "the second one first", "later 100.64.0.1 192.168.77.9 7", "held" },
	{ '>', "the first one", "udp 100.64.0.1:61500 192.168.77.9:53 first=7",
		"udp 192.168.77.1:61500 192.168.77.9:53 first=$j" },
	{ '>', "the second one again", "later 100.64.0.1 192.168.77.9 7",
		"later 192.168.77.1 192.168.77.9 $j" },
	{ 't', "three seconds", "3", NULL },
	{ '>', "an old one finds nothing", "later 100.64.0.1 192.168.77.9 7", "held" },
	{ '<', "what is not for us passes", "later 192.168.77.9 100.64.0.1 9", "same" },
	{ '#', "REQ-14: two hosts chose one identification: they are told apart", NULL, NULL },
	{ '>', "of one host", "udp 100.64.0.1:61500 192.168.77.9:53 first=7",
		"udp 192.168.77.1:61500 192.168.77.9:53 first=$k" },
	{ '>', "of the other", "udp 100.64.0.2:61501 192.168.77.9:53 first=7",
		"udp 192.168.77.1:61501 192.168.77.9:53 first=$l" },
	{ '>', "the first one's rest", "later 100.64.0.1 192.168.77.9 7",
		"later 192.168.77.1 192.168.77.9 $k" },
	{ '>', "the other's rest", "later 100.64.0.2 192.168.77.9 7",
		"later 192.168.77.1 192.168.77.9 $l" },
	{ '!', "the identifications differ", "kl", NULL },

	{ '#', "RFC 768: no checksum stays none", NULL, NULL },
	{ '>', "out", "udp 100.64.0.1:61500 192.168.77.9:53 nosum",
		"nosum udp 192.168.77.1:61500 192.168.77.9:53" },
	{ '<', "and back", "udp 192.168.77.9:53 192.168.77.1:61500 nosum",
		"nosum udp 192.168.77.9:53 100.64.0.1:61500" },

	// --- RFC 5382, RFC 7857 ---
	{ '#', "REQ-1: TCP's mapping does not depend on the remote endpoint either", NULL, NULL },
	{ '>', "to one", "tcp/S 100.64.0.1:5000 192.168.77.9:80",
		"tcp/S 192.168.77.1:$a 192.168.77.9:80" },
	{ '>', "to another", "tcp/S 100.64.0.1:5000 192.168.77.10:80",
		"tcp/S 192.168.77.1:$a 192.168.77.10:80" },

	{ '#', "REQ-2: the three-way handshake", NULL, NULL },
	{ '>', "SYN", "tcp/S 100.64.0.1:61500 192.168.77.9:80",
		"tcp/S 192.168.77.1:61500 192.168.77.9:80" },
	{ '<', "SYN ACK", "tcp/SA 192.168.77.9:80 192.168.77.1:61500",
		"tcp/SA 192.168.77.9:80 100.64.0.1:61500" },
	{ '>', "ACK", "tcp/A 100.64.0.1:61500 192.168.77.9:80",
		"tcp/A 192.168.77.1:61500 192.168.77.9:80" },
	{ 't', "2 h 3 min of silence", "7380", NULL },
	{ '<', "REQ-5: it is still there", "tcp/A 192.168.77.9:80 192.168.77.1:61500",
		"tcp/A 192.168.77.9:80 100.64.0.1:61500" },
	{ 't', "2 h 5 min of silence", "7500", NULL },
	{ '<', "REQ-5: it has gone", "tcp/A 192.168.77.9:80 192.168.77.1:61500", "drop:no_flow" },

	{ '#', "REQ-2: simultaneous open", NULL, NULL },
	{ '>', "SYN out", "tcp/S 100.64.0.1:61500 192.168.77.9:61080",
		"tcp/S 192.168.77.1:61500 192.168.77.9:61080" },
	{ '<', "SYN in", "tcp/S 192.168.77.9:61080 192.168.77.1:61500",
		"tcp/S 192.168.77.9:61080 100.64.0.1:61500" },
	{ '>', "SYN ACK out", "tcp/SA 100.64.0.1:61500 192.168.77.9:61080",
		"tcp/SA 192.168.77.1:61500 192.168.77.9:61080" },
	{ '<', "SYN ACK in", "tcp/SA 192.168.77.9:61080 192.168.77.1:61500",
		"tcp/SA 192.168.77.9:61080 100.64.0.1:61500" },
	{ 't', "an hour", "3600", NULL },
	{ '>', "it is established", "tcp/A 100.64.0.1:61500 192.168.77.9:61080",
		"tcp/A 192.168.77.1:61500 192.168.77.9:61080" },

	{ '#', "REQ-5: what is not established lasts four minutes", NULL, NULL },
	{ '>', "SYN", "tcp/S 100.64.0.1:61500 192.168.77.9:80",
		"tcp/S 192.168.77.1:61500 192.168.77.9:80" },
	{ 't', "3 min 59 s", "239", NULL },
	{ '<', "it is still there", "tcp/SA 192.168.77.9:80 192.168.77.1:61500",
		"tcp/SA 192.168.77.9:80 100.64.0.1:61500" },
	{ 't', "4 min 7 s", "247", NULL },
	{ '<', "it has gone", "tcp/A 192.168.77.9:80 192.168.77.1:61500", "drop:no_flow" },

	{ '#', "REQ-5: so does what both sides have closed", NULL, NULL },
	{ '>', "SYN", "tcp/S 100.64.0.1:61500 192.168.77.9:80",
		"tcp/S 192.168.77.1:61500 192.168.77.9:80" },
	{ '<', "SYN ACK", "tcp/SA 192.168.77.9:80 192.168.77.1:61500",
		"tcp/SA 192.168.77.9:80 100.64.0.1:61500" },
	{ '>', "FIN", "tcp/FA 100.64.0.1:61500 192.168.77.9:80",
		"tcp/AF 192.168.77.1:61500 192.168.77.9:80" },
	{ 't', "half closed: half an hour", "1800", NULL },
	{ '<', "FIN of the other side", "tcp/FA 192.168.77.9:80 192.168.77.1:61500",
		"tcp/AF 192.168.77.9:80 100.64.0.1:61500" },
	{ '>', "the last ACK", "tcp/A 100.64.0.1:61500 192.168.77.9:80",
		"tcp/A 192.168.77.1:61500 192.168.77.9:80" },
	{ 't', "4 min 7 s", "247", NULL },
	{ '<', "it has gone", "tcp/A 192.168.77.9:80 192.168.77.1:61500", "drop:no_flow" },

	{ '#', "RFC 7857 2.2: a reset that the other side does not believe ends nothing", NULL,
		NULL },
	{ '>', "SYN", "tcp/S 100.64.0.1:61500 192.168.77.9:80",
		"tcp/S 192.168.77.1:61500 192.168.77.9:80" },
	{ '<', "SYN ACK", "tcp/SA 192.168.77.9:80 192.168.77.1:61500",
		"tcp/SA 192.168.77.9:80 100.64.0.1:61500" },
	{ '>', "ACK", "tcp/A 100.64.0.1:61500 192.168.77.9:80",
		"tcp/A 192.168.77.1:61500 192.168.77.9:80" },
	{ '<', "RST, forged", "tcp/R 192.168.77.9:80 192.168.77.1:61500",
		"tcp/R 192.168.77.9:80 100.64.0.1:61500" },
	{ '>', "data", "tcp/AP 100.64.0.1:61500 192.168.77.9:80",
		"tcp/AP 192.168.77.1:61500 192.168.77.9:80" },
	{ 't', "an hour", "3600", NULL },
	{ '<', "it is established", "tcp/A 192.168.77.9:80 192.168.77.1:61500",
		"tcp/A 192.168.77.9:80 100.64.0.1:61500" },
	{ '<', "RST, real", "tcp/R 192.168.77.9:80 192.168.77.1:61500",
		"tcp/R 192.168.77.9:80 100.64.0.1:61500" },
	{ 't', "4 min 7 s", "247", NULL },
	{ '<', "it has gone", "tcp/A 192.168.77.9:80 192.168.77.1:61500", "drop:no_flow" },

	{ '#', "a SYN on ports that were closed begins anew", NULL, NULL },
	{ '>', "SYN", "tcp/S 100.64.0.1:61500 192.168.77.9:80",
		"tcp/S 192.168.77.1:61500 192.168.77.9:80" },
	{ '<', "RST ACK", "tcp/RA 192.168.77.9:80 192.168.77.1:61500",
		"tcp/AR 192.168.77.9:80 100.64.0.1:61500" },
	{ '>', "SYN again", "tcp/S 100.64.0.1:61500 192.168.77.9:80",
		"tcp/S 192.168.77.1:61500 192.168.77.9:80" },
	{ '<', "SYN ACK", "tcp/SA 192.168.77.9:80 192.168.77.1:61500",
		"tcp/SA 192.168.77.9:80 100.64.0.1:61500" },
	{ '>', "ACK", "tcp/A 100.64.0.1:61500 192.168.77.9:80",
		"tcp/A 192.168.77.1:61500 192.168.77.9:80" },
	{ 't', "an hour", "3600", NULL },
	{ '<', "it is established", "tcp/A 192.168.77.9:80 192.168.77.1:61500",
		"tcp/A 192.168.77.9:80 100.64.0.1:61500" },

	{ '#',
		"REQ-3, REQ-4: a SYN of a stranger passes where there is a mapping, else nothing "
		"answers",
		NULL, NULL },
	{ '>', "an address of ours is known from here on", "tcp/S 100.64.0.9:65000 192.168.77.9:53",
		"tcp/S 192.168.77.1:65000 192.168.77.9:53" },
	{ '<', "no mapping", "tcp/S 192.168.77.99:1 192.168.77.1:61500", "drop:no_flow" },
	{ '>', "SYN", "tcp/S 100.64.0.1:61500 192.168.77.9:80",
		"tcp/S 192.168.77.1:61500 192.168.77.9:80" },
	{ '<', "the stranger's SYN", "tcp/S 192.168.77.99:1 192.168.77.1:61500",
		"tcp/S 192.168.77.99:1 100.64.0.1:61500" },
	{ '>', "and what answers it", "tcp/SA 100.64.0.1:61500 192.168.77.99:1",
		"tcp/SA 192.168.77.1:61500 192.168.77.99:1" },

	{ '#', "REQ-8: TCP hairpins", NULL, NULL },
	{ '>', "one inside host maps a port", "tcp/S 100.64.0.1:61500 192.168.77.9:80",
		"tcp/S 192.168.77.1:61500 192.168.77.9:80" },
	{ '>', "another connects to it", "tcp/S 100.64.0.2:61600 192.168.77.1:61500",
		"hairpin tcp/S 192.168.77.1:61600 100.64.0.1:61500" },
	{ '>', "its answer", "tcp/SA 100.64.0.1:61500 192.168.77.1:61600",
		"hairpin tcp/SA 192.168.77.1:61500 100.64.0.2:61600" },

	{ '#', "REQ-9, REQ-10: ICMP errors of TCP are translated and end nothing", NULL, NULL },
	{ '>', "SYN", "tcp/S 100.64.0.1:61500 192.168.77.9:80",
		"tcp/S 192.168.77.1:61500 192.168.77.9:80" },
	{ '<', "too big, with 8 bytes of the header",
		"error/3.4 192.168.77.254 192.168.77.1 cut=28 < tcp/S 192.168.77.1:61500 "
		"192.168.77.9:80",
		"error/3.4 192.168.77.254 100.64.0.1 < tcp/ 100.64.0.1:61500 192.168.77.9:80" },
	{ '<', "SYN ACK", "tcp/SA 192.168.77.9:80 192.168.77.1:61500",
		"tcp/SA 192.168.77.9:80 100.64.0.1:61500" },

	// --- RFC 5508 ---
	{ '#', "REQ-1: a query's mapping does not depend on the remote host", NULL, NULL },
	{ '>', "ping", "echo 100.64.0.1 192.168.77.9 77", "echo 192.168.77.1 192.168.77.9 $a" },
	{ '>', "ping another", "echo 100.64.0.1 192.168.77.10 77",
		"echo 192.168.77.1 192.168.77.10 $a" },
	{ '>', "an identifier of the range is kept", "echo 100.64.0.2 192.168.77.9 61077",
		"echo 192.168.77.1 192.168.77.9 61077" },
	{ '<', "pong", "reply 192.168.77.9 192.168.77.1 $a", "reply 192.168.77.9 100.64.0.1 77" },
	{ '<', "pong of the other", "reply 192.168.77.10 192.168.77.1 $a",
		"reply 192.168.77.10 100.64.0.1 77" },
	{ '<', "to the box itself", "echo 192.168.77.9 192.168.77.1 61077", "same" },
	{ 't', "REQ-2: 59 seconds", "59", NULL },
	{ '<', "a late pong", "reply 192.168.77.9 192.168.77.1 $a",
		"reply 192.168.77.9 100.64.0.1 77" },
	{ 't', "a minute and a bit", "125", NULL },
	{ '<', "too late", "reply 192.168.77.9 192.168.77.1 $a", "drop:no_flow" },

	{ '#', "REQ-3: errors with wrong checksums are dropped without a word", NULL, NULL },
	{ '>', "it begins", "udp 100.64.0.1:61500 192.168.77.9:53",
		"udp 192.168.77.1:61500 192.168.77.9:53" },
	{ '<', "the error's own",
		"error/3.3 192.168.77.9 192.168.77.1 bad < udp 192.168.77.1:61500 192.168.77.9:53",
		"drop:malformed" },
	{ '<', "what it quotes has a wrong transport checksum: that does not matter",
		"error/3.3 192.168.77.9 192.168.77.1 < udp 192.168.77.1:61500 192.168.77.9:53 bad",
		"any error/3.3 192.168.77.9 100.64.0.1 < udp 100.64.0.1:61500 192.168.77.9:53" },
	{ '<', "it quotes too little",
		"error/3.3 192.168.77.9 192.168.77.1 cut=27 < udp 192.168.77.1:61500 "
		"192.168.77.9:53",
		"drop:malformed" },

	{ '#', "REQ-4: errors from the LAN", NULL, NULL },
	{ '>', "an address of ours is known from here on", "udp 100.64.0.9:65000 192.168.77.9:53",
		"udp 192.168.77.1:65000 192.168.77.9:53" },
	{ '<', "about nothing of ours",
		"error/3.3 192.168.77.9 192.168.77.1 < udp 192.168.77.1:61500 192.168.77.9:53",
		"drop:no_flow" },
	{ '>', "a ping", "echo 100.64.0.1 192.168.77.9 61077",
		"echo 192.168.77.1 192.168.77.9 61077" },
	{ '<', "TTL exceeded",
		"error/11.0 192.168.77.254 192.168.77.1 < echo 192.168.77.1 192.168.77.9 61077",
		"error/11.0 192.168.77.254 100.64.0.1 < echo 100.64.0.1 192.168.77.9 61077" },

	{ '#', "REQ-5: errors from inside", NULL, NULL },
	{ '>', "it begins", "udp 100.64.0.1:61500 192.168.77.9:53",
		"udp 192.168.77.1:61500 192.168.77.9:53" },
	{ '<', "an answer", "udp 192.168.77.9:53 192.168.77.1:61500",
		"udp 192.168.77.9:53 100.64.0.1:61500" },
	{ '>', "that nobody waited for",
		"error/3.3 100.64.0.1 192.168.77.9 < udp 192.168.77.9:53 100.64.0.1:61500",
		"error/3.3 192.168.77.1 192.168.77.9 < udp 192.168.77.9:53 192.168.77.1:61500" },
	{ '>', "that a router behind the tunnel refuses",
		"error/3.1 100.64.0.200 192.168.77.9 < udp 192.168.77.9:53 100.64.0.1:61500",
		"error/3.1 192.168.77.1 192.168.77.9 < udp 192.168.77.9:53 192.168.77.1:61500" },
	{ '<', "a stranger's", "udp 192.168.77.99:1 192.168.77.1:61500",
		"udp 192.168.77.99:1 100.64.0.1:61500" },
	{ '>', "refused",
		"error/3.3 100.64.0.1 192.168.77.99 < udp 192.168.77.99:1 100.64.0.1:61500",
		"error/3.3 192.168.77.1 192.168.77.99 < udp 192.168.77.99:1 192.168.77.1:61500" },
	{ '>', "about nothing of ours",
		"error/3.3 100.64.0.7 192.168.77.9 < udp 192.168.77.9:53 100.64.0.7:61500",
		"drop:no_flow" },

	{ '#', "REQ-6: an error keeps nothing alive", NULL, NULL },
	{ '>', "it begins", "udp 100.64.0.1:61500 192.168.77.9:53",
		"udp 192.168.77.1:61500 192.168.77.9:53" },
	{ 't', "200 seconds", "200", NULL },
	{ '<', "an error",
		"error/3.3 192.168.77.9 192.168.77.1 < udp 192.168.77.1:61500 192.168.77.9:53",
		"error/3.3 192.168.77.9 100.64.0.1 < udp 100.64.0.1:61500 192.168.77.9:53" },
	{ 't', "102 more", "102", NULL },
	{ '<', "it has gone", "udp 192.168.77.9:53 192.168.77.1:61500", "drop:no_flow" },

	{ '#', "REQ-7: errors of hairpins", NULL, NULL },
	{ '>', "one inside host maps a port", "udp 100.64.0.1:61500 192.168.77.9:53",
		"udp 192.168.77.1:61500 192.168.77.9:53" },
	{ '>', "another one writes to it", "udp 100.64.0.2:61600 192.168.77.1:61500",
		"hairpin udp 192.168.77.1:61600 100.64.0.1:61500" },
	{ '>', "and is refused",
		"error/3.3 100.64.0.1 192.168.77.1 < udp 192.168.77.1:61600 100.64.0.1:61500",
		"hairpin error/3.3 192.168.77.1 100.64.0.2 < udp 100.64.0.2:61600 "
		"192.168.77.1:61500" },

	{ '#', "REQ-9, REQ-10: what is no query and no error does not pass from inside", NULL,
		NULL },
	{ '>', "a redirect", "icmp/5.1 100.64.0.1 192.168.77.9", "drop:protocol" },
	{ '>', "a timestamp", "icmp/13.0 100.64.0.1 192.168.77.9", "drop:protocol" },
	{ '>', "GRE", "proto/47 100.64.0.1 192.168.77.9", "drop:protocol" },
	{ '>', "an answer to no ping", "reply 100.64.0.1 192.168.77.9 61077", "drop:no_flow" },
	{ '<', "and what is for the box is the box's", "proto/47 192.168.77.9 192.168.77.1",
		"same" },

	// --- flows that the LAN begins ---
	{ '#', "what the LAN begins is answered as it was asked", NULL, NULL },
	{ '<', "UDP", "udp 192.168.77.9:999 100.64.0.1:53", "same" },
	{ '>', "its answer", "udp 100.64.0.1:53 192.168.77.9:999", "same" },
	{ '>', "another port's packet is none", "udp 100.64.0.1:53 192.168.77.9:998",
		"udp 192.168.77.1:$a 192.168.77.9:998" },
	{ '<', "SYN", "tcp/S 192.168.77.9:999 100.64.0.1:80", "same" },
	{ '>', "SYN ACK", "tcp/SA 100.64.0.1:80 192.168.77.9:999", "same" },
	{ '<', "ACK", "tcp/A 192.168.77.9:999 100.64.0.1:80", "same" },
	{ 't', "an hour", "3600", NULL },
	{ '>', "data", "tcp/AP 100.64.0.1:80 192.168.77.9:999", "same" },
	{ '<', "a ping", "echo 192.168.77.9 100.64.0.1 5", "same" },
	{ '>', "its answer", "reply 100.64.0.1 192.168.77.9 5", "same" },
	{ '>', "a ping the other way, with the same identifier", "echo 100.64.0.1 192.168.77.9 5",
		"echo 192.168.77.1 192.168.77.9 $b" },
	{ '>', "an error about the LAN's",
		"error/3.3 100.64.0.1 192.168.77.9 < tcp/A 192.168.77.9:999 100.64.0.1:80",
		"same" },
	{ '<', "an error about the answer",
		"error/3.4 192.168.77.254 100.64.0.1 < tcp/AP 100.64.0.1:80 192.168.77.9:999",
		"same" },
	{ '>', "an answer to what was not recorded", "tcp/SA 100.64.0.1:80 192.168.77.9:998",
		"same" },
	{ '>', "and what follows it", "tcp/A 100.64.0.1:80 192.168.77.9:998", "same" },
	{ '<', "a fragmented datagram of the LAN", "udp 192.168.77.9:7 100.64.0.1:53 first=3",
		"same" },
	{ '<', "its rest", "later 192.168.77.9 100.64.0.1 3", "same" },
	{ '>', "its answer in fragments", "udp 100.64.0.1:53 192.168.77.9:7 first=4", "same" },
	{ '>', "its rest", "later 100.64.0.1 192.168.77.9 4", "same" },
	{ 't', "UDP without an answer lasts two minutes", "302", NULL },
	{ '>', "it has gone", "udp 100.64.0.1:53 192.168.77.9:999",
		"udp 192.168.77.1:$a 192.168.77.9:999" },

	// --- deaths, changes ---
	{ '#', "flows outlive the forwarder", NULL, NULL },
	{ '>', "one", "udp 100.64.0.1:5000 192.168.77.9:53",
		"udp 192.168.77.1:$a 192.168.77.9:53" },
	{ '<', "of the LAN", "udp 192.168.77.9:999 100.64.0.1:53", "same" },
	{ 'x', "another forwarder", NULL, NULL },
	{ '<', "the answer", "udp 192.168.77.9:53 192.168.77.1:$a",
		"udp 192.168.77.9:53 100.64.0.1:5000" },
	{ '>', "the mapping", "udp 100.64.0.1:5000 192.168.77.10:53",
		"udp 192.168.77.1:$a 192.168.77.10:53" },
	{ '>', "the LAN's answer", "udp 100.64.0.1:53 192.168.77.9:999", "same" },
	{ 't', "with the new one's clock", "302", NULL },
	{ '<', "it has gone", "udp 192.168.77.9:53 192.168.77.1:$a", "drop:no_flow" },

	{ '#', "another address of ours, another flow", NULL, NULL },
	{ '>', "with the first", "udp 100.64.0.1:61500 192.168.77.9:53",
		"udp 192.168.77.1:61500 192.168.77.9:53" },
	{ 'a', "the route says another source", "192.168.77.2", NULL },
	{ '>', "with the second", "udp 100.64.0.1:61500 192.168.77.9:53",
		"udp 192.168.77.2:61500 192.168.77.9:53" },
	{ '<', "its answer", "udp 192.168.77.9:53 192.168.77.2:61500",
		"udp 192.168.77.9:53 100.64.0.1:61500" },
	{ '>', "an inside host with the same port", "udp 100.64.0.2:61500 192.168.77.10:53",
		"udp 192.168.77.2:$a 192.168.77.10:53" },

	// --- IPv6 ---
	{ '#', "IPv6", NULL, NULL },
	{ '>', "UDP", "udp [fd7a::1]:61500 [fd77::9]:53", "udp [fd77::1]:61500 [fd77::9]:53" },
	{ '<', "its answer", "udp [fd77::9]:53 [fd77::1]:61500",
		"udp [fd77::9]:53 [fd7a::1]:61500" },
	{ '>', "TCP", "tcp/S [fd7a::1]:61500 [fd77::9]:80", "tcp/S [fd77::1]:61500 [fd77::9]:80" },
	{ '<', "its answer", "tcp/SA [fd77::9]:80 [fd77::1]:61500",
		"tcp/SA [fd77::9]:80 [fd7a::1]:61500" },
	{ '>', "ping", "echo fd7a::1 fd77::9 61077", "echo fd77::1 fd77::9 61077" },
	{ '<', "pong", "reply fd77::9 fd77::1 61077", "reply fd77::9 fd7a::1 61077" },
	{ '<', "too big", "error/2.0 fd77::fe fd77::1 < tcp/S [fd77::1]:61500 [fd77::9]:80",
		"error/2.0 fd77::fe fd7a::1 < tcp/S [fd7a::1]:61500 [fd77::9]:80" },
	{ '>', "port unreachable", "error/1.4 fd7a::1 fd77::9 < udp [fd77::9]:53 [fd7a::1]:61500",
		"error/1.4 fd77::1 fd77::9 < udp [fd77::9]:53 [fd77::1]:61500" },
	{ '>', "a first fragment", "udp [fd7a::1]:61500 [fd77::9]:53 first=70000",
		"udp [fd77::1]:61500 [fd77::9]:53 first=70000" },
	{ '>', "its rest", "later fd7a::1 fd77::9 70000", "later fd77::1 fd77::9 70000" },
	{ '<', "a first fragment", "udp [fd77::9]:53 [fd77::1]:61500 first=80000",
		"udp [fd77::9]:53 [fd7a::1]:61500 first=80000" },
	{ '<', "its rest", "later fd77::9 fd77::1 80000", "later fd77::9 fd7a::1 80000" },
	{ '>', "neighbour discovery is no business of ours", "icmp/135.0 fd7a::1 fd77::9",
		"drop:protocol" },
	{ '<', "the LAN begins", "tcp/S [fd77::9]:999 [fd7a::1]:80", "same" },
	{ '>', "and is answered", "tcp/SA [fd7a::1]:80 [fd77::9]:999", "same" },
};

static struct {
	struct nat_memory *m;
	struct nat *nat;
	struct nat_local local;
	struct mono now;
	struct addr source4, source6;
	unsigned bound[26]; /* $a ...; 0: not yet */
} world;

static void
close_world(void)
{
	nat_leave(world.nat);
	if (world.m != NULL)
		fixture_memory_free(world.m);
}

static void
open_world(void)
{
	close_world();
	memset(&world, 0, sizeof(world));
	world.m = fixture_memory();
	world.nat = fixture_use(world.m);
	world.now.ns = FIXTURE_START_NS;
	if (addr_parse("192.168.77.1", &world.source4) < 0 ||
		addr_parse("fd77::1", &world.source6) < 0)
		abort();
}

// Whole rounds of the sweep, of which the second sees what the first has marked.
static void
sweep(void)
{
	for (int i = 0; i < 200; i++) {
		if (nat_sweep(world.nat, world.now, 4096) > 0)
			nat_release(world.nat);
	}
}

static void
wait_seconds(const char *seconds)
{
	uint64_t left = strtoul(seconds, NULL, 10);

	// In pieces, as the main thread would sweep.
	world.now.ns += left * (uint64_t)NS_PER_S / 2;
	sweep();
	world.now.ns += left * (uint64_t)NS_PER_S / 2;
	sweep();
}

static void
substitute(const char *text, char *ret, size_t size)
{
	size_t n = 0;

	for (; *text != 0 && n + 8 < size; text++) {
		if (*text == '$')
			n += (size_t)snprintf(ret + n, size - n, "%u", world.bound[*++text - 'a']);
		else
			ret[n++] = *text;
	}
	ret[n] = 0;
}

// Whether a text is what the pattern says; binds what is not bound yet.
static bool
matches(const char *pattern, const char *text)
{
	while (*pattern != 0) {
		if (*pattern != '$') {
			if (*pattern++ != *text++)
				return false;
			continue;
		}
		unsigned *bound = &world.bound[pattern[1] - 'a'];
		char *end;
		unsigned value = (unsigned)strtoul(text, &end, 10);

		if (end == text || (*bound != 0 && *bound != value))
			return false;
		*bound = value;
		pattern += 2;
		text = end;
	}
	return *text == 0;
}

static const char *
skip_word(const char *text, const char *word, bool *ret_has)
{
	size_t len = strlen(word);

	*ret_has = strncmp(text, word, len) == 0 && text[len] == ' ';
	return *ret_has ? text + len + 1 : text;
}

static void
check_packet(const struct step *s,
	const char *story,
	const struct fixture_packet *before,
	const struct fixture_packet *k,
	enum nat_verdict verdict)
{
	bool is_hairpin, is_any, is_nosum;
	const char *out = skip_word(s->out, "hairpin", &is_hairpin);
	char text[512];

	out = skip_word(skip_word(out, "any", &is_any), "nosum", &is_nosum);
	packet_text_format(k->bytes, k->len, text, sizeof(text));
	if (!tap_ok(verdict == (is_hairpin ? NAT_HAIRPIN : NAT_TRANSLATED) && matches(out, text),
		    "%s: %s", story, s->what))
		printf("# %s: %s\n", fixture_verdict(verdict), text);
	if (is_nosum)
		tap_ok(load_be16(k->bytes + 26) == 0 &&
				checksum_is_valid_ipv4(k->bytes, IPV4_HEADER_LEN),
			"%s: %s: no checksum", story, s->what);
	else if (!is_any)
		tap_ok(packet_is_sound(k->bytes, k->len), "%s: %s: checksums", story, s->what);
	tap_ok(memcmp(before->bytes + before->len - 12, k->bytes + k->len - 12, 12) == 0 ||
			strchr(out, '<') != NULL,
		"%s: %s: payload", story, s->what);
}

static void
run_packet(const struct step *s, const char *story)
{
	struct fixture_packet k, before;
	enum nat_verdict verdict;
	char text[512];

	substitute(s->in, text, sizeof(text));
	fixture_packet(text, &k);
	before = k;
	if (s->kind == '>')
		verdict = nat_from_tunnel(world.nat, &world.local, k.bytes, &k.view,
			k.view.family == ADDR_V4 ? world.source4.bytes : world.source6.bytes,
			world.now);
	else
		verdict = nat_to_tunnel(world.nat, &world.local, k.bytes, &k.view, world.now);
	if (strchr(s->out, ' ') != NULL) {
		check_packet(s, story, &before, &k, verdict);
		return;
	}
	tap_text(fixture_verdict(verdict), s->out, s->what);
	if (verdict == NAT_UNTOUCHED || verdict == NAT_HELD)
		tap_ok(memcmp(before.bytes, k.bytes, k.len) == 0, "%s: %s: unchanged", story,
			s->what);
}

static void
run(const struct step *s, const char *story)
{
	unsigned first, last;

	switch (s->kind) {
	case '#':
		open_world();
		break;
	case 't':
		wait_seconds(s->in);
		break;
	case 'r':
		if (sscanf(s->in, "%u-%u", &first, &last) != 2)
			abort();
		nat_set(world.nat, (uint16_t)first, (uint16_t)last);
		break;
	case 'a':
		if (addr_parse(s->in, &world.source4) < 0)
			abort();
		break;
	case '!':
		tap_ok(world.bound[s->in[0] - 'a'] != world.bound[s->in[1] - 'a'], "%s: %s", story,
			s->what);
		break;
	case 'x': // the memory does not learn of the end
		nat_leave(world.nat);
		world.nat = fixture_use(world.m);
		memset(&world.local, 0, sizeof(world.local));
		break;
	default:
		run_packet(s, story);
	}
}

// A LAN host that writes past the mapping to an inside endpoint: each packet goes on, and none uses
// up a row.
static void
past_the_mapping(void)
{
	struct fixture_packet k;
	uint32_t wrong = 0;

	open_world();
	fixture_packet("udp 100.64.0.1:61500 192.168.77.9:53", &k);
	if (nat_from_tunnel(world.nat, &world.local, k.bytes, &k.view, world.source4.bytes,
		    world.now) != NAT_TRANSLATED)
		abort();
	for (int i = 0; i < 1000; i++) {
		fixture_packet("udp 192.168.77.9:53 100.64.0.1:61500", &k);
		wrong += nat_to_tunnel(world.nat, &world.local, k.bytes, &k.view, world.now) !=
		         NAT_UNTOUCHED;
	}
	tap_int(wrong, 0, "past the mapping: of 1,000 packets none is held up");
}

int
main(void)
{
	const char *story = "";

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i].kind == '#')
			story = steps[i].what;
		run(&steps[i], story);
	}
	past_the_mapping();
	close_world();
	return tap_done();
}
