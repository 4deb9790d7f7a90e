/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packets through a gateway that is a member of a tailnet: with a packet filter, TSMP, and peers
 * that are reached by a relay.  Nothing reaches the host but what the plain evaluator lets in too.
 *
 * Input: records of a kind, a length (16 bits, little-endian) and that many bytes.  Bit 7 of the
 * kind runs a round, so that bursts of any size are made; bits 4 to 6 fill in part of a header, so
 * that fuzzed bytes reach deep.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/crypto/aead.h"
#include "lib/net/headers.h"
#include "lib/policy/acl_build.h"
#include "lib/policy/rule_walk.h"
#include "lib/wg/message.h"
#include "tests/lib/gateways.h"

#define RULES                                                              \
	"[{\"SrcIPs\":[\"10.1.0.0/24\",\"fd01::/64\"],\"DstPorts\":["      \
	"{\"IP\":\"10.2.0.0/24\",\"Ports\":{\"First\":80,\"Last\":90}},"   \
	"{\"IP\":\"fd02::5\",\"Ports\":{\"First\":0,\"Last\":65535}}]},"   \
	"{\"SrcIPs\":[\"10.3.0.0/16\"],\"IPProto\":[17,47],\"DstPorts\":[" \
	"{\"IP\":\"10.2.1.0/24\",\"Ports\":{\"First\":0,\"Last\":65535}}]}]"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct in_memory *m;
static struct filter_rules rules;
static struct addr_set local;
static struct policy policy;
static uint64_t counters[4]; // next to be sealed for us, by slot

static void
add_local(const char *text)
{
	struct prefix p;

	if (prefix_parse(text, &p) < 0 || addr_set_add_prefix(&local, &p) < 0)
		abort();
}

static void
enforce(void)
{
	struct shm_settings settings = { .mtu = IN_MEMORY_MTU,
		.filter = SHM_FILTER_ENFORCED,
		.peer_api_port4 = 4004,
		.icmp_source4 = { { 10, 2, 0, 1 } },
		.icmp_source6 = { { 0xfd, 2, [15] = 1 } } };
	struct acl_table *table;

	if (filter_rules_parse_text(RULES, strlen(RULES), &rules) < 0)
		abort();
	add_local("10.2.0.0/16");
	add_local("fd02::/16");
	policy = (struct policy){ .rules = &rules, .local_nets = &local };
	if (acl_build(&policy, 1, &table) < 0)
		abort();
	in_memory_all_settings(m, &settings);
	in_memory_filter(m, table);
	free(table);
}

// Peer 0 directly, peer 1 by a relay, peer 2 both ways.
static void
set_up(void)
{
	const struct in_memory_config config = {
		.n_workers = 1, .n_frames = 512, .n_flow_groups = 1
	};

	if (aead_init(NULL) < 0 || in_memory_create(&config, &m) < 0)
		abort();
	in_memory_begin(m, true);
	enforce();
	in_memory_prefix(m, "10.2.0.0/16", SHM_TO_HOST);
	in_memory_prefix(m, "fd02::/16", SHM_TO_HOST);
	for (uint32_t peer = 0; peer < 3; peer++)
		in_memory_peer(m, peer);
	in_memory_prefix(m, "10.1.0.0/16", 0);
	in_memory_prefix(m, "fd01::/16", 0);
	in_memory_prefix(m, "10.3.0.0/16", 1);
	in_memory_prefix(m, "10.4.0.0/16", 2);
	if (in_memory_commit(m) != 0)
		abort();
	for (uint32_t peer = 0; peer < 3; peer++)
		in_memory_install(m, &(struct in_memory_session){ .peer = peer,
					     .receiver_index = 0x00100001 + peer,
					     .sender_index = 0x4711,
					     .role = SHM_ROLE_INITIATOR,
					     .key_receive = 1,
					     .key_send = 2 });
	in_memory_path(m, 0, IN_MEMORY_REMOTE, NULL);
	in_memory_relay_path(m, 1, NULL);
	in_memory_relay_path(m, 2, IN_MEMORY_REMOTE);
}

// Each input finds the same: young sessions, empty windows, no flows.
static void
reset(void)
{
	uint64_t now = mono_now().ns;

	for (uint32_t slot = 1; slot <= 3; slot++) {
		m->keys->rx[slot].birth_ns = m->keys->tx[slot].birth_ns = now;
		m->state->sessions[slot].birth_ns = now;
		memset(&m->keys->replay[slot], 0, sizeof(m->keys->replay[slot]));
		counters[slot] = 0;
	}
	flow_table_clear(&m->flows);
}

static size_t
seal(uint32_t slot, const uint8_t *plaintext, size_t len, uint8_t message[4096])
{
	struct aead_job job = {
		.data = message + WG_TRANSPORT_HEADER_LEN,
		.key = m->keys->rx[slot].key,
		.counter = counters[slot]++,
		.len = (uint32_t)len,
	};

	wg_transport_header_write(message, m->keys->rx[slot].receiver_index, job.counter);
	memcpy(job.data, plaintext, len);
	aead_seal(&job, 1);
	return WG_TRANSPORT_HEADER_LEN + len + WG_TAG_LEN;
}

// An ICMP error about something that the host wants to send: no peer has that address.
static bool
is_our_own(const struct acl_packet *k)
{
	return k->family == ADDR_V4 ? k->src.low == 0x0a020001 : k->src.high >> 48 == 0xfd02;
}

// What the rules alone do not let in is of a flow that is open.
static void
check_let_in(const struct pkt *p)
{
	struct acl_packet k;

	acl_packet_read(p->data, p->len, &k);
	if (is_our_own(&k))
		return;
	if (k.protocol == ACL_PROTOCOL_TSMP && k.kind == ACL_KIND_WHOLE)
		abort();
	if (!acl_accepts(rule_walk_inbound(&policy, &k, true)))
		abort();
	if (!acl_accepts(rule_walk_inbound(&policy, &k, false))) {
		struct flow_id id = flow_table_inbound(&m->flows, &k);

		if (!flow_table_is_open(&m->flows, &id))
			abort();
	}
}

static void
check_message(const uint8_t *message, size_t len, uint32_t slot)
{
	uint8_t copy[4096];
	struct aead_job job = {
		.data = copy + WG_TRANSPORT_HEADER_LEN,
		.key = m->keys->tx[slot].key,
	};
	struct ip_view v;

	if (len > sizeof(copy) || wg_message_type(message, len) != WG_MESSAGE_TRANSPORT_DATA)
		abort();
	memcpy(copy, message, len);
	job.len = (uint32_t)len - WG_TRANSPORT_HEADER_LEN - WG_TAG_LEN;
	job.counter = wg_message_counter(copy);
	aead_open(&job, 1);
	if (!job.ok || (job.len > 0 && !ip_parse(job.data, job.len, &v)))
		abort();
}

#define MAX_ROUNDS (2 + SHM_N_PACKETS / 64) /* of 64 packets each, at least */

static void
round_and_check(void)
{
	struct shm_packet punted;
	struct shm_event event;
	struct pkt *p;

	while (in_memory_round(m) > 0)
		;
	while ((p = in_memory_take_host(m, 0)) != NULL) {
		check_let_in(p);
		in_memory_put(m, p);
	}
	while ((p = in_memory_take_wire(m, 0)) != NULL) {
		if (p->outer->family == 0)
			abort();
		check_message(p->data, p->len, p->slot);
		in_memory_put(m, p);
	}
	while (in_memory_punted(m, &punted)) {
		if (punted.kind == SHM_PKT_RELAY && punted.peer != 1 && punted.peer != 2)
			abort();
		if (punted.kind == SHM_PKT_RELAY)
			check_message(punted.data, punted.len, punted.peer + 1);
		if (punted.kind == SHM_PKT_TSMP && (punted.peer > 2 || punted.len < 27))
			abort();
	}
	while (in_memory_event(m, &event))
		;
}

// Half of a header that leads somewhere.
static void
shape(uint8_t *p, size_t len, unsigned how, bool is_inbound)
{
	static const uint8_t protocols[] = { 0, IP_PROTOCOL_TCP, IP_PROTOCOL_UDP, ACL_PROTOCOL_TSMP,
		IP_PROTOCOL_ICMP, ACL_PROTOCOL_SCTP, 47, 0 };

	if (how == 0 || len < 20)
		return;
	p[0] = 0x45;
	store_be16(p + 2, (uint16_t)len);
	store_be16(p + 6, how == 7 ? 0x2000 : 0);
	p[9] = protocols[how];
	p[12] = p[16] = 10;
	p[13] = is_inbound ? 1 + 2 * (p[13] & 1) : 2;
	p[17] = is_inbound ? 2 : 1 + p[17] % 4;
	p[14] = p[18] = 0;
	if (len >= 24 && (how == 1 || how == 2)) {
		p[20] = p[22] = 0;
		p[21] = 80 + p[21] % 16;
		p[23] = 80 + p[23] % 16;
	}
}

static void
one_record(uint8_t kind, uint8_t *data, size_t len)
{
	unsigned how = kind >> 4 & 7;
	uint8_t message[4096];
	size_t n;

	shape(data, len, how, (kind & 7) != 1 && (kind & 7) != 2);
	switch (kind & 7) {
	case 0:
		(void)in_memory_inject(m, SHM_PKT_WIRE, data, len);
		break;
	case 1:
		(void)in_memory_push_host(m, 0, data, len);
		break;
	case 2:
		(void)in_memory_inject(m, SHM_PKT_INNER, data, len);
		break;
	case 3:
	case 4:
	case 5:
		n = seal((kind & 7) - 2u, data, len, message);
		(void)in_memory_push_wire(m, 0, message, n, NULL, 0);
		break;
	default: // through a relay
		n = seal((kind & 7) - 5u, data, len, message);
		(void)in_memory_inject(m, SHM_PKT_WIRE, message, n);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t copy[2000];
	size_t at = 0;

	if (m == NULL)
		set_up();
	reset();
	while (at + 3 <= len) {
		uint8_t kind = data[at];
		size_t n = (size_t)(data[at + 1] | data[at + 2] << 8) % sizeof(copy);

		at += 3;
		if (n > len - at)
			n = len - at;
		memcpy(copy, data + at, n);
		one_record(kind, copy, n);
		at += n;
		if ((kind & 0x80) != 0)
			round_and_check();
	}
	// What was injected goes on in portions; then nothing may be left.
	for (unsigned i = 0; i < MAX_ROUNDS; i++)
		round_and_check();
	if (in_memory_free_frames(m) != pool_frame_count(m->pool))
		abort();
	return 0;
}
