/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/lib/filter_stage.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/in_memory.h"
#include "dataplane/stage/stages.h"
#include "lib/crypto/aead.h"
#include "lib/policy/acl_build.h"

#define FRAME_LEN 69632u // any IP packet
#define N_FRAMES  256u

struct stage {
	struct in_memory *gateway;
	size_t max;
};

static bool
stage_begin(void *context, const struct policy *p, bool forget_flows)
{
	struct stage *s = context;
	struct shm_settings settings = { .mtu = IN_MEMORY_MTU,
		.filter = p->is_shields_up ? SHM_FILTER_SHIELDS_UP : SHM_FILTER_ENFORCED };
	struct acl_table *table;
	uint32_t refused;

	(void)forget_flows; // the data plane sees for itself that shields went up
	if (acl_build(p, 1, &table) < 0)
		return false;
	in_memory_begin(s->gateway, true);
	in_memory_all_settings(s->gateway, &settings);
	in_memory_filter(s->gateway, table);
	refused = in_memory_commit(s->gateway);
	free(table);
	return refused == 0;
}

/*
 * Of these a stage tells another fate than the filter's verdict: from a peer they end there before
 * any rule is asked, from the host they never leave.
 */
static bool
is_tsmp(const struct filter_packet *p)
{
	struct acl_packet k;

	acl_packet_read(p->bytes, p->len, &k);
	return k.protocol == ACL_PROTOCOL_TSMP && k.kind == ACL_KIND_WHOLE;
}

static uint8_t
judge_tsmp(const struct worker *w, const struct filter_packet *p)
{
	const struct acl_filter filter = {
		.table = w->tables->acl, .flows = w->flows, .cache = w->verdicts
	};
	struct acl_packet k;
	uint8_t reason;

	acl_packet_read(p->bytes, p->len, &k);
	if (p->is_inbound)
		acl_inbound_burst(&filter, &k, 1, &reason);
	else
		acl_outbound_burst(&filter, &k, 1, &reason);
	return reason;
}

// What the stages before it would have let through.  False: a verdict stands already.
static bool
add(struct worker *w, struct burst *b, const struct filter_packet *from, uint8_t *reason)
{
	struct pkt *p;

	if (from->len == 0 || is_tsmp(from)) {
		*reason = from->len == 0 ? ACL_KEEPALIVE : judge_tsmp(w, from);
		return false;
	}
	*reason = ACL_UNKNOWN_PROTOCOL;
	if (pool_get(&w->pool, &p, 1) == 0)
		abort();
	memcpy(p->data, from->bytes, from->len);
	p->len = from->len;
	p->port = from->is_inbound ? 0 : 1;
	p->peer = 0;
	if (!ip_parse(p->data, p->len, &b->view[b->n])) {
		pool_put(&w->pool, &p, 1);
		return false;
	}
	b->pkt[b->n++] = p;
	return true;
}

static void
judge_burst(struct worker *w, const struct filter_packet *packets, size_t n, uint8_t *reasons)
{
	struct pkt *of[BURST_MAX] = {};
	struct burst b = {};

	for (size_t i = 0; i < n; i++)
		if (add(w, &b, &packets[i], &reasons[i]))
			of[i] = b.pkt[b.n - 1];
	if (packets[0].is_inbound)
		acl_inbound(w, &b);
	else
		acl_outbound(w, &b);
	for (size_t i = 0, kept = 0; i < n; i++) {
		if (of[i] == NULL)
			continue;
		reasons[i] = ACL_NO_RULE;
		if (kept < b.n && b.pkt[kept] == of[i]) {
			reasons[i] = ACL_RULE;
			kept++;
		}
	}
	pool_put(&w->pool, b.pkt, b.n);
	// Rejections of what was not let in.
	pool_put(&w->pool, w->to_peers.pkt, w->to_peers.n);
	w->to_peers.n = 0;
}

static void
stage_judge(void *context, const struct filter_packet *packets, size_t n, uint8_t *reasons)
{
	struct stage *s = context;
	struct worker *w = &s->gateway->workers[0]->w;

	w->tables = atomic_load(&s->gateway->tables);
	for (size_t at = 0; at < n; at += s->max)
		judge_burst(w, packets + at, n - at < s->max ? n - at : s->max, reasons + at);
}

struct filter_judge
filter_judge_stage(size_t burst)
{
	// One group of flows: the reference remembers so many.
	const struct in_memory_config config = {
		.n_workers = 1, .n_frames = N_FRAMES, .frame_len = FRAME_LEN, .n_flow_groups = 1
	};
	struct stage *s = calloc(1, sizeof(*s));

	if (s == NULL || aead_init(NULL) < 0 || in_memory_create(&config, &s->gateway) < 0)
		abort();
	s->max = burst < BURST_MAX ? burst : BURST_MAX;
	return (struct filter_judge){
		.name = "stage",
		.tells_fate_only = true,
		.context = s,
		.begin = stage_begin,
		.judge = stage_judge,
	};
}

void
filter_judge_stage_free(struct filter_judge *judge)
{
	struct stage *s = judge->context;

	in_memory_destroy(s->gateway);
	free(s);
	judge->context = NULL;
}
