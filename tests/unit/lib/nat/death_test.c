/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A forwarder that is killed at each of the steps in which it begins a flow, or takes one back; its
 * successor finds nothing half done.  Steps are instructions, by ptrace().
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/bytes.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/nat/fixture.h"

#define MAX_STEPS 60000 /* more than there are */
/* Deaths, evenly over the instructions; what sanitizers add is ten times as many, and slow. */
#ifdef __SANITIZE_ADDRESS__
#define DEATHS 12
#else
#define DEATHS 60
#endif

static const struct mono now = { FIXTURE_START_NS };
static const struct mono later = { FIXTURE_START_NS + 1000 * (uint64_t)NS_PER_S };
static const uint8_t source[4] = { 192, 168, 77, 1 };
static struct nat_memory *memory;

static enum nat_verdict
send_out(struct nat *nat, const char *text, struct mono at, char ret_text[static 256])
{
	struct nat_local local = {};
	struct fixture_packet k;
	enum nat_verdict verdict;

	fixture_packet(text, &k);
	verdict = nat_from_tunnel(nat, &local, k.bytes, &k.view, source, at);
	packet_text_format(k.bytes, k.len, ret_text, 256);
	return verdict;
}

static struct fixture_packet outbound; // made before the steps are counted

static void
begin_flow(struct nat *nat)
{
	struct nat_local local = {};

	if (nat_from_tunnel(nat, &local, outbound.bytes, &outbound.view, source, now) ==
		NAT_TRANSLATED)
		return;
}

static void
sweep_all(struct nat *nat, struct mono at)
{
	for (int i = 0; i < 40; i++)
		if (nat_sweep(nat, at, 1024) > 0)
			nat_release(nat);
}

// The only flow is in the first row.
static void
expire_flow(struct nat *nat)
{
	nat_sweep(nat, later, 1);
	nat_release(nat);
}

// The flows have been swept: the next is the mapping.
static void
sweep_flows(struct nat *nat)
{
	for (uint32_t i = 0; i < memory->flows_end; i += 256) {
		nat_sweep(nat, later, 256);
		nat_release(nat);
	}
}

// What happened, all of it but for the last step: the number of instructions that were done, or -1.
static int
run_and_kill(void (*prepare)(struct nat *), void (*run)(struct nat *), int steps)
{
	struct nat *nat = fixture_use(memory);
	int status, done = 0;
	pid_t pid;

	if (prepare != NULL)
		prepare(nat);
	fixture_packet("udp 100.64.0.1:61500 192.168.77.9:53", &outbound);
	pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(2);
		raise(SIGSTOP);
		run(nat);
		_exit(0);
	}
	nat_leave(nat);
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -1;
	while (done < steps && ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0) {
		done++;
		if (waitpid(pid, &status, 0) != pid)
			return -1;
		if (!WIFSTOPPED(status))
			return done;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return done;
}

// Rows that are neither live nor free, after everything was swept.
static unsigned
count_litter(void)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < memory->flows_end; i++)
		n += memory->flows[i].state != NAT_FREE && memory->flows[i].state != NAT_LIVE;
	for (uint32_t port = 61000; port < 65536; port++) {
		uint32_t state = memory->mappings[0][1][port].state;

		n += state != NAT_FREE && state != NAT_LIVE;
	}
	return n;
}

static unsigned
count_words(void)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < NAT_BUCKETS; i++)
		for (unsigned k = 0; k < NAT_WAYS; k++)
			n += memory->index[i].word[k] != 0;
	return n;
}

struct wrong {
	unsigned flow, twin, back, litter, words;
};

// The successor goes on, whatever it finds.
static void
judge(struct mono at, struct wrong *wrong)
{
	struct nat *nat = fixture_use(memory);
	struct nat_local local = {};
	struct fixture_packet back;
	char text[256], twin[256];

	wrong->flow +=
		send_out(nat, "udp 100.64.0.1:61500 192.168.77.9:53", at, text) != NAT_TRANSLATED;
	wrong->twin +=
		send_out(nat, "udp 100.64.0.2:61500 192.168.77.9:53", at, twin) != NAT_TRANSLATED ||
		strcmp(text, twin) == 0;
	// "udp 192.168.77.1:PORT 192.168.77.9:53", answered.
	snprintf(twin, sizeof(twin), "udp 192.168.77.9:53 192.168.77.1:%lu",
		strtoul(strchr(text, ':') + 1, NULL, 10));
	fixture_packet(twin, &back);
	wrong->back += nat_to_tunnel(nat, &local, back.bytes, &back.view, at) != NAT_TRANSLATED ||
	               back.bytes[19] != 1;
	sweep_all(nat, at);
	wrong->litter += count_litter();
	nat_leave(nat);
}

static void
start_memory(bool with_flow)
{
	memory = fixture_memory();
	if (with_flow) {
		struct nat *nat = fixture_use(memory);

		fixture_packet("udp 100.64.0.1:61500 192.168.77.9:53", &outbound);
		begin_flow(nat);
		nat_leave(nat);
	}
}

static void
test_deaths(const char *what,
	void (*prepare)(struct nat *),
	void (*run)(struct nat *),
	bool with_flow,
	struct mono at)
{
	struct wrong wrong = {};
	int n = 0, done = 0, steps, whole;
	bool is_over = false;

	start_memory(with_flow);
	whole = run_and_kill(prepare, run, MAX_STEPS);
	fixture_memory_free(memory);
	for (steps = 1; steps < MAX_STEPS && !is_over; steps += 1 + whole / DEATHS) {
		start_memory(with_flow);
		done = run_and_kill(prepare, run, steps);
		if (done < 0) {
			fixture_memory_free(memory);
			tap_skip(what, "processes cannot be traced here");
			return;
		}
		is_over = done < steps;
		judge(at, &wrong);
		fixture_memory_free(memory);
		n++;
	}
	printf("# %s: %d deaths, up to instruction %d\n", what, n, done);
	tap_int(wrong.flow, 0, "the flow is there or can be begun");
	tap_int(wrong.twin, 0, "nobody else has its port");
	tap_int(wrong.back, 0, "its answers come back");
	tap_int(wrong.litter, 0, "nothing is lost");
}

// After all flows have expired the index is empty: no word of a dead writer stays.
static void
test_nothing_stays(void)
{
	struct nat *nat;

	start_memory(false);
	for (int steps = 300; steps < 2000; steps += 200)
		if (run_and_kill(NULL, begin_flow, steps) < 0) {
			tap_skip("nothing stays", "processes cannot be traced here");
			fixture_memory_free(memory);
			return;
		}
	nat = fixture_use(memory);
	sweep_all(nat, later);
	tap_int(count_words(), 0, "the index is empty when all flows have expired");
	tap_int(count_litter(), 0, "and all rows are free");
	nat_leave(nat);
	fixture_memory_free(memory);
}

int
main(void)
{
	test_deaths("beginning a flow", NULL, begin_flow, false, now);
	test_deaths("a packet of a flow", NULL, begin_flow, true, now);
	test_deaths("a flow expires", NULL, expire_flow, true, later);
	test_deaths("a mapping expires", sweep_flows, expire_flow, true, later);
	test_nothing_stays();
	return tap_done();
}
