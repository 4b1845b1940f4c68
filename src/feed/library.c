// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "library.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* ---- pages ---- */

/* Has its code been written to, to be where it is? What is written would be lost with the page. */
static bool library_is_relocated(const struct dl_phdr_info *info, const ElfW(Phdr) *dynamic)
{
	const ElfW(Dyn) *d = (const ElfW(Dyn) *)(info->dlpi_addr + dynamic->p_vaddr);

	for (; d->d_tag != DT_NULL; d++)
		if (d->d_tag == DT_TEXTREL || (d->d_tag == DT_FLAGS && d->d_un.d_val & DF_TEXTREL))
			return true;
	return false;
}

static int library_drop_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)arg;
	for (size_t i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC && library_is_relocated(info, &info->dlpi_phdr[i]))
			return 0;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t begin = (info->dlpi_addr + segment->p_vaddr) & ~(page - 1);

		if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W))
			madvise((void *)begin, info->dlpi_addr + segment->p_vaddr + segment->p_filesz - begin, MADV_DONTNEED);
	}
	return 0;
}

void library_drop_pages(void)
{
	dl_iterate_phdr(library_drop_object, NULL);
}

int library_missing(const char *name, const char *package, char *err)
{
	snprintf(err, FEED_ERR_SIZE,
		 "porttrace was built without %s. Build it again after: sudo apt install %s. Or use another sink", name,
		 package);
	return -ENOSYS;
}
