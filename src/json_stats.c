// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "json_stats.h"

#include "event.h"
#include "json_out.h"

void json_stats_lost_ring(struct buf *b, const struct stats *st)
{
	bool any = false;

	for (size_t i = 0; i < STATS_LOSSES; i += 2) {
		bool first = false;

		if (!st->lost_ring[i] && !st->lost_ring[i + 1])
			continue;
		buf_str(b, any ? ",{\"action\":" : ",\"lost_ring\":[{\"action\":");
		json_text(b, event_kind_names[i / 2], 16);
		json_member_u64(b, &first, "success", st->lost_ring[i]);
		json_member_u64(b, &first, "failure", st->lost_ring[i + 1]);
		buf_char(b, '}');
		any = true;
	}
	if (any)
		buf_char(b, ']');
}
