/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/trial/load_options.h"

#include <string.h>

#include "bench/command.h"
#include "bench/harness/number.h"
#include "bench/harness/run.h"
#include "bench/traffic/flow.h"

const char load_options_help[] =
	"The load\n"
	"  --direction WAY        inbound (tunnel to cleartext), outbound, or both; inbound unless "
        "given\n"
	"  --size SIZES           inner packets: 64, imix, tcp, or a mix like 7x64,4x528,1x1408; "
        "1420\n"
	"  --flows N              4 unless given; at least one for each peer\n"
	"  --drain S              wait so long for the last packets, 1 unless given\n"
	"  --ahead                seal all packets before the clock starts\n"
	"  --in-memory            the device is Sluice's data plane in this program's memory "
        "(T2)\n";

void
load_options_init(struct load_options *o)
{
	*o = (struct load_options){
		.direction = "inbound", .size = "1420", .drain_s = 1, .n_flows = 4
	};
}

int
load_option(struct load_options *o, int value, const char *argument)
{
	switch (value) {
	case LOAD_OPTIONS:
		o->direction = argument;
		return 1;
	case LOAD_OPTIONS + 1:
		o->size = argument;
		return 1;
	case LOAD_OPTIONS + 2:
		return number_option("flows", argument, 1, FLOW_MAX, &o->n_flows) < 0 ? -1 : 1;
	case LOAD_OPTIONS + 3:
		return number_option("drain", argument, 0, 60, &o->drain_s) < 0 ? -1 : 1;
	case LOAD_OPTIONS + 4:
		o->encrypt_ahead = true;
		return 1;
	case LOAD_OPTIONS + 5:
		o->is_in_memory = true;
		return 1;
	default:
		return 0;
	}
}

static int
read_direction(const char *text, enum trial_direction *ret)
{
	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(text, trial_direction_names[i]) == 0) {
			*ret = (enum trial_direction)i;
			return BENCH_OK;
		}
	}
	bench_error("no such direction", "it is inbound, outbound or both", "--direction %s", text);
	return BENCH_USAGE;
}

int
load_options_read(struct load_options *o,
	uint32_t mtu,
	bool is_v6,
	uint32_t n_peers,
	struct trial_request *ret)
{
	const char *why = NULL;

	*ret = (struct trial_request){
		.drain_seconds = o->drain_s,
		.sizes = &o->sizes,
		.n_flows = (uint32_t)o->n_flows,
		.encrypt_ahead = o->encrypt_ahead,
	};
	if (read_direction(o->direction, &ret->direction) != BENCH_OK)
		return BENCH_USAGE;
	if (sizes_parse(o->size, mtu != 0 ? mtu : FLOW_MAX_LEN,
		    is_v6 ? FLOW_MIN_LEN6 : FLOW_MIN_LEN4, &o->sizes, &why) < 0) {
		bench_error(why, "give one like 64 or 1420, imix, tcp, or 7x64,4x528,1x1408",
			"--size %s", o->size);
		return BENCH_USAGE;
	}
	if (ret->n_flows < n_peers)
		ret->n_flows = n_peers < FLOW_MAX ? n_peers : FLOW_MAX;
	return BENCH_OK;
}
