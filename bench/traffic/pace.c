/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/traffic/pace.h"

#include <math.h>

void
pace_init(struct pace *p, double rate_pps, double seconds, uint32_t burst)
{
	*p = (struct pace){
		.packet_ns = rate_pps > 0 ? 1e9 / rate_pps : 0,
		.end = UINT64_MAX,
		.burst = burst,
		.late_ns = PACE_LATE_NS,
		.pause_packets = PACE_PAUSE_PACKETS,
	};
	if (rate_pps > 0 && seconds > 0)
		p->end = (uint64_t)llround(rate_pps * seconds);
}

uint64_t
pace_clock(struct pace *p, uint64_t now_ns)
{
	uint64_t pause = now_ns > p->seen_ns ? now_ns - p->seen_ns : 0;
	uint64_t most = pace_due_ns(p->packet_ns, p->pause_packets);

	p->seen_ns = now_ns;
	if (most < PACE_PAUSE_NS)
		most = PACE_PAUSE_NS;
	if (pause > most)
		pause = most;
	p->clock_ns += pause + pause / 8;
	if (p->clock_ns > now_ns)
		p->clock_ns = now_ns;
	return p->clock_ns;
}

// The number of packets whose due time is not after now_ns, from the first on.
static uint64_t
count_due(const struct pace *p, uint64_t now_ns)
{
	uint64_t n = (uint64_t)((double)now_ns / p->packet_ns);

	// The quotient may be one off: the due times themselves decide.
	while (n > 0 && pace_due_ns(p->packet_ns, n - 1) > now_ns)
		n--;
	while (pace_due_ns(p->packet_ns, n) <= now_ns)
		n++;
	return n;
}

uint32_t
pace_due(const struct pace *p, uint64_t now_ns)
{
	uint64_t n = p->burst;

	if (p->next >= p->end)
		return 0;
	if (p->packet_ns > 0) {
		uint64_t due;

		if (pace_due_ns(p->packet_ns, p->next) > now_ns)
			return 0;
		due = count_due(p, now_ns);
		n = due > p->next ? due - p->next : 0;
	}
	if (n > p->end - p->next)
		n = p->end - p->next;
	return (uint32_t)(n < p->burst ? n : p->burst);
}

void
pace_sent(struct pace *p, uint64_t now_ns, uint32_t n)
{
	if (n == 0)
		return;
	if (p->packet_ns > 0) {
		uint64_t first_due = pace_due_ns(p->packet_ns, p->next);

		if (now_ns > first_due && now_ns - first_due > p->most_ns)
			p->most_ns = now_ns - first_due;
		if (now_ns > p->late_ns) {
			// Those due before the limit are the first ones.
			uint64_t late = count_due(p, now_ns - p->late_ns - 1);

			late = late > p->next ? late - p->next : 0;
			p->late += late < n ? late : n;
		}
	}
	p->next += n;
}

uint64_t
pace_next_ns(const struct pace *p)
{
	return p->next >= p->end ? UINT64_MAX : pace_due_ns(p->packet_ns, p->next);
}
