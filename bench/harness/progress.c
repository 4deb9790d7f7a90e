/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/harness/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_NS (100 * NS_PER_MS)
#define LINE_NS   (10 * NS_PER_S)
#define MAX_WIDTH 512

static bool line_is_drawn;

void
progress_clear(void)
{
	if (!line_is_drawn)
		return;
	fputs("\r\033[K", stderr);
	line_is_drawn = false;
}

void
progress_init(struct progress *p, size_t n_total, double seconds_each, bool is_quiet)
{
	*p = (struct progress){
		.n_total = n_total,
		.seconds_each = seconds_each,
		.began = mono_now(),
		.is_terminal = isatty(STDERR_FILENO) == 1,
		.is_quiet = is_quiet,
	};
	p->last_done = p->last_shown = p->began;
}

void
progress_done(struct progress *p)
{
	p->n_done++;
	p->last_done = mono_now();
}

double
progress_left(const struct progress *p, struct mono now)
{
	double each = p->seconds_each, left;
	size_t done = p->n_done + p->n_found;

	if (p->n_done > 0)
		each = (double)mono_diff_ns(p->last_done, p->began) / NS_PER_S / (double)p->n_done;
	if (p->n_total <= done || each <= 0)
		return -1;
	left = each * (double)(p->n_total - done) -
	       (double)mono_diff_ns(now, p->last_done) / NS_PER_S;
	return left > 0 ? left : 0; // it takes longer than those before
}

void
progress_format_time(char *text, size_t size, double seconds)
{
	unsigned long s = (unsigned long)(seconds + 0.5);

	if (s < 100)
		snprintf(text, size, "%lu s", s);
	else if (s < 100 * 60)
		snprintf(text, size, "%lu min", (s + 30) / 60);
	else
		snprintf(text, size, "%lu h %lu min", s / 3600, s % 3600 / 60);
}

static void
format(const struct progress *p, char *text, size_t size, const char *what, const char *detail)
{
	double seconds = progress_left(p, mono_now());
	char count[64], left[64] = "", time[32];
	size_t done = p->n_done + p->n_found;

	if (p->n_total > 0)
		snprintf(count, sizeof(count), "%zu/%zu", done, p->n_total);
	else
		snprintf(count, sizeof(count), "%zu", done);
	if (seconds >= 0) {
		progress_format_time(time, sizeof(time), seconds);
		snprintf(left, sizeof(left), "  %s left", time);
	}
	snprintf(text, size, "%s  %s%s%s%s", count, what, detail != NULL ? "  " : "",
		detail != NULL ? detail : "", left);
}

// A line longer than the terminal would wrap, and could not be redrawn.
static size_t
width(void)
{
	struct winsize w;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col < 20)
		return 79;
	return w.ws_col - 1u < MAX_WIDTH ? w.ws_col - 1u : MAX_WIDTH;
}

void
progress_show(struct progress *p, const char *what, const char *detail)
{
	struct mono now = mono_now();
	char text[MAX_WIDTH + 1];

	if (p->is_quiet ||
		mono_diff_ns(now, p->last_shown) < (p->is_terminal ? REDRAW_NS : LINE_NS))
		return;
	p->last_shown = now;
	format(p, text, sizeof(text), what, detail);
	if (p->is_terminal)
		fprintf(stderr, "\r%.*s\033[K", (int)width(), text);
	else
		fprintf(stderr, "%s\n", text);
	fflush(stderr);
	line_is_drawn = p->is_terminal;
}
