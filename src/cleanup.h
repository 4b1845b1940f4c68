/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Cleanup attributes: ownership of a local can be seen inside one function. TAKE_* hands it on. */
#ifndef PORTTRACE_CLEANUP_H
#define PORTTRACE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_closedir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define _free_ _cleanup_(cleanup_free)
#define _close_ _cleanup_(cleanup_close)
#define _fclose_ _cleanup_(cleanup_fclose)
#define _closedir_ _cleanup_(cleanup_closedir)

#define TAKE_PTR(p)                         \
	({                                  \
		__typeof__(p) taken = (p);  \
		(p) = NULL;                 \
		taken;                      \
	})
#define TAKE_FD(fd)                \
	({                         \
		int taken = (fd);  \
		(fd) = -1;         \
		taken;             \
	})

#endif
