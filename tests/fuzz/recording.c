// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer's target for recordings: whatever the bytes are, they go all the way to a line, and nothing is read that is
 * not there. The first byte says how: an even one, that a file follows; an odd one, the items of a block, which gets
 * the header and the checksum that no fuzzer guesses. Its other bits: table or JSON, names or numbers.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "pressure_read.h"
#include "recording/format.h"
#include "replay.h"

#define FUZZ_TEXT "porttrace x\nbackend tracing\nhost h\n"

struct fuzz_bytes {
	const uint8_t *data;
	size_t size, at;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile sig_atomic_t fuzz_alarms;
static struct filter fuzz_filter;

static ssize_t fuzz_read(void *arg, void *to, size_t size)
{
	struct fuzz_bytes *b = arg;
	size_t n = b->size - b->at < size ? b->size - b->at : size;

	if (n)
		memcpy(to, b->data + b->at, n);
	b->at += n;
	return (ssize_t)n;
}

static void fuzz_store(uint8_t *to, uint32_t v)
{
	memcpy(to, &v, sizeof(v));
}

/* A header, and one block with these items. */
static uint8_t *fuzz_wrap(const uint8_t *items, size_t size, size_t *ret_size)
{
	size_t text = sizeof(FUZZ_TEXT) - 1, head = FORMAT_HEADER_SIZE + text;
	uint8_t *file = calloc(1, head + FORMAT_BLOCK_HEADER_SIZE + size), *block = file + head;

	memcpy(file, FORMAT_MAGIC, FORMAT_MAGIC_SIZE);
	file[8] = FORMAT_VERSION;
	file[10] = FORMAT_LITTLE_ENDIAN;
	file[11] = RAW_EVENT_VERSION;
	fuzz_store(file + 12, (uint32_t)text);
	memcpy(file + FORMAT_HEADER_SIZE, FUZZ_TEXT, text);
	fuzz_store(file + 16, (uint32_t)crc32(crc32(0, file + 8, 8), (const Bytef *)FUZZ_TEXT, (uInt)text));
	memcpy(block, FORMAT_BLOCK_MAGIC, 4);
	fuzz_store(block + 4, (uint32_t)size);
	memcpy(block + FORMAT_BLOCK_HEADER_SIZE, items, size);
	fuzz_store(block + 8, (uint32_t)crc32(crc32(0, block + 4, 4), items, (uInt)size));
	*ret_size = head + FORMAT_BLOCK_HEADER_SIZE + size;
	return file;
}

static int fuzz_take(void *arg, struct snapshot *ret)
{
	return replay_snapshot(arg, ret);
}

static void fuzz_replay(struct replay *rp, bool json)
{
	static int null = -1;
	struct pressure_read_options look = { .take = fuzz_take, .arg = rp };
	struct sink_options out = { .hostname = "h" };
	struct pressure_picture picture;
	struct pipeline *p = &rp->pipeline;

	if (null < 0)
		null = open("/dev/null", O_WRONLY);
	out.fd = null;
	filter_init(&fuzz_filter);
	p->filter = &fuzz_filter;
	p->alarms = &fuzz_alarms;
	p->sink = sink_find(json ? "json" : "table");
	if ((json || storm_new(&p->storm) == 0) && p->sink->open(&out, &p->sink_state) == 0) {
		while (replay_step(rp))
			;
		pipeline_tell_storms(p, UINT64_MAX);
		pipeline_flush(p);
		if (pressure_read(&look, &picture) == 0)
			pressure_read_free(&picture);
	}
	if (p->sink_state)
		p->sink->close(p->sink_state);
	storm_free(p->storm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes b = { 0 };
	char err[RECORDING_ERR_SIZE];
	struct recording_reader *reader;
	struct replay rp = { 0 };
	uint8_t *file = NULL;

	if (size < 2)
		return 0;
	b.data = data + 1;
	b.size = size - 1;
	if (data[0] & 1)
		b.data = file = fuzz_wrap(data + 1, size - 1, &b.size);
	if (recording_open_source(fuzz_read, &b, &reader, err) == 0) {
		if (replay_open_reader(&rp, reader, data[0] & 4) == 0)
			fuzz_replay(&rp, data[0] & 2);
		replay_close(&rp);
	}
	free(file);
	return 0;
}
