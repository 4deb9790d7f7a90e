/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/trial/device_simulated.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LATENCY_SAMPLES 2000 // of a trial

struct device_simulated {
	struct device device; // first
	struct device_simulated_config config;
	uint64_t random;
	double clock_s;
	uint64_t trials;
};

static struct device_simulated *
simulated_of(const struct device *d)
{
	return (struct device_simulated *)(uintptr_t)d;
}

// SplitMix64 (Steele, Lea, Flood, 2014).
static uint64_t
draw(struct device_simulated *s)
{
	uint64_t z = s->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

// 0 to 1, 1 excluded.
static double
draw_unit(struct device_simulated *s)
{
	return (double)(draw(s) >> 11) * 0x1p-53;
}

// How many events of a Poisson process with this mean, by its waiting times.
static unsigned
draw_count(struct device_simulated *s, double mean)
{
	double t = -log(1 - draw_unit(s));
	unsigned n = 0;

	for (; t < mean && n < 100000; n++)
		t -= log(1 - draw_unit(s));
	return n;
}

static double
lost_in_stalls(struct device_simulated *s, double rate_pps, double seconds)
{
	unsigned stalls = draw_count(s, s->config.stalls_per_s * seconds);
	double each = rate_pps * s->config.stall_s - s->config.buffer_packets;

	return each > 0 ? each * stalls : 0;
}

static double
lost_in_noise(struct device_simulated *s)
{
	uint32_t most = s->config.noise_most != 0 ? s->config.noise_most : 10;

	return draw_unit(s) < s->config.noise ? (double)(1 + draw(s) % most) : 0;
}

static double
lost_in_overload(const struct device_simulated *s, double rate_pps, double seconds, double capacity)
{
	double lost;

	if (rate_pps <= capacity)
		return 0;
	lost = (rate_pps - capacity * pow(capacity / rate_pps, s->config.collapse)) * seconds -
	       s->config.buffer_packets;
	return lost > 0 ? lost : 0;
}

// Times in a queue before one server: M/D/1 below capacity, a full buffer beyond.
static void
fill_latency(struct device_simulated *s, double rate_pps, double capacity, struct latency *l)
{
	double idle = s->config.latency_ns > 0 ? s->config.latency_ns : 20000;
	double load = rate_pps / capacity, service_ns = 1e9 / capacity;

	for (unsigned i = 0; i < LATENCY_SAMPLES; i++) {
		double wait;

		if (load < 1)
			wait = -log(1 - draw_unit(s)) * load / (2 * (1 - load)) * service_ns;
		else
			wait = s->config.buffer_packets * service_ns;
		if (wait > (s->config.buffer_packets + 1) * service_ns)
			wait = (s->config.buffer_packets + 1) * service_ns;
		latency_add(l, (int64_t)(idle * (1 + draw_unit(s) / 10) + wait));
	}
}

static void
fill_way(struct tally_sum *way, uint64_t sent, uint64_t lost, const struct trial_request *request)
{
	way->sent = sent;
	way->lost = lost;
	way->received = sent - lost;
	way->bytes = (uint64_t)((double)way->received * request->sizes->mean);
	way->flows_seen = request->n_flows;
}

static void
fill_sums(struct trial_result *r, const struct trial_request *request, uint64_t sent, uint64_t lost)
{
	switch (request->direction) {
	case TRIAL_INBOUND:
	case TRIAL_OUTBOUND:
		fill_way(&r->way[request->direction], sent, lost, request);
		break;
	case TRIAL_BOTH:
		fill_way(&r->way[TRIAL_INBOUND], sent / 2, lost / 2, request);
		fill_way(&r->way[TRIAL_OUTBOUND], sent - sent / 2, lost - lost / 2, request);
		break;
	}
	tally_sum_add(&r->sum, &r->way[TRIAL_INBOUND]);
	tally_sum_add(&r->sum, &r->way[TRIAL_OUTBOUND]);
}

static int
run(struct device *d, const struct trial_request *request, struct trial_result *ret_result)
{
	struct device_simulated *s = simulated_of(d);
	const struct device_simulated_config *c = &s->config;
	double most = c->generator_pps > 0 ? c->generator_pps : 10 * c->capacity_pps;
	double rate = request->rate_pps > 0 ? request->rate_pps : most;
	double capacity = c->capacity_pps * (1 + c->jitter * (2 * draw_unit(s) - 1));
	uint64_t sent;
	double lost;

	memset(ret_result, 0, sizeof(*ret_result));
	if (rate > most)
		rate = most;
	sent = (uint64_t)llround(rate * request->seconds);
	lost = lost_in_overload(s, rate, request->seconds, capacity);
	lost += lost_in_stalls(s, rate, request->seconds) + lost_in_noise(s);
	if (lost > (double)sent)
		lost = (double)sent;
	fill_sums(ret_result, request, sent, (uint64_t)llround(lost));
	fill_latency(s, rate, capacity, &ret_result->latency);

	ret_result->seconds = request->seconds;
	ret_result->offered_pps = (double)sent / request->seconds;
	ret_result->delivered_pps = (double)ret_result->sum.received / request->seconds;
	ret_result->generator_cpu_s = request->seconds;
	ret_result->generator_limited =
		request->rate_pps > 0 ? request->rate_pps > most * 1.01 : lost == 0;
	s->clock_s += request->seconds + request->drain_seconds;
	s->trials++;
	return 0;
}

static void
destroy(struct device *d)
{
	free(simulated_of(d));
}

int
device_simulated_create(const struct device_simulated_config *config, struct device **ret_device)
{
	struct device_simulated *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->device = (struct device){
		.name = "simulated",
		.tier = "",
		.run = run,
		.destroy = destroy,
	};
	s->config = *config;
	s->random = config->seed;
	*ret_device = &s->device;
	return 0;
}

double
device_simulated_clock_s(const struct device *d)
{
	return simulated_of(d)->clock_s;
}

uint64_t
device_simulated_trials(const struct device *d)
{
	return simulated_of(d)->trials;
}
