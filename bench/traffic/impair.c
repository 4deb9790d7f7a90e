/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/traffic/impair.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX 64 // beyond that, packets go on as they are

struct held {
	bool is_used;
	bool is_copy;
	uint32_t flow;
	uint32_t left;     // this many packets of the flow are still to come before it
	uint64_t overtook; // that did
	size_t len;
	uint8_t packet[FLOW_MAX_LEN];
};

struct impair {
	struct impair_config config;
	impair_emit emit;
	void *context;
	uint64_t random;
	size_t step;
	struct impair_done done;
	struct held held[HELD_MAX];
};

int
impair_create(const struct impair_config *config,
	impair_emit emit,
	void *context,
	struct impair **ret_impair)
{
	struct impair *im = calloc(1, sizeof(*im));

	if (im == NULL)
		return -ENOMEM;
	im->config = *config;
	im->emit = emit;
	im->context = context;
	im->random = config->seed;
	*ret_impair = im;
	return 0;
}

void
impair_destroy(struct impair *im)
{
	free(im);
}

// SplitMix64 (Steele, Lea, Flood, 2014).
static uint64_t
draw(struct impair *im)
{
	uint64_t z = im->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static bool
hits(struct impair *im, double share)
{
	return (double)(draw(im) >> 11) < share * 0x1p53;
}

static struct held *
find_room(struct impair *im)
{
	for (unsigned i = 0; i < HELD_MAX; i++)
		if (!im->held[i].is_used)
			return &im->held[i];
	return NULL;
}

static bool
is_holding(const struct impair *im, uint32_t flow)
{
	for (unsigned i = 0; i < HELD_MAX; i++)
		if (im->held[i].is_used && !im->held[i].is_copy && im->held[i].flow == flow)
			return true;
	return false;
}

static void
emit(struct impair *im, uint32_t flow, const uint8_t *packet, size_t len)
{
	im->done.emitted++;
	im->emit(im->context, flow, packet, len);
}

static void
release(struct impair *im, struct held *h)
{
	struct impair_done *done = &im->done;

	h->is_used = false;
	emit(im, h->flow, h->packet, h->len);
	if (h->is_copy) {
		done->duplicated++;
	} else if (h->overtook > 0) {
		done->reordered++;
		done->extents[tally_extent_class(h->overtook)]++;
		if (h->overtook > done->reorder_extent_max)
			done->reorder_extent_max = h->overtook;
	}
}

// A whole packet goes by; those it was waited for follow.
static void
pass(struct impair *im, uint32_t flow, const uint8_t *packet, size_t len)
{
	emit(im, flow, packet, len);
	for (struct held *h = im->held; h < im->held + HELD_MAX; h++) {
		if (!h->is_used || h->flow != flow)
			continue;
		h->overtook++;
		if (--h->left == 0)
			release(im, h);
	}
}

static bool
hold(struct impair *im,
	uint32_t flow,
	const uint8_t *packet,
	size_t len,
	uint32_t extent,
	bool is_copy)
{
	struct held *h = find_room(im);

	if (h == NULL || (!is_copy && is_holding(im, flow)))
		return false;
	h->is_used = true;
	h->is_copy = is_copy;
	h->flow = flow;
	h->left = extent;
	h->overtook = 0;
	h->len = len;
	memcpy(h->packet, packet, len);
	return true;
}

static void
copy(struct impair *im, uint32_t flow, const uint8_t *packet, size_t len, uint32_t extent)
{
	pass(im, flow, packet, len);
	if (extent == 0) {
		emit(im, flow, packet, len);
		im->done.duplicated++;
	} else {
		(void)hold(im, flow, packet, len, extent, true); // no room: no copy
	}
}

static void
corrupt(struct impair *im, uint32_t flow, const uint8_t *packet, size_t len)
{
	uint8_t damaged[FLOW_MAX_LEN];
	size_t keep = im->config.keep_len;

	assert(keep < len);
	memcpy(damaged, packet, len);
	damaged[keep + draw(im) % (len - keep)] ^= (uint8_t)(1 + draw(im) % 255);
	im->done.corrupted++;
	emit(im, flow, damaged, len);
}

// What to do with this packet; false: let it pass.
static bool
choose(struct impair *im, enum impair_kind *ret_kind, uint32_t *ret_extent)
{
	const struct impair_config *c = &im->config;
	const double shares[] = { [IMPAIR_LOSE] = c->lose,
		[IMPAIR_CORRUPT] = c->corrupt,
		[IMPAIR_REORDER] = c->reorder,
		[IMPAIR_DUPLICATE] = c->duplicate };

	if (c->steps != NULL) {
		const struct impair_step *s = &c->steps[im->step];

		if (im->step == c->n_steps || s->packet != im->done.packets)
			return false;
		im->step++;
		*ret_kind = s->kind;
		*ret_extent = s->extent;
		return true;
	}
	for (unsigned i = IMPAIR_LOSE; i <= IMPAIR_DUPLICATE; i++)
		if (hits(im, shares[i])) {
			uint32_t most = c->most_extent > 0 ? c->most_extent : 1;

			*ret_kind = i;
			*ret_extent = (uint32_t)(i == IMPAIR_REORDER ? 1 + draw(im) % most
								     : draw(im) % (most + 1));
			return true;
		}
	return false;
}

void
impair_packet(struct impair *im, uint32_t flow, const uint8_t *packet, size_t len)
{
	enum impair_kind kind;
	uint32_t extent;

	assert(len > 0 && len <= FLOW_MAX_LEN);
	if (!choose(im, &kind, &extent)) {
		im->done.packets++;
		pass(im, flow, packet, len);
		return;
	}
	im->done.packets++;
	switch (kind) {
	case IMPAIR_LOSE:
		im->done.lost++;
		break;
	case IMPAIR_CORRUPT:
		corrupt(im, flow, packet, len);
		break;
	case IMPAIR_REORDER:
		if (extent == 0 || !hold(im, flow, packet, len, extent, false))
			pass(im, flow, packet, len);
		break;
	case IMPAIR_DUPLICATE:
		copy(im, flow, packet, len, extent);
		break;
	}
}

void
impair_flush(struct impair *im)
{
	for (struct held *h = im->held; h < im->held + HELD_MAX; h++)
		if (h->is_used)
			release(im, h);
}

const struct impair_done *
impair_done(const struct impair *im)
{
	return &im->done;
}
