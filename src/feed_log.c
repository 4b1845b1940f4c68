// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "feed_log.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"

/* What stands before the bytes of each record. */
struct feed_log_head {
	uint64_t time_ns, sequence;
	uint32_t size;
	uint8_t kind;
	bool failed;
};

/* Positions count all bytes and records ever appended; where a position stands in `data` is its remainder. */
struct feed_log_reader {
	uint64_t at; /* bytes */
	uint64_t came_ns; /* CLOCK_MONOTONIC: its last call of feed_log_take, or the end of that */
	uint64_t taken, lost; /* records; taken + lost = all that are behind it */
};

struct feed_log {
	pthread_mutex_t lock;
	pthread_cond_t more, room; /* there are records; a reader has moved on */
	char *data;
	size_t size, records_max;
	uint64_t end, records; /* appended so far: bytes, records */
	struct feed_log_reader readers[FEED_LOG_READERS_MAX];
	int reader_count;
	uint64_t moves, seen_moves; /* times that a reader took something; as of the last feed_log_append */
	bool over;
};

int feed_log_new(size_t records, size_t bytes, struct feed_log **ret)
{
	struct feed_log *log = calloc(1, sizeof(*log));
	pthread_condattr_t attr;

	if (!log)
		return -ENOMEM;
	log->records_max = records;
	log->size = records * (bytes + sizeof(struct feed_log_head));
	log->data = malloc(log->size); /* its pages are there only once they are used */
	if (!log->data) {
		free(log);
		return -ENOMEM;
	}
	pthread_mutex_init(&log->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&log->more, &attr);
	pthread_cond_init(&log->room, &attr);
	pthread_condattr_destroy(&attr);
	*ret = log;
	return 0;
}

void feed_log_free(struct feed_log *log)
{
	if (!log)
		return;
	pthread_cond_destroy(&log->more);
	pthread_cond_destroy(&log->room);
	pthread_mutex_destroy(&log->lock);
	free(log->data);
	free(log);
}

int feed_log_join(struct feed_log *log)
{
	if (log->reader_count == FEED_LOG_READERS_MAX)
		return -ENOSPC;
	log->readers[log->reader_count] = (struct feed_log_reader){ 0 };
	return log->reader_count++;
}

/* ---- bytes that may go round the end of the room ---- */

static void feed_log_put(struct feed_log *log, const void *bytes, size_t n)
{
	size_t at = log->end % log->size, first = n < log->size - at ? n : log->size - at;

	memcpy(log->data + at, bytes, first);
	memcpy(log->data, (const char *)bytes + first, n - first);
	log->end += n;
}

static void feed_log_get(const struct feed_log *log, uint64_t position, void *bytes, size_t n)
{
	size_t at = position % log->size, first = n < log->size - at ? n : log->size - at;

	memcpy(bytes, log->data + at, first);
	memcpy((char *)bytes + first, log->data, n - first);
}

/* ---- the writer ---- */

static bool feed_log_is_in_the_way(const struct feed_log *log, const struct feed_log_reader *r, size_t n)
{
	return r->at < log->end && n <= log->size &&
	       (log->end + n - r->at > log->size || log->records - r->taken - r->lost >= log->records_max);
}

static void feed_log_overtake(struct feed_log *log, struct feed_log_reader *r, size_t n)
{
	struct feed_log_head head;

	while (feed_log_is_in_the_way(log, r, n)) {
		feed_log_get(log, r->at, &head, sizeof(head));
		r->at += sizeof(head) + head.size;
		r->lost++;
	}
}

/* Where everybody has read everything, the room is used from its beginning again: few pages are ever touched. */
static void feed_log_rewind(struct feed_log *log)
{
	for (int i = 0; i < log->reader_count; i++)
		if (log->readers[i].at != log->end)
			return;
	log->end = 0;
	for (int i = 0; i < log->reader_count; i++)
		log->readers[i].at = 0;
}

/* Is there a reader that would lose something, and has come for more lately? */
static bool feed_log_would_hurt(const struct feed_log *log, size_t n, unsigned int came_ms)
{
	uint64_t came_ns = 0;

	for (int i = 0; came_ms && i < log->reader_count; i++) {
		const struct feed_log_reader *r = &log->readers[i];

		if (!feed_log_is_in_the_way(log, r, n))
			continue;
		if (!came_ns && came_ms != UINT_MAX)
			came_ns = clock_now_ns(CLOCK_MONOTONIC) - came_ms * UINT64_C(1000000);
		if (r->came_ns >= came_ns)
			return true;
	}
	return false;
}

static void feed_log_take_in(struct feed_log *log, const struct feed_record *rec, size_t n)
{
	struct feed_log_head head = { rec->time_ns, rec->sequence, rec->size, rec->kind, rec->failed };

	for (int i = 0; i < log->reader_count; i++) {
		feed_log_overtake(log, &log->readers[i], n);
		log->readers[i].lost += n > log->size;
	}
	log->records++;
	if (n > log->size)
		return;
	feed_log_put(log, &head, sizeof(head));
	feed_log_put(log, rec->data, rec->size);
}

bool feed_log_append(struct feed_log *log, const struct feed_record *rec, unsigned int came_ms)
{
	size_t n = sizeof(struct feed_log_head) + rec->size;
	bool hurts;

	pthread_mutex_lock(&log->lock);
	feed_log_rewind(log);
	log->seen_moves = log->moves;
	hurts = n <= log->size && feed_log_would_hurt(log, n, came_ms);
	if (!hurts)
		feed_log_take_in(log, rec, n);
	pthread_mutex_unlock(&log->lock);
	return !hurts;
}

static struct timespec feed_log_in(unsigned int ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (ms % 1000) * 1000000L;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

void feed_log_wait(struct feed_log *log, unsigned int ms)
{
	struct timespec until = feed_log_in(ms);

	pthread_mutex_lock(&log->lock);
	pthread_cond_broadcast(&log->more); /* the readers may not know yet */
	for (int r = 0; log->moves == log->seen_moves && r != ETIMEDOUT;)
		r = pthread_cond_timedwait(&log->room, &log->lock, &until);
	pthread_mutex_unlock(&log->lock);
}

void feed_log_wake(struct feed_log *log)
{
	pthread_mutex_lock(&log->lock);
	pthread_cond_broadcast(&log->more);
	pthread_mutex_unlock(&log->lock);
}

void feed_log_end(struct feed_log *log)
{
	pthread_mutex_lock(&log->lock);
	log->over = true;
	pthread_cond_broadcast(&log->more);
	pthread_mutex_unlock(&log->lock);
}

/* ---- the readers ---- */

/* What fits into `room`: number of records. */
static size_t feed_log_copy(struct feed_log *log, struct feed_log_reader *r, char *room, size_t size,
			    struct feed_record *ret, size_t max)
{
	struct feed_log_head head;
	size_t n = 0;

	for (; n < max && r->at < log->end; n++) {
		feed_log_get(log, r->at, &head, sizeof(head));
		if (head.size > size)
			break;
		feed_log_get(log, r->at + sizeof(head), room, head.size);
		ret[n] = (struct feed_record){ head.time_ns, head.sequence, head.kind, head.failed, head.size, room };
		room += head.size;
		size -= head.size;
		r->at += sizeof(head) + head.size;
	}
	r->taken += n;
	return n;
}

int feed_log_take(struct feed_log *log, int reader, char *room, size_t size, struct feed_record *ret, size_t max,
		  unsigned int ms)
{
	struct feed_log_reader *r = &log->readers[reader];
	struct timespec until = feed_log_in(ms);
	size_t n;
	bool over;

	pthread_mutex_lock(&log->lock);
	r->came_ns = clock_now_ns(CLOCK_MONOTONIC);
	for (int timed = 0; r->at == log->end && !log->over && timed != ETIMEDOUT;)
		timed = pthread_cond_timedwait(&log->more, &log->lock, &until);
	n = feed_log_copy(log, r, room, size, ret, max);
	over = log->over && r->at == log->end;
	r->came_ns = clock_now_ns(CLOCK_MONOTONIC);
	log->moves += n != 0;
	pthread_cond_signal(&log->room);
	pthread_mutex_unlock(&log->lock);
	return n || !over ? (int)n : -ENODATA;
}

void feed_log_came(struct feed_log *log, int reader)
{
	pthread_mutex_lock(&log->lock);
	log->readers[reader].came_ns = clock_now_ns(CLOCK_MONOTONIC);
	pthread_mutex_unlock(&log->lock);
}

void feed_log_count(struct feed_log *log, int reader, uint64_t *ret_waiting, uint64_t *ret_taken, uint64_t *ret_lost)
{
	const struct feed_log_reader *r = &log->readers[reader];

	pthread_mutex_lock(&log->lock);
	*ret_lost = r->lost;
	*ret_taken = r->taken;
	*ret_waiting = log->records - r->taken - r->lost;
	pthread_mutex_unlock(&log->lock);
}
