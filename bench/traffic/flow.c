/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/traffic/flow.h"

#include <assert.h>
#include <emmintrin.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/net/checksum.h"

#define MAGIC     UINT32_C(0x776c5e53)
#define MARK_LEN  40
#define SHORT_LEN 12

#define TTL 64

// Offsets in a whole mark, and in a short one.
enum {
	AT_RUN = 4,
	AT_FLOW = 8, // and 12: the length
	AT_LENGTH = 12,
	AT_SEQUENCE = 16,
	AT_DUE = 24,
	AT_CHECK = 32,
	SHORT_AT_FLOW = 2,
	SHORT_AT_SEQUENCE = 4,
	SHORT_AT_CHECK = 8,
};

// Odd random numbers without meaning: fractions of square roots, as in SHA-512's initial values.
#define SALT0       UINT64_C(0x6a09e667f3bcc909)
#define SALT1       UINT64_C(0xbb67ae8584caa73b)
#define SALT2       UINT64_C(0x3c6ef372fe94f82b)
#define SALT3       UINT64_C(0xa54ff53a5f1d36f1)
#define FILLER_STEP UINT64_C(0x9e3779b97f4a7c15)

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "filler and sums are loaded as they lie");

// --- the hash ----------------------------------------------------------------------------------

static inline uint64_t
fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

// Of the first four words of a whole mark, as they lie.
static inline uint64_t
hash_mark(uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3)
{
	return fold(fold(w0 ^ SALT0, w1 ^ SALT1) ^ SALT2, fold(w2 ^ SALT3, w3 ^ SALT1) ^ SALT0);
}

static inline uint64_t
hash_mark_at(const uint8_t *m)
{
	return hash_mark(load_le64(m), load_le64(m + 8), load_le64(m + 16), load_le64(m + 24));
}

static inline uint16_t
short_magic(uint32_t run)
{
	return (uint16_t)((run ^ MAGIC) * SALT0 >> 48);
}

// `mark` is the first eight bytes of a short one; len that of the inner packet.
static inline uint64_t
hash_short(uint64_t mark, uint32_t run, size_t len)
{
	return fold(fold(mark ^ SALT0, ((uint64_t)run << 32 | len) ^ SALT1) ^ SALT2, SALT3);
}

// --- filler ------------------------------------------------------------------------------------

struct filler {
	uint64_t even, odd; // the next sixteen bytes: a number, and its complement
};

static inline __m128i
filler_begin(uint64_t hash)
{
	return _mm_set_epi64x((long long)~hash, (long long)hash);
}

static inline __m128i
filler_next(__m128i v)
{
	// ~(x + step) = ~x - step
	return _mm_add_epi64(
		v, _mm_set_epi64x((long long)(0 - FILLER_STEP), (long long)FILLER_STEP));
}

static inline struct filler
filler_words(__m128i v)
{
	struct filler f;

	memcpy(&f, &v, sizeof(f));
	return f;
}

// The first n bytes, 1 to 8, of a word; the rest zero.
static inline uint64_t
head_of(uint64_t word, size_t n)
{
	return word << (64 - 8 * n) >> (64 - 8 * n);
}

static inline uint64_t
halves(uint64_t word)
{
	return (word & 0xffffffff) + (word >> 32);
}

/*
 * Write len bytes of filler and return what they add to a running sum: pairs of words cancel each
 * other, so only what is behind the last whole pair counts.
 */
static uint64_t
filler_write(uint8_t *p, size_t len, uint64_t hash)
{
	__m128i v = filler_begin(hash);
	struct filler f;
	uint64_t word, sum = 0;

	for (; len >= 16; len -= 16, p += 16) {
		_mm_storeu_si128((__m128i *)p, v);
		v = filler_next(v);
	}
	f = filler_words(v);
	word = f.even;
	if (len >= 8) {
		memcpy(p, &word, 8);
		sum += halves(word);
		word = f.odd;
		p += 8;
		len -= 8;
	}
	if (len > 0) {
		memcpy(p, &word, len);
		sum += halves(head_of(word, len));
	}
	return sum;
}

/*
 * Whether len bytes are the filler that belongs to `hash`; adds to *sum what they add to the UDP
 * checksum.  Eight bytes lie before the last byte.
 */
static bool
filler_is_right(const uint8_t *p, size_t len, uint64_t hash, uint64_t *sum)
{
	__m128i v = filler_begin(hash), wrong = _mm_setzero_si128();
	uint64_t word, got, diff = 0;
	struct filler f;

	for (; len >= 16; len -= 16, p += 16) {
		__m128i is = _mm_loadu_si128((const __m128i *)p);

		wrong = _mm_or_si128(wrong, _mm_xor_si128(is, v));
		v = filler_next(v);
	}
	f = filler_words(v);
	word = f.even;
	if (len >= 8) {
		memcpy(&got, p, 8);
		diff = got ^ word;
		*sum += halves(word);
		word = f.odd;
		p += 8;
		len -= 8;
	}
	if (len > 0) {
		word = head_of(word, len);
		memcpy(&got, p + len - 8, 8); // reaches back before the filler, so shift that out
		diff |= got >> (64 - 8 * len) ^ word;
		*sum += halves(word);
	}
	f = filler_words(wrong);
	return (f.even | f.odd | diff) == 0;
}

// --- writing -----------------------------------------------------------------------------------

// Returns what the payload adds to a running sum.
static uint64_t
write_short(uint8_t *p, size_t len, size_t payload_len, uint32_t run, const struct flow_mark *mark)
{
	uint64_t word = short_magic(run) | (uint64_t)(mark->flow & 0xffff) << 16 |
	                (uint64_t)(uint32_t)mark->sequence << 32;
	uint64_t hash = hash_short(word, run, len);

	store_le64(p, word);
	store_le32(p + SHORT_AT_CHECK, (uint32_t)hash);
	return halves(word) + (uint32_t)hash +
	       filler_write(p + SHORT_LEN, payload_len - SHORT_LEN, hash);
}

static uint64_t
write_whole(uint8_t *p, size_t len, size_t payload_len, uint32_t run, const struct flow_mark *mark)
{
	// In whole words: reading back what was stored in pieces would wait for the stores.
	uint64_t w0 = MAGIC | (uint64_t)run << 32;
	uint64_t w1 = mark->flow | (uint64_t)len << 32; // and zero behind the length
	uint64_t hash = hash_mark(w0, w1, mark->sequence, mark->due_ns);

	store_le64(p, w0);
	store_le64(p + AT_FLOW, w1);
	store_le64(p + AT_SEQUENCE, mark->sequence);
	store_le64(p + AT_DUE, mark->due_ns);
	store_le64(p + AT_CHECK, hash);
	return halves(w0) + halves(w1) + halves(mark->sequence) + halves(mark->due_ns) +
	       halves(hash) + filler_write(p + MARK_LEN, payload_len - MARK_LEN, hash);
}

static uint64_t
write_payload(uint8_t *payload,
	size_t len,
	const struct flow_plan *plan,
	const struct flow_mark *mark)
{
	size_t payload_len = len - flow_header_len(plan);

	if (payload_len < MARK_LEN)
		return write_short(payload, len, payload_len, plan->run, mark);
	return write_whole(payload, len, payload_len, plan->run, mark);
}

void
flow_write_payload(uint8_t *payload,
	size_t len,
	const struct flow_plan *plan,
	const struct flow_mark *mark)
{
	assert(len >= flow_min_len(plan) && len <= FLOW_MAX_LEN);
	(void)write_payload(payload, len, plan, mark);
}

static uint32_t
step(uint32_t flow, uint32_t n)
{
	return n > 1 ? flow % n : 0;
}

static uint16_t
source_port(const struct flow_plan *plan, uint32_t flow)
{
	const uint32_t n_ports = 65536 - 1024;
	uint32_t port = plan->source_port - 1024u + flow;

	while (port >= n_ports)
		port -= n_ports;
	return (uint16_t)(1024 + port);
}

static inline uint64_t
sum_words(const uint8_t *p, size_t n_words)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n_words; i++) {
		uint32_t word;

		memcpy(&word, p + 4 * i, sizeof(word));
		sum += word;
	}
	return sum;
}

// What the pseudo-header adds beside the addresses.
static inline uint64_t
sum_pseudo(size_t udp_len)
{
	return (uint64_t)htobe16(IP_PROTOCOL_UDP) + htobe16((uint16_t)udp_len);
}

// Each returns what the addresses add to a running sum.
static uint64_t
write_ipv4(uint8_t *h, size_t len, const struct flow_plan *plan, uint32_t flow)
{
	uint32_t source = load_be32(plan->source.bytes) + step(flow, plan->n_sources);
	uint32_t destination =
		load_be32(plan->destination.bytes) + step(flow, plan->n_destinations);
	uint64_t first =
		htobe64(UINT64_C(0x4500000000000000) | (uint64_t)len << 32 | IPV4_DONT_FRAGMENT);
	uint32_t third = htobe32(TTL << 24 | IP_PROTOCOL_UDP << 16);
	uint64_t addresses = htobe64((uint64_t)source << 32 | destination);
	uint64_t sum = halves(first) + third + halves(addresses);

	// The checksum is the third word's upper half, as it lies.
	third |= (uint32_t)checksum_finish(sum) << 16;
	store_le64(h, first);
	store_le32(h + 8, third);
	store_le64(h + 12, addresses);
	return halves(addresses);
}

static uint64_t
write_ipv6_address(uint8_t *p, const struct addr *base, uint32_t more)
{
	uint64_t first = load_le64(base->bytes);
	uint64_t last = htobe64((load_be64(base->bytes + 8) & ~UINT64_C(0xffffffff)) |
				(uint32_t)(load_be32(base->bytes + 12) + more));

	store_le64(p, first);
	store_le64(p + 8, last);
	return halves(first) + halves(last);
}

static uint64_t
write_ipv6(uint8_t *h, size_t len, const struct flow_plan *plan, uint32_t flow)
{
	store_be64(h, UINT64_C(0x6000000000000000) | (uint64_t)(len - IPV6_HEADER_LEN) << 16 |
			      IP_PROTOCOL_UDP << 8 | TTL);
	return write_ipv6_address(h + 8, &plan->source, step(flow, plan->n_sources)) +
	       write_ipv6_address(h + 24, &plan->destination, step(flow, plan->n_destinations));
}

void
flow_write(uint8_t *packet, size_t len, const struct flow_plan *plan, const struct flow_mark *mark)
{
	bool is_v6 = plan->source.family == ADDR_V6;
	uint8_t *udp = packet + (is_v6 ? IPV6_HEADER_LEN : IPV4_HEADER_LEN);
	size_t udp_len = len - (size_t)(udp - packet);
	uint64_t sum, header;
	uint16_t checksum;

	assert(len >= flow_min_len(plan) && len <= FLOW_MAX_LEN);
	if (is_v6)
		sum = write_ipv6(packet, len, plan, mark->flow);
	else
		sum = write_ipv4(packet, len, plan, mark->flow);
	header = htobe64((uint64_t)source_port(plan, mark->flow) << 48 |
			 (uint64_t)plan->destination_port << 32 | (uint64_t)udp_len << 16);
	sum += write_payload(udp + UDP_HEADER_LEN, len, plan, mark);
	sum += halves(header) + sum_pseudo(udp_len);
	checksum = checksum_finish(sum);
	store_le64(udp, header | (uint64_t)(checksum != 0 ? checksum : 0xffff) << 48);
}

// --- reading -----------------------------------------------------------------------------------

// What is not whole: was it ours?
static enum flow_verdict
judge_broken(const uint8_t *p, size_t payload_len, const struct flow_plan *plan)
{
	if (payload_len >= MARK_LEN) {
		bool is_run = load_le32(p + AT_RUN) == plan->run;

		if (load_le32(p) == MAGIC)
			// Another run's whole packet has a check that fits its own number.
			return !is_run && load_le64(p + AT_CHECK) == hash_mark_at(p)
			               ? FLOW_FOREIGN
			               : FLOW_CORRUPTED;
		if (is_run)
			return FLOW_CORRUPTED;
	}
	if (payload_len >= SHORT_LEN) {
		uint64_t word = load_le64(p);
		uint16_t magic = short_magic(plan->run);

		if ((uint16_t)word == magic)
			return FLOW_CORRUPTED;
		word = (word & ~UINT64_C(0xffff)) | magic;
		if ((uint32_t)hash_short(word, plan->run, payload_len + flow_header_len(plan)) ==
			load_le32(p + SHORT_AT_CHECK))
			return FLOW_CORRUPTED; // nothing but its magic is wrong
	}
	return FLOW_FOREIGN;
}

// True: the payload is of this run and whole; the mark and its part of the sum are set.
static inline bool
read_short(const uint8_t *p,
	size_t payload_len,
	const struct flow_plan *plan,
	struct flow_mark *ret_mark,
	uint64_t *ret_sum)
{
	uint64_t word = load_le64(p);
	uint32_t check = load_le32(p + SHORT_AT_CHECK);
	uint64_t hash = hash_short(word, plan->run, payload_len + flow_header_len(plan));
	uint64_t sum = halves(word) + check;

	if ((uint16_t)word != short_magic(plan->run) || check != (uint32_t)hash ||
		!filler_is_right(p + SHORT_LEN, payload_len - SHORT_LEN, hash, &sum))
		return false;
	*ret_mark = (struct flow_mark){
		.flow = (uint16_t)(word >> 16),
		.sequence = (uint32_t)(word >> 32),
		.len = (uint32_t)payload_len + flow_header_len(plan),
		.is_short = true,
		.has_due = plan->packet_ns > 0,
	};
	if (ret_mark->has_due)
		ret_mark->due_ns = pace_due_ns(
			plan->packet_ns, ret_mark->sequence * plan->n_flows + ret_mark->flow);
	*ret_sum = sum;
	return true;
}

static inline bool
read_whole(const uint8_t *p,
	size_t payload_len,
	const struct flow_plan *plan,
	struct flow_mark *ret_mark,
	uint64_t *ret_sum)
{
	uint64_t hash = hash_mark_at(p), sum = 0;

	if (load_le32(p) != MAGIC || load_le32(p + AT_RUN) != plan->run ||
		load_le64(p + AT_CHECK) != hash ||
		load_le32(p + AT_LENGTH) != payload_len + flow_header_len(plan) ||
		!filler_is_right(p + MARK_LEN, payload_len - MARK_LEN, hash, &sum))
		return false;
	for (unsigned i = 0; i < MARK_LEN; i += 8)
		sum += halves(load_le64(p + i));
	*ret_mark = (struct flow_mark){
		.flow = load_le32(p + AT_FLOW),
		.sequence = load_le64(p + AT_SEQUENCE),
		.due_ns = load_le64(p + AT_DUE),
		.len = (uint32_t)payload_len + flow_header_len(plan),
		.has_due = load_le64(p + AT_DUE) != FLOW_NO_DUE,
	};
	*ret_sum = sum;
	return true;
}

static inline bool
read_payload(const uint8_t *p,
	size_t payload_len,
	const struct flow_plan *plan,
	struct flow_mark *ret_mark,
	uint64_t *ret_sum)
{
	if (payload_len >= MARK_LEN)
		return read_whole(p, payload_len, plan, ret_mark, ret_sum);
	return payload_len >= SHORT_LEN && read_short(p, payload_len, plan, ret_mark, ret_sum);
}

enum flow_verdict
flow_read_payload(const uint8_t *payload,
	size_t payload_len,
	const struct flow_plan *plan,
	struct flow_mark *ret_mark)
{
	struct flow_mark mark;
	uint64_t sum;

	if (!read_payload(payload, payload_len, plan, &mark, &sum))
		return judge_broken(payload, payload_len, plan);
	if (mark.flow >= plan->n_flows)
		return FLOW_FOREIGN; // whole, but of another plan
	*ret_mark = mark;
	return FLOW_OURS;
}

/*
 * The IP and UDP headers, as far as they may not change.  Sets the packet's own length and the sum
 * of the pseudo-header and the UDP header.
 */
static inline bool
read_headers4(const uint8_t *p, size_t len, size_t *ret_len, uint64_t *ret_sum)
{
	size_t own_len = load_be16(p + 2);
	uint64_t header = sum_words(p, 3), addresses = sum_words(p + 12, 2);

	*ret_len = own_len;
	*ret_sum = addresses + sum_words(p + 20, 2) + sum_pseudo(own_len - IPV4_HEADER_LEN);
	return p[0] == 0x45 && own_len <= len && own_len >= FLOW_MIN_LEN4 &&
	       checksum_fold(header + addresses) == 0xffff &&
	       (load_be16(p + 6) & ~IPV4_DONT_FRAGMENT) == 0 && p[9] == IP_PROTOCOL_UDP &&
	       load_be16(p + 24) == own_len - IPV4_HEADER_LEN;
}

static inline bool
read_headers6(const uint8_t *p, size_t len, size_t *ret_len, uint64_t *ret_sum)
{
	size_t own_len = IPV6_HEADER_LEN + load_be16(p + 4);

	*ret_len = own_len;
	*ret_sum = sum_words(p + 8, 10) + sum_pseudo(own_len - IPV6_HEADER_LEN);
	return p[0] >> 4 == 6 && own_len <= len && own_len >= FLOW_MIN_LEN6 &&
	       p[6] == IP_PROTOCOL_UDP && load_be16(p + 44) == own_len - IPV6_HEADER_LEN;
}

enum flow_verdict
flow_read(const uint8_t *packet,
	size_t len,
	const struct flow_plan *plan,
	struct flow_mark *ret_mark)
{
	bool is_v6 = plan->source.family == ADDR_V6;
	size_t header_len = flow_header_len(plan), own_len;
	const uint8_t *payload = packet + header_len;
	uint64_t sum, payload_sum;
	struct flow_mark mark;
	uint16_t checksum;
	bool is_right;

	if (len < flow_min_len(plan) || len > FLOW_MAX_LEN)
		return FLOW_FOREIGN;
	if (is_v6)
		is_right = read_headers6(packet, len, &own_len, &sum);
	else
		is_right = read_headers4(packet, len, &own_len, &sum);
	if (!is_right)
		return judge_broken(payload, len - header_len, plan);
	if (!read_payload(payload, own_len - header_len, plan, &mark, &payload_sum))
		return judge_broken(payload, own_len - header_len, plan);
	memcpy(&checksum, packet + header_len - 2, sizeof(checksum));
	if ((checksum != 0 || is_v6) && checksum_fold(sum + payload_sum) != 0xffff)
		return FLOW_CORRUPTED;
	if (mark.flow >= plan->n_flows)
		return FLOW_FOREIGN;
	*ret_mark = mark;
	return FLOW_OURS;
}
