/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A recording: raw records as the backend gave them, the sockets that were there at the start, and what was looked up
 * outside for each event, so that any machine can go the way from decode to sink again.
 *
 * The file is a header and blocks, each with its length and a CRC-32: whatever stands before the first damage can be
 * read. Numbers are little endian. Inside a block are items (recording/format.h): what repeats is told once, and a
 * record as its difference to the last one of its kind.
 */
#ifndef PORTTRACE_RECORDING_H
#define PORTTRACE_RECORDING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "facts.h"
#include "netns.h"

#define RECORDING_ERR_SIZE 512
#define RECORDING_TEXT_SIZE 128
#define RECORDING_NAME_SIZE 64

/* Where and when. Texts: "" = not known. */
struct recording_header {
	enum event_backend backend;
	uint64_t start_ns; /* CLOCK_REALTIME */
	bool by_cookie; /* namespaces are told by cookie */
	char hostname[RECORDING_TEXT_SIZE], kernel[RECORDING_TEXT_SIZE], boot_id[RECORDING_TEXT_SIZE];
	char porttrace[RECORDING_TEXT_SIZE]; /* version that wrote it */
	char run[RECORDING_TEXT_SIZE]; /* tells the run from all others */
};

/* The end of a run, as its closing line tells it. */
struct recording_end {
	uint64_t time_ns; /* CLOCK_REALTIME */
	uint64_t seen, lost; /* by the kernel's hooks; lost: there and on the way */
};

/* What was left out, because the disk did not keep up. */
struct recording_gap {
	uint64_t events, sockets; /* sockets: of a snapshot */
	uint64_t from_ns, to_ns; /* CLOCK_REALTIME: of the first batch that is not whole, and of the next that may be */
};

/*
 * ---- writing: a thread of its own writes the file, and none of these waits for it, but recorder_begin and the end
 */

struct recorder;

/* Each event is one of the first four. */
struct recorder_stats {
	uint64_t written;
	uint64_t waiting; /* to be written */
	uint64_t left_out; /* the queue was full: WRITER_BLOCKS of recording/writer.h */
	uint64_t unwritten; /* the file failed, or took nothing at the end */
	uint64_t blocks; /* that wait */
	uint64_t bytes; /* of the file */
	bool is_late; /* events are left out just now */
	int error; /* -errno of the file; 0 = none. Nothing is written after it */
};

/*
 * Opens (or creates, 0640) a file for a recording. One that is there is taken only if it is empty or a recording, or by
 * `force`; a symbolic link never. Nothing in it is changed before recorder_begin. 0 or -errno with a sentence in
 * err[RECORDING_ERR_SIZE]. The caller ends *ret with recorder_close, which accepts NULL.
 */
int recorder_open(const char *path, bool force, struct recorder **ret, char *err);
/* Empties the file, writes the header and starts the thread: what forks does so before. 0 or -errno. */
int recorder_begin(struct recorder *rec, const struct recording_header *header);
/*
 * What follows was read at `time_ns` (CLOCK_REALTIME), with this difference to CLOCK_BOOTTIME. True: a gap ends here,
 * and a reader knows of no socket, until it is told of those that are there now.
 */
bool recorder_batch(struct recorder *rec, uint64_t time_ns, int64_t boot_offset_ns);
/* A namespace, and a socket of a snapshot (capture_socket_fn), before its adoption. */
void recorder_netns(struct recorder *rec, const char *name, const struct netns_facts *facts);
void recorder_socket(struct recorder *rec, const struct event *ev, uint64_t until_ns);
/* A whole struct raw_event, and what became of it: the event after all stages. */
void recorder_event(struct recorder *rec, const void *raw, const struct event *ev);
/* Each socket that a look at the kernel's tables has missed; then the look itself. */
void recorder_miss(struct recorder *rec, uint64_t life, uint64_t cookie);
void recorder_looked(struct recorder *rec);
/* What has been told is to be written, as a block: now, or when the thread has nothing else to write. */
void recorder_flush(struct recorder *rec);
/*
 * The last block: waits until all is on disk and the file closed, at most until deadline_ns (CLOCK_MONOTONIC). 0 or the
 * error of the file; -ETIMEDOUT: it was not written by then.
 */
int recorder_end(struct recorder *rec, const struct recording_end *end, uint64_t deadline_ns);
void recorder_read_stats(const struct recorder *rec, struct recorder_stats *ret);
void recorder_close(struct recorder *rec);

/* ---- reading ---- */

enum recording_kind {
	RECORDING_NOTHING, /* the end */
	RECORDING_BATCH,
	RECORDING_NETNS,
	RECORDING_SOCKET,
	RECORDING_EVENT,
	RECORDING_LOOK, /* at the kernel's tables */
	RECORDING_GAP, /* what was known of sockets is not known any more */
	RECORDING_END,
};

/* Valid until the next one is read. */
struct recording_item {
	enum recording_kind kind;
	uint64_t time_ns; /* batch */
	int64_t boot_offset_ns; /* batch */
	const void *raw; /* event: a struct raw_event, with any bytes in it; its facts: recording_facts() */
	struct event socket; /* socket */
	uint64_t until_ns; /* socket: see capture_socket_fn */
	const char *netns_name; /* netns */
	const struct netns_facts *netns; /* netns */
	const uint64_t *lives; /* look: that it has missed, in ascending order */
	size_t life_count;
	bool by_cookie; /* look: the lives are cookies */
	struct recording_gap gap; /* gap */
	struct recording_end end; /* end */
};

/* Where bytes come from: like read(2), but -errno. */
typedef ssize_t (*recording_read_fn)(void *arg, void *to, size_t size);

struct recording_reader;

/*
 * 0 or -errno with a sentence in err[RECORDING_ERR_SIZE]: -EINVAL for no recording, -EPROTONOSUPPORT for one of a newer
 * version, -EBADMSG for one whose header is damaged. The caller ends *ret with recording_close, which accepts NULL.
 */
int recording_open(const char *path, struct recording_reader **ret, char *err);
/* The same of any source; `arg` is not taken over. */
int recording_open_source(recording_read_fn read, void *arg, struct recording_reader **ret, char *err);
const struct recording_header *recording_header(const struct recording_reader *r);
/* What was looked up for the event that was read last: the same address all the time. */
const struct facts *recording_facts(const struct recording_reader *r);
/*
 * The next item. 1, 0 at the end, or -errno, then again and again: -EBADMSG for damage, which recording_damage tells
 * with its offset.
 */
int recording_next(struct recording_reader *r, struct recording_item *ret);
/* "" or what is wrong, and where: "is cut off at byte 8,192". */
const char *recording_damage(const struct recording_reader *r);
void recording_close(struct recording_reader *r);

#endif
