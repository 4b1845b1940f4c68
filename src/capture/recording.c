// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a recording holds, handed to the same functions as what a live run brings. */
#include "../capture.h"

#include "../recording.h"
#include "porttrace/raw_event.h"

int capture_recording(struct recording_reader *r, const struct capture_target *to, void *arg,
		      struct recording_end *ret_end)
{
	struct recording_item item;
	int more = recording_next(r, &item);

	if (more <= 0)
		return more;
	switch (item.kind) {
	case RECORDING_EVENT:
		to->record(arg, item.raw, sizeof(struct raw_event));
		break;
	case RECORDING_SOCKET:
		to->socket(arg, &item.socket, item.until_ns);
		break;
	case RECORDING_BATCH:
		to->batch(arg, item.time_ns, item.boot_offset_ns);
		break;
	case RECORDING_NETNS:
		to->netns(arg, item.netns_name, item.netns);
		break;
	case RECORDING_LOOK:
		to->look(arg, item.lives, item.life_count, item.by_cookie);
		break;
	case RECORDING_GAP:
		to->gap(arg, &item.gap);
		break;
	case RECORDING_END:
		*ret_end = item.end;
		break;
	case RECORDING_NOTHING:
		break;
	}
	return 1;
}
