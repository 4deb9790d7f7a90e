/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Answers of the CRC catalogue's check values and of `printf ... | gzip -1 -c`.
 */

#include "lib/net/crc32.h"

#include "tests/lib/tap.h"

int
main(void)
{
	tap_int(crc32_ieee("123456789", 9), 0xcbf43926, "the catalogue's check value");
	tap_int(crc32_ieee("", 0), 0, "nothing");
	tap_int(crc32_ieee("\xff\xff\xff\xff", 4), 0xffffffff, "four bytes of ones");
	tap_int(crc32_ieee("a", 1), 0xe8b7be43, "a letter");
	return tap_done();
}
