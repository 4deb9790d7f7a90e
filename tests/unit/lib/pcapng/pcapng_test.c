/* SPDX-License-Identifier: BSD-3-Clause
 *
 * pcapng blocks, byte by byte as the draft draws them, and as tcpdump reads them.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/bytes.h"
#include "lib/pcapng/pcapng.h"
#include "tests/lib/tap.h"

/* An ICMP echo request, 192.0.2.1 > 192.0.2.2, id 7, sequence 1. */
static const uint8_t ping[28] = { 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0xf6, 0xdd, 192, 0, 2, 1, 192,
	0, 2, 2, 8, 0, 0xf7, 0xf7, 0, 7, 0, 1 };

static uint8_t buf[4096];

static int
load16(const uint8_t *p)
{
	return p[0] | p[1] << 8;
}

static void
test_section(void)
{
	static const uint8_t wanted[] = { 0x0a, 0x0d, 0x0d, 0x0a, 44, 0, 0, 0, 0x4d, 0x3c, 0x2b,
		0x1a, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 4, 0, 6, 0, 's',
		'l', 'u', 'i', 'c', 'e', 0, 0, 0, 0, 0, 0, 44, 0, 0, 0 };

	tap_int((long long)pcapng_section(buf, sizeof(buf), "sluice"), sizeof(wanted), "a section");
	tap_bytes(buf, wanted, sizeof(wanted), "its bytes");
	tap_int((long long)pcapng_section(buf, sizeof(wanted), "sluice"), sizeof(wanted),
		"room for just that");
	memset(buf, 0x55, sizeof(buf));
	tap_int((long long)pcapng_section(buf, sizeof(wanted) - 1, "sluice"), 0,
		"a byte less is none");
	tap_int(buf[sizeof(wanted) - 1], 0x55, "and nothing is written beyond");
}

static void
test_interface(void)
{
	static const uint8_t wanted[] = { 1, 0, 0, 0, 40, 0, 0, 0, 113, 0, 0, 0, 0, 8, 0, 0, 2, 0,
		4, 0, 'e', 't', 'h', '0', 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0 };

	tap_int((long long)pcapng_interface(
			buf, sizeof(buf), PCAPNG_LINK_COOKED, 2048, "eth0", NULL),
		sizeof(wanted), "an interface");
	tap_bytes(buf, wanted, sizeof(wanted), "its bytes");
}

static void
test_packet(void)
{
	static const uint8_t head[] = { 6, 0, 0, 0, 76, 0, 0, 0, 3, 0, 0, 0, 0x44, 0x33, 0x22, 0x11,
		0x88, 0x77, 0x66, 0x55, 5, 0, 0, 0, 28, 0, 0, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 1, 0,
		5, 0, 'n', 'o', ' ', 'n', 'o', 0, 0, 0, 2, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0 };
	struct pcapng_packet p = { .interface = 3,
		.direction = PCAPNG_INBOUND,
		.time_ns = 0x1122334455667788,
		.len = 28,
		.cap_len = 5,
		.data = ping,
		.comment = "no no" };
	char text[600];
	size_t len;

	len = pcapng_packet(buf, sizeof(buf), &p);
	tap_int((long long)len, sizeof(head) + 4, "a packet");
	store_le32(buf + 4, 76); // the length is checked below
	tap_bytes(buf, head, sizeof(head), "its bytes");
	(void)pcapng_packet(buf, sizeof(buf), &p);
	tap_ok(load_le32(buf + 4) == len && load_le32(buf + len - 4) == len, "its length twice");
	tap_int((long long)pcapng_packet(buf, len - 1, &p), 0, "no room");

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	p.comment = text;
	p.cap_len = 28;
	len = pcapng_packet(buf, sizeof(buf), &p);
	tap_int(load16(buf + 28 + 28 + 2), PCAPNG_MAX_TEXT, "a long comment is cut");
	tap_ok(len <= PCAPNG_PACKET_ROOM(28), "and leaves the room that is said");
	memcpy(text + 253, "\xe2\x82\xac", 3); // the euro sign stands across the cut
	len = pcapng_packet(buf, sizeof(buf), &p);
	tap_int(load16(buf + 28 + 28 + 2), 253, "where a character begins");
	p.comment = NULL;
	tap_ok(pcapng_packet(buf, sizeof(buf), &p) > 0 && load16(buf + 28 + 28) == 2,
		"without a comment none is written");
}

/* The judge. */
static void
test_tcpdump(void)
{
	uint8_t cooked[PCAPNG_COOKED_LEN + sizeof(ping)];
	char name[] = "/tmp/pcapng_test_XXXXXX", command[128], line[256] = "";
	struct pcapng_packet p = { .direction = PCAPNG_OUTBOUND,
		.time_ns = 1700000000123456789,
		.len = sizeof(cooked),
		.cap_len = sizeof(cooked),
		.data = cooked,
		.comment = "dropped: acl" };
	int fd;
	FILE *f;

	if (system("command -v tcpdump >/dev/null") != 0) {
		tap_skip("tcpdump reads it", "tcpdump is not installed");
		return;
	}
	pcapng_cooked(cooked, PCAPNG_OUTBOUND, ping[0]);
	memcpy(cooked + PCAPNG_COOKED_LEN, ping, sizeof(ping));
	fd = mkstemp(name);
	f = fdopen(fd, "w");
	fwrite(buf, 1, pcapng_section(buf, sizeof(buf), "sluice"), f);
	fwrite(buf, 1,
		pcapng_interface(buf, sizeof(buf), PCAPNG_LINK_COOKED, 2048, "eth0", "a port"), f);
	fwrite(buf, 1, pcapng_interface(buf, sizeof(buf), PCAPNG_LINK_COOKED, 2048, "wire", NULL),
		f);
	fwrite(buf, 1, pcapng_packet(buf, sizeof(buf), &p), f);
	p.interface = 1;
	fwrite(buf, 1, pcapng_packet(buf, sizeof(buf), &p), f);
	fclose(f);
	snprintf(command, sizeof(command), "tcpdump -e -tt -n --nano -r %s 2>&1", name);
	f = popen(command, "r");
	while (fgets(line, sizeof(line), f) != NULL && strstr(line, "ICMP") == NULL)
		;
	tap_ok(strstr(line, "1700000000.123456789 Out ") == line &&
			strstr(line, "192.0.2.1 > 192.0.2.2: ICMP echo request, id 7") != NULL,
		"tcpdump reads it: %.80s", line);
	tap_ok(fgets(line, sizeof(line), f) != NULL && strstr(line, "ICMP echo request") != NULL,
		"from either interface");
	pclose(f);
	unlink(name);
}

int
main(void)
{
	test_section();
	test_interface();
	test_packet();
	test_tcpdump();
	return tap_done();
}
