/* SPDX-License-Identifier: BSD-3-Clause
 *
 * All exchanges and the loads of nat_index_find() are in one order: whoever puts a word and then
 * looks sees every word that was put before.
 */

#include "lib/nat/index.h"

#define NEARLY_FULL 6

static unsigned
find_in(struct nat_bucket *b, uint64_t wanted, uint32_t *ret_numbers, unsigned n)
{
	for (unsigned i = 0; i < NAT_WAYS; i++) {
		uint64_t word = atomic_load_explicit(&b->word[i], memory_order_seq_cst);

		if ((word ^ wanted) <= NAT_NUMBER_MASK)
			ret_numbers[n++] = (uint32_t)word & NAT_NUMBER_MASK;
	}
	return n;
}

unsigned
nat_index_find(const struct nat *nat,
	uint64_t hash,
	enum nat_side side,
	uint32_t ret_numbers[static NAT_MAX_FOUND])
{
	struct nat_bucket *first = nat_bucket(nat->m, hash);
	struct nat_bucket *other = nat_other_bucket(nat->m, hash);
	uint64_t wanted = nat_word(hash, side, 0);
	unsigned n = find_in(first, wanted, ret_numbers, 0);

	return other == first ? n : find_in(other, wanted, ret_numbers, n);
}

static bool
put_in(struct nat_bucket *b, uint64_t word)
{
	for (unsigned i = 0; i < NAT_WAYS; i++) {
		uint64_t none = 0;

		if (atomic_load_explicit(&b->word[i], memory_order_relaxed) == 0 &&
			atomic_compare_exchange_strong(&b->word[i], &none, word))
			return true;
	}
	return false;
}

static unsigned
count_in(const struct nat_bucket *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NAT_WAYS; i++)
		n += atomic_load_explicit(&b->word[i], memory_order_relaxed) != 0;
	return n;
}

// The first choice, which is fetched ahead, unless it is nearly full and the other one is not: so
// no pair is full before the whole index nearly is.
bool
nat_index_put(struct nat *nat, uint64_t hash, enum nat_side side, uint32_t number)
{
	struct nat_bucket *first = nat_bucket(nat->m, hash);
	struct nat_bucket *other = nat_other_bucket(nat->m, hash);
	uint64_t word = nat_word(hash, side, number);
	unsigned n = count_in(first);

	if (n >= NEARLY_FULL && count_in(other) < n)
		return put_in(other, word) || put_in(first, word);
	return put_in(first, word) || put_in(other, word);
}

static void
remove_from(struct nat_bucket *b, uint64_t word)
{
	for (unsigned i = 0; i < NAT_WAYS; i++) {
		uint64_t expected = word;

		if (atomic_load_explicit(&b->word[i], memory_order_relaxed) == word)
			atomic_compare_exchange_strong(&b->word[i], &expected, 0);
	}
}

void
nat_index_remove(struct nat *nat, uint64_t hash, enum nat_side side, uint32_t number)
{
	uint64_t word = nat_word(hash, side, number);

	remove_from(nat_bucket(nat->m, hash), word);
	remove_from(nat_other_bucket(nat->m, hash), word);
}
