// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "report.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void report_init(struct report *report, int fd)
{
	report->b = (struct buf){ .data = report->data, .size = sizeof(report->data) };
	report->fd = fd;
	report->error = 0;
	memset(&report->screen, 0, sizeof(report->screen));
}

void report_screen(struct report *report)
{
	struct winsize size;

	if (!isatty(report->fd) || ioctl(report->fd, TIOCGWINSZ, &size) || size.ws_row < 2 || !size.ws_col)
		return;
	report->screen.rows = size.ws_row - 1; /* the last is for what was left out, and the cursor */
	report->screen.columns = size.ws_col;
	report->screen.row = report->screen.column = report->screen.left_out = 0;
	buf_lit(&report->b, "\033[H\033[2J");
}

/* The cursor after one more character, of which an escape sequence has none. */
static void report_advance(struct report *report, char c, bool *escape)
{
	if (c == '\033')
		*escape = true;
	else if (*escape)
		*escape = c == '[' || (c >= '0' && c <= '9') || c == ';';
	else if (c == '\n' || report->screen.column == report->screen.columns)
		report->screen.row++, report->screen.column = c != '\n';
	else
		report->screen.column += (c & 0xc0) != 0x80; /* what follows in UTF-8 takes no place */
}

/* Cuts what does not fit on the screen. */
static void report_cut(struct report *report)
{
	bool escape = false;
	size_t kept = report->b.len;

	for (size_t i = 0; i < report->b.len; i++) {
		bool fits = report->screen.row < report->screen.rows;

		report_advance(report, report->b.data[i], &escape);
		if (!fits && kept == report->b.len)
			kept = i;
		report->screen.left_out += !fits && report->b.data[i] == '\n';
	}
	report->b.len = kept;
}

static void report_write(struct report *report)
{
	size_t done = 0;

	if (report->b.overflow && !report->error)
		report->error = -EMSGSIZE;
	if (report->screen.rows)
		report_cut(report);
	while (!report->error && done < report->b.len) {
		ssize_t n = write(report->fd, report->b.data + done, report->b.len - done);

		if (n < 0 && errno != EINTR)
			report->error = -errno;
		if (n > 0)
			done += (size_t)n;
	}
	report->b.len = 0;
}

void report_flush(struct report *report)
{
	if (report->b.overflow || report->b.len > REPORT_PIECE_MAX)
		report_write(report);
}

int report_end(struct report *report)
{
	report_write(report);
	if (report->screen.left_out) {
		report->screen.rows = 0;
		buf_lit(&report->b, "(");
		buf_u64(&report->b, report->screen.left_out);
		buf_lit(&report->b, " more lines do not fit on this screen)");
		report->screen.left_out = 0;
		report_write(report);
	}
	return report->error;
}

size_t report_columns(int fd)
{
	struct winsize size;

	return isatty(fd) && !ioctl(fd, TIOCGWINSZ, &size) ? size.ws_col : 0;
}
