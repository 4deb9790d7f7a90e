/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/cli/qr.h"

#include <stdbool.h>

#include <qrencode.h>

#define MARGIN 2 // modules; the standard's four, halved, is enough for cameras

// Dark modules are the terminal's background.  Outside of the code it is light.
static bool
is_light(const QRcode *code, int x, int y)
{
	if (x < 0 || y < 0 || x >= code->width || y >= code->width)
		return true;
	return (code->data[y * code->width + x] & 1) == 0;
}

void
qr_print(FILE *out, const char *text)
{
	static const char *const blocks[2][2] = { { " ", "\u2584" }, { "\u2580", "\u2588" } };
	QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);

	if (code == NULL)
		return;
	for (int y = -MARGIN; y < code->width + MARGIN; y += 2) {
		for (int x = -MARGIN; x < code->width + MARGIN; x++)
			fputs(blocks[is_light(code, x, y)][is_light(code, x, y + 1)], out);
		fputc('\n', out);
	}
	QRcode_free(code);
}
