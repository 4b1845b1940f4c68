// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The enrichers over a made-up /proc, over the real one, and their helpers cache.c and proc.c. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>
#include "cache.h"
#include "cleanup.h"
#include "enrich.h"
#include "netns.h"
#include "proc.h"
#include "service.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TICK_NS 10000000ull

/* Asks one enricher alone about a process of which nothing is known. The last few answers stay valid. */
static void enrich_test_describe(const struct enricher *enricher, void *state, struct event *ev)
{
	static struct event_who answers[8];
	static size_t next;
	struct event_who *who = &answers[next++ % 8];

	memset(who, 0, sizeof(*who));
	enricher->describe(state, ev, who);
	ev->who = who;
}

/* ---- a made-up /proc ---- */

static char proc_dir[64];

static void put_bytes(const char *name, const char *bytes, size_t size)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", proc_dir, name);
	for (char *p = path + strlen(proc_dir) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void put(uint32_t pid, const char *file, const char *text)
{
	char name[64];

	snprintf(name, sizeof(name), "%u/%s", pid, file);
	put_bytes(name, text, strlen(text));
}

static void put_stat(uint32_t pid, const char *name, uint32_t parent, uint64_t start_ticks)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "%u (%s) S %u 977 977 0 -1 4194560 201 0 11 0 1 2 3 4 20 0 1 0 %" PRIu64
		 " 11272192 1024 18446744\n",
		 pid, name, parent, start_ticks);
	put(pid, "stat", text);
}

static void put_exe(uint32_t pid, const char *target)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%u/exe", proc_dir, pid);
	unlink(path);
	assert_int_equal(symlink(target, path), 0);
}

static void put_process(uint32_t pid, const char *name, uint64_t start_ticks, const char *exe)
{
	char comm[32];

	put_stat(pid, name, 1, start_ticks);
	snprintf(comm, sizeof(comm), "%s\n", name);
	put(pid, "comm", comm);
	put(pid, "cmdline", "");
	put_exe(pid, exe);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void end_process(uint32_t pid)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%u", proc_dir, pid);
	assert_int_equal(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static int setup(void **state)
{
	(void)state;
	strcpy(proc_dir, "/tmp/porttrace-proc-XXXXXX");
	return mkdtemp(proc_dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(proc_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void *open_one(const struct enricher *enricher)
{
	struct enrich_options opts = { .proc_path = proc_dir };
	void *state = NULL;

	assert_int_equal(enricher->open(&opts, &state), 0);
	return state;
}

static struct event event_of(uint32_t pid, uint64_t start_ns, const char *name)
{
	struct event ev = {
		.pid = pid, .tid = pid, .process_start_ns = start_ns, .name_is_leader = true
	};

	strncpy(ev.name, name, sizeof(ev.name) - 1);
	return ev;
}

static void wait_for_expiry(void)
{
	nanosleep(&(struct timespec){ .tv_sec = 1, .tv_nsec = 50000000 }, NULL);
}

/* ---- cache.c ---- */

static void test_cache_keeps_and_evicts(void **unused)
{
	struct cache *c = cache_new(64, sizeof(uint64_t));
	uint64_t *value, found = 0;

	(void)unused;
	assert_null(cache_find(c, 1, 2));
	value = cache_claim(c, 1, 2);
	assert_int_equal(*value, 0);
	*value = 42;
	assert_ptr_equal(cache_find(c, 1, 2), value);
	assert_null(cache_find(c, 2, 1));
	assert_null(cache_find(c, 1, 0));
	for (uint64_t i = 0; i < 10000; i++) {
		value = cache_claim(c, i, 7);
		assert_int_equal(*value, 0);
		*value = i;
		value = cache_find(c, 1, 2); /* in use, so it is never the least recently used */
		assert_non_null(value);
		assert_int_equal(*value, 42);
	}
	for (uint64_t i = 0; i < 10000; i++) {
		value = cache_find(c, i, 7);
		found += value != NULL;
		assert_true(!value || *value == i);
	}
	assert_in_range(found, 40, 63);
	cache_free(c);
	cache_free(NULL);
}

/* ---- proc.c ---- */

static void test_stat_of_hostile_names(void **unused)
{
	struct proc_stat stat = { 0 };

	(void)unused;
	assert_int_equal(
		proc_parse_stat(
			"7 (a) R 9) (b) S 41 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 99 1 1\n",
			&stat),
		0);
	assert_int_equal(stat.parent_pid, 41);
	assert_int_equal(stat.start_ticks, 99);
	assert_int_equal(
		proc_parse_stat("7 (a\nb) S 41 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 99",
				&stat),
		0);
	stat.parent_pid = 5;
	assert_int_equal(proc_parse_stat("", &stat), -EINVAL);
	assert_int_equal(proc_parse_stat("7 (a) S", &stat), -EINVAL);
	assert_int_equal(proc_parse_stat("7 (a) S 41 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
					 &stat),
			 -EINVAL);
	assert_int_equal(proc_parse_stat("7 a S 41 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 99",
					 &stat),
			 -EINVAL);
	assert_int_equal(stat.parent_pid, 5);
}

static void test_stat_of_ourselves(void **unused)
{
	int fd = proc_open("/proc", (uint32_t)getpid(), 0);
	struct proc_stat stat;
	struct timespec now;

	(void)unused;
	assert_true(fd >= 0);
	assert_int_equal(proc_read_stat(fd, &stat), 0);
	close(fd);
	assert_int_equal(stat.parent_pid, getppid());
	clock_gettime(CLOCK_BOOTTIME, &now);
	assert_in_range(proc_ticks_to_ns(stat.start_ticks) / NS_PER_SEC, now.tv_sec - 300,
			now.tv_sec);
}

static void test_start_matches_to_a_tick(void **unused)
{
	(void)unused;
	assert_true(proc_start_matches(500 * TICK_NS, 500));
	assert_true(proc_start_matches(501 * TICK_NS - 1, 500));
	assert_true(proc_start_matches(501 * TICK_NS, 500));
	assert_false(proc_start_matches(502 * TICK_NS, 500));
	assert_false(proc_start_matches(498 * TICK_NS, 500));
	assert_false(proc_start_matches(500 * TICK_NS, 0));
}

/* ---- process ---- */

static void test_process_facts(void **unused)
{
	static const char args[] = "nginx:\0-g\0daemon off;\0\0";
	struct event ev = event_of(977, 500 * TICK_NS + 123, "nginx");
	void *state = open_one(&enrich_process);

	(void)unused;
	put_process(977, "nginx", 500, "/usr/sbin/nginx");
	put_bytes("977/cmdline", args, sizeof(args));
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable, "/usr/sbin/nginx");
	assert_string_equal(event_who(&ev)->command_line, "nginx: -g daemon off;");
	assert_int_equal(ev.parent_pid, 1);
	assert_in_range(ev.process_start_real_ns,
			proc_boot_offset_ns() + 500 * TICK_NS + 123 - NS_PER_SEC,
			proc_boot_offset_ns() + 500 * TICK_NS + 123 + NS_PER_SEC);
	/* What the backend knows is not replaced. */
	ev = event_of(977, 500 * TICK_NS + 123, "nginx");
	ev.parent_pid = 55;
	enrich_test_describe(&enrich_process, state, &ev);
	assert_int_equal(ev.parent_pid, 55);
	enrich_process.close(state);
}

static void test_process_stays_known_after_its_end(void **unused)
{
	struct event ev = event_of(10, 500 * TICK_NS, "curl");
	void *state = open_one(&enrich_process);
	uint64_t start;

	(void)unused;
	put_process(10, "curl", 500, "/usr/bin/curl");
	enrich_test_describe(&enrich_process, state, &ev);
	start = ev.process_start_real_ns;
	end_process(10);
	ev = event_of(10, 500 * TICK_NS, "curl");
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable, "/usr/bin/curl");
	assert_int_equal(ev.process_start_real_ns, start);
	/* It ran something else before it ended: that program is unknown, the process is not. */
	ev = event_of(10, 500 * TICK_NS, "wget");
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable, "");
	assert_int_equal(ev.parent_pid, 1);
	assert_int_equal(ev.process_start_real_ns, start);
	enrich_process.close(state);
}

static void test_process_never_seen_alive(void **unused)
{
	struct event ev = event_of(10, 500 * TICK_NS, "curl");
	void *state = open_one(&enrich_process);

	(void)unused;
	for (int i = 0; i < 2; i++) {
		enrich_test_describe(&enrich_process, state, &ev);
		assert_string_equal(event_who(&ev)->executable, "");
		assert_string_equal(ev.name, "curl");
		assert_int_equal(ev.parent_pid, 0);
		assert_true(ev.process_start_real_ns > 500 * TICK_NS);
	}
	enrich_process.close(state);
}

static void test_process_of_reused_pid(void **unused)
{
	struct event old = event_of(10, 500 * TICK_NS, "curl"),
		     new = event_of(10, 900 * TICK_NS, "curl");
	void *state = open_one(&enrich_process);

	(void)unused;
	put_process(10, "curl", 900, "/usr/bin/new");
	enrich_test_describe(&enrich_process, state, &old);
	assert_string_equal(event_who(&old)->executable, "");
	assert_int_equal(old.parent_pid, 0);
	enrich_test_describe(&enrich_process, state, &new);
	assert_string_equal(event_who(&new)->executable, "/usr/bin/new");
	/* Late events of the first one are still its own. */
	old = event_of(10, 500 * TICK_NS, "curl");
	enrich_test_describe(&enrich_process, state, &old);
	assert_string_equal(event_who(&old)->executable, "");
	enrich_process.close(state);
}

static void test_process_exec(void **unused)
{
	struct event ev = event_of(10, 500 * TICK_NS, "sh");
	void *state = open_one(&enrich_process);

	(void)unused;
	put_process(10, "sh", 500, "/bin/dash");
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable, "/bin/dash");
	put_process(10, "curl", 500, "/usr/bin/curl");
	put(10, "cmdline", "curl");
	ev = event_of(10, 500 * TICK_NS, "curl");
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable, "/usr/bin/curl");
	assert_string_equal(event_who(&ev)->command_line, "curl");
	/* An event from before the execve(), read late: the program of that time is no longer to be
	 * seen. */
	ev = event_of(10, 500 * TICK_NS, "sh");
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable, "");
	assert_string_equal(event_who(&ev)->command_line, "");
	assert_int_equal(ev.parent_pid, 1);
	enrich_process.close(state);
}

static void test_process_name_of_leader(void **unused)
{
	struct event ev = event_of(10, 500 * TICK_NS, "worker-7");
	void *state = open_one(&enrich_process);

	(void)unused;
	put_process(10, "java", 500, "/opt/jre/bin/java");
	ev.name_is_leader = false;
	ev.tid = 17;
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(ev.name, "java");
	assert_true(ev.name_is_leader);
	assert_string_equal(event_who(&ev)->executable, "/opt/jre/bin/java");
	/* The leader's own call: its name needs no look-up. */
	ev = event_of(11, 500 * TICK_NS, "solo");
	ev.name_is_leader = false;
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(ev.name, "solo");
	assert_true(ev.name_is_leader);
	/* A thread of a process that is gone: the thread's name stays, and stays called so. */
	ev = event_of(12, 500 * TICK_NS, "worker-8");
	ev.name_is_leader = false;
	ev.tid = 18;
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(ev.name, "worker-8");
	assert_false(ev.name_is_leader);
	enrich_process.close(state);
}

/* The cgroup backend does not know start times. */
static void test_process_without_start_time(void **unused)
{
	struct event ev = event_of(10, 0, "curl");
	void *state = open_one(&enrich_process);

	(void)unused;
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable, "");
	assert_int_equal(ev.process_start_real_ns, 0);
	put_process(10, "curl", 500, "/usr/bin/curl");
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable, "/usr/bin/curl");
	assert_in_range(ev.process_start_real_ns,
			proc_boot_offset_ns() + 500 * TICK_NS - NS_PER_SEC,
			proc_boot_offset_ns() + 500 * TICK_NS + NS_PER_SEC);
	end_process(10);
	ev = event_of(10, 0, "curl");
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable, "/usr/bin/curl"); /* just ended */
	ev = event_of(10, 0, "wget");
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable, ""); /* somebody else */
	put_process(10, "curl", 900, "/usr/bin/other");
	wait_for_expiry();
	ev = event_of(10, 0, "curl");
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable,
			    "/usr/bin/other"); /* same pid and name, looked at again */
	enrich_process.close(state);
}

static void test_process_hostile_files(void **unused)
{
	char big[3000], euro[300];
	struct event ev = event_of(10, 0, "x");
	void *state = open_one(&enrich_process);

	(void)unused;
	memset(big, 'a', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	put_process(10, "x", 500, big);
	for (size_t i = 0; i + 3 < sizeof(euro); i += 3)
		memcpy(euro + i, "\xe2\x82\xac", 4);
	put(10, "cmdline", euro);
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable, "");		/* a path that was cut is another path */
	assert_int_equal(strlen(event_who(&ev)->command_line), 252); /* 84 whole characters of 3 bytes */
	put(11, "stat", "garbage");
	put(11, "comm", "x\n");
	ev = event_of(11, 0, "x");
	enrich_test_describe(&enrich_process, state, &ev);
	assert_int_equal(ev.parent_pid, 0);
	put_process(12, "x", 500,
		    "/bin/gone (deleted)"); /* its file cannot be looked at, so the name stands */
	put_bytes("12/cmdline", "\0\0\0", 3);
	ev = event_of(12, 0, "x");
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable, "/bin/gone (deleted)");
	assert_string_equal(event_who(&ev)->command_line, "");
	enrich_process.close(state);
}

static void test_process_of_pid_0(void **unused)
{
	struct event ev = event_of(0, 0, "swapper");
	void *state = open_one(&enrich_process);

	(void)unused;
	put_process(0, "swapper", 0, "/none");
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable, "");
	enrich_process.close(state);
	enrich_process.close(NULL);
}

static void test_process_real(void **unused)
{
	struct enrich_options opts = { 0 };
	struct event ev = event_of((uint32_t)getpid(), 0, "");
	struct proc_stat stat;
	char exe[EVENT_PATH_SIZE] = "";
	void *state = NULL;
	int fd = proc_open("/proc", ev.pid, 0);

	(void)unused;
	assert_int_equal(proc_read_stat(fd, &stat), 0);
	close(fd);
	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	prctl(PR_GET_NAME, ev.name);
	ev.process_start_ns = proc_ticks_to_ns(stat.start_ticks) + 1234;
	assert_int_equal(enrich_process.open(&opts, &state), 0);
	enrich_test_describe(&enrich_process, state, &ev);
	assert_string_equal(event_who(&ev)->executable, exe);
	assert_int_equal(ev.parent_pid, getppid());
	enrich_process.close(state);
}

/* A running program whose file was deleted, as after a package upgrade. */
static void test_process_deleted_file(void **unused)
{
	char copy[128], command[256];
	struct enrich_options opts = { 0 };
	struct event ev;
	void *state = NULL;
	int ready[2];
	char c;
	pid_t pid;

	(void)unused;
	snprintf(copy, sizeof(copy), "%s/my-cat", proc_dir);
	snprintf(command, sizeof(command), "cp /bin/cat %s", copy);
	assert_int_equal(system(command), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int in[2];

		if (pipe(in) == 0 && dup2(in[0], 0) == 0)
			execl(copy, copy, (char *)NULL);
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 0); /* closed by execve() */
	close(ready[0]);
	assert_int_equal(unlink(copy), 0);
	assert_int_equal(enrich_process.open(&opts, &state), 0);
	ev = event_of((uint32_t)pid, 0, "my-cat");
	enrich_test_describe(&enrich_process, state, &ev);
	enrich_process.close(state);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_string_equal(event_who(&ev)->executable, copy);
}

/* ---- user ---- */

static void test_user(void **unused)
{
	struct enrich_options numeric = { .numeric = true };
	void *state = open_one(&enrich_user), *none = (void *)1;
	struct event ev = { .has_uid = true, .uid = 0 }, unknown = { 0 };
	struct passwd *root = getpwuid(0);

	(void)unused;
	for (int i = 0; root && i < 2; i++) {
		enrich_test_describe(&enrich_user, state, &ev);
		assert_string_equal(event_who(&ev)->user, root->pw_name);
	}
	ev.uid = 3999999999u;
	for (int i = 0; i < 2; i++) {
		enrich_test_describe(&enrich_user, state, &ev);
		assert_string_equal(event_who(&ev)->user, "");
	}
	enrich_test_describe(&enrich_user, state, &unknown);
	assert_string_equal(event_who(&unknown)->user, "");
	assert_int_equal(enrich_user.open(&numeric, &none), 0);
	ev.uid = 0;
	enrich_test_describe(&enrich_user, none, &ev);
	assert_string_equal(event_who(&ev)->user, "");
	enrich_user.close(none);
	enrich_user.close(state);
}

/* ---- container ---- */

static void test_container_by_process(void **unused)
{
	struct event ev = event_of(10, 500 * TICK_NS, "web"),
		     reused = event_of(10, 900 * TICK_NS, "web");
	void *state = open_one(&enrich_container);

	(void)unused;
	put_stat(10, "web", 1, 500);
	put(10, "cgroup", "0::/system.slice/docker-" ID ".scope\n");
	enrich_test_describe(&enrich_container, state, &reused);
	assert_string_equal(event_who(&reused)->container_id, "");
	enrich_test_describe(&enrich_container, state, &ev);
	assert_string_equal(event_who(&ev)->container_id, ID);
	assert_string_equal(event_who(&ev)->container_runtime, "docker");
	end_process(10);
	ev = event_of(10, 500 * TICK_NS, "web");
	enrich_test_describe(&enrich_container, state, &ev);
	assert_string_equal(event_who(&ev)->container_id, ID);
	enrich_test_describe(&enrich_container, state, &reused);
	assert_string_equal(event_who(&reused)->container_id, "");
	enrich_container.close(state);
	enrich_container.close(NULL);
}

/* sshd's child takes the connection, and then moves into its session. */
static void test_container_of_moving_process(void **unused)
{
	struct event ev = event_of(10, 500 * TICK_NS, "sshd");
	void *state = open_one(&enrich_container);

	(void)unused;
	put_stat(10, "sshd", 1, 500);
	put(10, "cgroup", "0::/system.slice/ssh.service\n");
	ev.cgroup_id = 7;
	enrich_test_describe(&enrich_container, state, &ev);
	assert_string_equal(event_who(&ev)->unit, "ssh.service");
	put(10, "cgroup", "0::/user.slice/user-0.slice/session-4.scope\n");
	enrich_test_describe(&enrich_container, state, &ev);
	assert_string_equal(event_who(&ev)->unit, "ssh.service"); /* same group, looked up a moment ago */
	ev.cgroup_id = 8;
	enrich_test_describe(&enrich_container, state, &ev);
	assert_string_equal(event_who(&ev)->unit, "session-4.scope");
	put(10, "cgroup", "0::/user.slice/user-0.slice/session-5.scope\n");
	wait_for_expiry();
	enrich_test_describe(&enrich_container, state, &ev);
	assert_string_equal(event_who(&ev)->unit, "session-5.scope");
	enrich_container.close(state);
}

/* A group of cgroup v2, if we may make one, is found by its id, also when its process is gone. */
static void test_container_by_id(void **unused)
{
	const char *root = access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0
				   ? "/sys/fs/cgroup"
				   : "/sys/fs/cgroup/unified";
	char path[256];
	struct event ev = { .pid = 0 };
	struct stat st;
	void *state;

	(void)unused;
	snprintf(path, sizeof(path), "%s/porttrace-test-%d.service", root, (int)getpid());
	if (mkdir(path, 0755) < 0)
		skip();
	assert_int_equal(stat(path, &st), 0);
	snprintf(path, sizeof(path), "25 1 0:22 / %s rw - cgroup2 cgroup2 rw\n", root);
	put_bytes("self/mountinfo", path, strlen(path));
	put_bytes("self/cgroup", "0::/\n", 5);
	state = open_one(&enrich_container);
	ev.cgroup_id = st.st_ino;
	enrich_test_describe(&enrich_container, state, &ev);
	snprintf(path, sizeof(path), "%s/porttrace-test-%d.service", root, (int)getpid());
	assert_int_equal(rmdir(path), 0);
	assert_string_equal(event_who(&ev)->unit, strrchr(path, '/') + 1);
	enrich_test_describe(&enrich_container, state, &ev);
	assert_string_equal(event_who(&ev)->unit, strrchr(path, '/') + 1); /* from the cache */
	ev = (struct event){ .cgroup_id = st.st_ino + 1000000 };
	enrich_test_describe(&enrich_container, state, &ev);
	assert_string_equal(event_who(&ev)->unit, "");
	enrich_container.close(state);
}

/* The process is by now in another group than the event's: what /proc says is not the answer. */
static void test_container_of_moved_process(void **unused)
{
	struct event ev = event_of(10, 500 * TICK_NS, "x");
	char line[160], dir[128];
	struct stat st;
	void *state;

	(void)unused;
	put_bytes("mnt/a.service/x", "",
		  0); /* stands for a mount: handles do not work there, inodes do */
	snprintf(line, sizeof(line), "25 1 0:22 / %s/mnt rw - cgroup2 cgroup2 rw\n", proc_dir);
	put_bytes("self/mountinfo", line, strlen(line));
	put_bytes("self/cgroup", "0::/\n", 5);
	put_stat(10, "x", 1, 500);
	put(10, "cgroup", "0::/a.service\n");
	snprintf(dir, sizeof(dir), "%s/mnt/a.service", proc_dir);
	assert_int_equal(stat(dir, &st), 0);
	state = open_one(&enrich_container);
	ev.cgroup_id = st.st_ino + 1;
	enrich_test_describe(&enrich_container, state, &ev);
	assert_string_equal(event_who(&ev)->unit, "");
	ev.cgroup_id = st.st_ino;
	enrich_test_describe(&enrich_container, state, &ev);
	assert_string_equal(event_who(&ev)->unit, "a.service");
	enrich_container.close(state);
}

/* ---- port ---- */

static struct event connection(uint16_t local, uint16_t remote)
{
	struct event ev = {
		.kind = EVENT_CONNECT,
		.role = ROLE_EGRESS,
		.local = { .ip_version = 4, .has_port = true, .port = local },
		.remote = { .ip_version = 4, .has_port = true, .port = remote },
	};

	return ev;
}

static void test_port_with_truth(void **unused)
{
	void *state = open_one(&enrich_port);
	struct event ev = connection(32768, 80);

	(void)unused;
	ev.has_truth = true;
	ev.range_low = 32768;
	ev.range_high = 60999;
	ev.unprivileged_start = 80;
	ev.remote_reserved = true;
	enrich_port.fill(state, &ev);
	assert_int_equal(ev.local_facts.class, CLASS_REGISTERED);
	assert_true(ev.local_facts.ephemeral);
	assert_false(ev.local_facts.reserved || ev.local_facts.privileged);
	assert_int_equal(ev.remote_facts.class, CLASS_WELL_KNOWN);
	assert_false(ev.remote_facts.ephemeral || ev.remote_facts.privileged);
	assert_true(ev.remote_facts.reserved);
	ev.local.port = 32767;
	ev.remote.port = 79;
	enrich_port.fill(state, &ev);
	assert_false(ev.local_facts.ephemeral);
	assert_true(ev.remote_facts.privileged);
	ev.local.port = 60999;
	ev.remote.port = 61000;
	enrich_port.fill(state, &ev);
	assert_true(ev.local_facts.ephemeral);
	assert_false(ev.remote_facts.ephemeral);
	enrich_port.close(state);
	enrich_port.close(NULL);
}

static void test_port_without_truth(void **unused)
{
	void *state = open_one(&enrich_port);
	struct event ev = connection(40000, 80);

	(void)unused;
	enrich_port.fill(state, &ev);
	assert_int_equal(ev.local_facts.class, CLASS_REGISTERED);
	assert_int_equal(ev.remote_facts.class, CLASS_WELL_KNOWN);
	assert_false(ev.has_truth || ev.local_facts.ephemeral || ev.remote_facts.privileged);
	enrich_port.close(state);
}

static void test_port_of_failed_bind(void **unused)
{
	void *state = open_one(&enrich_port);
	struct event ev = {
		.kind = EVENT_BIND,
		.outcome = OUTCOME_FAILURE,
		.has_requested = true,
		.requested = { .ip_version = 4, .has_port = true, .port = 80 },
		.has_truth = true,
		.range_low = 32768,
		.range_high = 60999,
		.unprivileged_start = 1024,
	};

	(void)unused;
	enrich_port.fill(state, &ev);
	assert_int_equal(ev.local_facts.class, CLASS_WELL_KNOWN);
	assert_true(ev.local_facts.privileged);
	assert_int_equal(ev.remote_facts.class, CLASS_NONE);
	/* "any" is no port. */
	ev.requested.port = 0;
	memset(&ev.local_facts, 0, sizeof(ev.local_facts));
	enrich_port.fill(state, &ev);
	assert_int_equal(ev.local_facts.class, CLASS_NONE);
	assert_false(ev.local_facts.privileged);
	/* Bound to 0, got a port: that one counts. */
	ev.local = (struct endpoint){ .ip_version = 4, .has_port = true, .port = 50000 };
	enrich_port.fill(state, &ev);
	assert_int_equal(ev.local_facts.class, CLASS_DYNAMIC);
	assert_true(ev.local_facts.ephemeral);
	enrich_port.close(state);
}

static void put_sysctls(const char *range, const char *reserved, const char *start)
{
	put_bytes("sys/net/ipv4/ip_local_port_range", range, strlen(range));
	put_bytes("sys/net/ipv4/ip_local_reserved_ports", reserved, strlen(reserved));
	put_bytes("sys/net/ipv4/ip_unprivileged_port_start", start, strlen(start));
}

static void test_port_of_own_namespace(void **unused)
{
	void *state = open_one(&enrich_port);
	struct event ev = connection(40015, 80);

	(void)unused;
	if (!netns_cookie()) {
		enrich_port.close(state);
		skip();
	}
	put_sysctls("40000\t40099\n", "40010-40019,80\n", "81\n");
	ev.netns_cookie = netns_cookie();
	enrich_port.fill(state, &ev);
	assert_true(ev.has_truth);
	assert_int_equal(ev.range_low, 40000);
	assert_int_equal(ev.range_high, 40099);
	assert_true(ev.local_facts.ephemeral && ev.local_facts.reserved &&
		    !ev.local_facts.privileged);
	assert_true(!ev.remote_facts.ephemeral && ev.remote_facts.reserved &&
		    ev.remote_facts.privileged);
	/* The admin changes it: seen after a second, not before. */
	put_sysctls("50000\t50099\n", "\n", "0\n");
	ev = connection(40015, 80);
	ev.netns_cookie = netns_cookie();
	enrich_port.fill(state, &ev);
	assert_true(ev.local_facts.ephemeral);
	wait_for_expiry();
	ev = connection(40015, 80);
	ev.netns_cookie = netns_cookie();
	enrich_port.fill(state, &ev);
	assert_true(ev.has_truth);
	assert_false(ev.local_facts.ephemeral || ev.local_facts.reserved ||
		     ev.remote_facts.privileged);
	enrich_port.close(state);
}

static void test_port_of_unknown_namespace(void **unused)
{
	struct enrich_options opts = { 0 };
	void *state = NULL;
	struct event ev = connection(40015, 80);

	(void)unused;
	if (!netns_cookie())
		skip();
	assert_int_equal(enrich_port.open(&opts, &state), 0);
	/* The socket is of another namespace than its process, which is us. */
	ev.pid = (uint32_t)getpid();
	ev.netns_cookie = netns_cookie() + 123456789;
	enrich_port.fill(state, &ev);
	assert_false(ev.has_truth || ev.local_facts.ephemeral);
	assert_int_equal(ev.netns_inum, 0);
	/* And by way of the right one, the same process serves. */
	ev.netns_cookie = netns_cookie();
	enrich_port.fill(state, &ev);
	assert_true(ev.has_truth);
	assert_int_not_equal(ev.netns_inum, 0);
	enrich_port.close(state);
}

static void test_port_hostile_sysctls(void **unused)
{
	static const char *const bad[][3] = {
		{ "", "\n", "1024\n" },		 { "60999 32768\n", "\n", "1024\n" },
		{ "1 65536\n", "\n", "1024\n" }, { "1 2\n", "x\n", "1024\n" },
		{ "1 2\n", "\n", "\n" },	 { "1 2\n", "\n", "65536\n" },
	};

	(void)unused;
	if (!netns_cookie())
		skip();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		void *state = open_one(&enrich_port);
		struct event ev = connection(1, 2);

		put_sysctls(bad[i][0], bad[i][1], bad[i][2]);
		ev.netns_cookie = netns_cookie();
		enrich_port.fill(state, &ev);
		assert_false(ev.has_truth || ev.local_facts.privileged || ev.local_facts.ephemeral);
		enrich_port.close(state);
	}
}

/* ---- service, and all of them ---- */

static void test_service(void **unused)
{
	struct enrich_options opts = { .services_path = "/nonexistent" },
			      numeric = { .numeric = true };
	void *state = NULL, *none = (void *)1;
	struct event ev = connection(443, 6379);

	(void)unused;
	assert_int_equal(enrich_service.open(&opts, &state), 0);
	enrich_service.fill(state, &ev);
	assert_string_equal(ev.local_facts.service, "https");
	assert_string_equal(ev.remote_facts.service, "redis");
	ev = connection(51707, 6379);
	ev.proto = PROTO_UDP;
	enrich_service.fill(state, &ev);
	assert_null(ev.local_facts.service);
	assert_null(ev.remote_facts.service);
	ev = (struct event){ .has_requested = true, .requested = { .has_port = true, .port = 80 } };
	enrich_service.fill(state, &ev);
	assert_string_equal(ev.local_facts.service, "http");
	enrich_service.close(state);
	assert_int_equal(enrich_service.open(&numeric, &none), 0);
	ev = connection(443, 6379);
	enrich_service.fill(none, &ev);
	assert_null(ev.local_facts.service);
	enrich_service.close(none);
}

/* What one process is called is told once for all its events; an execve(), another uid or group is another answer. */
static void test_told_once(void **unused)
{
	struct enrich_options opts = { .proc_path = proc_dir, .services_path = "/nonexistent" };
	struct process_facts told = {
		.pid = 31, .exec_id = 1, .process_start_ns = 500 * TICK_NS, .executable = "/bin/a"
	};
	struct event ev = event_of(31, 500 * TICK_NS, "a"), next = ev;
	struct enrich *en = NULL;
	uint64_t first;

	(void)unused;
	ev.exec_id = next.exec_id = 1;
	ev.has_uid = next.has_uid = ev.name_is_leader = next.name_is_leader = true;
	assert_int_equal(enrich_open(&opts, &en), 0);
	enrich_event(en, &next);
	assert_int_equal(next.who->id, 0); /* nobody has told of it: it is looked up each time */
	next.who = NULL;
	enrich_learn(en, &told);
	enrich_event(en, &ev);
	first = ev.who->id;
	assert_true(first);
	assert_string_equal(ev.who->executable, "/bin/a");
	enrich_event(en, &next);
	assert_int_equal(next.who->id, first);
	told.exec_id = 2;
	strcpy(told.executable, "/bin/b");
	enrich_learn(en, &told);
	next.exec_id = 2;
	next.who = NULL;
	enrich_event(en, &next);
	assert_int_not_equal(next.who->id, first);
	assert_string_equal(next.who->executable, "/bin/b");
	next.exec_id = 1;
	next.uid = 1;
	next.who = NULL;
	enrich_event(en, &next);
	assert_int_not_equal(next.who->id, first);
	assert_string_equal(next.who->user, "daemon");
	enrich_close(en);
}

/* For a second by the time of the events, in whatever order they come. */
static void test_told_for_a_second(void **unused)
{
	struct enrich_options opts = { .proc_path = proc_dir, .services_path = "/nonexistent" };
	struct process_facts told = {
		.pid = 31, .exec_id = 1, .process_start_ns = 500 * TICK_NS, .executable = "/bin/a"
	};
	static const struct {
		int64_t after_ns;
		const char *unit;
	} rows[] = {
		{ 0, "a.service" },
		{ NS_PER_SEC - 1, "a.service" },
		{ 1 - NS_PER_SEC, "a.service" },
		{ NS_PER_SEC, "b.service" },
		{ 1, "b.service" },
	};
	struct enrich *en = NULL;

	(void)unused;
	put_process(31, "a", 500, "/bin/a");
	put(31, "cgroup", "0::/system.slice/a.service\n");
	assert_int_equal(enrich_open(&opts, &en), 0);
	enrich_learn(en, &told);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct event ev = event_of(31, 500 * TICK_NS, "a");

		ev.exec_id = 1;
		ev.has_uid = true;
		ev.time_ns = UINT64_C(1700000000) * NS_PER_SEC + (uint64_t)rows[i].after_ns;
		if (i == 3)
			wait_for_expiry(); /* the enricher's own memory of the unit */
		enrich_event(en, &ev);
		assert_string_equal(event_who(&ev)->unit, rows[i].unit);
		put(31, "cgroup", "0::/system.slice/b.service\n");
	}
	enrich_close(en);
}

static void test_all(void **unused)
{
	struct enrich_options opts = { .proc_path = proc_dir, .services_path = "/nonexistent" };
	struct event ev = event_of(10, 500 * TICK_NS, "nginx"), empty = { 0 };
	struct enrich *en = NULL;

	(void)unused;
	put_process(10, "nginx", 500, "/usr/sbin/nginx");
	put(10, "cgroup", "0::/system.slice/nginx.service\n");
	ev.local = (struct endpoint){ .has_port = true, .port = 443 };
	assert_int_equal(enrich_open(&opts, &en), 0);
	enrich_event(en, &ev);
	assert_string_equal(event_who(&ev)->executable, "/usr/sbin/nginx");
	assert_string_equal(event_who(&ev)->unit, "nginx.service");
	assert_string_equal(ev.local_facts.service, "https");
	assert_int_equal(ev.local_facts.class, CLASS_WELL_KNOWN);
	/* An event of which nothing is known stays so. */
	enrich_event(en, &empty);
	assert_memory_equal(event_who(&empty), &event_nobody, sizeof(event_nobody));
	empty.who = NULL;
	assert_memory_equal(&empty, &(struct event){ 0 }, sizeof(empty));
	enrich_close(en);
	enrich_close(NULL);
}

/* The last enricher cannot open: those before it are closed again (the leak checker looks). */
static void test_open_is_undone(void **unused)
{
	struct enrich_options opts = { .services_path = "/tmp" };
	struct enrich *en = NULL;

	(void)unused;
	assert_int_equal(enrich_open(&opts, &en), -EISDIR);
	assert_null(en);
}

#define PROC_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache_keeps_and_evicts),
		cmocka_unit_test(test_stat_of_hostile_names),
		cmocka_unit_test(test_stat_of_ourselves),
		cmocka_unit_test(test_start_matches_to_a_tick),
		PROC_TEST(test_process_facts),
		PROC_TEST(test_process_stays_known_after_its_end),
		PROC_TEST(test_process_never_seen_alive),
		PROC_TEST(test_process_of_reused_pid),
		PROC_TEST(test_process_exec),
		PROC_TEST(test_process_name_of_leader),
		PROC_TEST(test_process_without_start_time),
		PROC_TEST(test_process_hostile_files),
		PROC_TEST(test_process_of_pid_0),
		PROC_TEST(test_process_real),
		PROC_TEST(test_process_deleted_file),
		PROC_TEST(test_user),
		PROC_TEST(test_container_by_process),
		PROC_TEST(test_container_of_moving_process),
		PROC_TEST(test_container_by_id),
		PROC_TEST(test_container_of_moved_process),
		PROC_TEST(test_port_with_truth),
		PROC_TEST(test_port_without_truth),
		PROC_TEST(test_port_of_failed_bind),
		PROC_TEST(test_port_of_own_namespace),
		PROC_TEST(test_port_of_unknown_namespace),
		PROC_TEST(test_port_hostile_sysctls),
		PROC_TEST(test_service),
		PROC_TEST(test_told_once),
		PROC_TEST(test_told_for_a_second),
		PROC_TEST(test_all),
		cmocka_unit_test(test_open_is_undone),
	};

	return cmocka_run_group_tests_name("enrich", tests, NULL, NULL);
}
