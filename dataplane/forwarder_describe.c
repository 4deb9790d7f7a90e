/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/forwarder_state.h"
#include "dataplane/path/drop.h"
#include "lib/base/clock.h"
#include "lib/crypto/aead.h"
#include "lib/shm/region.h"

static void
set_text(char *dst, size_t size, const char *text)
{
	snprintf(dst, size, "%s", text);
}

static_assert(SHM_MAX_AEADS == AEAD_MAX_BACKENDS && SHM_AEAD_DIRECTIONS == AEAD_DIRECTIONS &&
		      SHM_AEAD_BURSTS == AEAD_BURST_CLASSES && SHM_AEAD_SIZES == AEAD_SIZE_CLASSES,
	"the same classes");
static_assert(
	(int)SHM_AEAD_MISSING == (int)AEAD_MISSING && (int)SHM_AEAD_REFUSED == (int)AEAD_REFUSED &&
		(int)SHM_AEAD_FORCED == (int)AEAD_FORCED && (int)SHM_AEAD_ONLY == (int)AEAD_ONLY,
	"the same numbers");

static void
describe_aead(struct shm_aead *to, const struct aead_candidate *c)
{
	const float *ns = &c->ns[0][0][0];
	uint32_t *ps = &to->ps[0][0][0];

	set_text(to->name, sizeof(to->name), c->name);
	to->presence = c->presence;
	for (size_t i = 0; i < sizeof(c->ns) / sizeof(*ns); i++)
		ps[i] = ns[i] < 4e6f ? (uint32_t)(ns[i] * 1000) : UINT32_MAX;
}

static void
describe_aeads(struct shm_aeads *to)
{
	const struct aead_choice *choice = aead_choice();

	to->n = (uint32_t)choice->n_candidates;
	to->reason = choice->reason;
	memcpy(to->burst_min, aead_burst_min, sizeof(to->burst_min));
	memcpy(to->size_max, aead_size_max, sizeof(to->size_max));
	memcpy(to->in_use, choice->in_use, sizeof(to->in_use));
	for (size_t i = 0; i < choice->n_candidates; i++)
		describe_aead(&to->rows[i], &choice->candidates[i]);
}

void
forwarder_describe(struct forwarder *f)
{
	struct shm_state *state = f->state;

	state->magic = SHM_MAGIC;
	state->session_version = SHM_SESSION_VERSION;
	state->layout_hash = shm_layout_hash();
	state->n_workers = f->n_workers;
	state->n_drops = N_DROP_REASONS;
	for (unsigned i = 0; i < N_DROP_REASONS; i++)
		set_text(state->drop_names[i], sizeof(state->drop_names[i]), drop_name(i));
	set_text(state->aead_backend, sizeof(state->aead_backend), aead_backend());
	describe_aeads(&state->aeads);
	state->tsc_per_s = f->setup->tsc_per_s;
	state->forwarder_start_ns = mono_now().ns;
	state->forwarder_pid = (uint32_t)getpid();
	state->keeper_pid = (uint32_t)getppid();
	state->forwarder_starts++;
	for (unsigned i = 0; i < 2; i++) {
		struct port *port = i == 0 ? f->wire : f->host;

		set_text(state->ports[i].name, sizeof(state->ports[i].name), port->name);
		set_text(state->ports[i].driver, sizeof(state->ports[i].driver), port->driver);
	}
}
