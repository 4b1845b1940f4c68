/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Libraries that one sink needs, loaded when that sink is asked for: they bring dozens of others, which each
 * run would pay for. Whether porttrace was built with them is known from pkg-config (Makefile: HAVE_LIBCURL,
 * HAVE_RDKAFKA).
 */
#ifndef PORTTRACE_FEED_LIBRARY_H
#define PORTTRACE_FEED_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

extern const bool library_has_curl, library_has_rdkafka; /* at build time */

/* One function: its name, and the pointer that gets it. */
struct library_function {
	const char *name;
	void *pointer; /* of a pointer to the function */
};

/*
 * Loads `file` ("libcurl.so.4") and finds the functions. It stays loaded: its threads may outlive who asked for it.
 * 0, or -ENOENT with a sentence in `err` (FEED_ERR_SIZE bytes) that names the Debian package it comes with.
 */
int library_load(const char *file, const char *package, const struct library_function *functions, size_t count,
		 char *err);

/* The sentence of a porttrace that was built without `name`. -ENOSYS. */
int library_missing(const char *name, const char *package, char *err);

#endif
