// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sockdiag, owners, usage: against messages made by hand, and against sockets of this process. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "usage.h"

#define BOTH (1u << PROTO_TCP | 1u << PROTO_UDP)

/* ---- messages ---- */

struct message {
	struct inet_diag_msg msg;
	struct nlattr attr;
	uint8_t v6only, pad[3];
};

static struct message message(uint8_t family, uint8_t state)
{
	struct message m = {
		.msg = { .idiag_family = family,
			 .idiag_state = state,
			 .idiag_inode = 4711,
			 .idiag_uid = 33,
			 .idiag_rqueue = 2,
			 .idiag_wqueue = 511,
			 .id = { .idiag_sport = htons(8080),
				 .idiag_cookie = { 0x89abcdef, 0x1 } } },
		.attr = { .nla_len = sizeof(struct nlattr) + 1, .nla_type = INET_DIAG_SKV6ONLY },
	};

	return m;
}

static void test_parse_listener(void **state)
{
	struct message m = message(AF_INET, SOCKDIAG_LISTEN);
	struct sockdiag_socket sock;

	(void)state;
	m.msg.id.idiag_src[0] = htonl(0x0a000005);
	assert_int_equal(sockdiag_parse(PROTO_TCP, &m.msg, sizeof(m.msg), &sock), 0);
	assert_int_equal(sock.local.ip_version, 4);
	assert_memory_equal(sock.local.addr, "\x0a\x00\x00\x05", 4);
	assert_int_equal(sock.local.port, 8080);
	assert_int_equal(sock.remote.port, 0);
	assert_int_equal(sock.inode, 4711);
	assert_int_equal(sock.uid, 33);
	assert_int_equal(sock.queue, 2);
	assert_int_equal(sock.backlog, 511);
	assert_true(sock.cookie == 0x189abcdefull);
	assert_false(sock.takes_ipv4);
	assert_string_equal(sockdiag_state_name(sock.proto, sock.state), "listen");
}

static void test_parse_ipv6(void **state)
{
	struct message m = message(AF_INET6, SOCKDIAG_LISTEN);
	struct sockdiag_socket sock;

	(void)state;
	assert_int_equal(sockdiag_parse(PROTO_TCP, &m, sizeof(m), &sock), 0);
	assert_int_equal(sock.local.ip_version, 6);
	assert_true(sock.takes_ipv4);
	m.v6only = 1;
	assert_int_equal(sockdiag_parse(PROTO_TCP, &m, sizeof(m), &sock), 0);
	assert_false(sock.takes_ipv4);
	m.v6only = 0;
	m.msg.id.idiag_src[3] = htonl(1); /* [::1] never gets IPv4 */
	assert_int_equal(sockdiag_parse(PROTO_TCP, &m, sizeof(m), &sock), 0);
	assert_false(sock.takes_ipv4);
}

static void test_parse_mapped(void **state)
{
	struct message m = message(AF_INET6, SOCKDIAG_ESTABLISHED);
	struct sockdiag_socket sock;

	(void)state;
	m.msg.id.idiag_src[2] = m.msg.id.idiag_dst[2] = htonl(0xffff);
	m.msg.id.idiag_src[3] = htonl(0x7f000001);
	m.msg.id.idiag_dst[3] = htonl(0x7f000002);
	assert_int_equal(sockdiag_parse(PROTO_TCP, &m, sizeof(m), &sock), 0);
	assert_int_equal(sock.local.ip_version, 4);
	assert_memory_equal(sock.local.addr, "\x7f\0\0\1", 4);
	assert_memory_equal(sock.remote.addr, "\x7f\0\0\2", 4);
}

static void test_parse_time_wait(void **state)
{
	struct message m = message(AF_INET, SOCKDIAG_TIME_WAIT);
	struct sockdiag_socket sock;

	(void)state;
	m.msg.idiag_timer = 3;
	m.msg.idiag_expires = 41250;
	assert_int_equal(sockdiag_parse(PROTO_TCP, &m.msg, sizeof(m.msg), &sock), 0);
	assert_true(sock.waits);
	assert_int_equal(sock.expires_ms, 41250);
	m.msg.idiag_state = SOCKDIAG_FIN_WAIT2; /* closed, but its peer has not: it waits in the same way */
	assert_int_equal(sockdiag_parse(PROTO_TCP, &m.msg, sizeof(m.msg), &sock), 0);
	assert_true(sock.waits);
	m.msg.idiag_timer = 1; /* a retransmission */
	assert_int_equal(sockdiag_parse(PROTO_TCP, &m.msg, sizeof(m.msg), &sock), 0);
	assert_false(sock.waits);
	assert_int_equal(sock.expires_ms, 0);
}

/* Any bytes of any size, in memory of just that size: the address sanitizer sees what is read beyond. */
static void test_parse_anything(void **state)
{
	struct sockdiag_socket sock;

	(void)state;
	srand(3);
	for (int i = 0; i < 100000; i++) {
		size_t size = (size_t)rand() % 200;
		uint8_t *bytes = malloc(size + !size);

		assert_non_null(bytes);
		for (size_t at = 0; at < size; at++)
			bytes[at] = (uint8_t)(at > sizeof(struct inet_diag_msg) && rand() % 4 ? rand() % 12 : rand());
		if (size && rand() % 2)
			bytes[0] = rand() % 2 ? AF_INET : AF_INET6;
		if (sockdiag_parse(rand() % 2 ? PROTO_TCP : PROTO_UDP, bytes, size, &sock) == 0) {
			assert_true(size >= sizeof(struct inet_diag_msg));
			assert_true(sock.local.ip_version == 4 || sock.local.ip_version == 6);
			assert_non_null(sockdiag_state_name(sock.proto, sock.state));
		}
		free(bytes);
	}
}

static void test_parse_damaged(void **state)
{
	struct message m = message(AF_INET6, SOCKDIAG_LISTEN);
	struct sockdiag_socket sock;

	(void)state;
	assert_int_equal(sockdiag_parse(PROTO_TCP, &m, sizeof(m.msg) - 1, &sock), -EBADMSG);
	m.attr.nla_len = 2; /* would never end */
	assert_int_equal(sockdiag_parse(PROTO_TCP, &m, sizeof(m), &sock), 0);
	m.attr.nla_len = 200; /* would read beyond */
	assert_int_equal(sockdiag_parse(PROTO_TCP, &m, sizeof(m), &sock), 0);
	assert_false(sock.takes_ipv4);
	m.msg.idiag_family = AF_UNIX;
	assert_int_equal(sockdiag_parse(PROTO_TCP, &m, sizeof(m), &sock), -EBADMSG);
}

/* ---- this process ---- */

/* A socket on 127.0.0.1 with a port of the kernel's choice. */
static int bound(int type, uint16_t *ret_port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, type, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*ret_port = ntohs(in.sin_port);
	return fd;
}

static int connected(uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static uint32_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint32_t)st.st_ino;
}

static void test_listener_and_its_owner(void **state)
{
	struct usage_group *groups;
	struct usage usage;
	uint16_t port;
	size_t count;
	int fd = bound(SOCK_STREAM, &port), twice = dup(fd);

	(void)state;
	assert_int_equal(listen(fd, 7), 0);
	assert_int_equal(usage_read(&port, 1, &usage), 0);
	assert_int_equal(usage.error[PROTO_TCP], 0);
	assert_int_equal(usage_groups(&usage, port, true, BOTH, 8, &groups, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(groups[0].first->sock.state, SOCKDIAG_LISTEN);
	assert_int_equal(groups[0].first->sock.backlog, 7);
	assert_int_equal(groups[0].first->sock.inode, inode_of(fd));
	assert_int_equal(groups[0].first->owner_count, 1); /* though two descriptors have it */
	assert_int_equal(groups[0].first->owners->pid, getpid());
	assert_string_equal(groups[0].first->owners->name, "test_usage");
	free(groups);
	usage_free(&usage);
	close(fd);
	close(twice);
}

static void test_udp_of_the_protocol_asked(void **state)
{
	struct usage_group *groups;
	struct usage usage;
	uint16_t port;
	size_t count;
	int fd = bound(SOCK_DGRAM, &port);

	(void)state;
	assert_int_equal(usage_read(&port, 1, &usage), 0);
	assert_int_equal(usage_groups(&usage, port, true, 1u << PROTO_TCP, 8, &groups, &count), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_not_equal(groups[i].first->sock.inode, inode_of(fd));
	free(groups);
	assert_int_equal(usage_groups(&usage, port, true, 1u << PROTO_UDP, 8, &groups, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(sockdiag_state_name(PROTO_UDP, groups[0].first->sock.state), "bound");
	free(groups);
	usage_free(&usage);
	close(fd);
}

/* Three connections that differ in nothing but the peer's port. */
static void test_groups_of_connections(void **state)
{
	struct usage_group *groups;
	int fds[3], accepted[3];
	struct usage usage;
	uint16_t port;
	size_t count;
	int fd = bound(SOCK_STREAM, &port);

	(void)state;
	assert_int_equal(listen(fd, 7), 0);
	for (int i = 0; i < 3; i++) {
		fds[i] = connected(port);
		accepted[i] = accept(fd, NULL, NULL);
	}
	assert_int_equal(usage_read(&port, 1, &usage), 0);
	assert_int_equal(usage_groups(&usage, port, true, BOTH, 8, &groups, &count), 0);
	assert_int_equal(count, 4); /* few: one by one */
	assert_int_equal(groups[0].first->sock.state, SOCKDIAG_LISTEN);
	free(groups);
	assert_int_equal(usage_groups(&usage, port, true, BOTH, 3, &groups, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(groups[1].count, 3);
	free(groups);
	assert_int_equal(usage_groups(&usage, port, false, BOTH, 0, &groups, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(groups[0].count, 3);
	assert_int_equal(groups[0].first->sock.remote.port, port);
	free(groups);
	usage_free(&usage);
	for (int i = 0; i < 3; i++) {
		close(fds[i]);
		close(accepted[i]);
	}
	close(fd);
}

static void test_not_yet_accepted_has_no_process(void **state)
{
	struct usage_group *groups;
	struct usage usage;
	uint16_t port;
	size_t count;
	int fd = bound(SOCK_STREAM, &port), client;

	(void)state;
	assert_int_equal(listen(fd, 7), 0);
	client = connected(port);
	assert_int_equal(usage_read(&port, 1, &usage), 0);
	assert_int_equal(usage_groups(&usage, port, true, BOTH, 8, &groups, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(groups[0].first->sock.queue, 1);
	assert_int_equal(groups[1].first->sock.inode, 0);
	assert_int_equal(groups[1].first->owner_count, 0);
	free(groups);
	usage_free(&usage);
	close(client);
	close(fd);
}

static void test_time_wait_is_put_together(void **state)
{
	struct usage_group *groups;
	struct usage usage;
	uint16_t port;
	size_t count;
	int fd = bound(SOCK_STREAM, &port);
	char c;

	(void)state;
	assert_int_equal(listen(fd, 7), 0);
	for (int i = 0; i < 2; i++) {
		int client = connected(port), server = accept(fd, NULL, NULL);

		close(server);
		assert_int_equal(read(client, &c, 1), 0);
		close(client);
	}
	close(fd);
	assert_int_equal(usage_read(&port, 1, &usage), 0);
	assert_int_equal(usage_groups(&usage, port, true, BOTH, 8, &groups, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(groups[0].first->sock.state, SOCKDIAG_TIME_WAIT);
	assert_int_equal(groups[0].count, 2);
	free(groups);
	usage_free(&usage);
}

/* Every unconnected socket has port 0 on the far side: asking for 0 must not list them all. */
static void test_port_zero_is_nobody_s(void **state)
{
	struct usage usage;
	uint16_t zero = 0, port;
	int fd = bound(SOCK_DGRAM, &port);

	(void)state;
	assert_int_equal(usage_read(&zero, 1, &usage), 0);
	assert_int_equal(usage.count, 0);
	usage_free(&usage);
	close(fd);
}

static int stop_at_first(void *arg, const struct sockdiag_socket *sock)
{
	(void)sock;
	++*(int *)arg;
	return 42;
}

static void test_dump_ends_when_told(void **state)
{
	uint16_t port, other;
	int first = bound(SOCK_DGRAM, &port), second = bound(SOCK_DGRAM, &other), calls = 0;

	(void)state;
	assert_int_equal(sockdiag_dump(PROTO_UDP, 4, stop_at_first, &calls), 42);
	assert_int_equal(calls, 1);
	close(first);
	close(second);
}

/* A /proc made by hand: one process that may be looked into, one with a strange name. */
static void test_owners_of_a_made_proc(void **state)
{
	static const char script[] =
		"cd %s && mkdir -p 12/fd 7/fd notapid/fd && "
		"printf 'a b\\n\\n' >12/comm && printf x >7/comm && ln -s /dev/null 12/fd/0 && "
		"ln -s 'socket:[100]' 12/fd/3 && ln -s 'socket:[100]' 12/fd/4 && "
		"ln -s 'socket:[100]' 7/fd/9 && ln -s 'socket:[200]' 7/fd/1 && "
		"ln -s 'socket:[100]' notapid/fd/1";
	char dir[] = "/tmp/porttrace-proc-XXXXXX", command[1024];
	const uint32_t wanted[] = { 100, 300 };
	const struct owner *found;
	struct owners owners;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command), script, dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(owners_read(dir, wanted, 2, &owners), 0);
	assert_int_equal(owners.hidden, 0);
	assert_int_equal(owners_find(&owners, 100, &found), 2);
	assert_int_equal(found[0].pid, 7);
	assert_string_equal(found[0].name, "x");
	assert_int_equal(found[1].pid, 12);
	assert_string_equal(found[1].name, "a b");
	assert_int_equal(owners_find(&owners, 200, &found), 0); /* not wanted */
	assert_int_equal(owners_find(&owners, 300, &found), 0);
	owners_free(&owners);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(owners_read(dir, wanted, 2, &owners), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_listener),
		cmocka_unit_test(test_parse_ipv6),
		cmocka_unit_test(test_parse_mapped),
		cmocka_unit_test(test_parse_damaged),
		cmocka_unit_test(test_parse_time_wait),
		cmocka_unit_test(test_parse_anything),
		cmocka_unit_test(test_listener_and_its_owner),
		cmocka_unit_test(test_udp_of_the_protocol_asked),
		cmocka_unit_test(test_groups_of_connections),
		cmocka_unit_test(test_not_yet_accepted_has_no_process),
		cmocka_unit_test(test_time_wait_is_put_together),
		cmocka_unit_test(test_port_zero_is_nobody_s),
		cmocka_unit_test(test_dump_ends_when_told),
		cmocka_unit_test(test_owners_of_a_made_proc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
