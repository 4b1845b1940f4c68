// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The cases. Those that are not `alone` run side by side and live on until their events have been shown. */
#include <netinet/in.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "process.h"

#define SHORT_LIVED 50
#define DEPTH 60 /* of directories */
#define HUGE_ARG 100000

static void linger(void)
{
	usleep(1500000);
}

static void connect_lingering(void)
{
	connect_and_record();
	linger();
}

/* ---- names ---- */

static void named(const char *name)
{
	CHECK(prctl(PR_SET_NAME, name));
	connect_lingering();
}

static void name_of_15_bytes(void) { named("fifteen-bytes-x"); }
static void name_cut(void) { named("more-than-fifteen-bytes"); }
static void name_controls(void) { named("a\tb\n\x01\"\\\x7f\x1b[m"); }
static void name_utf8_cut(void) { named("\xc3\x84\xc3\x96\xc3\x9c\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xe2\x82\xac"); }
static void name_not_utf8(void) { named("\xff\xfe\xc0\x80x"); }
static void name_like_stat(void) { named(") R 1 (x 2"); }
static void name_empty(void) { named(""); }

static void *renamed_lingering(void *arg)
{
	prctl(PR_SET_NAME, "worker");
	connect_lingering();
	return arg;
}

static void *renamed_and_gone(void *arg)
{
	prctl(PR_SET_NAME, "worker");
	connect_and_record();
	_exit(arg != NULL);
}

static void *renamed_and_forks(void *arg)
{
	prctl(PR_SET_NAME, "worker");
	in_child(connect_lingering);
	return arg;
}

static void in_thread(void *(*fn)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fn, NULL))
		die("pthread_create");
	pthread_join(thread, NULL);
}

static void renamed_thread(void) { in_thread(renamed_lingering); }
static void renamed_thread_gone(void) { in_thread(renamed_and_gone); }
static void fork_by_renamed_thread(void) { in_thread(renamed_and_forks); }

static void renamed_between(void)
{
	int fd = client_socket();

	record("connect", fd);
	client_connect(fd);
	prctl(PR_SET_NAME, "renamed");
	record("close", fd);
	close(fd);
	linger();
}

/* ---- programs ---- */

static void exec_copy(const char *path, const char *step)
{
	copy_self(path);
	exec_step(path, step, NULL);
}

static void long_file_name(void) { exec_copy("/tmp/pt-a-file-name-of-thirty-bytes", "connect-lingering"); }
static void deleted(void) { exec_copy("/tmp/pt-deleted", "unlink-connect"); }
static void deleted_gone(void) { exec_copy("/tmp/pt-deleted-gone", "unlink-connect-exit"); }
static void named_deleted(void) { exec_copy("/tmp/pt (deleted)", "connect-lingering"); }

static int step_connect_lingering(int argc, char **argv)
{
	(void)argc, (void)argv;
	connect_lingering();
	return 0;
}

static int step_connect_exit(int argc, char **argv)
{
	(void)argc, (void)argv;
	connect_and_record();
	_exit(0);
}

static void unlink_self(void)
{
	char path[512];
	ssize_t n = CHECK(readlink("/proc/self/exe", path, sizeof(path) - 1));

	path[n] = '\0';
	record_remember();
	CHECK(unlink(path));
}

static int step_unlink_connect(int argc, char **argv)
{
	unlink_self();
	return step_connect_lingering(argc, argv);
}

static int step_unlink_connect_exit(int argc, char **argv)
{
	unlink_self();
	return step_connect_exit(argc, argv);
}

/* A program that never had a file. */
static void memfd(void)
{
	int fd = CHECK(memfd_create("pt-memfd", 0));
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	exec_copy(path, "connect-lingering");
}

static void exec_words(const char *step, const char *word)
{
	const char *words[] = { word, "last", NULL };

	exec_step(NULL, step, words);
}

static char *huge_word(void)
{
	char *word = malloc(HUGE_ARG + 1);

	if (!word)
		die("malloc");
	memset(word, 'w', HUGE_ARG);
	word[HUGE_ARG] = '\0';
	return word;
}

static void huge_command_line(void) { exec_words("connect-lingering", huge_word()); }
static void huge_command_line_gone(void) { exec_words("connect-exit", huge_word()); }
static void odd_arguments(void) { exec_words("connect-lingering", "a\tb\n\x01\"\\ \xff\xc3 \xe2\x82\xac"); }

/* The root of the file system is another: the path that porttrace sees is not what the program sees. */
static void in_chroot(void)
{
	int fd = client_socket();

	record("connect", fd);
	mkdir("/tmp/jail", 0755);
	CHECK(chroot("/tmp/jail"));
	client_connect(fd);
	linger();
}

/* A file system that no other process sees: its path is that of the program's own view. */
static void own_mount(void)
{
	CHECK(unshare(CLONE_NEWNS));
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	mkdir("/tmp/pt-mount", 0755);
	CHECK(mount("pt", "/tmp/pt-mount", "tmpfs", 0, NULL));
}

static void mount_namespace(void)
{
	own_mount();
	exec_copy("/tmp/pt-mount/program", "connect-exit");
}

/* Part of a file system, mounted elsewhere. */
static void bind_mount(void)
{
	own_mount();
	mkdir("/tmp/pt-mount/from", 0755);
	mkdir("/tmp/pt-mount/to", 0755);
	CHECK(mount("/tmp/pt-mount/from", "/tmp/pt-mount/to", NULL, MS_BIND, NULL));
	exec_copy("/tmp/pt-mount/to/program", "connect-exit");
}

static void deep_path(void)
{
	char path[256] = "/tmp/pt-deep";

	for (int i = 0; i < DEPTH; i++) {
		mkdir(path, 0755);
		strcat(path, "/d");
	}
	exec_copy(path, "connect-lingering");
}

/* ---- between socket() and connect() ---- */

static int step_connect_fd(int argc, char **argv)
{
	int fd = argc > 0 ? atoi(argv[0]) : -1;

	record("connect", fd);
	client_connect(fd);
	linger();
	return 0;
}

static int step_close_fd(int argc, char **argv)
{
	int fd = argc > 0 ? atoi(argv[0]) : -1;

	record("close", fd);
	close(fd);
	linger();
	return 0;
}

static void exec_with_fd(const char *path, const char *step, int fd)
{
	char number[16];
	const char *words[] = { number, NULL };

	snprintf(number, sizeof(number), "%d", fd);
	copy_self(path);
	exec_step(path, step, words);
}

static void exec_between(void)
{
	exec_with_fd("/tmp/pt-exec-between", "connect-fd", client_socket());
}

static void exec_after_connect(void)
{
	int fd = client_socket();

	record("connect", fd);
	client_connect(fd);
	exec_with_fd("/tmp/pt-exec-after", "close-fd", fd);
}

/* The child does it; `made_by` made the socket. */
static int passed_fd, made_by;
static char made_by_name[64];

static void connect_passed(void)
{
	struct beside beside = { .creator_pid = made_by, .creator_name = made_by_name };

	CHECK(prctl(PR_SET_NAME, "child"));
	record_beside("connect", passed_fd, &beside);
	client_connect(passed_fd);
	linger();
}

/* bind() is the first that anybody sees of a socket, so who calls it has made it. */
static void fork_between(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	passed_fd = client_socket();
	CHECK(bind(passed_fd, (struct sockaddr *)&any, sizeof(any)));
	made_by = getpid();
	CHECK(prctl(PR_GET_NAME, made_by_name));
	in_child(connect_passed);
}

static void setuid_between(void)
{
	int fd = client_socket();

	record_remember();
	CHECK(setresgid(NOBODY, NOBODY, NOBODY));
	CHECK(setresuid(NOBODY, NOBODY, NOBODY));
	record("connect", fd);
	client_connect(fd);
	linger();
}

/* ---- births and deaths ---- */

static void vfork_exec(void)
{
	pid_t pid;

	copy_self("/tmp/pt-vfork");
	pid = CHECK(vfork());
	if (pid == 0)
		exec_step("/tmp/pt-vfork", "connect-exit", NULL);
	wait_for(pid);
}

static void vfork_connect(void)
{
	pid_t pid;

	record_remember();
	pid = CHECK(vfork());
	if (pid == 0) {
		connect_and_record();
		_exit(0);
	}
	wait_for(pid);
}

static void *thread_exec(void *arg)
{
	exec_step(NULL, "connect-exit", NULL);
	return arg;
}

static void exec_by_thread(void) { in_thread(thread_exec); }

/* The leader has ended, and with it what /proc/PID/exe and cmdline would say. */
static void wait_until_zombie(void)
{
	char stat[256] = "";

	while (!strstr(stat, ") Z ")) {
		int fd = CHECK(open("/proc/self/stat", O_RDONLY));

		CHECK(read(fd, stat, sizeof(stat) - 1));
		close(fd);
		usleep(1000);
	}
}

static void *connect_after_leader(void *arg)
{
	wait_until_zombie();
	connect_and_record();
	if (arg)
		linger();
	_exit(0);
}

static void leader_ends_first(void *lingers)
{
	pthread_t thread;

	record_remember();
	if (pthread_create(&thread, NULL, connect_after_leader, lingers))
		die("pthread_create");
	syscall(SYS_exit, 0); /* of this thread alone */
}

static void zombie_leader(void) { leader_ends_first(&passed_fd); }
static void zombie_leader_gone(void) { leader_ends_first(NULL); }

/* The socket is closed by the end of its process, which then has no memory any more. */
static void connect_and_end(void)
{
	int fd = client_socket();

	record("connect", fd);
	record("close", fd);
	client_connect(fd);
	_exit(0);
}

static void short_lived(void)
{
	for (int i = 0; i < SHORT_LIVED; i++)
		in_child(connect_and_end);
}

static int step_connect_and_end(int argc, char **argv)
{
	(void)argc, (void)argv;
	connect_and_end();
	return 0;
}

static void exec_numbered(int i)
{
	char number[16];
	const char *words[] = { number, NULL };

	snprintf(number, sizeof(number), "number-%d", i);
	exec_step(NULL, "connect-and-end", words);
}

static void short_lived_exec(void)
{
	for (int i = 0; i < SHORT_LIVED; i++) {
		int pid = CHECK(fork());

		if (pid == 0)
			exec_numbered(i);
		wait_for(pid);
	}
}

/* ---- process ids ---- */

static void skip(const char *why)
{
	FILE *out = fopen(record_path, "a");

	if (!out)
		die(record_path);
	fprintf(out, "{\"case\":\"%s\",\"skip\":\"%s\"}\n", case_name, why);
	fclose(out);
}

/* The next process gets this id, unless another one is faster. */
static bool set_next_pid(int pid)
{
	char text[16];
	int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC), n;
	bool ok;

	if (fd < 0)
		return false;
	n = snprintf(text, sizeof(text), "%d", pid - 1);
	ok = write(fd, text, (size_t)n) == n;
	close(fd);
	return ok;
}

/* A program connects and ends as process `pid`. */
static bool run_as_pid(int pid, const char *path)
{
	for (int tries = 0; tries < 100; tries++) {
		int child;

		if (!set_next_pid(pid))
			return false;
		child = CHECK(fork());
		if (child == 0 && getpid() == pid)
			exec_step(path, "connect-and-end", NULL);
		if (child == 0)
			_exit(0);
		wait_for(child);
		if (child == pid)
			return true;
	}
	return false;
}

static void reuse(const char *first, const char *second, int pid)
{
	copy_self(first);
	copy_self(second);
	for (int i = 0; i < 4; i++)
		if (!run_as_pid(pid, i & 1 ? second : first)) {
			skip("no say in the next process id here");
			return;
		}
}

static void pid_reuse(void) { reuse("/tmp/pt-first", "/tmp/pt-second", 20011); }

static void pid_reuse_same_name(void)
{
	mkdir("/tmp/pt-a", 0755);
	mkdir("/tmp/pt-b", 0755);
	reuse("/tmp/pt-a/program", "/tmp/pt-b/program", 20021);
}

static void connect_as_first(int pid, int parent_pid)
{
	struct beside beside = { .vpid = getpid() };
	int fd = client_socket();

	record_as(pid, parent_pid);
	record_beside("connect", fd, &beside);
	client_connect(fd);
	linger();
	_exit(0);
}

static void pid_namespace(void)
{
	int pipe_fd[2], pid, outer, parent_pid = getpid();

	CHECK(pipe(pipe_fd));
	CHECK(unshare(CLONE_NEWPID));
	pid = CHECK(fork());
	if (pid == 0) {
		CHECK(read(pipe_fd[0], &outer, sizeof(outer)));
		connect_as_first(outer, parent_pid);
	}
	CHECK(write(pipe_fd[1], &pid, sizeof(pid)));
	wait_for(pid);
}

/* ---- */

static const struct {
	const char *name;
	void (*run)(void);
	bool alone;
} cases[] = {
	{ "name_15_bytes", name_of_15_bytes, false },
	{ "name_cut", name_cut, false },
	{ "name_controls", name_controls, false },
	{ "name_utf8_cut", name_utf8_cut, false },
	{ "name_not_utf8", name_not_utf8, false },
	{ "name_like_stat", name_like_stat, false },
	{ "name_empty", name_empty, false },
	{ "renamed_thread", renamed_thread, false },
	{ "renamed_thread_gone", renamed_thread_gone, false },
	{ "renamed_between", renamed_between, false },
	{ "fork_by_renamed_thread", fork_by_renamed_thread, false },
	{ "long_file_name", long_file_name, false },
	{ "deleted", deleted, false },
	{ "deleted_gone", deleted_gone, false },
	{ "named_deleted", named_deleted, false },
	{ "memfd", memfd, false },
	{ "huge_command_line", huge_command_line, false },
	{ "huge_command_line_gone", huge_command_line_gone, false },
	{ "odd_arguments", odd_arguments, false },
	{ "chroot", in_chroot, false },
	{ "mount_namespace", mount_namespace, false },
	{ "bind_mount", bind_mount, false },
	{ "deep_path", deep_path, false },
	{ "exec_between", exec_between, false },
	{ "exec_after_connect", exec_after_connect, false },
	{ "fork_between", fork_between, false },
	{ "setuid_between", setuid_between, false },
	{ "vfork_exec", vfork_exec, false },
	{ "vfork_connect", vfork_connect, false },
	{ "exec_by_thread", exec_by_thread, false },
	{ "zombie_leader", zombie_leader, false },
	{ "zombie_leader_gone", zombie_leader_gone, false },
	{ "pid_namespace", pid_namespace, false },
	{ "short_lived", short_lived, true },
	{ "short_lived_exec", short_lived_exec, true },
	{ "pid_reuse", pid_reuse, true },
	{ "pid_reuse_same_name", pid_reuse_same_name, true },
};

static int start_case(size_t i)
{
	int pid;

	case_name = cases[i].name;
	pid = CHECK(fork());
	if (pid == 0) {
		cases[i].run();
		_exit(0);
	}
	return pid;
}

#define CASES (sizeof(cases) / sizeof(cases[0]))

static int step_all(int argc, char **argv)
{
	int pids[CASES];

	(void)argc, (void)argv;
	for (size_t i = 0; i < CASES; i++)
		pids[i] = cases[i].alone ? 0 : start_case(i);
	for (size_t i = 0; i < CASES; i++) {
		case_name = cases[i].name;
		if (pids[i])
			wait_for(pids[i]);
	}
	for (size_t i = 0; i < CASES; i++)
		if (cases[i].alone)
			wait_for(start_case(i));
	return 0;
}

const struct step steps[] = {
	{ "all", step_all },
	{ "connect-lingering", step_connect_lingering },
	{ "connect-exit", step_connect_exit },
	{ "connect-and-end", step_connect_and_end },
	{ "connect-fd", step_connect_fd },
	{ "close-fd", step_close_fd },
	{ "unlink-connect", step_unlink_connect },
	{ "unlink-connect-exit", step_unlink_connect_exit },
	{ NULL, NULL },
};
