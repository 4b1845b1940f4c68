// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../feed.h"

#ifdef HAVE_LIBCURL
const bool library_has_curl = true;
#else
const bool library_has_curl = false;
#endif

#ifdef HAVE_RDKAFKA
const bool library_has_rdkafka = true;
#else
const bool library_has_rdkafka = false;
#endif

int library_load(const char *file, const char *package, const struct library_function *functions, size_t count,
		 char *err)
{
	void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; library && i < count; i++) {
		void *function = dlsym(library, functions[i].name);

		memcpy(functions[i].pointer, &function, sizeof(function));
		if (!function) {
			snprintf(err, FEED_ERR_SIZE, "%s has no %s(): too old", file, functions[i].name);
			return -ENOENT;
		}
	}
	if (library)
		return 0;
	snprintf(err, FEED_ERR_SIZE, "%s cannot be loaded: sudo apt install %s", file, package);
	return -ENOENT;
}

int library_missing(const char *name, const char *package, char *err)
{
	snprintf(err, FEED_ERR_SIZE,
		 "porttrace was built without %s. Build it again after: sudo apt install %s. Or use another sink", name,
		 package);
	return -ENOSYS;
}
