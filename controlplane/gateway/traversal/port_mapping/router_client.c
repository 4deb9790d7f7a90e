/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/port_mapping/router_client.h"

/* --- sending --- */

static void
send(struct router_client *r, const uint8_t *data, size_t len)
{
	r->calls.send(r->calls.context, data, len);
}

static void
send_address_request(struct router_client *r)
{
	uint8_t out[NATPMP_ADDRESS_REQUEST_LEN];

	natpmp_address_request_write(out);
	r->awaits_address = true;
	send(r, out, sizeof(out));
}

static void
send_announce(struct router_client *r)
{
	uint8_t out[PCP_ANNOUNCE_LEN];

	pcp_announce_write(out, &r->request.client);
	r->awaits_announce = true;
	send(r, out, sizeof(out));
}

static void
send_map_request(struct router_client *r, const struct portmap_request *request)
{
	uint8_t natpmp[NATPMP_MAP_REQUEST_LEN], pcp[PCP_MAP_LEN];

	if (r->protocol == PORTMAP_PCP) {
		pcp_map_request_write(pcp, request);
		send(r, pcp, sizeof(pcp));
		return;
	}
	natpmp_map_request_write(natpmp, request);
	send(r, natpmp, sizeof(natpmp));
	if (r->address.family == ADDR_NONE)
		send_address_request(r);
}

/* --- states --- */

static void
enter(struct router_client *r, enum router_state state, struct mono now)
{
	r->state = state;
	r->tries = 0;
	r->next = now;
	if (state == ROUTER_ASKING)
		r->asked = now;
	if (state == ROUTER_FAILED)
		r->next = (struct mono){};
}

// By the protocol that is left; NAT-PMP before PCP.
static void
ask(struct router_client *r, struct mono now)
{
	if (r->pmp == TRI_TRUE && !r->pmp_failed) {
		r->protocol = PORTMAP_NATPMP;
		enter(r, ROUTER_ASKING, now);
	} else if (r->pcp == TRI_TRUE && !r->pcp_failed) {
		r->protocol = PORTMAP_PCP;
		enter(r, ROUTER_ASKING, now);
	} else {
		r->is_mapped = false;
		enter(r, ROUTER_FAILED, now);
	}
}

static void
rest(struct router_client *r, struct mono now)
{
	enter(r, ROUTER_MAPPED, now);
	r->next = mono_add_ns(now, ROUTER_CHECK_NS);
}

// This protocol did not bring it.  What we have is ours until it ends: half of the rest is waited.
static void
fail_asking(struct router_client *r, struct mono now)
{
	if (r->is_mapped && mono_diff_ns(r->expires, now) > ROUTER_MIN_RENEW_NS) {
		int64_t pause = mono_diff_ns(r->expires, now) / 2;

		r->renew_at =
			mono_add_ns(now, pause > ROUTER_MIN_RENEW_NS ? pause : ROUTER_MIN_RENEW_NS);
		rest(r, now);
		return;
	}
	r->is_mapped = false;
	if (r->protocol == PORTMAP_PCP)
		r->pcp_failed = true;
	else
		r->pmp_failed = true;
	ask(r, now);
}

void
router_start(struct router_client *r,
	const struct router_client_calls *calls,
	const struct addr *client,
	uint16_t local_port,
	struct mono now)
{
	struct endpoint before = r->external;

	*r = (struct router_client){ .calls = *calls,
		.request = { .internal_port = local_port,
			.lifetime_s = PORTMAP_LIFETIME_S,
			.external = before,
			.client = *client } };
	calls->random(calls->context, r->request.nonce, sizeof(r->request.nonce));
	enter(r, ROUTER_PROBING, now);
}

void
router_renew(struct router_client *r, struct mono now)
{
	if (r->state == ROUTER_MAPPED && mono_diff_ns(now, r->asked) >= ROUTER_MIN_ASK_NS)
		enter(r, ROUTER_ASKING, now);
}

void
router_stop(struct router_client *r)
{
	struct portmap_request request = r->request;

	if (!r->is_mapped)
		return;
	request.lifetime_s = 0;
	request.external = (struct endpoint){};
	send_map_request(r, &request);
	r->is_mapped = false;
	r->state = ROUTER_FAILED;
	r->next = (struct mono){};
}

/* --- answers --- */

// Whether the router has begun to count anew (RFC 6886 3.6, RFC 6887 8.5): slower than 7/8 of our
// clock is a restart.
static bool
has_restarted(struct router_epoch *e, uint32_t epoch_s, struct mono now)
{
	int64_t passed_s = e->is_known ? mono_diff_ns(now, e->at) / NS_PER_S : 0;
	bool restarted =
		e->is_known && (int64_t)epoch_s + 2 < (int64_t)e->epoch_s + passed_s * 7 / 8;

	*e = (struct router_epoch){ true, epoch_s, now };
	return restarted;
}

static void
look_at_epoch(struct router_client *r, const struct portmap_response *response, struct mono now)
{
	struct router_epoch *epoch = &r->epochs[response->protocol == PORTMAP_PCP];

	if (!has_restarted(epoch, response->epoch_s, now) || r->state != ROUTER_MAPPED ||
		response->protocol != r->protocol ||
		mono_diff_ns(now, r->asked) < ROUTER_MIN_ASK_NS)
		return;
	enter(r, ROUTER_ASKING, now);
}

static void
take_mapping(struct router_client *r, const struct portmap_response *response, struct mono now)
{
	uint32_t life_s =
		response->lifetime_s < ROUTER_MAX_LIFE_S ? response->lifetime_s : ROUTER_MAX_LIFE_S;
	int64_t life = (int64_t)life_s * NS_PER_S;
	int64_t half = life / 2 > ROUTER_MIN_RENEW_NS ? life / 2 : ROUTER_MIN_RENEW_NS;

	r->external.port = response->external.port;
	if (response->protocol == PORTMAP_PCP)
		r->external.addr = response->external.addr;
	else
		r->external.addr = r->address;
	r->request.external = r->external;
	r->is_mapped = true;
	r->pmp_failed = r->pcp_failed = false;
	r->renew_at = mono_add_ns(now, half);
	r->expires = mono_add_ns(now, life > 2 * half ? life : 2 * half);
	rest(r, now);
}

static void
on_mapping(struct router_client *r, const struct portmap_response *response, struct mono now)
{
	if (r->state != ROUTER_ASKING || response->protocol != r->protocol)
		return;
	if (response->result != PORTMAP_OK) {
		fail_asking(r, now);
		return;
	}
	if (!portmap_answers(response, &r->request))
		return;
	if (response->protocol == PORTMAP_PCP &&
		!portmap_address_is_usable(&response->external.addr))
		fail_asking(r, now);
	else
		take_mapping(r, response, now);
}

static void
on_address(struct router_client *r, const struct portmap_response *response, struct mono now)
{
	bool usable = response->result == PORTMAP_OK &&
	              portmap_address_is_usable(&response->external.addr);

	if (response->result == PORTMAP_BAD_VERSION) { // it complains of our PCP
		if (r->awaits_announce)
			r->pcp = TRI_FALSE;
		r->awaits_announce = false;
		return;
	}
	if (!r->awaits_address)
		return;
	r->awaits_address = false;
	r->pmp = usable ? TRI_TRUE : TRI_FALSE;
	if (usable)
		r->address = response->external.addr;
	if (usable && r->is_mapped && r->protocol == PORTMAP_NATPMP)
		r->external.addr = r->address;
	if (r->state == ROUTER_PROBING && (usable || r->pcp == TRI_TRUE))
		ask(r, now);
}

// PCP alone is used only if NAT-PMP stays silent for the first pause.
static void
on_announce(struct router_client *r, const struct portmap_response *response, struct mono now)
{
	bool complains = response->result == PORTMAP_BAD_VERSION; // of our NAT-PMP
	bool *awaits = complains ? &r->awaits_address : &r->awaits_announce;

	if (!*awaits)
		return;
	*awaits = false;
	r->pcp = complains || response->result == PORTMAP_OK ? TRI_TRUE : TRI_FALSE;
	if (complains)
		r->pmp = TRI_FALSE;
	if (r->state == ROUTER_PROBING && r->pcp == TRI_TRUE && r->pmp == TRI_FALSE)
		ask(r, now);
}

void
router_receive(struct router_client *r, const uint8_t *data, size_t len, struct mono now)
{
	struct portmap_response response;

	if (r->state == ROUTER_FAILED || portmap_response_read(data, len, &response) < 0)
		return;
	look_at_epoch(r, &response, now);
	switch (response.kind) {
	case PORTMAP_ADDRESS:
		on_address(r, &response, now);
		break;
	case PORTMAP_MAPPING:
		on_mapping(r, &response, now);
		break;
	case PORTMAP_ANNOUNCE:
		on_announce(r, &response, now);
		break;
	}
}

/* --- time --- */

static void
wait_for_answer(struct router_client *r, struct mono now)
{
	r->next = mono_add_ns(now, ROUTER_TRY_NS << r->tries);
	r->tries++;
}

static void
on_probing_due(struct router_client *r, struct mono now)
{
	if (r->tries > 0 && r->pcp == TRI_TRUE) {
		ask(r, now);
		return;
	}
	if (r->tries == ROUTER_TRIES) {
		r->pmp = r->pmp == TRI_UNKNOWN ? TRI_FALSE : r->pmp;
		r->pcp = r->pcp == TRI_UNKNOWN ? TRI_FALSE : r->pcp;
		ask(r, now);
		return;
	}
	if (r->pmp == TRI_UNKNOWN)
		send_address_request(r);
	if (r->pcp == TRI_UNKNOWN)
		send_announce(r);
	wait_for_answer(r, now);
}

static void
on_asking_due(struct router_client *r, struct mono now)
{
	if (r->tries == ROUTER_TRIES) {
		fail_asking(r, now);
		return;
	}
	send_map_request(r, &r->request);
	wait_for_answer(r, now);
}

static void
on_mapped_due(struct router_client *r, struct mono now)
{
	if (mono_diff_ns(now, r->renew_at) >= 0) {
		enter(r, ROUTER_ASKING, now);
		return;
	}
	r->next = mono_add_ns(now, ROUTER_CHECK_NS);
	if (r->protocol == PORTMAP_PCP)
		send_announce(r);
	else
		send_address_request(r);
}

static struct mono
due(const struct router_client *r)
{
	if (r->state == ROUTER_MAPPED && mono_diff_ns(r->renew_at, r->next) < 0)
		return r->renew_at;
	return r->next;
}

struct mono
router_tick(struct router_client *r, struct mono now)
{
	// A few turns: what fails leads to the next protocol at once.
	for (unsigned i = 0; i < 4 && !mono_is_never(due(r)) && mono_diff_ns(now, due(r)) >= 0; i++)
		switch (r->state) {
		case ROUTER_PROBING:
			on_probing_due(r, now);
			break;
		case ROUTER_ASKING:
			on_asking_due(r, now);
			break;
		case ROUTER_MAPPED:
			on_mapped_due(r, now);
			break;
		case ROUTER_FAILED:
			break;
		}
	return due(r);
}

const struct endpoint *
router_mapping(const struct router_client *r)
{
	return r->is_mapped && r->external.addr.family != ADDR_NONE ? &r->external : NULL;
}
