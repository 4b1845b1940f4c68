// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The other end of a sink, for machines that have no other:
 *
 *   receive unix PATH FILE    listens, and writes what it is sent to FILE: one connection after the other
 *   receive udp PORT FILE     each datagram to 127.0.0.1:PORT as one line
 *
 * Prints READY, then works until it is killed. What it was sent is in the file at once.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ROOM 65536
#define QUEUE (16 << 20) /* of datagrams: the reader gets no time in an emulator */

static void must(int holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	exit(1);
}

static void ready(void)
{
	puts("READY");
	fflush(stdout);
}

static void receive_stream(const char *path, int out)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	char room[ROOM];

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	must(!bind(listener, (void *)&at, sizeof(at)) && !listen(listener, 8), path);
	ready();
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		ssize_t n;

		must(fd >= 0, "accept");
		while ((n = read(fd, room, sizeof(room))) > 0)
			must(write(out, room, (size_t)n) == n, "write");
		close(fd);
	}
}

static void receive_datagrams(int port, int out)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), queue = QUEUE;
	char room[ROOM + 1];

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(!setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof(queue)), "SO_RCVBUFFORCE");
	must(!bind(fd, (void *)&at, sizeof(at)), "bind");
	ready();
	for (;;) {
		ssize_t n = recv(fd, room, ROOM, 0);

		must(n >= 0, "recv");
		room[n] = '\n';
		must(write(out, room, (size_t)n + 1) == n + 1, "write");
	}
}

int main(int argc, char **argv)
{
	int out = argc == 4 ? open(argv[3], O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;

	must(out >= 0, "usage: receive unix PATH FILE | receive udp PORT FILE");
	if (!strcmp(argv[1], "unix"))
		receive_stream(argv[2], out);
	else
		receive_datagrams(atoi(argv[2]), out);
	return 0;
}
