/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The AEAD, every back end of it.  Sources: RFC 8439 section 2.4.2 and appendix A.5 (the nonces of
 * the examples in 2.8.2 and A.3 are not WireGuard's; 2.8.2 checks the generator of the known
 * answers, tests/vectors/aead_known_answers.py); draft-irtf-cfrg-xchacha-03 appendix A.3.1.
 */

#include "lib/crypto/aead.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <sodium.h>

#include "lib/base/err.h"
#include "lib/crypto/aead_backend.h"
#include "lib/crypto/key.h"
#include "tests/lib/tap.h"

static const char sunscreen[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
				"only one tip for the future, sunscreen would be it.";
#define SUNSCREEN_LEN (sizeof(sunscreen) - 1)

static size_t
from_hex(uint8_t *out, size_t size, const char *hex)
{
	size_t len = 0;

	if (sodium_hex2bin(out, size, hex, strlen(hex), " ", &len, NULL) != 0)
		tap_ok(false, "the vector is hex: %s", hex);
	return len;
}

/* A reproducible sequence, not a good one (xorshift64*). */
static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static void
fill_random(uint64_t *state, uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(next_random(state) >> 56);
}

/* ---- published vectors ---- */

// RFC 8439 section 2.4.2: the cipher's nonce begins with four zero bytes, so its text is also what
// the AEAD makes of it.
static void
test_rfc8439_cipher(const struct aead_backend *backend)
{
	uint8_t key[AEAD_KEY_LEN], wanted[SUNSCREEN_LEN], data[SUNSCREEN_LEN + AEAD_TAG_LEN];
	struct aead_job job = {
		.data = data, .key = key, .counter = 0x4a000000, .len = SUNSCREEN_LEN
	};

	for (int i = 0; i < AEAD_KEY_LEN; i++)
		key[i] = (uint8_t)i;
	from_hex(wanted, sizeof(wanted),
		"6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b"
		"f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8"
		"07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736"
		"5af90bbf74a35be6b40b8eedf2785e42874d");
	memcpy(data, sunscreen, SUNSCREEN_LEN);
	backend->seal(&job, 1);
	tap_bytes(data, wanted, SUNSCREEN_LEN, "RFC 8439 section 2.4.2");
	backend->open(&job, 1);
	tap_ok(job.ok && memcmp(data, sunscreen, SUNSCREEN_LEN) == 0, "and back");
}

static void
test_rfc8439_a5(void)
{
	static const char begin[] = "Internet-Drafts are draft documents";
	uint8_t key[AEAD_KEY_LEN], ad[12], sealed[512], got[512], again[512];
	uint64_t counter = UINT64_C(0x0807060504030201);
	size_t len;

	from_hex(key, sizeof(key),
		"1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
	from_hex(ad, sizeof(ad), "f33388860000000000004e91");
	len = from_hex(sealed, sizeof(sealed),
		"64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"
		"4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf"
		"332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
		"9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4"
		"b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
		"af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
		"0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
		"49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29"
		"a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38");
	tap_int(aead_open_one(got, sealed, len, ad, sizeof(ad), counter, key), 0,
		"RFC 8439 appendix A.5 opens");
	tap_ok(memcmp(got, begin, sizeof(begin) - 1) == 0, "and says what it should");
	aead_seal_one(again, got, len - AEAD_TAG_LEN, ad, sizeof(ad), counter, key);
	tap_bytes(again, sealed, len, "and seals to the same");
}

static void
test_xchacha(void)
{
	uint8_t key[AEAD_KEY_LEN], nonce[XAEAD_NONCE_LEN], ad[12], sealed[160], got[160];
	size_t len;

	for (int i = 0; i < AEAD_KEY_LEN; i++)
		key[i] = (uint8_t)(0x80 + i);
	for (int i = 0; i < XAEAD_NONCE_LEN; i++)
		nonce[i] = (uint8_t)(0x40 + i);
	from_hex(ad, sizeof(ad), "50515253c0c1c2c3c4c5c6c7");
	len = from_hex(sealed, sizeof(sealed),
		"bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
		"731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
		"2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
		"21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49");
	tap_int((long long)len, SUNSCREEN_LEN + AEAD_TAG_LEN, "the vector is whole");
	xaead_seal_one(got, (const uint8_t *)sunscreen, SUNSCREEN_LEN, ad, sizeof(ad), nonce, key);
	tap_bytes(got, sealed, len, "XChaCha20-Poly1305, appendix A.3.1");
	tap_int(xaead_open_one(got, got, len, ad, sizeof(ad), nonce, key), 0, "opens in place");
	tap_bytes(got, sunscreen, SUNSCREEN_LEN, "to what it was");
	sealed[len - 1] ^= 1;
	tap_int(xaead_open_one(got, sealed, len, ad, sizeof(ad), nonce, key), ERR_BAD_MAC,
		"forged");
	tap_ok(sodium_is_zero(got, SUNSCREEN_LEN), "what was refused is zeroed");
	tap_int(xaead_open_one(got, sealed, AEAD_TAG_LEN - 1, ad, sizeof(ad), nonce, key),
		ERR_TRUNCATED, "shorter than a tag");
}

/* ---- single messages ---- */

static void
test_one(void)
{
	uint8_t key[AEAD_KEY_LEN] = { 1, 2, 3 }, ad[32] = { 4 }, plain[32] = { 5 }, sealed[48],
		got[48];
	uint8_t tag_only[AEAD_TAG_LEN];
	int opened = 0, dirty = 0;

	aead_seal_one(sealed, plain, sizeof(plain), ad, sizeof(ad), 0, key);
	for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memset(got, 0xff, sizeof(got));
		opened += aead_open_one(got, sealed, sizeof(sealed), ad, sizeof(ad), 0, key) !=
		          ERR_BAD_MAC;
		dirty += !sodium_is_zero(got, sizeof(plain));
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	tap_int(opened, 0, "messages that opened with one bit wrong");
	tap_int(dirty, 0, "refused messages that left something");
	for (size_t len = 0; len < AEAD_TAG_LEN; len++)
		opened += aead_open_one(got, sealed, len, ad, sizeof(ad), 0, key) != ERR_TRUNCATED;
	tap_int(opened, 0, "messages shorter than a tag that were not called truncated");
	tap_int(aead_open_one(got, sealed, sizeof(sealed), ad, sizeof(ad), 1, key), ERR_BAD_MAC,
		"another counter");
	tap_int(aead_open_one(got, sealed, sizeof(sealed), ad, sizeof(ad) - 1, 0, key), ERR_BAD_MAC,
		"less associated data");
	tap_int(aead_open_one(sealed, sealed, sizeof(sealed), ad, sizeof(ad), 0, key), 0,
		"untouched, and in place");
	tap_bytes(sealed, plain, sizeof(plain), "the plaintext");

	aead_seal_one(tag_only, NULL, 0, ad, sizeof(ad), 0, key);
	tap_int(aead_open_one(NULL, tag_only, sizeof(tag_only), ad, sizeof(ad), 0, key), 0,
		"nothing at all can be sealed and opened");
	tag_only[3] ^= 4;
	tap_int(aead_open_one(NULL, tag_only, sizeof(tag_only), ad, sizeof(ad), 0, key),
		ERR_BAD_MAC, "a forged nothing");
}

/* ---- bursts, against libsodium ---- */

#define GUARD    16 /* bytes around each packet that nobody may write */
#define MAX_DATA 9216
#define SLOT     (GUARD + 64 + MAX_DATA + AEAD_TAG_LEN + GUARD)

struct arena {
	struct aead_job jobs[AEAD_BURST], twins[AEAD_BURST];
	uint8_t keys[AEAD_BURST][AEAD_KEY_LEN];
	uint8_t plain[AEAD_BURST][MAX_DATA];
	uint8_t data[AEAD_BURST][SLOT], twin_data[AEAD_BURST][SLOT];
};

// Mostly small packets and the neighbours of block sizes, sometimes anything.
static uint32_t
random_len(uint64_t *state)
{
	uint64_t r = next_random(state);

	switch (r >> 61) {
	case 0:
		return (uint32_t)(r % (MAX_DATA + 1));
	case 1:
		return (uint32_t)(r % 33 * 64 + (r >> 8) % 3 - (r % 33 != 0));
	case 2:
		return (uint32_t)(r % 1500);
	default:
		return (uint32_t)(r % 300);
	}
}

static void
arena_fill(struct arena *a, size_t n, uint64_t *state)
{
	fill_random(state, a->keys[0], n * AEAD_KEY_LEN);
	for (size_t i = 0; i < n; i++) {
		size_t shift = GUARD + next_random(state) % 64;
		struct aead_job job = { .data = a->data[i] + shift,
			.key = a->keys[i],
			.counter = next_random(state),
			.len = random_len(state),
			.ok = next_random(state) & 1 };

		fill_random(state, a->plain[i], job.len);
		memset(a->data[i], 0xa5, SLOT);
		memcpy(job.data, a->plain[i], job.len);
		memcpy(a->twin_data[i], a->data[i], SLOT);
		a->jobs[i] = a->twins[i] = job;
		a->twins[i].data = a->twin_data[i] + shift;
	}
}

static bool
is_guard_whole(const struct arena *a, size_t i)
{
	const uint8_t *end = a->jobs[i].data + a->jobs[i].len + AEAD_TAG_LEN;

	for (const uint8_t *p = a->data[i]; p < a->data[i] + SLOT; p++) {
		if ((p < a->jobs[i].data || p >= end) && *p != 0xa5)
			return false;
	}
	return true;
}

// Returns how many packets came out wrong.
static int
count_wrong_seals(struct arena *a, const struct aead_backend *backend, size_t n)
{
	int wrong = 0;

	backend->seal(a->jobs, n);
	aead_sodium.seal(a->twins, n);
	for (size_t i = 0; i < n; i++)
		wrong += memcmp(a->data[i], a->twin_data[i], SLOT) != 0; // guards too
	return wrong;
}

// A third of the packets is spoilt first.
static int
count_wrong_opens(struct arena *a, const struct aead_backend *backend, size_t n, uint64_t *state)
{
	bool spoilt[AEAD_BURST];
	int wrong = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t r = next_random(state);

		spoilt[i] = r % 3 == 0;
		if (spoilt[i])
			a->jobs[i].data[(r >> 8) % (a->jobs[i].len + AEAD_TAG_LEN)] ^=
				(uint8_t)(1 << (r >> 4) % 8);
	}
	backend->open(a->jobs, n);
	for (size_t i = 0; i < n; i++) {
		wrong += a->jobs[i].ok == spoilt[i];
		wrong += !spoilt[i] && memcmp(a->jobs[i].data, a->plain[i], a->jobs[i].len) != 0;
		wrong += !is_guard_whole(a, i);
	}
	return wrong;
}

static void
test_bursts(const struct aead_backend *backend)
{
	struct arena *a = malloc(sizeof(*a));
	uint64_t state = 0x510ce;
	int wrong_seals = 0, wrong_opens = 0, packets = 0;

	if (!tap_ok(a != NULL, "memory for the packets"))
		return;
	for (int round = 0; round < 3000; round++) {
		size_t n = round % 500 == 0 ? AEAD_BURST : next_random(&state) % 9;

		arena_fill(a, n, &state);
		wrong_seals += count_wrong_seals(a, backend, n);
		wrong_opens += count_wrong_opens(a, backend, n, &state);
		packets += (int)n;
	}
	tap_int(wrong_seals, 0, "packets that differ from libsodium's, or wrote beyond their end");
	tap_int(wrong_opens, 0,
		"packets opened wrongly, or refused wrongly, or with a broken guard");
	tap_ok(packets > 10000, "%d packets were compared", packets);
	free(a);
}

// Longest job that the interface allows.
static void
test_longest(const struct aead_backend *backend)
{
	uint8_t *p = calloc(2, AEAD_MAX_LEN + AEAD_TAG_LEN);
	uint8_t *twin = p + AEAD_MAX_LEN + AEAD_TAG_LEN;
	uint8_t key[AEAD_KEY_LEN] = { 7 };
	struct aead_job job = { .data = p, .key = key, .counter = 8, .len = AEAD_MAX_LEN };
	struct aead_job twin_job = { .data = twin, .key = key, .counter = 8, .len = AEAD_MAX_LEN };

	backend->seal(&job, 1);
	aead_sodium.seal(&twin_job, 1);
	tap_ok(memcmp(p, twin, AEAD_MAX_LEN + AEAD_TAG_LEN) == 0, "65535 bytes");
	backend->open(&job, 1);
	tap_ok(job.ok && sodium_is_zero(p, AEAD_MAX_LEN), "and back");
	free(p);
}

/* ---- forgeries ---- */

#define FORGED_LEN 65
#define NEIGHBOURS 3

// Three packets, one bit of the middle one wrong; every bit in turn.
static int
count_forgeries(const struct aead_backend *backend, uint32_t len, int *ret_neighbours_hurt)
{
	uint8_t keys[NEIGHBOURS][AEAD_KEY_LEN], sealed[NEIGHBOURS][FORGED_LEN + AEAD_TAG_LEN],
		data[NEIGHBOURS][FORGED_LEN + AEAD_TAG_LEN], zeros[FORGED_LEN] = { 0 };
	struct aead_job jobs[NEIGHBOURS];
	int accepted = 0;

	memset(sealed, 0, sizeof(sealed));
	for (int i = 0; i < NEIGHBOURS; i++) {
		memset(keys[i], 'a' + i, AEAD_KEY_LEN);
		jobs[i] = (struct aead_job){ sealed[i], keys[i], UINT64_MAX - (uint64_t)i, len,
			false };
	}
	backend->seal(jobs, NEIGHBOURS);
	for (size_t bit = 0; bit < (len + AEAD_TAG_LEN) * 8; bit++) {
		memcpy(data, sealed, sizeof(data));
		for (int i = 0; i < NEIGHBOURS; i++) {
			jobs[i].data = data[i];
			jobs[i].ok = i == 1;
		}
		data[1][bit / 8] ^= (uint8_t)(1 << bit % 8);
		backend->open(jobs, NEIGHBOURS);
		accepted += jobs[1].ok;
		*ret_neighbours_hurt += !jobs[0].ok || !jobs[2].ok ||
		                        memcmp(data[0], zeros, len) != 0 ||
		                        memcmp(data[2], zeros, len) != 0;
	}
	return accepted;
}

static void
test_forgeries(const struct aead_backend *backend)
{
	static const uint32_t lens[] = { 0, 1, 16, FORGED_LEN };

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		int hurt = 0;

		tap_int(count_forgeries(backend, lens[i], &hurt), 0,
			"forged packets that were accepted");
		tap_int(hurt, 0, "neighbours of a forged packet that were not opened");
	}
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

	memset(data, 0, sizeof(data));
	job.key = key;
	backend->seal(&job, 1);
	job.counter = UINT64_C(1) << 32;
	backend->open(&job, 1);
	tap_ok(!job.ok, "nor does another counter");

	job.ok = true;
	backend->seal(&job, 0);
	backend->open(&job, 0);
	tap_ok(job.ok, "a burst of none touches nothing");
}

/* ---- threads ---- */

static void *
burst_for_a_while(void *arg)
{
	const struct aead_backend *backend = arg;
	struct arena *a = malloc(sizeof(*a));
	uint64_t state = (uint64_t)(uintptr_t)&state | 1;
	int wrong = a == NULL;

	for (int round = 0; a != NULL && round < 200; round++) {
		arena_fill(a, 8, &state);
		wrong += count_wrong_seals(a, backend, 8);
		wrong += count_wrong_opens(a, backend, 8, &state);
	}
	free(a);
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

/* ---- choice ---- */

static bool
yes(void)
{
	return true;
}

static bool
no(void)
{
	return false;
}

static void
slow_seal(struct aead_job *jobs, size_t n)
{
	for (int i = 0; i < 8; i++) // sealing an even number of times undoes the cipher
		aead_sodium.seal(jobs, n);
	aead_sodium.seal(jobs, n);
}

static void
spoil_last_byte(struct aead_job *jobs, size_t n)
{
	aead_sodium.seal(jobs, n);
	for (size_t i = 0; i < n; i++)
		jobs[i].data[jobs[i].len - (jobs[i].len > 0)] ^= jobs[i].len > 4000;
}

static void
open_all(struct aead_job *jobs, size_t n)
{
	aead_sodium.open(jobs, n);
	for (size_t i = 0; i < n; i++)
		jobs[i].ok = true;
}

static void
open_none(struct aead_job *jobs, size_t n)
{
	aead_sodium.open(jobs, n);
	for (size_t i = 0; i < n; i++)
		jobs[i].ok = false;
}

static void
open_by_first(struct aead_job *jobs, size_t n)
{
	aead_sodium.open(jobs, n);
	for (size_t i = 1; i < n; i++)
		jobs[i].ok = jobs[0].ok;
}

static void
open_without_decrypting(struct aead_job *jobs, size_t n)
{
	aead_sodium.open(jobs, n);
	for (size_t i = 0; i < n; i++) {
		if (jobs[i].ok)
			aead_sodium.seal(&jobs[i], 1);
	}
}

static struct aead_backend
fake(const char *name,
	void (*seal)(struct aead_job *, size_t),
	void (*open)(struct aead_job *, size_t))
{
	return (struct aead_backend){ name, yes, seal, open };
}

static void
test_wrong_back_ends(void)
{
	const struct aead_backend fakes[] = {
		fake("wrong in one bit of long packets", spoil_last_byte, aead_sodium.open),
		fake("opens everything", aead_sodium.seal, open_all),
		fake("opens nothing", aead_sodium.seal, open_none),
		fake("one verdict for the whole burst", aead_sodium.seal, open_by_first),
		fake("does not decrypt", aead_sodium.seal, open_without_decrypting),
	};

	for (size_t i = 0; i < sizeof(fakes) / sizeof(fakes[0]); i++) {
		const struct aead_backend *all[] = { &aead_sodium, &fakes[i] };
		const struct aead_backend *alone[] = { &fakes[i] };
		const char *refused = NULL;
		size_t n;

		tap_int(aead_choose(all, 2, NULL, &refused), 0, fakes[i].name);
		tap_text(refused != NULL ? refused : "", fakes[i].name, "is refused by name");
		tap_text(aead_backend(), "libsodium", "and not used");
		aead_backends(&n);
		tap_int((long long)n, 1, "nor listed");
		tap_int(aead_choose(all, 2, fakes[i].name, NULL), -ENOENT, "nor can it be forced");
		tap_int(aead_choose(alone, 1, NULL, NULL), ERR_BAD_MAC, "as an oracle it is fatal");
	}
}

static void
test_choice(void)
{
	struct aead_backend slow = fake("slow", slow_seal, aead_sodium.open);
	struct aead_backend missing = { .name = "missing", .is_available = no };
	const struct aead_backend *all[] = { &aead_sodium, &slow, &missing };
	const struct aead_backend *slow_first[] = { &slow, &aead_sodium };
	const char *refused = NULL;
	size_t n;

	tap_int(aead_choose(all, 3, NULL, &refused), 0, "a slow one and a missing one");
	tap_ok(refused == NULL, "neither is wrong");
	aead_backends(&n);
	tap_int((long long)n, 2, "two of them work here");
	tap_text(aead_backend(), "libsodium", "the faster one is used");
	tap_int(aead_choose(slow_first, 2, NULL, NULL), 0, "the other way round");
	tap_text(aead_backend(), "libsodium", "the same one is used");
	tap_int(aead_choose(all, 3, "slow", NULL), 0, "force the slow one");
	tap_text(aead_backend(), "slow", "it is used");
	tap_int(aead_choose(all, 3, "missing", NULL), -ENOENT, "force the missing one");
}

static void
test_environment(void)
{
	const char *refused = "not written";
	const char *const *names;
	size_t n;

	setenv("SLUICE_AEAD", "rot13", 1);
	tap_int(aead_init(NULL), -ENOENT, "SLUICE_AEAD names nothing we have");
	setenv("SLUICE_AEAD", "libsodium", 1);
	tap_int(aead_init(&refused), 0, "SLUICE_AEAD=libsodium");
	tap_text(aead_backend(), "libsodium", "is used");
	tap_ok(refused == NULL, "no back end of this build is wrong on this machine");
	names = aead_backends(&n);
	for (size_t i = 0; i < n; i++) {
		setenv("SLUICE_AEAD", names[i], 1);
		tap_int(aead_init(NULL), 0, names[i]);
		tap_text(aead_backend(), names[i], "is used");
	}
	setenv("SLUICE_AEAD", "", 1);
	tap_int(aead_init(NULL), 0, "an empty SLUICE_AEAD is none");
	unsetenv("SLUICE_AEAD");
	tap_int(aead_init(NULL), 0, "choose");
	tap_ok(aead_find(aead_backend()) != NULL, "%s is one of those that work", aead_backend());
}

static void
test_public_calls(void)
{
	uint8_t key[AEAD_KEY_LEN] = { 3 }, data[4 + AEAD_TAG_LEN] = "ping";
	struct aead_job job = { data, key, 0, 4, false };

	aead_seal(&job, 1);
	tap_ok(memcmp(data, "ping", 4) != 0, "aead_seal() encrypts");
	aead_open(&job, 1);
	tap_ok(job.ok && memcmp(data, "ping", 4) == 0, "aead_open() decrypts");
}

int
main(void)
{
	const char *const *names;
	size_t n;

	tap_int(crypto_init(), 0, "the library works");
	test_rfc8439_a5();
	test_xchacha();
	test_one();
	test_wrong_back_ends();
	test_choice();
	test_environment();
	test_public_calls();

	names = aead_backends(&n);
	for (size_t i = 0; i < n; i++) {
		const struct aead_backend *backend = aead_find(names[i]);

		tap_ok(backend != NULL, "---- back end %s ----", names[i]);
		test_rfc8439_cipher(backend);
		test_bursts(backend);
		test_longest(backend);
		test_forgeries(backend);
		test_counter_and_key(backend);
		test_threads(backend);
		test_sandbox(backend);
	}
	if (n < 2)
		tap_skip("ipsec-mb", "not in this build or not for this CPU");
	return tap_done();
}
