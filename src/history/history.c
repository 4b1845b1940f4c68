// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From the reader of events to the thread that writes. */
#include "../history.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../cleanup.h"
#include "../clock.h"
#include "ring.h"
#include "store.h"

#define HISTORY_SECOND_NS UINT64_C(1000000000)
/* Between transactions: far below the second that may be lost when we are killed, as a busy machine is late. */
#define HISTORY_EVERY_NS 250000000
#define HISTORY_RING_BYTES ((size_t)16 << 20)
/* So many records are written in one transaction, and waiting they wake the writer before its time. */
#define HISTORY_BATCH 32768
#define HISTORY_WAKE_BYTES (HISTORY_RING_BYTES / 4)
#define HISTORY_MAX_AGE_S (7 * 86400)
#define HISTORY_MAX_BYTES (UINT64_C(1) << 30)
#define HISTORY_AGE_EVERY_NS (10 * HISTORY_SECOND_NS)
/* What is known of processes is told anew after this; then those that no life has can go. */
#define HISTORY_EPOCH_NS (3600 * HISTORY_SECOND_NS)
/* Processes that have been told, four to a place. */
#define HISTORY_SETS 4096
#define HISTORY_WAYS 4

enum history_record_type { HISTORY_LIFE, HISTORY_PROCESS, HISTORY_FLOOR };

struct history_known {
	uint64_t start_ns, id; /* id 0 = free */
	uint32_t pid, exec_id, uid, name_hash;
};

struct history {
	struct history_ring ring;
	struct history_options opts;

	/* of the thread that adds */
	struct history_known known[HISTORY_SETS][HISTORY_WAYS];
	uint64_t last_process, epoch_ns, epoch_process;
	unsigned int turn;
	bool woken; /* since the ring was last seen to be short */

	/* of the thread that writes */
	struct history_store *store;
	struct history_bounds bounds;
	uint64_t age_ns;
	pthread_t thread;

	/* of both */
	sem_t wake;
	atomic_bool stop;
	atomic_bool forget; /* processes were lost with a batch: tell them again */
	_Atomic uint64_t written, dropped, evicted;
	_Atomic uint64_t read_ns; /* events of before have been added; 0 = nobody tells */
	_Atomic int error;
	pthread_mutex_t lock; /* of the two below */
	pthread_cond_t done;
	uint64_t sync_wanted, sync_done;
	int sync_error;
};

/* ---- the thread that adds ---- */

static uint32_t history_name_hash(const char *name)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < EVENT_NAME_SIZE && name[i]; i++)
		hash = (hash ^ (unsigned char)name[i]) * 16777619u;
	return hash;
}

static void history_fill_process(struct history_process *to, const struct event *ev, uint64_t id)
{
	const struct event_who *who = event_who(ev);

	memset(to, 0, sizeof(*to));
	to->id = id;
	to->pid = ev->pid;
	to->start_ns = ev->process_start_ns;
	to->exec_id = ev->exec_id;
	to->has_uid = ev->has_uid;
	to->uid = ev->uid;
	memcpy(to->name, ev->name, sizeof(ev->name));
	memcpy(to->executable, who->executable, sizeof(to->executable));
	memcpy(to->command_line, who->command_line, sizeof(to->command_line));
	memcpy(to->user, who->user, sizeof(to->user));
	memcpy(to->container_id, who->container_id, sizeof(to->container_id));
	memcpy(to->unit, who->unit, sizeof(to->unit));
}

/* The place of the event's process among the known; a new one takes that of another (id 0 then). */
static struct history_known *history_find_known(struct history *h, const struct event *ev)
{
	struct history_known want = { .start_ns = ev->process_start_ns, .pid = ev->pid, .exec_id = ev->exec_id };
	struct history_known *set;

	want.uid = ev->has_uid ? ev->uid : UINT32_MAX;
	want.name_hash = history_name_hash(ev->name);
	set = h->known[(want.pid ^ want.pid >> 12 ^ want.exec_id) % HISTORY_SETS];
	for (int i = 0; i < HISTORY_WAYS; i++)
		if (set[i].id && set[i].start_ns == want.start_ns && set[i].pid == want.pid &&
		    set[i].exec_id == want.exec_id && set[i].uid == want.uid && set[i].name_hash == want.name_hash)
			return &set[i];
	set += h->turn++ % HISTORY_WAYS;
	*set = want;
	return set;
}

/* The id of the event's process, told to the writer if that does not know it; 0 = there is none. */
static uint64_t history_tell_process(struct history *h, const struct event *ev)
{
	struct history_process process;
	struct history_known *known;

	if (!ev->pid && !ev->name[0])
		return 0;
	known = history_find_known(h, ev);
	if (!known->id) {
		known->id = ++h->last_process;
		history_fill_process(&process, ev, known->id);
		history_ring_put(&h->ring, HISTORY_PROCESS, &process, sizeof(process));
	}
	return known->id;
}

/* Now and then all are told anew, so that the file need not keep them for ever. */
static void history_turn_epoch(struct history *h, uint64_t now_ns)
{
	if (atomic_exchange(&h->forget, false))
		memset(h->known, 0, sizeof(h->known));
	if (now_ns < h->epoch_ns + HISTORY_EPOCH_NS)
		return;
	memset(h->known, 0, sizeof(h->known));
	history_ring_put(&h->ring, HISTORY_FLOOR, &h->epoch_process, sizeof(h->epoch_process));
	h->epoch_process = h->last_process + 1;
	h->epoch_ns = now_ns;
}

static void history_fill_record(struct history_record *rec, const struct event *ev)
{
	bool over = ev->life_state == LIFE_TIME_WAIT || ev->life_state == LIFE_OVER;
	bool ends = ev->kind == EVENT_CLOSE || ev->kind == EVENT_RELEASE;

	*rec = (struct history_record){
		.life = ev->life, .time_ns = ev->time_ns, .begin_ns = ev->life_begin_ns,
		.cookie = ev->cookie, .netns_cookie = ev->netns_cookie, .netns_inum = ev->netns_inum,
		.protocol = ev->protocol, .local_port = ev->local.port, .remote_port = ev->remote.port,
		.proto = (uint8_t)ev->proto, .state = (uint8_t)ev->life_state, .how = (uint8_t)ev->how,
		.role = (uint8_t)ev->role, .cause = (uint8_t)ev->cause,
		.local_version = ev->local.ip_version, .remote_version = ev->remote.ip_version,
	};
	rec->flags = (uint8_t)((ev->local.has_port ? HISTORY_LOCAL_PORT : 0) |
			       (ev->remote.has_port ? HISTORY_REMOTE_PORT : 0) |
			       (ev->has_bytes ? HISTORY_BYTES : 0) |
			       (over && ends && !ev->snapshot ? HISTORY_END : 0));
	rec->bytes_sent = ev->bytes_sent;
	rec->bytes_received = ev->bytes_received;
	memcpy(rec->local_addr, ev->local.addr, sizeof(rec->local_addr));
	memcpy(rec->remote_addr, ev->remote.addr, sizeof(rec->remote_addr));
}

/* One post for each time that the ring fills up. */
static void history_wake(struct history *h)
{
	bool full = history_ring_used(&h->ring) >= HISTORY_WAKE_BYTES;

	if (full && !h->woken)
		sem_post(&h->wake);
	h->woken = full;
}

void history_add(struct history *h, const struct event *ev)
{
	struct history_record rec;

	if (!ev->life || ev->life_state == LIFE_NONE)
		return;
	if (!history_ring_has_room(&h->ring, 3, sizeof(rec) + sizeof(struct history_process) + sizeof(uint64_t))) {
		atomic_fetch_add_explicit(&h->dropped, 1, memory_order_relaxed);
		return;
	}
	history_turn_epoch(h, ev->time_ns);
	history_fill_record(&rec, ev);
	rec.process = history_tell_process(h, ev);
	history_ring_put(&h->ring, HISTORY_LIFE, &rec, sizeof(rec));
	history_wake(h);
}

void history_note_read(struct history *h, uint64_t now_ns)
{
	atomic_store(&h->read_ns, now_ns);
}

/* ---- the thread that writes ---- */

static int history_take(struct history *h, uint32_t type, const void *record, uint64_t *lives)
{
	switch (type) {
	case HISTORY_LIFE:
		(*lives)++;
		return history_store_life(h->store, record);
	case HISTORY_PROCESS:
		return history_store_process(h->store, record);
	default:
		memcpy(&h->bounds.process_floor, record, sizeof(h->bounds.process_floor));
		return 0;
	}
}

/* One transaction. After a failure the records of the batch are gone: the disk may be full for long. */
static int history_write_batch(struct history *h, uint64_t last_ns)
{
	int r = history_store_begin(h->store);
	uint64_t lives = 0;
	const void *record;
	uint32_t type;

	for (int i = 0; i < HISTORY_BATCH && (record = history_ring_peek(&h->ring, &type)); i++) {
		if (!r)
			r = history_take(h, type, record, &lives);
		else
			lives += type == HISTORY_LIFE;
		history_ring_drop(&h->ring);
	}
	if (!r)
		r = history_store_commit(h->store, last_ns);
	if (r < 0) {
		history_store_rollback(h->store);
		atomic_store(&h->error, r);
		atomic_store(&h->forget, true);
	}
	atomic_fetch_add(r < 0 ? &h->dropped : &h->written, lives);
	return r;
}

static void history_evict(struct history *h, uint64_t now_ns)
{
	uint64_t evicted = 0;
	int r;

	h->bounds.age = now_ns >= h->age_ns + HISTORY_AGE_EVERY_NS || now_ns < h->age_ns;
	if (h->bounds.age)
		h->age_ns = now_ns;
	h->bounds.now_ns = now_ns;
	h->bounds.before_ns = now_ns - h->opts.max_age_s * HISTORY_SECOND_NS;
	h->bounds.max_bytes = h->opts.max_bytes;
	r = history_store_evict(h->store, &h->bounds, &evicted);
	if (r < 0)
		atomic_store(&h->error, r);
	atomic_fetch_add(&h->evicted, evicted);
}

/* Until when all is in the queue. Events are told a little after they happened; `last`: nothing more will come. */
static uint64_t history_complete_ns(const struct history *h, bool last)
{
	uint64_t now = clock_now_ns(CLOCK_REALTIME), read_ns = atomic_load(&h->read_ns);

	if (h->opts.recorded_ns)
		return read_ns > h->opts.recorded_ns ? read_ns : h->opts.recorded_ns;
	if (last)
		return now;
	return (read_ns && read_ns < now ? read_ns : now) - HISTORY_LAG_NS;
}

/* All that was there when it began. */
static int history_write(struct history *h, bool last)
{
	uint64_t complete = history_complete_ns(h, last);
	int r, error = 0;

	do {
		bool short_of = history_ring_used(&h->ring) > HISTORY_BATCH * sizeof(struct history_record);

		/* not before the last batch is it true that all is here */
		r = history_write_batch(h, short_of ? 0 : complete);
		if (r < 0)
			error = r;
		if (!h->opts.recorded_ns)
			history_evict(h, clock_now_ns(CLOCK_REALTIME));
		if (!short_of)
			break;
		complete = history_complete_ns(h, last);
	} while (true);
	return error;
}

static void history_wait(struct history *h)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += HISTORY_EVERY_NS;
	until.tv_sec += until.tv_nsec / (long)HISTORY_SECOND_NS;
	until.tv_nsec %= (long)HISTORY_SECOND_NS;
	while (sem_clockwait(&h->wake, CLOCK_MONOTONIC, &until) < 0 && errno == EINTR)
		;
}

static void history_answer_sync(struct history *h, uint64_t wanted, int r)
{
	pthread_mutex_lock(&h->lock);
	if (h->sync_done < wanted) {
		h->sync_done = wanted;
		h->sync_error = r;
		pthread_cond_broadcast(&h->done);
	}
	pthread_mutex_unlock(&h->lock);
}

static void *history_thread(void *arg)
{
	struct history *h = arg;

	while (!atomic_load(&h->stop)) {
		uint64_t wanted;

		history_wait(h);
		pthread_mutex_lock(&h->lock);
		wanted = h->sync_wanted;
		pthread_mutex_unlock(&h->lock);
		history_answer_sync(h, wanted, history_write(h, false));
	}
	history_write(h, true);
	return NULL;
}

/* ---- begin and end ---- */

/* Signals are for the others. */
static int history_start(struct history *h)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&h->thread, NULL, history_thread, h);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

static void history_free(struct history *h)
{
	history_store_close(h->store);
	history_ring_free(&h->ring);
	sem_destroy(&h->wake);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->done);
	free(h);
}

int history_open(const struct history_options *opts, struct history **ret, char *err)
{
	struct history *h = aligned_alloc(64, (sizeof(*h) + 63) & ~(size_t)63);
	int r;

	if (!h)
		return history_say(err, -ENOMEM, "no memory for the history");
	memset(h, 0, sizeof(*h));
	h->opts = *opts;
	h->opts.max_age_s = opts->max_age_s ? opts->max_age_s : HISTORY_MAX_AGE_S;
	h->opts.max_bytes = opts->max_bytes ? opts->max_bytes : HISTORY_MAX_BYTES;
	sem_init(&h->wake, 0, 0);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->done, NULL);
	r = history_ring_init(&h->ring, HISTORY_RING_BYTES);
	if (r < 0)
		history_say(err, r, "no memory for the history");
	else
		r = history_store_open(opts->path, opts->recorded_ns ? opts->recorded_ns : clock_now_ns(CLOCK_REALTIME),
				       &h->store, err);
	if (!r) {
		h->last_process = history_store_last_process(h->store);
		h->epoch_process = h->last_process + 1;
		if ((r = history_start(h)) < 0)
			history_say(err, r, "cannot start the history's thread: %s", strerrordesc_np(-r));
	}
	if (r < 0) {
		history_free(h);
		return r;
	}
	*ret = h;
	return 0;
}

int history_sync(struct history *h)
{
	uint64_t mine;
	int r;

	pthread_mutex_lock(&h->lock);
	mine = ++h->sync_wanted;
	sem_post(&h->wake);
	while (h->sync_done < mine)
		pthread_cond_wait(&h->done, &h->lock);
	r = h->sync_error;
	pthread_mutex_unlock(&h->lock);
	return r;
}

void history_read_stats(const struct history *h, struct history_stats *ret)
{
	ret->written = atomic_load(&h->written);
	ret->dropped = atomic_load(&h->dropped);
	ret->evicted = atomic_load(&h->evicted);
	ret->error = atomic_load(&h->error);
}

void history_close(struct history *h)
{
	if (!h)
		return;
	atomic_store(&h->stop, true);
	sem_post(&h->wake);
	pthread_join(h->thread, NULL);
	history_free(h);
}
