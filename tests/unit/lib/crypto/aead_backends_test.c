/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One back end of the AEAD (argv[1]: its name) against libsodium: all lengths, alignments, bursts,
 * forgeries; what lies around packets and keys; threads; the worker's sandbox.
 *
 * SLUICE_TEST_JOBS: how many random packets (a million).  SLUICE_TEST_SEED: another seed.
 * SLUICE_TEST_EMULATED=1: an emulator runs this, a hundred times slower: a sample of everything.
 */

#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <sodium.h>

#include "lib/crypto/aead_backend.h"
#include "lib/crypto/key.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/crypto/aead_arena.h"

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

static struct arena *arena;

// How much less is done where everything is slow.
static enum {
	FULL,
	THIN,
	THINNEST
} thinness = IS_SANITIZED ? THIN : FULL;

static uint64_t
setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

/* ---- lengths and alignments ---- */

// RFC 8439 section 2.4.2: the cipher's nonce begins with four zero bytes, so its text is also what
// the AEAD makes of it.
static void
test_rfc8439_cipher(const struct aead_backend *backend)
{
	static const char plain[] =
		"Ladies and Gentlemen of the class of '99: If I could offer you "
		"only one tip for the future, sunscreen would be it.";
	static const uint8_t wanted[sizeof(plain) - 1] = { 0x6e, 0x2e, 0x35, 0x9a, 0x25, 0x68, 0xf9,
		0x80, 0x41, 0xba, 0x07, 0x28, 0xdd, 0x0d, 0x69, 0x81, 0xe9, 0x7e, 0x7a, 0xec, 0x1d,
		0x43, 0x60, 0xc2, 0x0a, 0x27, 0xaf, 0xcc, 0xfd, 0x9f, 0xae, 0x0b, 0xf9, 0x1b, 0x65,
		0xc5, 0x52, 0x47, 0x33, 0xab, 0x8f, 0x59, 0x3d, 0xab, 0xcd, 0x62, 0xb3, 0x57, 0x16,
		0x39, 0xd6, 0x24, 0xe6, 0x51, 0x52, 0xab, 0x8f, 0x53, 0x0c, 0x35, 0x9f, 0x08, 0x61,
		0xd8, 0x07, 0xca, 0x0d, 0xbf, 0x50, 0x0d, 0x6a, 0x61, 0x56, 0xa3, 0x8e, 0x08, 0x8a,
		0x22, 0xb6, 0x5e, 0x52, 0xbc, 0x51, 0x4d, 0x16, 0xcc, 0xf8, 0x06, 0x81, 0x8c, 0xe9,
		0x1a, 0xb7, 0x79, 0x37, 0x36, 0x5a, 0xf9, 0x0b, 0xbf, 0x74, 0xa3, 0x5b, 0xe6, 0xb4,
		0x0b, 0x8e, 0xed, 0xf2, 0x78, 0x5e, 0x42, 0x87, 0x4d };
	uint8_t key[AEAD_KEY_LEN], data[sizeof(wanted) + AEAD_TAG_LEN];
	struct aead_job job = { data, key, 0x4a000000, sizeof(wanted), false };

	for (int i = 0; i < AEAD_KEY_LEN; i++)
		key[i] = (uint8_t)i;
	memcpy(data, plain, sizeof(wanted));
	backend->seal(&job, 1);
	tap_bytes(data, wanted, sizeof(wanted), "RFC 8439 section 2.4.2");
	backend->open(&job, 1);
	tap_ok(job.ok && memcmp(data, plain, sizeof(wanted)) == 0, "and back");
}

// n packets of one length, in turn at either end of their regions; sealed, one forged, opened.
static int
count_wrong_of_length(const struct aead_backend *backend, size_t n, uint32_t len, size_t turn)
{
	int wrong;

	for (size_t i = 0; i < n; i++) {
		if ((i + turn) % 2 == 0)
			arena_put(arena, i, 0, len);
		else
			arena_put_last(arena, i, len);
	}
	wrong = arena_seal(arena, backend, n);
	arena_forge(arena, arena_random(arena) % n, false);
	wrong += arena_open(arena, backend, n);
	// Alone, it was the forged one.
	if (n == 1) {
		arena_put_last(arena, 0, len);
		wrong += arena_seal(arena, backend, 1) + arena_open(arena, backend, 1);
	}
	return wrong;
}

#define DENSE_LEN 2112 /* up to here every length */

static bool
is_length_tested(uint32_t len)
{
	bool at_block = len % 64 <= 1 || len % 64 == 63;

	if (len > DENSE_LEN)
		return thinness == THINNEST ? len % 1531 == 0
		                            : len % 61 == 0 || (at_block && len % 256 < 64);
	switch (thinness) {
	case FULL:
		return true;
	case THIN:
		return at_block || len % 7 == 0;
	default:
		return len < 64 ? len % 5 == 0 : (at_block && len < 600) || len % 97 == 0;
	}
}

static void
test_lengths(const struct aead_backend *backend)
{
	static const size_t ns[] = { 1, 2, 8, 20 };
	for (size_t k = 0; k < sizeof(ns) / sizeof(ns[0]); k++) {
		int wrong = 0, first = -1;

		for (uint32_t len = 0; len <= ARENA_MAX_LEN; len++) {
			if (!is_length_tested(len))
				continue;
			wrong += count_wrong_of_length(backend, ns[k], len, len);
			if (wrong != 0 && first < 0)
				first = (int)len;
		}
		if (!tap_ok(wrong == 0, "lengths 0 to %d, %zu at a time, between guard pages",
			    ARENA_MAX_LEN, ns[k]))
			printf("# %d packets are wrong, the first of length %d\n", wrong, first);
	}
}

static void
test_alignments(const struct aead_backend *backend)
{
	static const uint32_t lens[] = { 0, 1, 15, 16, 17, 31, 33, 63, 64, 65, 100, 128, 129, 191,
		255, 352, 511, 512, 513, 1023, 1025, 1420, 2049 };
	static const size_t ns[] = { 1, 17 };

	for (size_t k = 0; k < sizeof(ns) / sizeof(ns[0]); k++) {
		int wrong = 0;

		for (size_t l = 0; l < sizeof(lens) / sizeof(lens[0]); l++) {
			for (size_t shift = 0; shift < 64; shift += thinness == THINNEST ? 13 : 1) {
				for (size_t i = 0; i < ns[k]; i++)
					arena_put(arena, i, (shift + i * 5) % 64, lens[l]);
				wrong += arena_seal(arena, backend, ns[k]);
				wrong += arena_open(arena, backend, ns[k]);
			}
		}
		tap_ok(wrong == 0, "64 alignments of %zu lengths, %zu at a time",
			sizeof(lens) / sizeof(lens[0]), ns[k]);
	}
}

/* ---- bursts ---- */

// Mostly small packets and the neighbours of block sizes, sometimes anything.
static uint32_t
random_len(void)
{
	uint64_t r = arena_random(arena);
	uint32_t pick = (uint32_t)(r >> 32);

	switch (r % 32) {
	case 0:
		return pick % (ARENA_MAX_LEN + 1);
	case 1:
	case 2:
		return pick % 1501;
	case 3:
	case 4:
		return 1424;
	case 5:
	case 6:
	case 7:
	case 8: {
		uint32_t len = pick % 34 * 64 + pick / 64 % 3;

		return len - (len > 0);
	}
	case 9:
	case 10:
	case 11:
	case 12:
		return pick % 26 * 16;
	default:
		return pick % 300;
	}
}

static void
put_random(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t len = random_len();

		if (arena_random(arena) % 4 == 0)
			arena_put_last(arena, i, len);
		else
			arena_put(arena, i, arena_random(arena) % 128, len);
		if (i > 0 && arena_random(arena) % 4 == 0)
			arena_share_key(arena, i, arena_random(arena) % i);
	}
}

static int
count_wrong_in_burst(const struct aead_backend *backend, size_t n, unsigned forged_of_16)
{
	int wrong;

	put_random(n);
	wrong = arena_seal(arena, backend, n);
	for (size_t i = 0; i < n; i++)
		if (arena_random(arena) % 16 < forged_of_16)
			arena_forge(arena, i, arena_random(arena) % 2);
	return wrong + arena_open(arena, backend, n);
}

static void
test_burst_sizes(const struct aead_backend *backend)
{
	int wrong = 0;

	for (size_t n = 0; n <= ARENA_BURST; n += thinness == THINNEST && n > 20 ? 11 : 1)
		for (unsigned forged_of_16 = 0; forged_of_16 <= 16;
			forged_of_16 += thinness == THINNEST ? 8 : 4)
			wrong += count_wrong_in_burst(backend, n, forged_of_16);
	tap_ok(wrong == 0, "bursts of 0 to %d, lengths and keys mixed", ARENA_BURST);
}

// Bursts of any size, mostly of one packet, a few, or a worker's.
static size_t
random_burst(void)
{
	uint64_t r = arena_random(arena);
	size_t pick = (size_t)(r >> 32);

	switch (r % 8) {
	case 0:
		return 1 + pick % ARENA_BURST;
	case 1:
	case 2:
		return 1 + pick % 4;
	case 3:
		return 64;
	default:
		return 1 + pick % 40;
	}
}

static void
test_random_jobs(const struct aead_backend *backend)
{
	uint64_t jobs = setting("SLUICE_TEST_JOBS", thinness == FULL   ? 1000000
						    : thinness == THIN ? 100000
								       : 2000),
		 done = 0;

	while (done < jobs) {
		uint64_t seed = arena->random;
		size_t n = random_burst();

		if (count_wrong_in_burst(backend, n, arena_random(arena) % 8 == 0 ? 5 : 0) != 0) {
			printf("# a burst of %zu; again with SLUICE_TEST_SEED=0x%" PRIx64 "\n", n,
				seed);
			break;
		}
		done += n;
	}
	tap_ok(done >= jobs, "%" PRIu64 " random packets are as libsodium's", done);
}

/* ---- forgeries ---- */

static void
put_mixed(size_t n, uint32_t len)
{
	// One length, or neighbours that are longer and shorter.
	for (size_t i = 0; i < n; i++)
		arena_put_last(arena, i, len != UINT32_MAX ? len : (uint32_t)(i * 173 % 1500));
}

static int
count_wrong_verdicts(const struct aead_backend *backend, size_t n, uint32_t len)
{
	int wrong = 0;

	// One is forged, at each place, in its text and in its tag; then all but that one.
	for (size_t place = 0; place < n; place++) {
		for (int turn = 0; turn < 3; turn++) {
			put_mixed(n, len);
			wrong += arena_seal(arena, backend, n);
			for (size_t i = 0; i < n; i++)
				if ((i == place) == (turn < 2))
					arena_forge(arena, i, turn == 1);
			wrong += arena_open(arena, backend, n);
		}
	}
	return wrong;
}

static void
test_forged_places(const struct aead_backend *backend)
{
	static const size_t ns[] = { 1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 64, 65 };
	static const uint32_t lens[] = { 0, 1, 64, 352, 1424, UINT32_MAX };
	int wrong = 0;

	for (size_t k = 0; k < sizeof(ns) / sizeof(ns[0]); k++)
		for (size_t l = 0; l < sizeof(lens) / sizeof(lens[0]); l++)
			if (thinness == FULL || ns[k] < (thinness == THIN ? 32 : 10) ||
				(thinness == THIN && lens[l] == UINT32_MAX))
				wrong += count_wrong_verdicts(backend, ns[k], lens[l]);
	tap_int(wrong, 0,
		"forged at each place of bursts of 1 to 65, or all others forged: packets "
		"with a wrong verdict, or not left as they were");
}

// Every single bit of a packet among others.
static void
test_forged_bits(const struct aead_backend *backend)
{
	static const uint32_t lens[] = { 0, 1, 16, 65, 129 };
	int wrong = 0;

	for (size_t l = 0; l < sizeof(lens) / sizeof(lens[0]); l++) {
		for (size_t bit = 0; bit < (lens[l] + AEAD_TAG_LEN) * 8;
			bit += thinness == THINNEST ? 11 : 1) {
			put_mixed(3, lens[l]);
			wrong += arena_seal(arena, backend, 3);
			arena->jobs[1].data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			arena->twins[1].data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			arena->forged[1] = true;
			wrong += arena_open(arena, backend, 3);
		}
	}
	tap_int(wrong, 0, "each bit forged in turn: packets with a wrong verdict");
}

// As long as the interface allows, alone and with others.
static void
test_longest(const struct aead_backend *backend)
{
	size_t step = AEAD_MAX_LEN + AEAD_TAG_LEN;
	uint8_t *p = calloc(6, step), key[AEAD_KEY_LEN] = { 7 };
	struct aead_job jobs[3], twins[3];

	for (size_t n = 1; n <= 3; n += 2) {
		memset(p, (int)n, 6 * step);
		for (size_t i = 0; i < n; i++) {
			jobs[i] = (struct aead_job){ p + i * step, key, i,
				(uint32_t)(AEAD_MAX_LEN - i * 4097), false };
			twins[i] = jobs[i];
			twins[i].data += 3 * step;
		}
		backend->seal(jobs, n);
		aead_sodium.seal(twins, n);
		tap_ok(memcmp(p, p + 3 * step, 3 * step) == 0, "%zu of 65,535 bytes or less", n);
		backend->open(jobs, n);
		tap_ok(jobs[0].ok && jobs[n - 1].ok && p[0] == n && p[AEAD_MAX_LEN - 1] == n &&
				memcmp(p, p + 1, AEAD_MAX_LEN - 1) == 0,
			"and back");
	}
	free(p);
}

static void
test_counter_and_key(const struct aead_backend *backend)
{
	uint8_t key[AEAD_KEY_LEN] = { 1 }, other[AEAD_KEY_LEN] = { 2 };
	uint8_t data[32 + AEAD_TAG_LEN] = { 0 };
	struct aead_job job = { data, key, 1, 32, false };

	backend->seal(&job, 1);
	job.key = other;
	backend->open(&job, 1);
	tap_ok(!job.ok, "another key opens nothing");
	job.key = key;
	job.counter = UINT64_C(1) << 32 | 1;
	backend->open(&job, 1);
	tap_ok(!job.ok, "nor does another counter");
	job.counter = 1;
	backend->open(&job, 1);
	tap_ok(job.ok && sodium_is_zero(data, 32), "after both it opens: it was left as it was");
	job.ok = true;
	backend->seal(&job, 0);
	backend->open(&job, 0);
	tap_ok(job.ok && sodium_is_zero(data, 32), "a burst of none touches nothing");
}

/* ---- threads ---- */

static void *
burst_for_a_while(void *arg)
{
	const struct aead_backend *backend = arg;
	struct arena *a = arena_create((uint64_t)(uintptr_t)&backend);
	int wrong = 0;

	for (int round = 0; round < 500; round++) {
		size_t n = 1 + arena_random(a) % 40;

		for (size_t i = 0; i < n; i++)
			arena_put(a, i, 3, (uint32_t)(arena_random(a) % 700));
		wrong += arena_seal(a, backend, n) + arena_open(a, backend, n);
	}
	return wrong == 0 ? arg : NULL;
}

static void
test_threads(const struct aead_backend *backend)
{
	pthread_t threads[3];
	void *right;

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, burst_for_a_while, (void *)(uintptr_t)backend);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &right);
		tap_ok(right != NULL, "thread %d worked undisturbed by the others", i);
	}
}

/* ---- what a worker may do behind its seccomp filter ---- */

// In a child that may only read, write and end: any other call kills it.
static void
burst_in_strict_mode(const struct aead_backend *backend)
{
	static uint8_t data[16][1420 + AEAD_TAG_LEN], key[AEAD_KEY_LEN];
	struct aead_job jobs[16];

	for (uint32_t i = 0; i < 16; i++)
		jobs[i] = (struct aead_job){ data[i], key, i, i * 90, false };
	backend->seal(jobs, 1); // a thread's first burst may allocate
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
		syscall(SYS_exit, 2);
	backend->seal(jobs, 16);
	backend->open(jobs, 16);
	syscall(SYS_exit, jobs[15].ok ? 0 : 1);
}

static void *
seal_once(void *arg)
{
	const struct aead_backend *backend = arg;
	uint8_t data[5 + AEAD_TAG_LEN] = "hello", key[AEAD_KEY_LEN] = { 1 };
	struct aead_job job = { data, key, 0, 5, false };

	backend->seal(&job, 1);
	backend->open(&job, 1);
	return job.ok ? arg : NULL;
}

// In a child, whose new thread prepares itself without opening anything.
static void
start_thread_without_open(const struct aead_backend *backend)
{
	static struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };
	pthread_t thread;
	void *right = NULL;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(2);
	if (pthread_create(&thread, NULL, seal_once, (void *)(uintptr_t)backend) != 0)
		_exit(3);
	pthread_join(thread, &right);
	_exit(right != NULL ? 0 : 1);
}

static void
test_in_child(void (*run)(const struct aead_backend *),
	const struct aead_backend *backend,
	const char *what)
{
	pid_t child = fork();
	int status = -1;

	if (child == 0) {
		run(backend);
		_exit(4);
	}
	if (!tap_ok(child > 0 && waitpid(child, &status, 0) == child, "a child runs"))
		return;
	tap_int(status, 0, what);
}

static void
test_sandbox(const struct aead_backend *backend)
{
	test_in_child(burst_in_strict_mode, backend, "a burst makes no system call");
	test_in_child(start_thread_without_open, backend, "a thread's first burst opens nothing");
}

static const struct aead_backend *
find(const char *name)
{
	const struct aead_choice *choice = aead_choice();

	if (crypto_init() < 0 || aead_init(NULL) < 0) {
		tap_ok(false, "the library works");
		return NULL;
	}
	for (size_t i = 0; i < choice->n_candidates; i++) {
		if (strcmp(choice->candidates[i].name, name) != 0)
			continue;
		if (choice->candidates[i].presence == AEAD_MISSING)
			tap_skip(name, "not in this build or not for this CPU");
		else
			tap_ok(choice->candidates[i].presence == AEAD_WORKS,
				"%s gives the known answers", name);
		return aead_find(name);
	}
	tap_ok(false, "there is a back end named %s", name);
	return NULL;
}

int
main(int argc, char **argv)
{
	const struct aead_backend *backend = argc > 1 ? find(argv[1]) : NULL;
	uint64_t seed = setting("SLUICE_TEST_SEED", 0x510ce);
	bool emulated = setting("SLUICE_TEST_EMULATED", 0) != 0;

	if (argc < 2)
		tap_ok(false, "a back end's name is given");
	if (backend == NULL)
		return tap_done();
	if (emulated)
		thinness = THINNEST;
	printf("# seed 0x%" PRIx64 "\n", seed);
	arena = arena_create(seed);
	test_rfc8439_cipher(backend);
	test_lengths(backend);
	test_alignments(backend);
	test_burst_sizes(backend);
	test_forged_places(backend);
	test_forged_bits(backend);
	test_longest(backend);
	test_counter_and_key(backend);
	arena->random = seed != 0 ? seed : 1; // a failure's seed leads straight to its burst
	test_random_jobs(backend);
	if (emulated) {
		tap_skip("threads and sandbox", "an emulator makes system calls of its own");
		return tap_done();
	}
	test_threads(backend);
	test_sandbox(backend);
	return tap_done();
}
