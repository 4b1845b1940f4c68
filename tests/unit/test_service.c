// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "cleanup.h"
#include "service.h"

/* A table over a services file of that content; NULL = no file at all. */
static struct service_table *table_of_bytes(const char *text, size_t size)
{
	char path[] = "/tmp/porttrace-services-XXXXXX";
	struct service_table *t = NULL;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), size);
	close(fd);
	assert_int_equal(service_table_new(path, &t), 0);
	unlink(path);
	assert_non_null(t);
	return t;
}

static struct service_table *table_of(const char *text)
{
	struct service_table *t = NULL;

	if (text)
		return table_of_bytes(text, strlen(text));
	assert_int_equal(service_table_new("/nonexistent/services", &t), 0);
	return t;
}

static void assert_name(const struct service_table *t, uint16_t port, enum event_proto proto,
			const char *want)
{
	const char *name = service_name(t, port, proto);

	if (!want)
		assert_null(name);
	else
		assert_string_equal(name ? name : "(none)", want);
}

static const struct {
	uint16_t port;
	enum event_proto proto;
	const char *name;
	enum port_class class;
} seeds[] = {
	{ 20, PROTO_TCP, "ftp-data", CLASS_WELL_KNOWN },
	{ 21, PROTO_TCP, "ftp", CLASS_WELL_KNOWN },
	{ 22, PROTO_TCP, "ssh", CLASS_WELL_KNOWN },
	{ 23, PROTO_TCP, "telnet", CLASS_WELL_KNOWN },
	{ 53, PROTO_TCP, "domain", CLASS_WELL_KNOWN },
	{ 53, PROTO_UDP, "domain", CLASS_WELL_KNOWN },
	{ 67, PROTO_UDP, "dhcp", CLASS_WELL_KNOWN },
	{ 68, PROTO_UDP, "dhcp", CLASS_WELL_KNOWN },
	{ 80, PROTO_TCP, "http", CLASS_WELL_KNOWN },
	{ 443, PROTO_TCP, "https", CLASS_WELL_KNOWN },
	{ 443, PROTO_UDP, "https", CLASS_WELL_KNOWN },
	{ 1194, PROTO_UDP, "openvpn", CLASS_REGISTERED },
	{ 1433, PROTO_TCP, "ms-sql", CLASS_REGISTERED },
	{ 3306, PROTO_TCP, "mysql", CLASS_REGISTERED },
	{ 5432, PROTO_TCP, "postgresql", CLASS_REGISTERED },
	{ 6379, PROTO_TCP, "redis", CLASS_REGISTERED },
	{ 8080, PROTO_TCP, "http-alt", CLASS_REGISTERED },
	{ 51707, PROTO_TCP, NULL, CLASS_DYNAMIC },
	{ 51707, PROTO_UDP, NULL, CLASS_DYNAMIC },
	{ 0, PROTO_TCP, NULL, CLASS_WELL_KNOWN },
};

static void check_seeds(const struct service_table *t)
{
	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		assert_name(t, seeds[i].port, seeds[i].proto, seeds[i].name);
		assert_int_equal(port_class_of(seeds[i].port), seeds[i].class);
	}
}

static void test_seeds_without_file(void **unused)
{
	struct service_table *t = table_of(NULL);

	(void)unused;
	check_seeds(t);
	service_table_free(t);
}

/* Lines of Debian's netbase. */
static void test_seeds_with_stock_file(void **unused)
{
	struct service_table *t =
		table_of("# Network services, Internet style\n\n"
			 "ftp-data\t20/tcp\nftp\t\t21/tcp\nfsp\t\t21/udp\t\tfspd\n"
			 "ssh\t\t22/tcp\t\t\t\t# SSH Remote Login Protocol\n"
			 "bootps\t\t67/udp\nbootpc\t\t68/udp\nhttp\t\t80/tcp\t\twww\n"
			 "https\t\t443/tcp\nhttps\t\t443/udp\nms-sql-s\t1433/tcp\n"
			 "http-alt\t8080/tcp\twebcache\nredis\t\t6379/tcp\n");

	(void)unused;
	check_seeds(t);
	assert_name(t, 21, PROTO_UDP, "fsp");
	service_table_free(t);
}

static void test_class_borders(void **unused)
{
	(void)unused;
	assert_int_equal(port_class_of(0), CLASS_WELL_KNOWN);
	assert_int_equal(port_class_of(1023), CLASS_WELL_KNOWN);
	assert_int_equal(port_class_of(1024), CLASS_REGISTERED);
	assert_int_equal(port_class_of(49151), CLASS_REGISTERED);
	assert_int_equal(port_class_of(49152), CLASS_DYNAMIC);
	assert_int_equal(port_class_of(65535), CLASS_DYNAMIC);
}

static void test_admin_wins(void **unused)
{
	struct service_table *t = table_of("billing 8080/tcp bill # ours\n"
					   "second 8080/tcp\n"
					   "leases 67/udp\n"
					   "late 51707/udp");

	(void)unused;
	assert_name(t, 8080, PROTO_TCP, "billing");
	assert_name(t, 8080, PROTO_UDP, "http-alt");
	assert_name(t, 67, PROTO_UDP, "leases");
	assert_name(t, 68, PROTO_UDP, "dhcp");
	assert_name(t, 51707, PROTO_UDP, "late");
	assert_name(t, 51707, PROTO_TCP, NULL);
	service_table_free(t);
}

static void test_hostile_lines_are_ignored(void **unused)
{
	struct service_table *t = table_of("good1 50001/tcp\r\n"
					   "65536big 65536/tcp\n"
					   "wrapped 115237/tcp\n" /* 49701 + 65536 */
					   "huge 99999999999999999999/tcp\n"
					   "zero 0/tcp\n"
					   "negative -50002/tcp\n"
					   "noproto 50003\n"
					   "noslash 50003/\n"
					   "sctp 50003/sctp\n"
					   "tcpx 50003/tcpx\n"
					   "junk 50x03/tcp\n"
					   "50003/tcp\n"
					   "alone\n"
					   "red\x1b[31m 50003/tcp\n"
					   "bell 50003/tcp ali\x07s\n"
					   "\xc3\xa9t\xc3\xa9 50003/tcp\n"
					   "del\x7f 50003/tcp\n"
					   "# comment 50003/tcp\n"
					   "#50003/tcp\n"
					   "half 50003#/tcp\n"
					   "  \t indented 50004/udp\n"
					   "\n\n\r\n"
					   "last 50005/tcp # no newline");
	uint16_t port;

	(void)unused;
	assert_name(t, 50001, PROTO_TCP, "good1");
	assert_name(t, 50003, PROTO_TCP, NULL);
	assert_name(t, 50003, PROTO_UDP, NULL);
	assert_name(t, 50002, PROTO_TCP, NULL);
	assert_name(t, 49701, PROTO_TCP, NULL);
	assert_name(t, 0, PROTO_TCP, NULL);
	assert_name(t, 50004, PROTO_UDP, "indented");
	assert_name(t, 50005, PROTO_TCP, "last");
	assert_int_equal(service_port(t, "bell", PROTO_TCP, &port), 0);
	check_seeds(t);
	service_table_free(t);
}

static void test_hostile_bytes(void **unused)
{
	static const char text[] =
		"a\0b 50001/tcp\ngood 50002/tcp\n\0\0\0\nnul 50003/tcp \0 x\nend 50004/tcp";
	struct service_table *t = table_of_bytes(text, sizeof(text) - 1);
	uint16_t port = 1;

	(void)unused;
	assert_name(t, 50001, PROTO_TCP, NULL);
	assert_name(t, 50002, PROTO_TCP, "good");
	assert_name(t, 50003, PROTO_TCP, NULL);
	assert_name(t, 50004, PROTO_TCP, "end");
	assert_int_equal(service_port(t, "nul", PROTO_TCP, &port), 0);
	assert_int_equal(port, 1);
	service_table_free(t);
}

static void test_long_names_and_lines(void **unused)
{
	size_t room = 3 << 20;
	_free_ char *text = malloc(room);
	char *p = text, name[80];
	struct service_table *t;

	(void)unused;
	assert_non_null(text);
	memset(name, 'n', sizeof(name));
	p += sprintf(p, "%.63s 50001/tcp\n%.64s 50002/tcp\n", name, name);
	memset(p, 'x', 1 << 20); /* one name of a megabyte */
	p += 1 << 20;
	p += sprintf(p, " 50003/tcp\ncomment 50004/tcp #");
	memset(p, ' ', 1 << 20); /* and a comment */
	p += 1 << 20;
	p += sprintf(p, "\nafter 50005/tcp\n");
	t = table_of_bytes(text, (size_t)(p - text));
	name[63] = '\0';
	assert_name(t, 50001, PROTO_TCP, name);
	assert_name(t, 50002, PROTO_TCP, NULL);
	assert_name(t, 50003, PROTO_TCP, NULL);
	assert_name(t, 50004, PROTO_TCP, "comment");
	assert_name(t, 50005, PROTO_TCP, "after");
	service_table_free(t);
}

static void test_endless_file_ends(void **unused)
{
	struct service_table *t = NULL;

	(void)unused;
	assert_int_equal(service_table_new("/dev/zero", &t), 0);
	check_seeds(t);
	service_table_free(t);
}

static void test_errors(void **unused)
{
	char fifo[] = "/tmp/porttrace-fifo-XXXXXX";
	struct service_table *t = NULL;

	(void)unused;
	assert_int_equal(service_table_new("/tmp", &t), -EISDIR);
	assert_null(t);
	assert_non_null(mkdtemp(fifo));
	rmdir(fifo);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(service_table_new(fifo, &t), 0); /* and does not wait for a writer */
	unlink(fifo);
	service_table_free(t);
	service_table_free(NULL);
}

static void assert_port(const struct service_table *t, const char *name, enum event_proto proto,
			int want)
{
	uint16_t port = 0;
	int found = service_port(t, name, proto, &port);

	assert_int_equal(found, want != 0);
	assert_int_equal(port, want);
}

static void test_port_of_name(void **unused)
{
	struct service_table *t = table_of("billing 8080/tcp bill PAY\nfsp 21/udp fspd\n");

	(void)unused;
	assert_port(t, "https", PROTO_TCP, 443);
	assert_port(t, "HTTPS", PROTO_UDP, 443);
	assert_port(t, "billing", PROTO_TCP, 8080);
	assert_port(t, "bill", PROTO_TCP, 8080);
	assert_port(t, "pay", PROTO_TCP, 8080);
	assert_port(t, "bill", PROTO_UDP, 0);
	assert_port(t, "http-alt", PROTO_TCP, 591);
	assert_port(t, "fspd", PROTO_UDP, 21);
	assert_port(t, "dhcp", PROTO_UDP, 67);
	assert_port(t, "bootps", PROTO_UDP, 67);
	assert_port(t, "bootpc", PROTO_UDP, 68);
	assert_port(t, "ms-sql", PROTO_TCP, 1433);
	assert_port(t, "ms-sql-s", PROTO_TCP, 1433);
	assert_port(t, "", PROTO_TCP, 0);
	assert_port(t, "no-such-service", PROTO_TCP, 0);
	service_table_free(t);
}

static void test_ports_of_name(void **unused)
{
	struct service_table *t =
		table_of("http-alt 8080/tcp webcache http-alt\nbilling 8008/tcp\n");
	uint16_t ports[4] = { 0 };

	(void)unused;
	assert_int_equal(service_ports(t, "http-alt", PROTO_TCP, ports, 4), 3);
	assert_int_equal(ports[0], 8080); /* the admin's first */
	assert_int_equal(ports[1], 591);
	assert_int_equal(ports[2], 8008); /* shown as billing, but still IANA's */
	assert_int_equal(ports[3], 0);
	assert_int_equal(service_ports(t, "dhcp", PROTO_UDP, ports, 4), 2);
	assert_int_equal(ports[0], 67);
	assert_int_equal(ports[1], 68);
	assert_int_equal(service_ports(t, "http-alt", PROTO_TCP, ports, 0), 0);
	assert_int_equal(service_ports(t, "nothing-so", PROTO_TCP, ports, 4), 0);
	service_table_free(t);
}

static bool note_name(void *arg, const char *name, uint16_t port, enum event_proto proto)
{
	char *text = arg;
	size_t len = strlen(text);

	snprintf(text + len, 128 - len, "%s %u %u;", name, port, (unsigned int)proto);
	return !strcmp(name, "last");
}

static void test_names_of_the_file_alone(void **unused)
{
	struct service_table *t = table_of("billing 8080/tcp bill\nx/y 99999/tcp\nfsp 21/udp last\nmore 1/tcp\n");
	char text[128] = "";

	(void)unused;
	service_each_local(t, note_name, text);
	assert_string_equal(text, "billing 8080 0;bill 8080 0;fsp 21 1;last 21 1;");
	service_table_free(t);
	t = table_of(NULL);
	text[0] = '\0';
	service_each_local(t, note_name, text);
	assert_string_equal(text, "");
	service_table_free(t);
}

static void test_nearest(void **unused)
{
	struct service_table *t = table_of("billing 50001/tcp invoicing\n");
	char lots[5000];

	(void)unused;
	assert_string_equal(service_nearest(t, "htpps"), "https");
	assert_string_equal(service_nearest(t, "postgresq"), "postgresql");
	assert_string_equal(service_nearest(t, "posgtresql"), "postgresql");
	assert_string_equal(service_nearest(t, "BILING"), "billing");
	assert_string_equal(service_nearest(t, "invoicign"), "invoicing");
	assert_string_equal(service_nearest(t, "https"), "https");
	assert_null(service_nearest(t, "qqqqqqqqqqqq"));
	assert_null(service_nearest(t, ""));
	assert_null(service_nearest(t, "x"));
	memset(lots, 'h', sizeof(lots) - 1);
	lots[sizeof(lots) - 1] = '\0';
	assert_null(service_nearest(t, lots));
	lots[63] = '\0';
	assert_null(service_nearest(t, lots));
	service_table_free(t);
}

static void test_iana_table_is_sorted(void **unused)
{
	(void)unused;
	assert_true(service_iana_count > 5000);
	for (size_t i = 0; i < service_iana_count; i++) {
		assert_true(i == 0 || service_iana[i - 1].port < service_iana[i].port);
		assert_true(service_iana[i].tcp || service_iana[i].udp);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seeds_without_file),
		cmocka_unit_test(test_seeds_with_stock_file),
		cmocka_unit_test(test_class_borders),
		cmocka_unit_test(test_admin_wins),
		cmocka_unit_test(test_hostile_lines_are_ignored),
		cmocka_unit_test(test_hostile_bytes),
		cmocka_unit_test(test_long_names_and_lines),
		cmocka_unit_test(test_endless_file_ends),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_port_of_name),
		cmocka_unit_test(test_ports_of_name),
		cmocka_unit_test(test_names_of_the_file_alone), cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_iana_table_is_sorted),
	};

	return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
