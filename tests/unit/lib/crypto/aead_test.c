/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The AEAD's single messages, and the choice of a back end; aead_backends_test.c has the back ends.
 * Sources: RFC 8439 appendix A.5 (the nonces of the examples in 2.8.2 and A.3 are not WireGuard's;
 * 2.8.2 checks the generator of the known answers, tests/vectors/aead_known_answers.py);
 * draft-irtf-cfrg-xchacha-03 appendix A.3.1.
 */

#include "lib/crypto/aead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- published vectors ---- */

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

// Sealing an even number of times more undoes the cipher.
static void
seal_times(struct aead_job *jobs, size_t n, int times)
{
	for (int i = 0; i < times; i++)
		aead_sodium.seal(jobs, n);
}

// What is sealed beside it only takes time.
static void
open_times(struct aead_job *jobs, size_t n, int times)
{
	uint8_t waste[4096 + AEAD_TAG_LEN] = { 0 };

	for (size_t i = 0; i < n; i++) {
		struct aead_job copy = jobs[i];

		copy.data = waste;
		if (copy.len > 4096)
			copy.len = 4096;
		seal_times(&copy, 1, times - 1);
	}
	aead_sodium.open(jobs, n);
}

static void
slow_seal(struct aead_job *jobs, size_t n)
{
	seal_times(jobs, n, 9);
}

static void
slow_open(struct aead_job *jobs, size_t n)
{
	open_times(jobs, n, 9);
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
open_and_zero(struct aead_job *jobs, size_t n)
{
	aead_sodium.open(jobs, n);
	for (size_t i = 0; i < n; i++)
		if (!jobs[i].ok)
			memset(jobs[i].data, 0, jobs[i].len);
}

static void
seal_beyond_the_end(struct aead_job *jobs, size_t n)
{
	for (size_t i = n; i-- > 0;) {
		aead_sodium.seal(&jobs[i], 1);
		if (i + 1 < n)
			jobs[i].data[jobs[i].len + AEAD_TAG_LEN] ^= 1;
	}
}

// As a kernel would that mixes up its lanes where a burst is more than 16.
static void
seal_without_the_17th(struct aead_job *jobs, size_t n)
{
	aead_sodium.seal(jobs, n < 16 ? n : 16);
	if (n > 17)
		aead_sodium.seal(jobs + 17, n - 17);
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
		fake("zeroes what it refuses", aead_sodium.seal, open_and_zero),
		fake("writes a byte too many", seal_beyond_the_end, aead_sodium.open),
		fake("forgets one of many", seal_without_the_17th, aead_sodium.open),
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
	struct aead_backend slow = fake("slow", slow_seal, slow_open);
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
test_preference(void)
{
	struct aead_backend same = fake("same", aead_sodium.seal, aead_sodium.open);
	const struct aead_backend *all[] = { &aead_sodium, &same };
	const struct aead_choice *choice = aead_choice();

	tap_int(aead_choose(all, 2, NULL, NULL), 0, "two that are alike");
	tap_text(aead_backend(), "same", "the later one is preferred");
	tap_int(choice->reason, AEAD_FASTEST, "because of its speed");
	tap_text(choice->candidates[0].name, "same", "the preferred one is shown first");
	tap_ok(choice->candidates[0].ns[1][3][3] > 0 && choice->candidates[1].ns[1][3][3] > 0,
		"both were timed");
	tap_int(aead_choose(all, 1, NULL, NULL), 0, "one alone");
	tap_int(choice->reason, AEAD_ONLY, "is the only one");
	tap_int(aead_choose(all, 2, "libsodium", NULL), 0, "forced");
	tap_int(choice->reason, AEAD_FORCED, "is forced");
	tap_ok(choice->candidates[choice->in_use[0][0][0]].ns[0][0][0] == 0, "without timing");
}

/* ---- classes ---- */

/*
 * One back end is fast with few packets, another one with many small ones, the oracle is in between
 * with all; each says that it was called.
 */
static int called;

static void
oracle_seal(struct aead_job *jobs, size_t n)
{
	called = 0;
	seal_times(jobs, n, 3);
}

static void
oracle_open(struct aead_job *jobs, size_t n)
{
	called = 0;
	open_times(jobs, n, 3);
}

static bool
is_small(const struct aead_job *jobs, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += jobs[i].len;
	return total <= 512 * n;
}

static void
few_seal(struct aead_job *jobs, size_t n)
{
	called = 1;
	(n < 8 ? aead_sodium.seal : slow_seal)(jobs, n);
}

static void
few_open(struct aead_job *jobs, size_t n)
{
	called = 1;
	(n < 8 ? aead_sodium.open : slow_open)(jobs, n);
}

static void
small_seal(struct aead_job *jobs, size_t n)
{
	called = 2;
	(n >= 8 && is_small(jobs, n) ? aead_sodium.seal : slow_seal)(jobs, n);
}

static void
small_open(struct aead_job *jobs, size_t n)
{
	called = 2;
	(n >= 8 && is_small(jobs, n) ? aead_sodium.open : slow_open)(jobs, n);
}

static void
test_classes(void)
{
	static const struct {
		const char *what;
		size_t n;
		uint32_t lens[3]; /* in turn */
		int seal, open;
	} story[] = {
		{ "one small packet", 1, { 64, 64, 64 }, 1, 1 },
		{ "one large packet", 1, { 1420, 1420, 1420 }, 1, 1 },
		{ "seven", 7, { 512, 512, 512 }, 1, 1 },
		{ "eight small ones", 8, { 64, 64, 64 }, 2, 2 },
		{ "the longest that are small", 64, { 512, 512, 512 }, 2, 2 },
		{ "a mixed burst whose mean is small", 30, { 64, 64, 1400 }, 2, 2 },
		{ "a mixed burst whose mean is not", 30, { 64, 1400, 1400 }, 0, 0 },
		{ "many empty ones", 64, { 0, 0, 0 }, 2, 2 },
		{ "none", 0, { 0, 0, 0 }, 1, 1 },
	};
	struct aead_backend few = fake("few", few_seal, few_open);
	struct aead_backend small = fake("small", small_seal, small_open);
	struct aead_backend oracle = fake("oracle", oracle_seal, oracle_open);
	const struct aead_backend *all[] = { &oracle, &few, &small };
	static uint8_t data[64][1420 + AEAD_TAG_LEN], key[AEAD_KEY_LEN];
	struct aead_job jobs[64];

	tap_int(aead_choose(all, 3, NULL, NULL), 0, "three of different strengths");
	for (size_t s = 0; s < sizeof(story) / sizeof(story[0]); s++) {
		for (size_t i = 0; i < story[s].n; i++)
			jobs[i] = (struct aead_job){ data[i], key, i, story[s].lens[i % 3], false };
		called = -1;
		aead_seal(jobs, story[s].n);
		tap_int(called, story[s].seal, story[s].what);
		called = -1;
		aead_open(jobs, story[s].n);
		tap_int(called, story[s].open, "and opened");
	}
}

/* ---- the build's own ---- */

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
	tap_int(aead_choice()->reason, AEAD_FORCED, "as asked");
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
	for (size_t i = 0; i < aead_choice()->n_candidates; i++)
		if (aead_choice()->candidates[i].presence == AEAD_MISSING)
			tap_skip(aead_choice()->candidates[i].name,
				"not in this build or not for this CPU");
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
	tap_int(crypto_init(), 0, "the library works");
	test_rfc8439_a5();
	test_xchacha();
	test_one();
	test_wrong_back_ends();
	test_choice();
	test_preference();
	if (getenv("SLUICE_TEST_EMULATED") == NULL)
		test_classes();
	else
		tap_skip("a choice per class", "an emulator's time tells nothing");
	test_environment();
	test_public_calls();
	return tap_done();
}
