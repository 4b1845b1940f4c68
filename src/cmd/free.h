/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of `porttrace free` share. */
#ifndef PORTTRACE_FREE_H
#define PORTTRACE_FREE_H

#include "../pool.h"
#include "../report.h"
#include "free_options.h"

/* The answer to one question. */
struct free_facts {
	const struct pool_key *key;
	const struct pool_state *state;
	const struct pool_measure *measure;
	int bucket_error; /* -errno: why the bind buckets could not be read; 0 = they were */
};

void free_text(struct buf *b, const struct free_facts *facts);
void free_json(struct buf *b, const struct free_facts *facts);

#endif
