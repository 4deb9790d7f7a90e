/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/lib/packet_text.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/net/addr.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

#define PAYLOAD 20
#define WORDS   12

struct words {
	char text[256];
	char *word[WORDS];
	int n;
	const char *quoted; /* behind '<'; NULL: none */
};

static void
split(const char *text, struct words *w)
{
	const char *quote = strchr(text, '<');
	char *save = NULL;

	*w = (struct words){ .quoted = quote != NULL ? quote + 1 : NULL };
	snprintf(w->text, sizeof(w->text), "%.*s",
		(int)(quote != NULL ? (size_t)(quote - text) : strlen(text)), text);
	for (char *t = strtok_r(w->text, " ", &save); t != NULL && w->n < WORDS;
		t = strtok_r(NULL, " ", &save))
		w->word[w->n++] = t;
	if (w->n < 3)
		abort(); // a mistake in the test
}

static bool
option(const struct words *w, const char *name, unsigned *ret_value)
{
	size_t len = strlen(name);

	for (int i = 3; i < w->n; i++)
		if (strncmp(w->word[i], name, len) == 0 &&
			(w->word[i][len] == '=' || w->word[i][len] == 0)) {
			*ret_value = w->word[i][len] == '='
			                     ? (unsigned)strtoul(w->word[i] + len + 1, NULL, 10)
			                     : 1;
			return true;
		}
	return false;
}

// "addr", "addr:port" or "[addr]:port".
static struct endpoint
endpoint_of(const char *text)
{
	struct endpoint e = {};

	if (endpoint_parse(text, &e) < 0 && addr_parse(text, &e.addr) < 0)
		abort();
	return e;
}

static size_t
write_ip(const struct words *w, uint8_t *p, uint8_t protocol, size_t l4_len)
{
	struct addr src = endpoint_of(w->word[1]).addr, dst = endpoint_of(w->word[2]).addr;
	unsigned ttl = 64, id = 0;
	bool is_first = option(w, "first", &id);

	option(w, "ttl", &ttl);
	if (src.family == ADDR_V4) {
		memset(p, 0, IPV4_HEADER_LEN);
		p[0] = 0x45;
		store_be16(p + 2, (uint16_t)(IPV4_HEADER_LEN + l4_len));
		store_be16(p + 4, (uint16_t)id);
		store_be16(p + 6, is_first ? IPV4_MORE_FRAGMENTS : 0);
		p[8] = (uint8_t)ttl;
		p[9] = protocol;
		memcpy(p + 12, src.bytes, 4);
		memcpy(p + 16, dst.bytes, 4);
		checksum_fill_ipv4(p, IPV4_HEADER_LEN);
		return IPV4_HEADER_LEN;
	}
	memset(p, 0, IPV6_HEADER_LEN + 8);
	p[0] = 0x60;
	store_be16(p + 4, (uint16_t)(l4_len + (is_first ? 8 : 0)));
	p[6] = is_first ? IP_PROTOCOL_IPV6_FRAG : protocol;
	p[7] = (uint8_t)ttl;
	memcpy(p + 8, src.bytes, 16);
	memcpy(p + 24, dst.bytes, 16);
	if (!is_first)
		return IPV6_HEADER_LEN;
	p[40] = protocol;
	p[43] = 1; // more follow
	store_be32(p + 44, id);
	return IPV6_HEADER_LEN + 8;
}

static size_t
write_later(const struct words *w, uint8_t *p)
{
	unsigned id = w->n > 3 ? (unsigned)strtoul(w->word[3], NULL, 10) : 0;
	size_t header = write_ip(w, p, IP_PROTOCOL_UDP, PAYLOAD);

	if (header == IPV4_HEADER_LEN) {
		store_be16(p + 4, (uint16_t)id);
		store_be16(p + 6, 3);
		checksum_fill_ipv4(p, IPV4_HEADER_LEN);
	} else {
		store_be16(p + 4, PAYLOAD + 8);
		p[6] = IP_PROTOCOL_IPV6_FRAG;
		p[40] = IP_PROTOCOL_UDP;
		store_be16(p + 42, 3 << 3);
		store_be32(p + 44, id);
		header += 8;
	}
	memset(p + header, 0x5a, PAYLOAD);
	return header + PAYLOAD;
}

static uint8_t
tcp_flags(const char *text)
{
	uint8_t flags = 0;

	for (; *text != 0; text++)
		flags |= *text == 'S'   ? 2
		         : *text == 'A' ? 16
		         : *text == 'F' ? 1
		         : *text == 'R' ? 4
		         : *text == 'P' ? 8
		                        : 0;
	return flags;
}

// The transport header: its length, 0 for other protocols.
static size_t
write_transport(const struct words *w, uint8_t *l4, size_t payload)
{
	uint16_t src = endpoint_of(w->word[1]).port, dst = endpoint_of(w->word[2]).port;

	if (strncmp(w->word[0], "tcp", 3) == 0) {
		memset(l4, 0, TCP_HEADER_LEN);
		store_be16(l4, src);
		store_be16(l4 + 2, dst);
		store_be32(l4 + 4, 0x12345678);
		l4[12] = 0x50;
		l4[13] = tcp_flags(w->word[0] + 3);
		return TCP_HEADER_LEN;
	}
	store_be16(l4, src);
	store_be16(l4 + 2, dst);
	store_be16(l4 + 4, (uint16_t)(UDP_HEADER_LEN + payload));
	store_be16(l4 + 6, 0);
	return UDP_HEADER_LEN;
}

static size_t
write_icmp(const struct words *w, bool is_v6, uint8_t *l4)
{
	unsigned type = 0, code = 0;

	memset(l4, 0, 8);
	if (strcmp(w->word[0], "echo") == 0)
		type = is_v6 ? 128 : 8;
	else if (strcmp(w->word[0], "reply") == 0)
		type = is_v6 ? 129 : 0;
	else if (sscanf(strchr(w->word[0], '/') + 1, "%u.%u", &type, &code) != 2)
		abort();
	l4[0] = (uint8_t)type;
	l4[1] = (uint8_t)code;
	if (w->n > 3 && w->quoted == NULL)
		store_be16(l4 + 4, (uint16_t)strtoul(w->word[3], NULL, 10));
	return 8;
}

static size_t
fill_payload(const struct words *w, uint8_t *p)
{
	unsigned cut = 0;
	size_t len;

	if (w->quoted == NULL) {
		for (size_t i = 0; i < PAYLOAD; i++)
			p[i] = (uint8_t)(i * 37 + 1);
		return PAYLOAD;
	}
	len = packet_text_make(w->quoted + strspn(w->quoted, " "), p, 1024);
	return option(w, "cut", &cut) && cut < len ? cut : len;
}

static uint8_t
protocol_of(const char *word, bool is_v6)
{
	if (strncmp(word, "udp", 3) == 0)
		return IP_PROTOCOL_UDP;
	if (strncmp(word, "tcp", 3) == 0)
		return IP_PROTOCOL_TCP;
	if (strncmp(word, "proto/", 6) == 0)
		return (uint8_t)strtoul(word + 6, NULL, 10);
	return is_v6 ? IP_PROTOCOL_IPV6_ICMP : IP_PROTOCOL_ICMP;
}

static size_t
make(const struct words *w, uint8_t *buf)
{
	bool is_v6 = endpoint_of(w->word[1]).addr.family == ADDR_V6;
	uint8_t protocol = protocol_of(w->word[0], is_v6);
	bool is_icmp = protocol == IP_PROTOCOL_ICMP || protocol == IP_PROTOCOL_IPV6_ICMP;
	struct addr src = endpoint_of(w->word[1]).addr, dst = endpoint_of(w->word[2]).addr;
	size_t header, payload, at;
	uint8_t l4[1280];
	unsigned one;

	// Header first, for its length; then what follows.
	if (is_icmp)
		header = write_icmp(w, is_v6, l4);
	else
		header = write_transport(w, l4, PAYLOAD);
	payload = fill_payload(w, l4 + header);
	checksum_fill_transport((enum addr_family)src.family, src.bytes, dst.bytes, protocol, l4,
		(uint32_t)(header + payload));
	if (option(w, "nosum", &one))
		store_be16(l4 + 6, 0);
	if (option(w, "bad", &one))
		l4[protocol == IP_PROTOCOL_TCP ? 16 : protocol == IP_PROTOCOL_UDP ? 6 : 2] ^= 1;
	at = write_ip(w, buf, protocol, header + payload);
	memcpy(buf + at, l4, header + payload);
	return at + header + payload;
}

size_t
packet_text_make(const char *text, uint8_t *buf, size_t size_bytes)
{
	struct words w;
	size_t len;

	split(text, &w);
	if (size_bytes < 1024)
		abort();
	if (strcmp(w.word[0], "later") == 0)
		len = write_later(&w, buf);
	else
		len = make(&w, buf);
	return len;
}

static void
format_addr(const struct ip_view *v, const uint8_t *at, int port, char text[static ADDR_TEXT_LEN])
{
	char addr[ADDR_TEXT_LEN];

	inet_ntop(v->family == ADDR_V4 ? AF_INET : AF_INET6, at, addr, sizeof(addr));
	if (port < 0)
		snprintf(text, ADDR_TEXT_LEN, "%s", addr);
	else
		snprintf(text, ADDR_TEXT_LEN, v->family == ADDR_V4 ? "%.60s:%d" : "[%.60s]:%d",
			addr, port);
}

static void
format_tcp(uint8_t flags, char text[static 16])
{
	snprintf(text, 16, "tcp/%s%s%s%s%s", (flags & 2) != 0 ? "S" : "",
		(flags & 16) != 0 ? "A" : "", (flags & 1) != 0 ? "F" : "",
		(flags & 4) != 0 ? "R" : "", (flags & 8) != 0 ? "P" : "");
}

// A quotation may be cut: what ip_parse() would refuse is read by hand.
static bool
parse(const uint8_t *p, size_t len, struct ip_view *v)
{
	uint8_t copy[64];

	if (ip_parse(p, (uint32_t)len, v))
		return true;
	if (len < 20 || len > sizeof(copy))
		return false;
	memcpy(copy, p, len);
	if (p[0] >> 4 == 4)
		store_be16(copy + 2, (uint16_t)len);
	else if (len >= 40)
		store_be16(copy + 4, (uint16_t)(len - 40));
	if (!ip_parse(copy, (uint32_t)len, v))
		return false;
	v->src = p + (v->src - copy);
	v->dst = p + (v->dst - copy);
	return true;
}

static void
format_icmp(const uint8_t *l4, size_t len, const struct ip_view *v, char *text, size_t size)
{
	char src[ADDR_TEXT_LEN], dst[ADDR_TEXT_LEN], quoted[512];
	bool is_v6 = v->family == ADDR_V6;
	bool is_error =
		is_v6 ? l4[0] < 128 : l4[0] == 3 || l4[0] == 4 || l4[0] == 11 || l4[0] == 12;

	format_addr(v, v->src, -1, src);
	format_addr(v, v->dst, -1, dst);
	if (is_error) {
		packet_text_format(l4 + 8, len - 8, quoted, sizeof(quoted));
		snprintf(text, size, "error/%d.%d %s %s < %s", l4[0], l4[1], src, dst, quoted);
	} else if (l4[0] == (is_v6 ? 128 : 8) || l4[0] == (is_v6 ? 129 : 0)) {
		snprintf(text, size, "%s %s %s %d", l4[0] == (is_v6 ? 128 : 8) ? "echo" : "reply",
			src, dst, load_be16(l4 + 4));
	} else {
		snprintf(text, size, "icmp/%d.%d %s %s", l4[0], l4[1], src, dst);
	}
}

void
packet_text_format(const uint8_t *p, size_t len, char *text, size_t size)
{
	char src[ADDR_TEXT_LEN], dst[ADDR_TEXT_LEN], tcp[16] = "udp";
	struct ip_transport t;
	struct ip_view v;
	uint32_t id;

	if (!parse(p, len, &v) || ip_find_transport(p, &v, &t) < 0) {
		snprintf(text, size, "no packet");
		return;
	}
	id = v.family == ADDR_V4 ? load_be16(p + 4) : t.is_fragment ? load_be32(p + 44) : 0;
	if (t.is_later_fragment) {
		format_addr(&v, v.src, -1, src);
		format_addr(&v, v.dst, -1, dst);
		snprintf(text, size, "later %s %s %u", src, dst, id);
		return;
	}
	if (t.protocol == IP_PROTOCOL_ICMP || t.protocol == IP_PROTOCOL_IPV6_ICMP) {
		format_icmp(p + t.offset, v.total_len - t.offset, &v, text, size);
		return;
	}
	if (t.protocol != IP_PROTOCOL_TCP && t.protocol != IP_PROTOCOL_UDP) {
		format_addr(&v, v.src, -1, src);
		format_addr(&v, v.dst, -1, dst);
		snprintf(text, size, "proto/%d %s %s", t.protocol, src, dst);
		return;
	}
	if (t.protocol == IP_PROTOCOL_TCP)
		format_tcp(v.total_len > t.offset + 13 ? p[t.offset + 13] : 0, tcp);
	format_addr(&v, v.src, load_be16(p + t.offset), src);
	format_addr(&v, v.dst, load_be16(p + t.offset + 2), dst);
	if (t.is_fragment)
		snprintf(text, size, "%s %s %s first=%u", tcp, src, dst, id);
	else
		snprintf(text, size, "%s %s %s", tcp, src, dst);
}
