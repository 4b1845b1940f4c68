// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* TCP's bind buckets: loads bpf/bucket.bpf.c and reads what it writes. */
#include "bucket.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "porttrace/bucket.h"
#include "porttrace/config.h"

#include "bucket.skel.h"

#define BUCKET_BUFFER 65536 /* twice what the kernel gives at once */

static int bucket_silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static void bucket_unlink(struct bpf_link **link)
{
	if (*link)
		bpf_link__destroy(*link);
}

static int bucket_load(struct bucket_bpf **ret, uint16_t low, uint16_t high)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	libbpf_print_fn_t before = libbpf_set_print(bucket_silent);
	struct bucket_bpf *skel = bucket_bpf__open();
	int r = skel ? 0 : -errno;

	if (skel) {
		skel->rodata->bucket_first = low;
		setrlimit(RLIMIT_MEMLOCK, &unlimited); /* before 5.11 maps are charged against it */
		r = bpf_map__set_max_entries(skel->maps.bucket_ports, (uint32_t)high - low + 1);
	}
	if (r == 0)
		r = bucket_bpf__load(skel);
	libbpf_set_print(before);
	*ret = skel;
	return r;
}

/* To load it takes longer than all that is read: the last one is kept, as most namespaces have the same range. */
static struct bucket_bpf *bucket_kept;
static uint16_t bucket_kept_low, bucket_kept_high;

static int bucket_get(struct bucket_bpf **ret, uint16_t low, uint16_t high)
{
	int r = 0;

	if (!bucket_kept || bucket_kept_low != low || bucket_kept_high != high) {
		bucket_end();
		r = bucket_load(&bucket_kept, low, high);
		bucket_kept_low = low;
		bucket_kept_high = high;
	}
	if (r < 0)
		bucket_end();
	*ret = bucket_kept;
	return r;
}

void bucket_end(void)
{
	if (bucket_kept)
		bucket_bpf__destroy(bucket_kept);
	bucket_kept = NULL;
}

/* A descriptor to read from, or -errno. */
static int bucket_begin(struct bucket_bpf *skel, struct bpf_link **ret_link)
{
	union bpf_iter_link_info info = { .map = { .map_fd = (uint32_t)bpf_map__fd(skel->maps.bucket_ports) } };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	int fd;

	*ret_link = bpf_program__attach_iter(skel->progs.bucket_read, &opts);
	if (!*ret_link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(*ret_link));
	return fd < 0 ? -errno : fd;
}

static struct pool_socket bucket_socket(const struct bucket_record *from)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct pool_socket sock = { .proto = PROTO_TCP, .state = SOCKDIAG_CLOSE };

	sock.is_ipv6 = from->family == AF_INET6;
	sock.local.has_port = true;
	sock.local.port = from->port;
	if (!sock.is_ipv6 || !memcmp(from->addr6, mapped, sizeof(mapped))) {
		sock.local.ip_version = 4;
		memcpy(sock.local.addr, sock.is_ipv6 ? from->addr6 + 12 : from->addr4, 4);
	} else {
		sock.local.ip_version = 6;
		memcpy(sock.local.addr, from->addr6, 16);
	}
	sock.v6only = sock.is_ipv6 && from->v6only ? POOL_YES : POOL_NO;
	sock.ifindex = from->ifindex;
	sock.cookie = from->cookie;
	return sock;
}

static int bucket_take(struct pool_state *s, const struct bucket_record *record)
{
	struct pool_socket sock;

	switch (record->what) {
	case BUCKET_PORT:
		s->explicit[record->port] = record->blocks ? POOL_YES : POOL_NO;
		return 0;
	case BUCKET_SOCKET:
		if (record->state != SOCKDIAG_CLOSE)
			return 0; /* sock_diag has it */
		sock = bucket_socket(record);
		return pool_add(s, &sock);
	default:
		s->hidden[record->port / 8] |= (uint8_t)(1u << (record->port % 8));
		return 0;
	}
}

static int bucket_take_all(int fd, struct pool_state *s)
{
	_free_ char *buffer = malloc(BUCKET_BUFFER);
	size_t have = 0, at;
	ssize_t n;
	int r = 0;

	if (!buffer)
		return -ENOMEM;
	while ((n = read(fd, buffer + have, BUCKET_BUFFER - have)) != 0) {
		if (n < 0 && (errno == EINTR || errno == EAGAIN)) /* EAGAIN: after a million elements without a word */
			continue;
		if (n < 0)
			return -errno;
		have += (size_t)n;
		for (at = 0; have - at >= sizeof(struct bucket_record) && r == 0; at += sizeof(struct bucket_record)) {
			struct bucket_record record;

			memcpy(&record, buffer + at, sizeof(record));
			r = bucket_take(s, &record);
		}
		if (r < 0)
			return r;
		memmove(buffer, buffer + at, have - at);
		have -= at;
	}
	return have ? -EBADMSG : 0;
}

int bucket_read(struct pool_state *s, uint16_t low, uint16_t high)
{
	struct bucket_bpf *skel;
	_cleanup_(bucket_unlink) struct bpf_link *link = NULL;
	_close_ int fd = -1;
	int r = bucket_get(&skel, low, high);

	if (r == 0)
		r = fd = bucket_begin(skel, &link);
	if (r < 0)
		return r;
	r = bucket_take_all(fd, s);
	if (r < 0)
		return r;
	for (uint32_t port = low; port <= high; port++)
		if (s->explicit[port] == POOL_UNKNOWN && !pool_is_hidden(s, (uint16_t)port))
			s->explicit[port] = POOL_NO; /* no bucket */
	s->shows_bound = true;
	return 0;
}
