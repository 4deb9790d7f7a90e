/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/print_trial.h"

#include <stdio.h>

void
print_sum(const char *title, const struct tally_sum *sum, double seconds)
{
	double per_s = seconds > 0 ? 1 / seconds : 0;

	printf("  %-9s sent %llu  received %llu (%.0f/s, %.2f Mbit/s)\n", title,
		(unsigned long long)sum->sent, (unsigned long long)sum->received,
		(double)sum->received * per_s, (double)sum->bytes * 8 * per_s / 1e6);
	printf("  %-9s lost %llu (%.4f %%)  duplicated %llu  reordered %llu (by up to %llu)  "
	       "corrupted %llu",
		"", (unsigned long long)sum->lost,
		sum->sent > 0 ? (double)sum->lost * 100 / (double)sum->sent : 0.0,
		(unsigned long long)sum->duplicated, (unsigned long long)sum->reordered,
		(unsigned long long)sum->reorder_extent_max, (unsigned long long)sum->corrupted);
	if (sum->unexpected > 0)
		printf("  never sent %llu", (unsigned long long)sum->unexpected);
	if (sum->foreign > 0)
		printf("  foreign %llu", (unsigned long long)sum->foreign);
	putchar('\n');
}

void
print_latency(const struct latency *l)
{
	if (l->n == 0)
		return;
	printf("  latency   p50 %.1f us  p90 %.1f us  p99 %.1f us  p99.9 %.1f us  most %.1f us\n",
		(double)latency_quantile_ns(l, 0.5) / 1e3,
		(double)latency_quantile_ns(l, 0.9) / 1e3,
		(double)latency_quantile_ns(l, 0.99) / 1e3,
		(double)latency_quantile_ns(l, 0.999) / 1e3, (double)l->max_ns / 1e3);
}

static void
print_load(const struct trial_request *request, const struct trial_result *result)
{
	char rate[32] = "as fast as possible";

	if (request->rate_pps > 0)
		snprintf(rate, sizeof(rate), "%.0f/s", request->rate_pps);
	printf("%s, %s, %u flows, %s, %.2f s%s\n", trial_direction_names[request->direction],
		request->sizes->text, request->n_flows, rate, result->seconds,
		request->encrypt_ahead ? ", encrypted ahead" : "");
}

static void
print_generator(const struct trial_result *result)
{
	printf("  generator %.2f s of CPU, %llu packets late", result->generator_cpu_s,
		(unsigned long long)result->generator_late);
	if (result->socket_dropped > 0)
		printf("; OUR OWN SOCKETS DROPPED %llu: not the device's doing",
			(unsigned long long)result->socket_dropped);
	if (result->generator_limited)
		printf("; the generator was the limit, the device can do more");
	putchar('\n');
}

void
print_sending(const struct trial_request *request, const struct trial_result *result)
{
	print_load(request, result);
	printf("  %-9s sent %llu (%.0f/s)\n", trial_direction_names[request->direction],
		(unsigned long long)result->sum.sent, result->offered_pps);
	print_generator(result);
}

void
print_trial(const struct trial_request *request, const struct trial_result *result)
{
	print_load(request, result);
	for (unsigned way = 0; way < 2; way++) {
		if (request->direction == way || request->direction == TRIAL_BOTH)
			print_sum(trial_direction_names[way], &result->way[way], result->seconds);
	}
	print_latency(&result->latency);
	print_generator(result);
}
