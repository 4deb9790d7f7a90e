/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A stream of commands from a control plane that may say anything.  The first byte chooses between
 * commands byte for byte, and records of 16 bytes that become commands whose fields are often
 * plausible, so that they reach deep.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/crypto/aead.h"
#include "tests/lib/acl.h"
#include "tests/lib/gateways.h"
#include "tests/lib/invariants.h"

#define RECORD_LEN   16
#define MAX_COMMANDS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct in_memory *m;
static uint64_t first_generation; // what an input finds applied

static void
look(bool swept)
{
	if (memory_broken(m->state, m->keys, swept) != NULL)
		abort();
}

// Everything goes, so that each input finds the same.
static void
reset(void)
{
	struct shm_command cmd = { .kind = SHM_CMD_BEGIN, .generation = first_generation };

	cmd.begin.full = 1;
	in_memory_command(m, &cmd);
	cmd = (struct shm_command){ .kind = SHM_CMD_SETTINGS, .generation = first_generation };
	cmd.settings.mtu = IN_MEMORY_MTU;
	in_memory_command(m, &cmd);
	cmd = (struct shm_command){ .kind = SHM_CMD_COMMIT, .generation = first_generation };
	in_memory_command(m, &cmd);
	apply_sweep(&m->apply);
	m->state->sessions_end = 1; // nothing is left, and a look at all slots takes long
}

static void
set_up(void)
{
	const struct in_memory_config config = { .n_workers = 1, .n_frames = 512 };

	if (aead_init(NULL) < 0 || in_memory_create(&config, &m) < 0)
		abort();
	first_generation = 1;
	reset();
}

static uint32_t
pick(uint8_t choice, uint32_t value, uint32_t small)
{
	return choice % 64 == 0 ? value : value % small;
}

// A part of a sound table, one word of it changed at times.
static void
fill_filter(struct shm_cmd_filter *c, const uint8_t r[12])
{
	static struct acl_table *table;

	if (table == NULL)
		table = acl_make("[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"10.0.0.0/8\","
				 "\"Ports\":{\"First\":1,\"Last\":9}}]}]",
			"10.0.0.0/8");
	if (c->total == 500)
		c->total = table->size_bytes;
	if (c->offset < table->size_bytes) {
		uint32_t left = table->size_bytes - c->offset;

		memcpy(c->bytes, (const uint8_t *)table + c->offset,
			left < SHM_FILTER_PART ? left : SHM_FILTER_PART);
	}
	if (r[8] % 4 == 0)
		memcpy(c->bytes + 4 * (r[9] % (SHM_FILTER_PART / 4)), r, 4);
}

static void
fill_plausibly(struct shm_command *cmd, const uint8_t r[RECORD_LEN])
{
	uint32_t value, more;

	memcpy(&value, r + 4, sizeof(value));
	memcpy(&more, r + 8, sizeof(more));
	cmd->kind = r[0] % 14;
	cmd->generation = first_generation + r[1] % 4;
	switch (cmd->kind) {
	case SHM_CMD_BEGIN:
		cmd->begin.full = r[2] & 1;
		cmd->begin.base = first_generation + r[3] % 4;
		break;
	case SHM_CMD_SETTINGS:
		cmd->settings.mtu = (uint16_t)value;
		cmd->settings.filter = r[2] % 4;
		break;
	case SHM_CMD_PREFIX:
	case SHM_CMD_PREFIX_GONE:
		cmd->prefix.family = r[2] % 8 == 0 ? r[3] : r[2] & 1 ? 4 : 6;
		cmd->prefix.len = r[3] % 140;
		cmd->prefix.to = r[12] % 8 == 0 ? SHM_TO_HOST - r[13] % 2 : pick(r[12], more, 8);
		memcpy(cmd->prefix.addr.bytes, r + 4, 4);
		break;
	case SHM_CMD_PATH:
		cmd->path.peer = pick(r[2], value, 8);
		cmd->path.path.family = r[3] % 7;
		cmd->path.path.remote_port = (uint16_t)more;
		cmd->path.path.relay = r[12] % 3;
		break;
	case SHM_CMD_SESSION:
		cmd->session.peer = pick(r[2], value, 8);
		cmd->session.receiver_index =
			r[3] % 8 == 0 ? more : more % 4 << SHM_SLOT_BITS | (more >> 8) % 32;
		cmd->session.role = r[12] % 4;
		cmd->session.birth_ns = r[13] % 4 == 0 ? value : mono_now().ns;
		memset(cmd->session.key_send, r[14], SHM_KEY_LEN);
		break;
	case SHM_CMD_SESSION_GONE:
		cmd->session_gone.peer = pick(r[2], value, 8);
		cmd->session_gone.receiver_index =
			r[3] % 8 == 0 ? more : more % 4 << SHM_SLOT_BITS | (more >> 8) % 32;
		break;
	case SHM_CMD_FILTER: // parts of a table that is sound, or nearly
		cmd->filter.offset = r[2] % 16 == 0 ? value : SHM_FILTER_PART * (r[2] % 16 - 1);
		cmd->filter.total = r[3] % 8 == 0 ? more : 500;
		fill_filter(&cmd->filter, r + 4);
		break;
	default: // PEER too: its key follows
		cmd->one.peer = pick(r[2], value, 8);
		memset(cmd->peer.public_key, r[3] % 2, cmd->kind == SHM_CMD_PEER ? SHM_KEY_LEN : 0);
	}
}

static void
run_round(void)
{
	struct shm_event event;
	struct pkt *p;

	in_memory_round(m);
	while (in_memory_event(m, &event))
		;
	while ((p = in_memory_take_wire(m, 0)) != NULL)
		in_memory_put(m, p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	bool is_raw;
	size_t step;

	if (m == NULL)
		set_up();
	if (len == 0)
		return 0;
	is_raw = (data[0] & 1) != 0;
	step = is_raw ? sizeof(struct shm_command) : RECORD_LEN;
	for (size_t at = 1, n = 0; at + step <= len && n < MAX_COMMANDS; at += step, n++) {
		struct shm_command cmd = {};

		if (is_raw)
			memcpy(&cmd, data + at, sizeof(cmd));
		else
			fill_plausibly(&cmd, data + at);
		in_memory_command(m, &cmd);
		run_round();
	}
	apply_sweep(&m->apply);
	look(true);
	reset();
	run_round();
	for (uint32_t peer = 0; peer < 8; peer++)
		if (m->state->keypairs[peer] != 0)
			abort(); // nobody is left
	return 0;
}
