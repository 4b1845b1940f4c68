// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "report.h"

#include <errno.h>
#include <unistd.h>

void report_init(struct report *report, int fd)
{
	report->b = (struct buf){ .data = report->data, .size = sizeof(report->data) };
	report->fd = fd;
	report->error = 0;
}

static void report_write(struct report *report)
{
	size_t done = 0;

	if (report->b.overflow && !report->error)
		report->error = -EMSGSIZE;
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
	return report->error;
}
