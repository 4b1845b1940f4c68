/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading /proc: files of a process that is certainly the one that was meant. */
#ifndef PORTTRACE_PROC_H
#define PORTTRACE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What is read from /proc/PID/stat. */
struct proc_stat {
	uint32_t parent_pid;
	uint64_t start_ticks; /* since boot, in 1/sysconf(_SC_CLK_TCK) s */
	bool ended; /* a zombie: it only waits for its parent; not one whose first thread alone has ended */
};

/*
 * A descriptor of PROC/PID, or -errno; -ESRCH if the process is gone, or has not the start time
 * given (0 = any). The kernel ties the descriptor to the process, not to its number: all that is
 * read below it is of one process.
 */
int proc_open(const char *proc, uint32_t pid, uint64_t start_ns);
/* Whether this process has certainly ended; start_ns as above. A zombie has. */
bool proc_has_ended(const char *proc, uint32_t pid, uint64_t start_ns);
/* Fills `buf` with the beginning of a file and a NUL. The number of bytes, or -errno. */
ssize_t proc_read(int dir_fd, const char *name, char *buf, size_t size);
int proc_read_stat(int dir_fd, struct proc_stat *ret);
/* Pure: reads the text of a stat file. The name in it may hold anything, ") R 1" too. 0 or -EINVAL.
 */
int proc_parse_stat(const char *text, struct proc_stat *ret);
uint64_t proc_ticks_to_ns(uint64_t ticks);
/* Whether a start time as BPF tells it and one as /proc tells it (whole ticks) can be the same. */
bool proc_start_matches(uint64_t start_ns, uint64_t start_ticks);
/* Where a file system of this type is mounted, the first of them; false if it is not. */
bool proc_find_mount(const char *type, char *ret_path, size_t size);
/* CLOCK_REALTIME minus CLOCK_BOOTTIME, now. */
uint64_t proc_boot_offset_ns(void);
/* Joins `size` bytes of NUL-ended arguments by spaces into ret, a string of less than ret_size bytes; `cut`: the last
 * one is not whole, and no half UTF-8 character is left at its end. */
void proc_join_args(const char *args, size_t size, bool cut, char *ret, size_t ret_size);

#endif
