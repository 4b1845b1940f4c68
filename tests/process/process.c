// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 *   process RECORD                            runs all cases; a line of JSON for each socket call that one makes
 *   process RECORD PORT CASE STEP [WORD...]   what a case starts with execve()
 *
 * The checker finds the event of a record by the socket's cookie. Bytes that JSON cannot hold are in hexadecimal.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "process.h"

const char *record_path, *case_name;
int server_port;

/* What a process was that cannot ask any more, or that cannot know. */
static struct {
	int pid, parent_pid;
	bool known;
	char exe[512], args[512];
	size_t args_len;
} self = { .pid = -1, .parent_pid = -1 };

void die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", case_name ? case_name : "process", what, strerror(errno));
	_exit(1);
}

/* ---- the record ---- */

void record_as(int pid, int parent_pid)
{
	self.pid = pid;
	self.parent_pid = parent_pid;
}

/* The leader's; a thread's own name is another. */
static size_t read_file(const char *path, char *buf, size_t size)
{
	int fd = CHECK(open(path, O_RDONLY | O_CLOEXEC));
	ssize_t n = CHECK(read(fd, buf, size));

	close(fd);
	return (size_t)n;
}

/* The kernel's remark is no part of the path, unless a file really has that name. */
static void forget_remark(char *exe)
{
	static const char remark[] = " (deleted)";
	size_t n = strlen(exe), len = sizeof(remark) - 1;
	struct stat st;

	if (n > len && !strcmp(exe + n - len, remark) && !stat("/proc/self/exe", &st) && st.st_nlink == 0)
		exe[n - len] = '\0';
}

void record_remember(void)
{
	ssize_t n = CHECK(readlink("/proc/self/exe", self.exe, sizeof(self.exe) - 1));

	self.exe[n] = '\0';
	forget_remark(self.exe);
	self.args_len = read_file("/proc/self/cmdline", self.args, sizeof(self.args));
	self.known = true;
}

static void put_hex(FILE *out, const char *key, const char *bytes, size_t n)
{
	fprintf(out, ",\"%s\":\"", key);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%02x", (unsigned char)bytes[i]);
	fputc('"', out);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	CHECK(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len));
	return cookie;
}

static void put_beside(FILE *out, const struct beside *beside)
{
	if (beside->creator_pid)
		fprintf(out, ",\"creator\":%d", beside->creator_pid);
	if (beside->creator_name)
		put_hex(out, "creator_name", beside->creator_name, strlen(beside->creator_name));
	if (beside->vpid)
		fprintf(out, ",\"vpid\":%d", beside->vpid);
}

/* The record's own parts in one write, so that processes do not mix. */
void record_beside(const char *action, int fd, const struct beside *beside)
{
	int log = CHECK(open(record_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666));
	int pid = self.pid >= 0 ? self.pid : getpid(), ppid = self.pid >= 0 ? self.parent_pid : getppid();
	char line[4096], comm[64];
	FILE *out = fmemopen(line, sizeof(line), "w");
	size_t n;

	if (!self.known)
		record_remember();
	n = read_file("/proc/self/comm", comm, sizeof(comm));
	fprintf(out, "{\"case\":\"%s\",\"action\":\"%s\",\"cookie\":%llu,\"pid\":%d,\"tid\":%d,\"ppid\":%d,\"uid\":%d",
		case_name, action, (unsigned long long)cookie_of(fd), pid,
		self.pid >= 0 ? self.pid : (int)syscall(SYS_gettid), ppid, (int)geteuid());
	put_hex(out, "comm", comm, n - 1); /* with a newline */
	put_hex(out, "exe", self.exe, strlen(self.exe));
	put_hex(out, "args", self.args, self.args_len);
	put_beside(out, beside);
	fputs("}\n", out);
	n = (size_t)ftell(out);
	fclose(out);
	if (write(log, line, n) != (ssize_t)n)
		die("write to the record");
	close(log);
}

void record(const char *action, int fd)
{
	record_beside(action, fd, &(struct beside){ 0 });
}

/* ---- sockets ---- */

static struct sockaddr_in loopback(int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sin;
}

/* Its close resets, so that no TIME_WAIT is left behind. */
int client_socket(void)
{
	struct linger reset = { 1, 0 };
	int fd = CHECK(socket(AF_INET, SOCK_STREAM, 0));

	CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
	return fd;
}

void client_connect(int fd)
{
	struct sockaddr_in to = loopback(server_port);

	CHECK(connect(fd, (void *)&to, sizeof(to)));
}

void connect_and_record(void)
{
	int fd = client_socket();

	record("connect", fd);
	client_connect(fd);
}

static int listening(void)
{
	struct sockaddr_in at = loopback(0);
	socklen_t len = sizeof(at);
	int fd = CHECK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	CHECK(bind(fd, (void *)&at, sizeof(at)));
	CHECK(listen(fd, 64));
	CHECK(getsockname(fd, (void *)&at, &len));
	server_port = ntohs(at.sin_port);
	return fd;
}

static int start_server(void)
{
	int fd = listening(), pid = CHECK(fork());

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			close(accept(fd, NULL, NULL));
	}
	close(fd);
	return pid;
}

/* ---- processes ---- */

void wait_for(int pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0));
	if (status)
		fprintf(stderr, "%s: a process ended with status 0x%x\n", case_name, status);
}

void in_child(void (*fn)(void))
{
	int pid = CHECK(fork());

	if (pid == 0) {
		fn();
		_exit(0);
	}
	wait_for(pid);
}

void exec_step(const char *path, const char *step, const char *const more[])
{
	char port[16];
	const char *argv[16] = { "process", record_path, port, case_name, step };
	int n = 5;

	snprintf(port, sizeof(port), "%d", server_port);
	while (more && more[n - 5] && n < 15) {
		argv[n] = more[n - 5];
		n++;
	}
	execv(path ? path : "/proc/self/exe", (char **)argv);
	die("execv");
}

void copy_self(const char *path)
{
	char buf[65536];
	int from = CHECK(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	int to = CHECK(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755));
	ssize_t n;

	while ((n = CHECK(read(from, buf, sizeof(buf)))) > 0)
		if (write(to, buf, (size_t)n) != n)
			die("copy of the program");
	close(from);
	close(to);
}

static int run_step(const char *name, int argc, char **argv)
{
	for (const struct step *s = steps; s->name; s++)
		if (!strcmp(s->name, name))
			return s->run(argc, argv);
	fprintf(stderr, "no step %s\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	int server, rc;

	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		fprintf(stderr, "usage: process RECORD\n");
		return 2;
	}
	record_path = argv[1];
	if (argc > 4) {
		server_port = atoi(argv[2]);
		case_name = argv[3];
		return run_step(argv[4], argc - 5, argv + 5);
	}
	umask(0);
	server = start_server();
	rc = run_step("all", 0, NULL);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	printf("{\"port\":%d}\n", server_port);
	return rc;
}
