/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The pages of the program and its libraries. */
#ifndef PORTTRACE_PAGES_H
#define PORTTRACE_PAGES_H

/*
 * Gives back those of code and constants, of all that is loaded: a start, be it of a library, touches megabytes that
 * nothing asks for again. What is used comes back from the page cache. For when all is done that is done once.
 */
void pages_drop(void);

#endif
