/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/ecn.h"

#include "tests/lib/tap.h"
#include "tests/unit/lib/net/fixture.h"

// RFC 6040 figure 4, row by row.
static const struct {
	uint8_t inner, outer, result;
	const char *what;
} figure_4[] = {
	{ ECN_NOT_ECT, ECN_NOT_ECT, ECN_NOT_ECT, "Not-ECT, outer Not-ECT" },
	{ ECN_NOT_ECT, ECN_ECT_0, ECN_NOT_ECT, "Not-ECT, outer ECT(0)" },
	{ ECN_NOT_ECT, ECN_ECT_1, ECN_NOT_ECT, "Not-ECT, outer ECT(1)" },
	{ ECN_NOT_ECT, ECN_CE, ECN_DROP, "Not-ECT, outer CE: dropped" },
	{ ECN_ECT_0, ECN_NOT_ECT, ECN_ECT_0, "ECT(0), outer Not-ECT" },
	{ ECN_ECT_0, ECN_ECT_0, ECN_ECT_0, "ECT(0), outer ECT(0)" },
	{ ECN_ECT_0, ECN_ECT_1, ECN_ECT_1, "ECT(0), outer ECT(1)" },
	{ ECN_ECT_0, ECN_CE, ECN_CE, "ECT(0), outer CE" },
	{ ECN_ECT_1, ECN_NOT_ECT, ECN_ECT_1, "ECT(1), outer Not-ECT" },
	{ ECN_ECT_1, ECN_ECT_0, ECN_ECT_1, "ECT(1), outer ECT(0)" },
	{ ECN_ECT_1, ECN_ECT_1, ECN_ECT_1, "ECT(1), outer ECT(1)" },
	{ ECN_ECT_1, ECN_CE, ECN_CE, "ECT(1), outer CE" },
	{ ECN_CE, ECN_NOT_ECT, ECN_CE, "CE, outer Not-ECT" },
	{ ECN_CE, ECN_ECT_0, ECN_CE, "CE, outer ECT(0)" },
	{ ECN_CE, ECN_ECT_1, ECN_CE, "CE, outer ECT(1)" },
	{ ECN_CE, ECN_CE, ECN_CE, "CE, outer CE" },
};

static void
set_in(const char *src, const char *dst, const char *what)
{
	int wrong = 0;

	for (unsigned from = 0; from < 256; from++) {
		for (uint8_t to = 0; to < 4; to++) {
			struct packet k;
			uint8_t traffic_class;

			packet_begin(&k, src, dst, IP_PROTOCOL_UDP, 8);
			if (k.view.family == ADDR_V4) {
				k.bytes[1] = (uint8_t)from;
				checksum_fill_ipv4(k.bytes, IPV4_HEADER_LEN);
			} else {
				store_be32(k.bytes, 0x600abcde | from << 20);
			}
			ip_set_ecn(k.bytes, to);

			if (k.view.family == ADDR_V4) {
				traffic_class = k.bytes[1];
				wrong += !checksum_is_valid_ipv4(k.bytes, IPV4_HEADER_LEN);
				wrong += k.bytes[0] != 0x45;
			} else {
				traffic_class = (uint8_t)(load_be32(k.bytes) >> 20);
				wrong += (load_be32(k.bytes) & 0xf00fffff) != 0x600abcde;
			}
			wrong += traffic_class != ((from & 0xfc) | to);
			wrong += !packet_parse(&k) || k.view.ecn != to;
		}
	}
	tap_int(wrong, 0, what);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(figure_4) / sizeof(figure_4[0]); i++)
		tap_int(ecn_decapsulate(figure_4[i].inner, figure_4[i].outer), figure_4[i].result,
			figure_4[i].what);
	for (uint8_t inner = 0; inner < 4; inner++)
		tap_int(ecn_encapsulate(inner), inner, "normal mode copies to the outer header");
	set_in("10.0.0.1", "10.0.0.2", "IPv4: mark, DSCP and checksum after any change");
	set_in("fd00::1", "fd00::2", "IPv6: mark, DSCP and flow label after any change");
	return tap_done();
}
