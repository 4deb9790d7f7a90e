/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/trial/trial.h"

const char *const trial_direction_names[3] = {
	[TRIAL_INBOUND] = "inbound",
	[TRIAL_OUTBOUND] = "outbound",
	[TRIAL_BOTH] = "both",
};

json_t *
trial_axes(const struct device *d, const struct trial_request *request)
{
	return json_pack("{s:s,s:s,s:f,s:f,s:f,s:s,s:f,s:I,s:b}", "device", d->name, "direction",
		trial_direction_names[request->direction], "rate_pps", request->rate_pps, "seconds",
		request->seconds, "drain_seconds", request->drain_seconds, "sizes",
		request->sizes->text, "mean_bytes", request->sizes->mean, "flows",
		(json_int_t)request->n_flows, "encrypt_ahead", (int)request->encrypt_ahead);
}

json_t *
trial_json(const struct trial_result *result)
{
	double gbps =
		result->seconds > 0 ? (double)result->sum.bytes * 8 / result->seconds / 1e9 : 0;

	return json_pack("{s:f,s:f,s:f,s:f,s:o,s:o,s:o,s:o,s:I,s:I,s:f,s:o,s:b}", "offered_pps",
		result->offered_pps, "seconds", result->seconds, "delivered_pps",
		result->delivered_pps, "delivered_gbps", gbps, "sum", tally_json(&result->sum),
		"inbound", tally_json(&result->way[TRIAL_INBOUND]), "outbound",
		tally_json(&result->way[TRIAL_OUTBOUND]), "latency", latency_json(&result->latency),
		"generator_late", (json_int_t)result->generator_late, "socket_dropped",
		(json_int_t)result->socket_dropped, "generator_cpu_s", result->generator_cpu_s,
		"device_core_share",
		result->device_core_share > 0 ? json_real(result->device_core_share) : json_null(),
		"generator_limited", (int)result->generator_limited);
}
