/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `porttrace replay FILE` and the commands behind FILE share. */
#ifndef PORTTRACE_CMD_REPLAY_H
#define PORTTRACE_CMD_REPLAY_H

#include "../replay.h"
#include "pressure.h"

/*
 * Reads a recording to its end, for a look of `session` at what then was there. Tells messages, and damage, which does
 * not keep what stands before it from being looked at. 0 or -errno, told; in all cases ended with replay_close.
 */
int replay_into_session(struct replay *rp, const char *path, struct pressure_session *session);
/* "recorded on web1 from 2026-11-27 03:12:43 to 2026-11-27 03:13:43" to stderr, and what is missing in it. */
void replay_tell(const struct replay *rp, const char *path);
/* What is wrong with the file; nothing if all is well. */
void replay_tell_damage(const struct replay *rp, const char *path);

/* The commands on a recording: as their main functions, argv[0] is the command. */
int pressure_replay(const char *path, int argc, char **argv);
int why_replay(const char *path, int argc, char **argv);
int replay_who(const char *path, int argc, char **argv);
int replay_history(const char *path, int argc, char **argv);

#endif
