/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A file that is replaced as a whole: who reads it sees all of one text, the old one or the new one. */
#ifndef PORTTRACE_METRICS_FILE_H
#define PORTTRACE_METRICS_FILE_H

#include "buf.h"

/*
 * Readable for everybody (0644), as node_exporter runs as another user. 0 or -errno; the old file stays then. -ENOTSUP:
 * there is something that is no file, such as /dev/null, and is not replaced.
 */
int metrics_file_write(const char *path, const struct buf *text);
/* All of it, to an open file. 0 or -errno. */
int metrics_file_put(int fd, const struct buf *text);

#endif
