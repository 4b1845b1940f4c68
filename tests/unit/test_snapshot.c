// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sockdiag's attributes by hand, and a snapshot against sockets of this process. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "snapshot.h"

/* ---- attributes ---- */

struct message {
	uint8_t bytes[1024];
	size_t len;
};

static struct message message(uint8_t state)
{
	struct inet_diag_msg msg = { .idiag_family = AF_INET, .idiag_state = state, .id.idiag_if = 7 };
	struct message m = { .len = sizeof(msg) };

	memcpy(m.bytes, &msg, sizeof(msg));
	return m;
}

static void add(struct message *m, uint16_t type, const void *value, size_t size)
{
	struct nlattr attr = { .nla_len = (uint16_t)(sizeof(attr) + size), .nla_type = type };

	memcpy(m->bytes + m->len, &attr, sizeof(attr));
	memcpy(m->bytes + m->len + sizeof(attr), value, size);
	m->len += NLA_ALIGN(sizeof(attr) + size);
}

static struct sockdiag_socket parse(const struct message *m)
{
	struct sockdiag_socket sock;

	assert_int_equal(sockdiag_parse(PROTO_TCP, m->bytes, m->len, &sock), 0);
	return sock;
}

static void test_bytes(void **state)
{
	struct tcp_info info = { .tcpi_bytes_sent = 1000,
				 .tcpi_bytes_retrans = 100,
				 .tcpi_notsent_bytes = 5,
				 .tcpi_bytes_received = 77 };
	struct message m = message(SOCKDIAG_ESTABLISHED);
	struct sockdiag_socket sock;

	(void)state;
	add(&m, INET_DIAG_INFO, &info, sizeof(info));
	sock = parse(&m);
	assert_true(sock.has_bytes);
	assert_int_equal(sock.bytes_sent, 905);
	assert_int_equal(sock.bytes_received, 77);
	assert_int_equal(sock.ifindex, 7);
	/* an older kernel's is shorter, and tells no bytes */
	m = message(SOCKDIAG_ESTABLISHED);
	add(&m, INET_DIAG_INFO, &info, offsetof(struct tcp_info, tcpi_bytes_sent));
	assert_false(parse(&m).has_bytes);
	/* of a listener they mean nothing */
	m = message(SOCKDIAG_LISTEN);
	add(&m, INET_DIAG_INFO, &info, sizeof(info));
	assert_false(parse(&m).has_bytes);
}

static void test_attributes(void **state)
{
	struct {
		struct nlattr attr;
		char name[8];
	} ulp = { { .nla_len = sizeof(struct nlattr) + 6, .nla_type = INET_ULP_INFO_NAME }, "mptcp" };
	struct message m = message(SOCKDIAG_ESTABLISHED);
	uint64_t cgroup = 0x123456789a;
	uint32_t mark = 42;
	struct sockdiag_socket sock;

	(void)state;
	add(&m, INET_DIAG_MARK, &mark, sizeof(mark));
	add(&m, INET_DIAG_CGROUP_ID, &cgroup, sizeof(cgroup));
	add(&m, INET_DIAG_ULP_INFO, &ulp, sizeof(ulp));
	sock = parse(&m);
	assert_int_equal(sock.mark, 42);
	assert_true(sock.cgroup_id == cgroup);
	assert_true(sock.mptcp);
	memcpy(ulp.name, "tls\0\0", 5);
	m = message(SOCKDIAG_ESTABLISHED);
	add(&m, INET_DIAG_ULP_INFO | NLA_F_NESTED, &ulp, sizeof(ulp));
	assert_false(parse(&m).mptcp);
}

/* Whatever length an attribute says to have, nothing behind the message is read. */
static void test_torn_attributes(void **state)
{
	struct message m = message(SOCKDIAG_ESTABLISHED);
	struct nlattr attr = { .nla_len = 200, .nla_type = INET_DIAG_MARK };
	struct sockdiag_socket sock;
	uint8_t *copy;

	(void)state;
	memcpy(m.bytes + m.len, &attr, sizeof(attr));
	for (size_t len = sizeof(struct inet_diag_msg); len <= m.len + sizeof(attr) + 3; len++) {
		copy = malloc(len);
		memcpy(copy, m.bytes, len);
		assert_int_equal(sockdiag_parse(PROTO_TCP, copy, len, &sock), 0);
		assert_int_equal(sock.mark, 0);
		free(copy);
	}
}

/* ---- a snapshot ---- */

static int bound_socket(int type)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, type, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

static const struct snapshot_socket *find(const struct snapshot *snap, uint64_t cookie, size_t *ret_times)
{
	const struct snapshot_socket *found = NULL;

	*ret_times = 0;
	for (size_t i = 0; i < snap->count; i++)
		if (snap->sockets[i].sock.cookie == cookie && ++*ret_times)
			found = &snap->sockets[i];
	return found;
}

static void test_snapshot_finds_ours(void **state)
{
	struct snapshot_options opts = { .detail = true };
	int listener = bound_socket(SOCK_STREAM), udp = bound_socket(SOCK_DGRAM), same = dup(listener);
	const struct snapshot_socket *ss;
	struct snapshot snap;
	size_t times;

	(void)state;
	assert_int_equal(listen(listener, 9), 0);
	assert_int_equal(snapshot_take(&opts, &snap), 0);
	ss = find(&snap, cookie_of(listener), &times);
	assert_int_equal(times, 1);
	assert_int_equal(ss->sock.state, SOCKDIAG_LISTEN);
	assert_int_equal(ss->sock.backlog, 9);
	assert_int_equal(ss->netns, 0); /* our own namespace comes first */
	assert_int_equal(ss->netns_inum, snap.netns[0].facts.inum);
	assert_int_equal(ss->owner_count, 1);
	assert_int_equal(snap.owners.list[ss->owner_first].pid, getpid());
	assert_int_equal(snap.owners.list[ss->owner_first].fd, listener < same ? listener : same);
	ss = find(&snap, cookie_of(udp), &times);
	assert_int_equal(times, 1);
	assert_int_equal(ss->sock.proto, PROTO_UDP);
	snapshot_free(&snap);
	close(listener);
	close(same);
	close(udp);
}

static void test_snapshot_of_cookies(void **state)
{
	struct snapshot_options opts = { .only_cookies = true };
	int fds[] = { bound_socket(SOCK_STREAM), bound_socket(SOCK_DGRAM) };
	size_t found[] = { 0, 0 };
	struct snapshot snap;

	(void)state;
	assert_int_equal(listen(fds[0], 9), 0);
	assert_int_equal(snapshot_take(&opts, &snap), 0);
	for (size_t i = 0; i < snap.count; i++)
		for (size_t k = 0; k < 2; k++)
			found[k] += snap.cookies[i] == cookie_of(fds[k]);
	assert_int_equal(found[0], 1);
	assert_int_equal(found[1], 1);
	assert_null(snap.sockets);
	assert_int_equal(snap.owners.count, 0);
	snapshot_free(&snap);
	close(fds[0]);
	close(fds[1]);
}

/* A socket that is open still while its connection is in TIME_WAIT, which has its cookie. */
static int socket_beside_its_time_wait(void)
{
	int listener = bound_socket(SOCK_STREAM), client = socket(AF_INET, SOCK_STREAM, 0), peer;
	struct sockaddr_in addr = { 0 }, unspec = { .sin_family = AF_UNSPEC };
	socklen_t len = sizeof(addr);
	char end;

	cookie_of(client); /* TIME_WAIT gets the one that there is by then */
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&addr, len), 0);
	peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	assert_int_equal(recv(peer, &end, 1, 0), 0);
	close(peer);
	close(listener);
	assert_int_equal(recv(client, &end, 1, 0), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&unspec, sizeof(unspec)), 0);
	assert_int_equal(listen(client, 1), 0);
	return client;
}

static void test_socket_beside_its_time_wait(void **state)
{
	struct snapshot_options opts = { .detail = true };
	int fd = socket_beside_its_time_wait();
	struct snapshot snap;
	size_t listening = 0, waiting = 0;

	(void)state;
	assert_int_equal(snapshot_take(&opts, &snap), 0);
	for (size_t i = 0; i < snap.count; i++) {
		listening += snap.sockets[i].sock.cookie == cookie_of(fd) && !snap.sockets[i].sock.waits;
		waiting += snap.sockets[i].sock.cookie == cookie_of(fd) && snap.sockets[i].sock.waits;
	}
	assert_int_equal(listening, 1);
	assert_int_equal(waiting, 1);
	snapshot_free(&snap);
	close(fd);
}

static void test_snapshot_of_one_namespace(void **state)
{
	struct snapshot_options opts = { .netns_inum = 1, .no_owners = true };
	struct snapshot snap;

	(void)state;
	assert_int_equal(snapshot_take(&opts, &snap), 0);
	assert_int_equal(snap.count, 0);
	assert_int_equal(snap.namespaces, 0);
	snapshot_free(&snap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_torn_attributes),
		cmocka_unit_test(test_snapshot_finds_ours),
		cmocka_unit_test(test_snapshot_of_cookies),
		cmocka_unit_test(test_socket_beside_its_time_wait),
		cmocka_unit_test(test_snapshot_of_one_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
