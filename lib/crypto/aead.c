/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/crypto/aead.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/crypto/aead_backend.h"

/* Another one must be that much faster than one that we prefer: restarts should not differ. */
#define CLEARLY_FASTER 0.97f

/* The oracle first; what is as fast as another one is used in the order from the end. */
static const struct aead_backend *const built_in[] = {
	&aead_sodium,
	&aead_ipsec_mb,
	&aead_avx2,
	&aead_avx512,
};

const uint32_t aead_burst_min[AEAD_BURST_CLASSES] = { 1, 2, 4, 8 };
const uint32_t aead_size_max[AEAD_SIZE_CLASSES] = { 128, 512, 1024, AEAD_MAX_LEN };

/* All written by aead_init(), read only afterwards. */

static struct {
	/* Of all classes of a direction; NULL if they differ. */
	const struct aead_backend *alone[AEAD_DIRECTIONS];
	const struct aead_backend *of[AEAD_DIRECTIONS][AEAD_BURST_CLASSES][AEAD_SIZE_CLASSES];
} chosen = { .alone = { &aead_sodium, &aead_sodium } };

static struct aead_choice choice;
static const char *main_name = "libsodium";

static const struct aead_backend *working[AEAD_MAX_BACKENDS];
static const char *working_names[AEAD_MAX_BACKENDS];
static size_t n_working;

#define N_CLASSES (AEAD_DIRECTIONS * AEAD_BURST_CLASSES * AEAD_SIZE_CLASSES)

/* Class number i of all. */
#define DIRECTION(i) ((i) / (AEAD_BURST_CLASSES * AEAD_SIZE_CLASSES))
#define BURST(i)     ((i) / AEAD_SIZE_CLASSES % AEAD_BURST_CLASSES)
#define SIZE(i)      ((i) % AEAD_SIZE_CLASSES)

/* ---- choice ---- */

static enum aead_presence
presence(struct aead_check *check, const struct aead_backend *backend)
{
	if (!backend->is_available())
		return AEAD_MISSING;
	return aead_check_passes(check, backend) ? AEAD_WORKS : AEAD_REFUSED;
}

static int
check_all(const struct aead_backend *const *all, size_t n, const char **ret_refused)
{
	struct aead_check *check = aead_check_create();

	n_working = 0;
	choice = (struct aead_choice){ .n_candidates = n };
	if (check == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct aead_candidate *c = &choice.candidates[n - 1 - i];

		c->name = all[i]->name;
		c->presence = presence(check, all[i]);
		if (c->presence == AEAD_REFUSED && ret_refused != NULL)
			*ret_refused = c->name;
		if (c->presence == AEAD_WORKS) {
			working[n_working] = all[i];
			working_names[n_working++] = c->name;
		}
		if (n_working == 0)
			break; // the oracle is wrong, and with it whatever it would say of others
	}
	aead_check_destroy(check);
	return n_working > 0 ? 0 : ERR_BAD_MAC;
}

static size_t
candidate_of(const struct aead_backend *backend)
{
	size_t i = 0;

	while (choice.candidates[i].name != backend->name)
		i++;
	return i;
}

// The most preferred of those that nobody is clearly faster than.
static const struct aead_backend *
best_of_class(const struct aead_times *times, size_t which)
{
	float fastest_ns = 0, ns;
	size_t i;

	for (i = 0; i < n_working; i++) {
		ns = times[i].ns[DIRECTION(which)][BURST(which)][SIZE(which)];
		if (i == 0 || ns < fastest_ns)
			fastest_ns = ns;
	}
	do
		ns = times[--i].ns[DIRECTION(which)][BURST(which)][SIZE(which)];
	while (ns * CLEARLY_FASTER > fastest_ns && i > 0);
	return working[i];
}

static void
use(size_t which, const struct aead_backend *backend)
{
	chosen.of[DIRECTION(which)][BURST(which)][SIZE(which)] = backend;
	choice.in_use[DIRECTION(which)][BURST(which)][SIZE(which)] = (uint8_t)candidate_of(backend);
}

static void
use_everywhere(const struct aead_backend *backend, enum aead_reason reason)
{
	choice.reason = reason;
	for (size_t which = 0; which < N_CLASSES; which++)
		use(which, backend);
}

static int
use_fastest(void)
{
	struct aead_times times[AEAD_MAX_BACKENDS];
	int err = aead_race(working, n_working, times);

	if (err < 0)
		return err;
	choice.reason = AEAD_FASTEST;
	for (size_t i = 0; i < n_working; i++)
		memcpy(choice.candidates[candidate_of(working[i])].ns, times[i].ns,
			sizeof(times[i].ns));
	for (size_t which = 0; which < N_CLASSES; which++)
		use(which, best_of_class(times, which));
	return 0;
}

// What is asked for at every burst, or to be printed.
static void
summarize(void)
{
	size_t uses[AEAD_MAX_BACKENDS] = { 0 }, most = 0;

	for (size_t d = 0; d < AEAD_DIRECTIONS; d++)
		chosen.alone[d] = chosen.of[d][0][0];
	for (size_t which = 0; which < N_CLASSES; which++) {
		size_t d = DIRECTION(which);

		if (chosen.of[d][BURST(which)][SIZE(which)] != chosen.of[d][0][0])
			chosen.alone[d] = NULL;
		// Where there is much to do, bursts are full.
		if (BURST(which) == AEAD_BURST_CLASSES - 1)
			uses[choice.in_use[d][BURST(which)][SIZE(which)]]++;
	}
	for (size_t i = 1; i < choice.n_candidates; i++)
		if (uses[i] > uses[most])
			most = i;
	main_name = choice.candidates[most].name;
}

int
aead_choose(const struct aead_backend *const *all,
	size_t n,
	const char *forced,
	const char **ret_refused)
{
	int err;

	assert(n >= 1 && n <= AEAD_MAX_BACKENDS);
	err = check_all(all, n, ret_refused);
	if (err < 0)
		return err;
	if (forced != NULL) {
		if (aead_find(forced) == NULL)
			return -ENOENT;
		use_everywhere(aead_find(forced), AEAD_FORCED);
	} else if (n_working == 1) {
		use_everywhere(working[0], AEAD_ONLY);
	} else {
		err = use_fastest();
		if (err < 0)
			return err;
	}
	summarize();
	return 0;
}

int
aead_init(const char **ret_refused)
{
	const char *forced = getenv("SLUICE_AEAD");

	if (forced != NULL && forced[0] == '\0')
		forced = NULL;
	if (ret_refused != NULL)
		*ret_refused = NULL;
	return aead_choose(built_in, sizeof(built_in) / sizeof(built_in[0]), forced, ret_refused);
}

const struct aead_choice *
aead_choice(void)
{
	return &choice;
}

const struct aead_backend *
aead_find(const char *name)
{
	for (size_t i = 0; i < n_working; i++)
		if (strcmp(working_names[i], name) == 0)
			return working[i];
	return NULL;
}

const char *
aead_backend(void)
{
	return main_name;
}

const char *const *
aead_backends(size_t *ret_count)
{
	*ret_count = n_working;
	return working_names;
}

/* ---- bursts ---- */

// About a cycle per packet, which is why it is not done where all classes are alike.
static const struct aead_backend *
pick(size_t direction, const struct aead_job *jobs, size_t n)
{
	size_t burst = (size_t)(n >= 2) + (n >= 4) + (n >= 8), size, total = 0;

	if (chosen.alone[direction] != NULL)
		return chosen.alone[direction];
	for (size_t i = 0; i < n; i++)
		total += jobs[i].len;
	size = (size_t)(total > n * 128) + (total > n * 512) + (total > n * 1024);
	return chosen.of[direction][burst][size];
}

static_assert(AEAD_BURST_CLASSES == 4 && AEAD_SIZE_CLASSES == 4, "as pick() has them");

void
aead_seal(struct aead_job *jobs, size_t n)
{
	pick(0, jobs, n)->seal(jobs, n);
}

void
aead_open(struct aead_job *jobs, size_t n)
{
	pick(1, jobs, n)->open(jobs, n);
}
