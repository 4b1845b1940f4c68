// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Processes: children that get, borrow and inherit sockets, exec, SIGKILL, a second thread, and two that meet. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "random.h"

#define MEET_PATIENCE 600000 /* of 100 us */
#define MEET_TURNS 7

/* ---- a second thread, which makes calls while the first one waits ---- */

static sem_t helper_go, helper_done;
static pthread_t helper;
static pid_t helper_tid;
static bool helper_alive;
static void (*helper_job)(void);

static void *helper_main(void *arg)
{
	(void)arg;
	helper_tid = (pid_t)syscall(SYS_gettid);
	while (true) {
		while (sem_wait(&helper_go))
			;
		if (!helper_job)
			return NULL;
		if (!self->nobody)
			net_enter(self->ns);
		helper_job();
		sem_post(&helper_done);
	}
}

void helper_start(void)
{
	sem_init(&helper_go, 0, 0);
	sem_init(&helper_done, 0, 0);
	if (pthread_create(&helper, NULL, helper_main, NULL))
		die("pthread_create");
	helper_alive = true;
}

/* Joined is not gone: the thread that lets go of the descriptors last is the one that closes them. */
void helper_stop(void)
{
	char path[64];

	if (!helper_alive)
		return;
	helper_job = NULL;
	sem_post(&helper_go);
	pthread_join(helper, NULL);
	snprintf(path, sizeof(path), "/proc/self/task/%d", helper_tid);
	while (!access(path, F_OK))
		usleep(100);
	helper_alive = false;
}

void helper_run(void (*fn)(void))
{
	if (!helper_alive) {
		fn();
		return;
	}
	helper_job = fn;
	sem_post(&helper_go);
	while (sem_wait(&helper_done))
		;
}

bool helper_is_me(void)
{
	return syscall(SYS_gettid) != getpid();
}

/* ---- the end of a process, and exec ---- */

/* With some sockets open: the kernel closes them. */
void family_end(void)
{
	struct rec *r;

	helper_stop();
	plan_before_end(false);
	for (size_t i = 0; i < SLOTS; i++)
		if (self->slots[i].used && draw_percent(40)) {
			if (slot_listens(&self->slots[i]))
				plan_give_up();
			if (self->slots[i].used)
				call_close_all(&self->slots[i]);
		}
	if (self->killed) {
		__atomic_store_n(&shared->child_step[self->lead], 2, __ATOMIC_SEQ_CST);
		while (true)
			pause();
	}
	r = record_new(OP_EXIT);
	r->arg = 0;
	_exit(0);
}

void family_exec(void)
{
	char lead[4];
	const char *argv[] = { "random", "--resume", shared->path, lead, self->is_child ? "child" : "lead", NULL };

	helper_stop();
	plan_give_up();
	plan_before_end(true);
	snprintf(lead, sizeof(lead), "%d", self->lead);
	self->index++;
	record_new(OP_EXEC);
	__atomic_fetch_add(&shared->calls, 1, __ATOMIC_RELAXED);
	execv("/proc/self/exe", (char *const *)argv);
	die("exec");
}

static void started(enum start how)
{
	struct rec *r;

	record_comm();
	r = record_new(OP_START);
	r->arg = how;
	r->arg2 = getppid();
}

static void run_to_the_end(void)
{
	if (!self->is_child || self->generation % 2)
		helper_start();
	plan_run(self->steps);
	while (!self->is_child && __atomic_load_n(&shared->calls, __ATOMIC_RELAXED) < shared->wanted) {
		plan_seed(self->index++);
		plan_one();
	}
	plan_seed(self->index);
	family_end();
}

void family_resume(const char *path, int lead, bool child)
{
	if (record_open(path))
		die(path);
	self = child ? &shared->children[lead] : &shared->leads[lead];
	started(START_EXEC);
	for (size_t i = 0; i < SLOTS; i++)
		if (self->slots[i].used && self->slots[i].cloexec)
			memset(&self->slots[i], 0, sizeof(self->slots[i]));
	net_settle();
	run_to_the_end();
}

void family_lead(int lead)
{
	cpu_set_t cpus;
	char name[16];

	self = &shared->leads[lead];
	self->lead = lead;
	self->nobody = lead % 2;
	self->steps = shared->wanted / LEADS * 3 / 10;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(name, sizeof(name), "random-%d", lead);
	prctl(PR_SET_NAME, name);
	CPU_ZERO(&cpus);
	CPU_SET(lead % 2 % (int)sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		die("sched_setaffinity");
	net_enter(lead / 2);
	if (self->nobody && (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY)))
		die("setresuid");
	started(START_LEAD);
	net_settle_open();
	run_to_the_end();
}

/* ---- children ---- */

static void wait_for_child(uint32_t step)
{
	while (__atomic_load_n(&shared->child_step[self->lead], __ATOMIC_SEQ_CST) != step)
		usleep(100);
}

/* What becomes of the sockets of a process in its child: given, borrowed, or closed there at once. */
static void prepare_child(struct state *child)
{
	*child = *self;
	child->is_child = true;
	child->index = 0;
	child->steps = 5 + draw(40);
	child->killed = draw_percent(30);
	for (size_t i = 0; i < SLOTS; i++) {
		child->given[i] = self->slots[i].used && draw_percent(35);
		child->borrowed[i] = self->slots[i].used && !child->given[i] && draw_percent(60);
	}
	shared->child_step[self->lead] = 0;
}

static void child_main(struct state *child)
{
	helper_alive = false;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	self = child;
	started(START_CHILD);
	wait_for_child(1);
	for (size_t i = 0; i < SLOTS; i++)
		if (self->slots[i].used && !self->given[i] && !self->borrowed[i])
			call_close_all(&self->slots[i]);
	run_to_the_end();
}

/* A child may have changed what it borrowed. */
static void refresh(struct slot *s)
{
	socklen_t len = sizeof(int);
	int value = 0;

	s->nonblock = fcntl(s->fds[0], F_GETFL) & O_NONBLOCK;
	if (s->family == AF_INET6 && !getsockopt(s->fds[0], IPPROTO_IPV6, IPV6_V6ONLY, &value, &len))
		s->v6only = value;
	if (s->type == SOCK_STREAM && !slot_listens(s))
		s->connected = true; /* perhaps; nothing wrong comes of it */
}

static void end_child(pid_t pid, bool killed)
{
	struct rec *r;
	int status;

	if (killed) {
		wait_for_child(2);
		r = record_new(OP_KILL);
		r->arg = pid;
		kill(pid, SIGKILL);
	}
	if (waitpid(pid, &status, 0) != pid || (killed ? !WIFSIGNALED(status) : status != 0))
		die("a child failed");
	r = record_new(OP_END);
	r->arg = pid;
	net_settle();
}

void family_child(void)
{
	struct state *child = &shared->children[self->lead];
	struct rec *r;
	pid_t pid;

	plan_give_up();
	self->generation++;
	prepare_child(child);
	r = record_new(OP_FORK);
	__atomic_fetch_add(&shared->calls, 1, __ATOMIC_RELAXED);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		child_main(child);
	r->arg = pid;
	for (size_t i = 0; i < SLOTS; i++)
		if (child->given[i])
			call_close_all(&self->slots[i]);
	__atomic_store_n(&shared->child_step[self->lead], 1, __ATOMIC_SEQ_CST);
	end_child(pid, child->killed);
	for (size_t i = 0; i < SLOTS; i++)
		if (self->slots[i].used)
			refresh(&self->slots[i]);
}

/* ---- two processes and one connection ---- */

static struct meeting *meeting;
static uint32_t meeting_turn;

/* True if the turn is ours; it has come then, and all that the other one has sent has arrived. */
static bool turn_begins(bool ours)
{
	meeting_turn++;
	for (int i = 0; ours && __atomic_load_n(&meeting->step, __ATOMIC_SEQ_CST) != meeting_turn - 1; i++) {
		if (i == MEET_PATIENCE)
			die("nobody came to the meeting");
		usleep(100);
	}
	return ours;
}

static void turn_ends(void)
{
	__atomic_store_n(&meeting->step, meeting_turn, __ATOMIC_SEQ_CST);
}

#define TURN(ours, action)            \
	do {                          \
		if (turn_begins(ours)) { \
			action;       \
			turn_ends();  \
		}                     \
	} while (0)

static socklen_t length_of(int family)
{
	return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static struct slot *meet_listen(int family, const char *ip)
{
	struct addr at = net_addr(family, ip, 0);
	struct slot *l = call_socket(family, SOCK_STREAM, true, true);

	meeting->failed = call_bind(l, &at, length_of(family)) || call_listen(l, 1);
	meeting->at = net_local(l->fds[0]);
	return l;
}

static struct slot *meet_connect(int bytes)
{
	struct slot *c;

	if (meeting->failed)
		return NULL;
	c = call_socket(meeting->at.family, SOCK_STREAM, false, true);
	meeting->failed = call_connect(c, &meeting->at, length_of(meeting->at.family));
	if (meeting->failed) {
		call_close_all(c);
		return NULL;
	}
	if (bytes)
		call_send(c, NULL, bytes);
	return c;
}

static struct slot *meet_accept(struct slot *l, bool receive, int bytes)
{
	struct slot *s = meeting->failed ? NULL : call_accept(l, true, true);

	if (s && receive)
		call_recv(s);
	if (s && bytes)
		call_send(s, NULL, bytes);
	return s;
}

static void meet_part(struct slot *s, int way)
{
	if (!s)
		return;
	if (way == 0)
		call_option(s, OPT_LINGER0, 1);
	if (way == 1)
		call_shutdown(s, SHUT_WR);
	else
		call_close_all(s);
}

static void meet_close(struct slot *s, bool ask)
{
	if (!s || !s->used)
		return;
	if (ask)
		call_error(s);
	call_close_all(s);
}

void family_meet(void)
{
	struct slot *l = NULL, *s = NULL;
	bool serve, first, receive, ask;
	int family, way, sent, answered;

	plan_give_up();
	plan_room(2);
	if (!self->nobody)
		net_enter(self->lead / 2);
	plan_seed_pair(self->index);
	serve = draw(2) == (uint32_t)self->lead % 2;
	first = draw(2) == (uint32_t)self->lead % 2;
	family = draw_percent(50) ? AF_INET : AF_INET6;
	receive = draw_percent(50);
	ask = draw_percent(50);
	way = (int)draw(3);
	sent = draw_percent(50) ? 1 + (int)draw(100) : 0;
	answered = draw_percent(30) ? 1 + (int)draw(100) : 0;
	meeting = &shared->meetings[self->lead / 2];
	meeting_turn = self->index / 64 * MEET_TURNS;
	TURN(serve, l = meet_listen(family, family == AF_INET ? "127.0.0.1" : "::1"));
	TURN(!serve, s = meet_connect(sent));
	TURN(serve, s = meet_accept(l, receive, answered));
	TURN(first, meet_part(s, way));
	TURN(!first, meet_close(s, ask));
	TURN(first, meet_close(s, ask));
	TURN(serve, call_close_all(l));
}
