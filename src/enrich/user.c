// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* uid -> name. getpwuid_r(3) takes 50 us and may ask a server, so its answers are kept, "no such
 * user" too. */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include "cache.h"
#include "enrich.h"

#define ENRICH_USER_ENTRIES 256
#define ENRICH_USER_EXPIRY_NS (60 * NS_PER_SEC)

struct enrich_user {
	uint64_t read_ns; /* cache_now_ns() at the look-up */
	char name[sizeof(((struct event_who *)0)->user)]; /* "" = has none */
};

static int enrich_user_open(const struct enrich_options *opts, void **ret_state)
{
	struct cache *users = NULL;

	if (!opts->numeric) {
		users = cache_new(ENRICH_USER_ENTRIES, sizeof(struct enrich_user));
		if (!users)
			return -ENOMEM;
	}
	*ret_state = users;
	return 0;
}

static void enrich_user_look_up(struct enrich_user *user, uint32_t uid)
{
	char buf[16384]; /* for the strings of one passwd line */
	struct passwd pw, *found = NULL;

	user->name[0] = '\0';
	if (getpwuid_r(uid, &pw, buf, sizeof(buf), &found) == 0 && found &&
	    strlen(pw.pw_name) < sizeof(user->name))
		strcpy(user->name, pw.pw_name);
}

static bool enrich_user_describe(void *state, struct event *ev, struct event_who *who)
{
	uint64_t now = cache_now_ns();
	struct enrich_user *user;

	if (!state || !ev->has_uid)
		return true;
	user = cache_find(state, ev->uid, 0);
	if (!user || now - user->read_ns >= ENRICH_USER_EXPIRY_NS) {
		if (!user)
			user = cache_claim(state, ev->uid, 0);
		enrich_user_look_up(user, ev->uid);
		user->read_ns = now;
	}
	memcpy(who->user, user->name, sizeof(who->user));
	return true;
}

static void enrich_user_close(void *state)
{
	cache_free(state);
}

const struct enricher enrich_user = {
	.name = "user",
	.open = enrich_user_open,
	.describe = enrich_user_describe,
	.close = enrich_user_close,
};
