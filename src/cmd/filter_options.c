// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "filter_options.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "../cleanup.h"
#include "../cli.h"
#include "../filter.h"
#include "../parse.h"
#include "../service.h"

/* PID_MAX_LIMIT of 64-bit kernels. */
#define FILTER_PID_MAX (1u << 22)
#define FILTER_ITEM_MAX 256

static void filter_cleanup_names(struct service_table **names)
{
	service_table_free(*names);
}

int filter_set_pids(void *field, const char *text, char *why)
{
	struct filter *f = field;
	char item[FILTER_ITEM_MAX];
	int more, err;

	while ((more = parse_list_next(&text, item, sizeof(item))) > 0) {
		if (f->pid_count == FILTER_MAX_PIDS) {
			snprintf(why, CLI_ERR_SIZE, "at most %d processes can be chosen",
				 FILTER_MAX_PIDS);
			return -E2BIG;
		}
		err = parse_u32(item, 1, FILTER_PID_MAX, &f->pids[f->pid_count]);
		if (err)
			return err;
		f->pid_count++;
	}
	return more;
}

/* The kernel keeps 15 bytes of a name: "systemd-journald" runs as "systemd-journal". */
int filter_set_comms(void *field, const char *text, char *why)
{
	struct filter *f = field;
	char item[FILTER_ITEM_MAX];
	int more;

	while ((more = parse_list_next(&text, item, sizeof(item))) > 0) {
		if (f->comm_count == FILTER_MAX_COMMS) {
			snprintf(why, CLI_ERR_SIZE, "at most %d names can be chosen",
				 FILTER_MAX_COMMS);
			return -E2BIG;
		}
		snprintf(f->comms[f->comm_count++], sizeof(f->comms[0]), "%.15s", item);
	}
	return more;
}

/* Users that a mistyped name is compared with. */
#define FILTER_USERS_MAX 256

static void filter_bad_user(const char *item, char *why)
{
	char names[FILTER_USERS_MAX][33];
	const char *list[FILTER_USERS_MAX], *nearest;
	struct passwd *pw;
	size_t n = 0;

	setpwent();
	while (n < FILTER_USERS_MAX && (pw = getpwent())) {
		snprintf(names[n], sizeof(names[n]), "%.32s", pw->pw_name);
		list[n] = names[n];
		n++;
	}
	endpwent();
	nearest = cli_nearest(item, list, n);
	if (nearest)
		snprintf(why, CLI_ERR_SIZE, "'%.60s' is no user: did you mean '%s'?", item, nearest);
	else
		snprintf(why, CLI_ERR_SIZE, "'%.60s' is no user: expected names or numbers such as www-data,1000",
			 item);
}

static int filter_read_user(const char *item, uint32_t *ret, char *why)
{
	const struct passwd *pw;

	if (parse_u32(item, 0, UINT32_MAX - 1, ret) == 0)
		return 0;
	pw = getpwnam(item);
	if (!pw) {
		filter_bad_user(item, why);
		return -EINVAL;
	}
	*ret = (uint32_t)pw->pw_uid;
	return 0;
}

int filter_set_uids(void *field, const char *text, char *why)
{
	struct filter *f = field;
	char item[FILTER_ITEM_MAX];
	int more, err;

	while ((more = parse_list_next(&text, item, sizeof(item))) > 0) {
		if (f->uid_count == FILTER_MAX_UIDS) {
			snprintf(why, CLI_ERR_SIZE, "at most %d users can be chosen", FILTER_MAX_UIDS);
			return -E2BIG;
		}
		err = filter_read_user(item, &f->uids[f->uid_count], why);
		if (err)
			return err;
		f->uid_count++;
	}
	return more;
}

int filter_set_containers(void *field, const char *text, char *why)
{
	struct filter *f = field;
	char item[EVENT_ID_SIZE];
	int more;

	while ((more = parse_list_next(&text, item, sizeof(item))) > 0) {
		if (f->container_count == FILTER_MAX_CONTAINERS) {
			snprintf(why, CLI_ERR_SIZE, "at most %d containers can be chosen", FILTER_MAX_CONTAINERS);
			return -E2BIG;
		}
		memcpy(f->containers[f->container_count++], item, sizeof(item));
	}
	return more;
}

static void filter_bad_address(const char *item, int error, char *why)
{
	bool ipv6 = strchr(item, ':');

	if (error == -ERANGE)
		snprintf(why, CLI_ERR_SIZE, "'%.60s': a prefix of %s has 0 to %d bits", item, ipv6 ? "IPv6" : "IPv4",
			 ipv6 ? 128 : 32);
	else
		snprintf(why, CLI_ERR_SIZE,
			 "'%.60s' is no address: expected addresses and ranges such as 10.0.0.0/8,fe80::/10,::1", item);
}

int filter_set_addresses(void *field, const char *text, char *why)
{
	struct address_set *set = field;
	char item[FILTER_ITEM_MAX];
	int more, err;

	while ((more = parse_list_next(&text, item, sizeof(item))) > 0) {
		if (set->count == FILTER_MAX_CIDRS) {
			snprintf(why, CLI_ERR_SIZE, "at most %d addresses can be chosen", FILTER_MAX_CIDRS);
			return -E2BIG;
		}
		err = cidr_parse(item, &set->list[set->count]);
		if (err) {
			filter_bad_address(item, err, why);
			return err;
		}
		set->count++;
	}
	return more;
}

/* Words to bits: bit i of *mask for words[i]. */
int filter_set_words(uint32_t *mask, const char *what, const char *const *words, size_t count,
			  unsigned int first, const char *text, char *why)
{
	char item[FILTER_ITEM_MAX];
	int more;

	while ((more = parse_list_next(&text, item, sizeof(item))) > 0) {
		int i = cli_word(what, words + first, count - first, item, why);

		if (i < 0)
			return i;
		*mask |= 1u << (first + (unsigned int)i);
	}
	return more;
}

int filter_set_classes(void *field, const char *text, char *why)
{
	return filter_set_words(field, "class", port_class_names, CLASS_COUNT, CLASS_WELL_KNOWN, text,
			      why);
}

static bool filter_needs_names(const char *text)
{
	return text[strspn(text, "0123456789,-")] != '\0';
}

static void filter_bad_port(const struct service_table *names, const char *bad, char *why)
{
	char item[FILTER_ITEM_MAX];
	const char *nearest = NULL;

	snprintf(item, sizeof(item), "%.*s", (int)strcspn(bad, ","), bad);
	if (names && item[0])
		nearest = service_nearest(names, item);
	if (nearest)
		snprintf(why, CLI_ERR_SIZE, "'%.60s' is no port or service: did you mean '%s'?",
			 item, nearest);
	else
		snprintf(why, CLI_ERR_SIZE,
			 "'%.60s' is no port or service: expected ports such as 80,8000-8099,https",
			 item);
}

int filter_set_ports(void *field, const char *text, char *why)
{
	_cleanup_(filter_cleanup_names) struct service_table *names = NULL;
	const char *bad = text;
	int err = filter_needs_names(text) ? service_table_new(NULL, &names) : 0;

	if (err) {
		snprintf(why, CLI_ERR_SIZE, "cannot read the service names: %s",
			 strerrordesc_np(-err));
		return err;
	}
	err = port_set_parse(field, text, names, &bad);
	if (err)
		filter_bad_port(names, bad ? bad : text, why);
	return err;
}
