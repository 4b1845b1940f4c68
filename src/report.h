/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the one-shot commands write: a buffer that is emptied into a descriptor on the way. */
#ifndef PORTTRACE_REPORT_H
#define PORTTRACE_REPORT_H

#include "buf.h"

/* No single piece between two report_flush() may be longer. */
#define REPORT_PIECE_MAX 32768

struct report {
	struct buf b; /* append here */
	int fd;
	int error; /* -errno of the first write that failed; what comes after is dropped */
	struct {
		size_t rows, columns; /* of the screen; 0 rows = it is none */
		size_t row, column; /* where the next character goes */
		size_t left_out; /* lines that did not fit */
	} screen;
	char data[2 * REPORT_PIECE_MAX];
};

void report_init(struct report *report, int fd);
/* Makes room for a piece: call it between pieces. */
void report_flush(struct report *report);
/*
 * What follows takes the place of the screen, until the next call: as much as fits, and how many lines do not. Does
 * nothing where the output is no terminal.
 */
void report_screen(struct report *report);
/* How many columns the terminal behind `fd` has; 0 = it is no terminal. */
size_t report_columns(int fd);
/* Writes out the rest. 0 or -errno. */
int report_end(struct report *report);

#endif
