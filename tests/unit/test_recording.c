// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Recordings: what a run shows, its replay shows; and no file, however damaged, is read for what it is not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <zlib.h>

#include "clock.h"
#include "pipeline.h"
#include "porttrace/raw_event.h"
#include "recording.h"
#include "replay.h"

#define OFFSET_NS INT64_C(1795337000000000000)

static volatile sig_atomic_t alarms;
static char dir[] = "/tmp/test_recording.XXXXXX", path[64], other[64];

/* ---- a live run with a recorder ---- */

struct run {
	struct event_who who;
	struct pipeline p;
	struct filter filter;
	int fd; /* what the sink wrote */
	unsigned int told;
	struct event_verdict verdict;
	char text[64];
};

static void fill_holder(struct holder *holder, unsigned int i)
{
	*holder = (struct holder){ .kind = (enum holder_kind)(i % HOLDER_KIND_COUNT) };
	holder->local = (struct endpoint){ .addr = { 10, 0, 0, (uint8_t)i }, .ip_version = i % 3 ? 4 : 6 };
	holder->pid = i * 7;
	holder->has_uid = i % 2;
	holder->uid = i;
	snprintf(holder->name, sizeof(holder->name), "holder-%u", i);
	snprintf(holder->user, sizeof(holder->user), "user%u", i);
	holder->exited = i % 5 == 0;
	holder->has_expires = i % 4 == 0;
	holder->expires_s = i % 60;
}

/* In the place of enrichers that find something. It does not touch what the ledger uses. */
static void enrich_made_up(void *arg, struct event *ev)
{
	static const char *const services[] = { NULL, "http", "https", "domain" };
	struct run *run = arg;
	unsigned int i = run->told++;

	run->who = (struct event_who){ 0 };
	ev->who = &run->who;
	snprintf(run->who.executable, sizeof(run->who.executable), "/usr/bin/program%u", i % 40);
	snprintf(run->who.command_line, sizeof(run->who.command_line), "program%u -a \"b\\c\"", i % 40);
	snprintf(run->who.user, sizeof(run->who.user), "user%u", i % 3);
	snprintf(run->who.container_id, sizeof(run->who.container_id), "%064u", i % 5);
	snprintf(run->who.unit, sizeof(run->who.unit), "unit%u.service", i % 5);
	if (i % 3 == 0)
		ev->process_start_real_ns = 1795330000000000000 + i % 40;
	ev->local_facts.service = services[i % 4];
	ev->remote_facts.service = services[i / 4 % 4];
	ev->has_holder = i % 6 == 0;
	if (ev->has_holder)
		fill_holder(&ev->holder, i);
	if (i % 7 == 0) {
		ev->pool_used = i;
		ev->pool_capacity = i + 1;
	}
	if (i % 10)
		return;
	snprintf(run->text, sizeof(run->text), ",\"owners\":[{\"pid\":%u}]", i);
	run->verdict = (struct event_verdict){ .has_pool = i % 20, .used = i, .capacity = 28232, .next_ms = UINT32_MAX,
					       .rule = "P01", .cause = "words", .also = i % 30 ? NULL : "P17",
					       .json = run->text, .json_len = strlen(run->text), .text = "a\nb\n",
					       .text_len = 4 };
	ev->verdict = &run->verdict;
}

static int open_output(void)
{
	int fd = memfd_create("output", 0);

	assert_true(fd >= 0);
	return fd;
}

static void run_open(struct run *run, struct recorder *rec)
{
	struct enrich_options opts = { .numeric = true, .proc_path = "/nonexistent" };
	struct sink_options out = { .hostname = "vm" };

	memset(run, 0, sizeof(*run));
	filter_init(&run->filter);
	run->fd = out.fd = open_output();
	run->p = (struct pipeline){ .filter = &run->filter, .sink = &sink_json, .alarms = &alarms, .track = true,
				    .recorder = rec, .explain = enrich_made_up, .explain_arg = run };
	assert_int_equal(sockets_new(SOCKETS_DEFAULT_LIMIT, &run->p.sockets), 0);
	assert_int_equal(wall_new(WALL_MAX_POOLS, &run->p.wall), 0);
	assert_int_equal(enrich_open(&opts, &run->p.enrich), 0);
	assert_int_equal(sink_json.open(&out, &run->p.sink_state), 0);
}

static void run_close(struct run *run)
{
	sink_json.close(run->p.sink_state);
	enrich_close(run->p.enrich);
	wall_free(run->p.wall);
	sockets_free(run->p.sockets);
	close(run->fd);
}

static void random_record(struct raw_event *raw)
{
	for (size_t i = 0; i < sizeof(*raw); i++)
		((uint8_t *)raw)[i] = (uint8_t)rand();
	raw->magic = RAW_EVENT_MAGIC;
	raw->version = RAW_EVENT_VERSION;
	raw->kind = (uint8_t)(RAW_BIND + rand() % (RAW_KIND_COUNT - 1));
	raw->how = (uint8_t)(rand() % RAW_HOW_COUNT);
	raw->closer = (uint8_t)(rand() % RAW_CLOSER_COUNT);
	raw->after = (uint8_t)(rand() % RAW_AFTER_COUNT);
	raw->family = rand() % 2 ? AF_INET : AF_INET6;
	raw->socket_id = (uint64_t)(1 + rand() % 50);
	raw->cookie = raw->socket_id;
	raw->netns_cookie = 0;
	raw->netns_inum = (uint32_t)(1 + rand() % 2);
	raw->pid = (uint32_t)(1 + rand() % 20);
	raw->time_ns = (uint64_t)rand() % 1000000000000;
	raw->process_start_ns = (uint64_t)rand() % 1000000000000;
	raw->local_port = (uint16_t)(32768 + rand() % 20);
	raw->error = rand() % 4 ? 0 : (uint32_t)rand() % 140;
}

static void snapshot_socket(struct pipeline *p, unsigned int i)
{
	struct event ev = { .kind = EVENT_LISTEN, .outcome = OUTCOME_SUCCESS, .snapshot = true,
			    .time_ns = (uint64_t)OFFSET_NS, .proto = PROTO_TCP, .protocol = IPPROTO_TCP };

	ev.local = (struct endpoint){ .ip_version = 4, .has_port = true, .port = (uint16_t)(32768 + i) };
	ev.ip_version = 4;
	ev.cookie = 1 + i;
	ev.netns_inum = 1;
	ev.pid = 4711 + i;
	ev.has_options = true;
	snprintf(ev.name, sizeof(ev.name), "before-%u", i);
	ev.name_is_leader = true;
	pipeline_socket(p, &ev, i % 3 ? 0 : ev.time_ns + 30000000000);
}

static struct missed {
	uint64_t lives[64], cookies[64];
	size_t count;
} missed;

static bool miss_some(void *arg, const struct sockets_view *view)
{
	(void)arg;
	if (view->life % 3 || missed.count == 64)
		return true;
	missed.cookies[missed.count] = view->cookie;
	missed.lives[missed.count++] = view->life;
	return false;
}

/* A look that forgets every third socket, as trace_ledger.c tells of it. */
static void look(struct pipeline *p)
{
	missed.count = 0;
	sockets_each(p->sockets, miss_some, NULL);
	for (size_t i = 0; i < missed.count; i++)
		recorder_miss(p->recorder, missed.lives[i], missed.cookies[i]);
	recorder_looked(p->recorder);
}

static struct recorder *record_begin(const char *to)
{
	struct recording_header header = { .backend = BACKEND_TRACING, .start_ns = 1795337153000000000,
					   .hostname = "vm", .kernel = "6.1", .boot_id = "b", .porttrace = "0.1" };
	char err[RECORDING_ERR_SIZE] = "";
	struct recorder *rec;

	assert_int_equal(recorder_open(to, false, &rec, err), 0);
	assert_int_equal(recorder_begin(rec, &header), 0);
	return rec;
}

/* As a block of its own, in the file or not. */
static void flush(struct recorder *rec)
{
	struct recorder_stats stats;

	recorder_flush(rec);
	do
		recorder_read_stats(rec, &stats);
	while (stats.blocks && !usleep(10));
}

/* `count` events, in batches, with a look now and then; 0 or the error of the file. */
static int record(struct run *run, int count)
{
	struct recording_end end = { .time_ns = 5, .seen = (uint64_t)count, .lost = 1 };
	struct netns_facts *facts = calloc(1, sizeof(*facts));
	struct raw_event raw;

	facts->inum = 1;
	facts->range_low = 32768;
	facts->range_high = 60999;
	facts->reserved[5] = 1;
	recorder_netns(run->p.recorder, "blue", facts);
	free(facts);
	for (unsigned int i = 0; i < 6; i++)
		snapshot_socket(&run->p, i);
	for (int i = 0; i < count; i++) {
		if (i % 16 == 0) {
			run->p.decode.boot_offset_ns = OFFSET_NS + i % 5;
			recorder_batch(run->p.recorder, (uint64_t)(OFFSET_NS + i), run->p.decode.boot_offset_ns);
		}
		if (i % 50 == 49)
			look(&run->p);
		if (i % 10 == 9)
			flush(run->p.recorder);
		random_record(&raw);
		pipeline_record(&run->p, &raw, sizeof(raw));
	}
	sink_json.flush(run->p.sink_state);
	return recorder_end(run->p.recorder, &end, UINT64_MAX);
}

static char *contents(int fd, size_t *ret_size)
{
	struct stat st;
	char *text;

	assert_int_equal(fstat(fd, &st), 0);
	text = malloc((size_t)st.st_size + 1);
	assert_int_equal(pread(fd, text, (size_t)st.st_size, 0), st.st_size);
	text[st.st_size] = '\0';
	*ret_size = (size_t)st.st_size;
	return text;
}

/* ---- replay ---- */

static uint64_t replay_lines(const char *from, int fd, struct replay *rp)
{
	struct sink_options out = { .hostname = "vm", .fd = fd };
	static struct filter filter;
	char err[RECORDING_ERR_SIZE] = "";

	memset(rp, 0, sizeof(*rp));
	filter_init(&filter);
	assert_int_equal(replay_open(rp, from, false, err), 0);
	rp->pipeline.filter = &filter;
	rp->pipeline.alarms = &alarms;
	rp->pipeline.sink = &sink_json;
	assert_int_equal(sink_json.open(&out, &rp->pipeline.sink_state), 0);
	while (replay_step(rp))
		;
	sink_json.flush(rp->pipeline.sink_state);
	sink_json.close(rp->pipeline.sink_state);
	return rp->pipeline.shown;
}

static void test_replay_shows_what_the_run_showed(void **state)
{
	struct recorder *rec = record_begin(path);
	size_t live_size, size;
	char *live, *again;
	struct replay rp;
	struct run run;
	int fd = open_output();

	(void)state;
	srand(1);
	run_open(&run, rec);
	assert_int_equal(record(&run, 20000), 0);
	recorder_close(rec);
	assert_int_equal(replay_lines(path, fd, &rp), 20000);
	assert_int_equal(rp.error, 0);
	assert_int_equal(rp.end.seen, 20000);
	assert_int_equal(sockets_count(rp.pipeline.sockets), sockets_count(run.p.sockets));
	live = contents(run.fd, &live_size);
	again = contents(fd, &size);
	assert_true(live_size > 20000 * 200);
	assert_int_equal(size, live_size);
	assert_memory_equal(again, live, size);
	assert_non_null(strstr(live, "\"creator\":{\"pid\":"));
	assert_non_null(strstr(live, "\"holder\":{"));
	assert_non_null(strstr(live, ",\"owners\":[{\"pid\":"));
	free(live);
	free(again);
	replay_close(&rp);
	run_close(&run);
	close(fd);
}

static void test_the_ledger_is_a_snapshot(void **state)
{
	struct recorder *rec = record_begin(path);
	struct snapshot snap;
	struct replay rp;
	struct run run;
	int fd = open_output();
	size_t seen = 0;

	(void)state;
	run_open(&run, rec);
	assert_int_equal(record(&run, 0), 0);
	recorder_close(rec);
	replay_lines(path, fd, &rp);
	rp.time_ns = (uint64_t)OFFSET_NS + 1000000;
	assert_int_equal(replay_snapshot(&rp, &snap), 0);
	assert_int_equal(snap.namespaces, 1);
	assert_string_equal(snap.netns[0].name, "blue");
	assert_int_equal(snap.netns[0].facts.range_high, 60999);
	assert_int_equal(snap.netns[0].facts.reserved[5], 1);
	for (size_t i = 0; i < snap.count; i++) {
		seen |= 1u << (snap.sockets[i].sock.local.port - 32768);
		assert_int_equal(snap.sockets[i].netns_inum, 1);
		if (snap.sockets[i].sock.waits)
			assert_in_range(snap.sockets[i].sock.expires_ms, 27000, 30000);
		else
			assert_int_equal(snap.sockets[i].sock.state, SOCKDIAG_LISTEN);
	}
	assert_int_equal(seen, 63);
	assert_int_equal(snap.count, 6);
	snapshot_free(&snap);
	replay_close(&rp);
	run_close(&run);
	close(fd);
}

/* ---- files that are not as they were written ---- */

struct bytes {
	const char *data;
	size_t size, at;
};

static ssize_t read_bytes(void *arg, void *to, size_t size)
{
	struct bytes *b = arg;
	size_t n = b->size - b->at < size ? b->size - b->at : size;

	memcpy(to, b->data + b->at, n);
	b->at += n;
	return (ssize_t)n;
}

/* Reads all there is: events, and how it ended: 0 at the true end, -errno. */
static int read_all(const char *data, size_t size, uint64_t *ret_events, char *ret_words)
{
	struct bytes b = { data, size, 0 };
	struct recording_reader *r;
	struct recording_item item;
	int more = recording_open_source(read_bytes, &b, &r, ret_words);

	*ret_events = 0;
	if (more < 0)
		return more;
	while ((more = recording_next(r, &item)) > 0)
		*ret_events += item.kind == RECORDING_EVENT;
	snprintf(ret_words, RECORDING_ERR_SIZE, "%s", recording_damage(r));
	assert_int_equal(recording_next(r, &item), more);
	recording_close(r);
	return more;
}

static char *small_file(size_t *ret_size)
{
	struct recorder *rec = record_begin(path);
	struct run run;
	char *data;
	int fd;

	srand(7);
	run_open(&run, rec);
	assert_int_equal(record(&run, 30), 0);
	recorder_close(rec);
	run_close(&run);
	fd = open(path, O_RDONLY);
	data = contents(fd, ret_size);
	close(fd);
	return data;
}

static void test_cut_at_every_byte(void **state)
{
	char words[RECORDING_ERR_SIZE];
	uint64_t events, before = 0;
	size_t size;
	char *data = small_file(&size);

	(void)state;
	assert_int_equal(read_all(data, size, &events, words), 0);
	assert_int_equal(events, 30);
	for (size_t cut = 0; cut < size; cut++) {
		char *copy = malloc(cut + 1); /* what is read beyond the end, the sanitizer sees */
		int r;

		memcpy(copy, data, cut);
		r = read_all(copy, cut, &events, words);
		free(copy);
		assert_int_equal(r, cut < 8 ? -EINVAL : -EBADMSG);
		assert_true(events >= before && events <= 30);
		before = events;
		if (cut >= 8) {
			const char *at = strstr(words, "at byte ");

			assert_non_null(at);
			assert_true(strtoull(at + 8, NULL, 10) <= cut);
		}
	}
	assert_int_equal(before, 29); /* of whole blocks */
	free(data);
}

static void test_a_bit_of_each_byte_flipped(void **state)
{
	char words[RECORDING_ERR_SIZE];
	uint64_t events;
	size_t size;
	char *data = small_file(&size);

	(void)state;
	for (size_t byte = 0; byte < size; byte++) {
		size_t bit = byte * 8 + byte % 8;
		int r;

		data[bit / 8] ^= (char)(1 << bit % 8);
		r = read_all(data, size, &events, words);
		data[bit / 8] ^= (char)(1 << bit % 8);
		assert_true(r == -EBADMSG || (bit < 64 && r == -EINVAL));
		assert_true(words[0] && events < 30);
	}
	free(data);
}

static void test_newer_versions_are_refused(void **state)
{
	/* format 3 and a raw record of version 9; CRC-32 of what follows the magic made by another program */
	static const char newer[] = "\211PTR\r\n\032\n\3\0\1\11\16\0\0\0\342\033\217\071porttrace 9.9\n";
	char words[RECORDING_ERR_SIZE] = "";
	uint64_t events;
	int r = read_all(newer, sizeof(newer) - 1, &events, words);

	(void)state;
	assert_string_equal(words, "is of a newer porttrace, 9.9 (format 3.9): this one reads format 2.3 at most");
	assert_int_equal(r, -EPROTONOSUPPORT);
}

/* Of format 1 are files without a gap: they have not changed. */
static void test_the_version_before_is_read(void **state)
{
	char words[RECORDING_ERR_SIZE] = "";
	uint64_t events;
	uint32_t text, crc;
	size_t size;
	char *data = small_file(&size);

	(void)state;
	memcpy(&text, data + 12, sizeof(text));
	data[8] = 1;
	crc = (uint32_t)crc32(crc32(0, (const Bytef *)data + 8, 8), (const Bytef *)data + 20, text);
	memcpy(data + 16, &crc, sizeof(crc));
	assert_int_equal(read_all(data, size, &events, words), 0);
	assert_int_equal(events, 30);
	free(data);
}

/* ---- the file ---- */

static void write_file(const char *to, const char *text)
{
	FILE *f = fopen(to, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_what_is_written_over(void **state)
{
	char err[RECORDING_ERR_SIZE];
	struct recorder *rec, *second;
	struct stat st;

	(void)state;
	write_file(other, "precious");
	assert_int_equal(recorder_open(other, false, &rec, err), -EEXIST);
	assert_non_null(strstr(err, "no recording"));
	assert_int_equal(recorder_open(other, true, &rec, err), 0);
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_size, 8); /* not before it begins */
	recorder_close(rec);
	unlink(other);
	assert_int_equal(symlink(path, other), 0);
	assert_int_equal(recorder_open(other, true, &rec, err), -ELOOP);
	unlink(other);
	assert_int_equal(mkfifo(other, 0600), 0);
	assert_int_equal(recorder_open(other, true, &rec, err), -ENOTSUP);
	unlink(other);
	rec = record_begin(other);
	assert_int_equal(recorder_open(other, false, &second, err), -EBUSY);
	recorder_close(rec);
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0640u, 0);
	recorder_close(record_begin(other));
	unlink(other);
}

/* What has not gone out whole is cut off, and counted. */
static void test_full_disk(void **state)
{
	struct rlimit before, limit = { 20000, 0 };
	struct recorder *rec = record_begin(other);
	char words[RECORDING_ERR_SIZE];
	struct recorder_stats stats;
	uint64_t events;
	struct run run;
	size_t size;
	char *data;
	int fd, r;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit.rlim_max = before.rlim_max;
	run_open(&run, rec);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	r = record(&run, 1000);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(r, -EFBIG);
	recorder_read_stats(rec, &stats);
	assert_int_equal(stats.error, -EFBIG);
	assert_int_equal(stats.written + stats.unwritten, 1000);
	assert_int_equal(stats.waiting + stats.left_out, 0);
	assert_true(stats.written > 0 && stats.unwritten > 0);
	recorder_close(rec);
	run_close(&run);
	fd = open(other, O_RDONLY);
	data = contents(fd, &size);
	close(fd);
	assert_true(size < 20000);
	assert_int_equal(read_all(data, size, &events, words), -EBADMSG);
	assert_non_null(strstr(words, "has no end"));
	assert_int_equal(events, stats.written);
	free(data);
	unlink(other);
}

/* ---- a disk that hangs: a terminal of which nobody reads takes some bytes, and then none ---- */

struct disk {
	int master, slave;
	struct recorder *rec;
	pthread_t thread;
	char *data; /* what was taken at last */
	size_t size;
};

static void disk_open(struct disk *d)
{
	struct termios raw;
	char name[64];

	memset(d, 0, sizeof(*d));
	d->master = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(d->master >= 0);
	assert_int_equal(grantpt(d->master), 0);
	assert_int_equal(unlockpt(d->master), 0);
	assert_int_equal(ptsname_r(d->master, name, sizeof(name)), 0);
	d->slave = open(name, O_RDWR | O_NOCTTY); /* while it is open, reading does not fail */
	assert_int_equal(tcgetattr(d->slave, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(d->slave, TCSANOW, &raw), 0);
	d->rec = record_begin(name);
}

static struct recorder_stats disk_stats(const struct disk *d)
{
	struct recorder_stats stats;

	recorder_read_stats(d->rec, &stats);
	return stats;
}

/* Until the file is whole: a block of no bytes follows, of which the terminal makes none. */
static void *disk_take(void *arg)
{
	struct disk *d = arg;
	ssize_t n;

	d->data = malloc(1 << 24);
	while ((n = read(d->master, d->data + d->size, (1 << 24) - d->size)) > 0) {
		d->size += (size_t)n;
		if (d->size >= 4 && !memcmp(d->data + d->size - 4, "over", 4))
			break;
	}
	d->size -= 4;
	return NULL;
}

static void disk_work(struct disk *d)
{
	assert_int_equal(pthread_create(&d->thread, NULL, disk_take, d), 0);
}

static void disk_close(struct disk *d)
{
	assert_int_equal(write(d->slave, "over", 4), 4);
	pthread_join(d->thread, NULL);
	close(d->master);
	close(d->slave);
}

/* Events until some are left out, and some more. */
static uint64_t overflow(struct run *run)
{
	struct recorder_stats stats;
	struct raw_event raw;
	uint64_t n = 0, more = 0;

	do {
		random_record(&raw);
		pipeline_record(&run->p, &raw, sizeof(raw));
		recorder_read_stats(run->p.recorder, &stats);
		more += stats.left_out > 0;
		assert_true(++n < 1000000);
	} while (more < 1000);
	return n;
}

static struct raw_event record_of(int kind, int second)
{
	struct raw_event raw = { .magic = RAW_EVENT_MAGIC, .version = RAW_EVENT_VERSION, .kind = (uint8_t)kind,
				 .family = AF_INET, .protocol = IPPROTO_TCP, .socket_id = 1000, .cookie = 1000,
				 .netns_inum = 1, .pid = 7, .local_port = 40000, .local_addr = { 10, 0, 0, 1 },
				 .remote_port = 443, .remote_addr = { 10, 0, 0, 2 } };

	raw.time_ns = 10000000000000 + (uint64_t)second * 1000000000;
	return raw;
}

static void tell(struct run *run, int kind, int second)
{
	struct raw_event raw = record_of(kind, second);

	pipeline_record(&run->p, &raw, sizeof(raw));
}

/* Of the socket 1000: its events behind the gap. */
static struct {
	struct event closed;
	size_t gaps, count, sockets;
} behind;

static void watch_behind(void *arg, const struct event *ev)
{
	struct replay *rp = arg;

	if (rp->gaps && !behind.count++)
		behind.sockets = sockets_count(rp->pipeline.sockets);
	if (ev->socket_id == 1000 && ev->kind == EVENT_CLOSE)
		behind.closed = *ev;
}

static void replay_data(const struct disk *d, struct replay *rp)
{
	static struct filter filter;
	char err[RECORDING_ERR_SIZE] = "";
	int fd = open(other, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, d->data, d->size), (ssize_t)d->size);
	close(fd);
	memset(rp, 0, sizeof(*rp));
	memset(&behind, 0, sizeof(behind));
	filter_init(&filter);
	filter.kinds = 1u << EVENT_KIND_COUNT;
	assert_int_equal(replay_open(rp, other, true, err), 0);
	rp->pipeline.filter = &filter;
	rp->pipeline.alarms = &alarms;
	rp->watch = watch_behind;
	rp->watch_arg = rp;
	while (replay_step(rp))
		;
	unlink(other);
}

/* The queue is full, the disk works again, and what was there before the gap is not believed behind it. */
static void test_a_disk_that_hangs(void **state)
{
	struct recording_end end = { .time_ns = 5 };
	struct recorder_stats stats;
	struct replay rp;
	struct disk d;
	struct run run;
	uint64_t n;

	(void)state;
	srand(3);
	disk_open(&d);
	run_open(&run, d.rec);
	recorder_batch(d.rec, 1000, OFFSET_NS);
	tell(&run, RAW_CONNECT, 0);
	n = 1 + overflow(&run);
	stats = disk_stats(&d);
	assert_true(stats.is_late);
	assert_int_equal(stats.written + stats.waiting + stats.left_out, n);
	assert_in_range(stats.left_out, 1000, 1000);
	assert_false(recorder_batch(d.rec, 2000, OFFSET_NS)); /* nothing is read, still */
	disk_work(&d);
	while (!recorder_batch(d.rec, 3000, OFFSET_NS))
		usleep(100);
	look(&run.p);
	tell(&run, RAW_CLOSE, 10);
	assert_int_equal(recorder_end(d.rec, &end, UINT64_MAX), 0);
	stats = disk_stats(&d);
	assert_int_equal(stats.written + stats.left_out, n + 1);
	assert_int_equal(stats.waiting + stats.unwritten, 0);
	disk_close(&d);
	replay_data(&d, &rp);
	assert_int_equal(rp.error, 0);
	assert_int_equal(rp.end.time_ns, 5);
	assert_int_equal(pipeline_records(&rp.pipeline), stats.written);
	assert_int_equal(rp.left_out, stats.left_out);
	assert_int_equal(rp.gaps, 1);
	assert_int_equal(rp.gap.from_ns, 1000);
	assert_int_equal(rp.gap.to_ns, 3000);
	assert_int_equal(behind.closed.kind, EVENT_CLOSE);
	assert_int_equal(behind.closed.duration_ns, 0); /* its connect was told, but who knows of what else was */
	assert_int_equal(behind.count, 1);
	assert_int_equal(behind.sockets, 0);
	replay_close(&rp);
	recorder_close(d.rec);
	run_close(&run);
	free(d.data);
}

/* Behind the gap stand the sockets that are there then; a look, which tells cookies from then on, takes one away. */
static void test_sockets_behind_a_gap(void **state)
{
	struct recording_end end = { .time_ns = 5 };
	struct replay rp;
	struct disk d;
	struct run run;

	(void)state;
	srand(4);
	disk_open(&d);
	run_open(&run, d.rec);
	recorder_batch(d.rec, 1000, OFFSET_NS);
	overflow(&run);
	snapshot_socket(&run.p, 1); /* left out, too */
	disk_work(&d);
	while (!recorder_batch(d.rec, 3000, OFFSET_NS))
		usleep(100);
	for (unsigned int i = 1; i < 3; i++) {
		struct event ev = { .kind = EVENT_LISTEN, .time_ns = (uint64_t)OFFSET_NS, .cookie = 1000 + i,
				    .netns_inum = 1, .local = { .ip_version = 4, .has_port = true, .port = 80 } };

		recorder_socket(d.rec, &ev, 0);
	}
	recorder_miss(d.rec, 12345, 1001);
	recorder_looked(d.rec);
	assert_int_equal(recorder_end(d.rec, &end, UINT64_MAX), 0);
	disk_close(&d);
	replay_data(&d, &rp);
	assert_int_equal(rp.error, 0);
	assert_int_equal(rp.gaps, 1);
	assert_int_equal(sockets_count(rp.pipeline.sockets), 1);
	replay_close(&rp);
	recorder_close(d.rec);
	run_close(&run);
	free(d.data);
}

/* The end is not waited for longer than that, and nothing is counted twice. The thread stays, as long as the disk. */
static void test_a_disk_that_hangs_at_the_end(void **state)
{
	struct recording_end end = { .time_ns = 5 };
	struct recorder_stats stats;
	struct disk d;
	struct run run;
	uint64_t n;

	(void)state;
	srand(5);
	disk_open(&d);
	run_open(&run, d.rec);
	n = overflow(&run);
	assert_int_equal(recorder_end(d.rec, &end, clock_now_ns(CLOCK_MONOTONIC) + 50000000), -ETIMEDOUT);
	stats = disk_stats(&d);
	assert_int_equal(stats.written + stats.left_out + stats.unwritten, n);
	assert_int_equal(stats.waiting, 0);
	assert_true(stats.unwritten > 1000);
	recorder_close(d.rec);
	run_close(&run);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/a.ptr", dir);
	snprintf(other, sizeof(other), "%s/b.ptr", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	unlink(other);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replay_shows_what_the_run_showed),
		cmocka_unit_test(test_the_ledger_is_a_snapshot),
		cmocka_unit_test(test_cut_at_every_byte),
		cmocka_unit_test(test_a_bit_of_each_byte_flipped),
		cmocka_unit_test(test_newer_versions_are_refused),
		cmocka_unit_test(test_the_version_before_is_read),
		cmocka_unit_test(test_what_is_written_over),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_a_disk_that_hangs),
		cmocka_unit_test(test_sockets_behind_a_gap),
		cmocka_unit_test(test_a_disk_that_hangs_at_the_end),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
