/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Setters (cli.h) for the options that choose sockets, the same for every command that has them. */
#ifndef PORTTRACE_CMD_FILTER_OPTIONS_H
#define PORTTRACE_CMD_FILTER_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

/* Of a struct filter: process ids, process names. */
int filter_set_pids(void *field, const char *text, char *why);
int filter_set_comms(void *field, const char *text, char *why);
/* Users by name or number; containers. */
int filter_set_uids(void *field, const char *text, char *why);
int filter_set_containers(void *field, const char *text, char *why);
/* Of a struct address_set. */
int filter_set_addresses(void *field, const char *text, char *why);
/* Of its uint32_t classes, and of a struct port_set. */
int filter_set_classes(void *field, const char *text, char *why);
int filter_set_ports(void *field, const char *text, char *why);
/* A comma list of words to bits: bit first + i of *mask for words[first + i]. */
int filter_set_words(uint32_t *mask, const char *what, const char *const *words, size_t count, unsigned int first,
		     const char *text, char *why);

#endif
