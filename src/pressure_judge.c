// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What will become of a pool, and how bad that is. */
#include "pressure.h"

#define PRESSURE_AHEAD_S 3600 /* further nobody looks */
#define PRESSURE_SOON_S 120

uint32_t pressure_percent(uint32_t used, uint32_t capacity)
{
	return capacity ? (uint32_t)((uint64_t)used * 100 / capacity) : 100;
}

/* Ports that come back each second by another way than TIME_WAIT. */
static double pressure_direct(const struct pressure_pool *pool)
{
	double waiting = (pool->releases[0] + pool->releases[1] + pool->releases[2]) / 3.0;

	return pool->frees_per_s > waiting ? pool->frees_per_s - waiting : 0;
}

/*
 * How many ports are taken in `second`: what is opened, less what comes back. The releases of the next minute are
 * known. After it, TIME_WAITs of now are gone and those of what is opened now end: as many as are opened, in the share
 * that TIME_WAIT has.
 */
static double pressure_used_at(const struct pressure_pool *pool, double used, uint32_t second)
{
	double share = pool->measure.used ? (double)pool->ports[PRESSURE_TIME_WAIT] / pool->measure.used : 0;
	double back = second < PRESSURE_SECONDS ? pool->releases[second] : pool->opens_per_s * share;

	used += pool->opens_per_s - back - pressure_direct(pool);
	return used > 0 ? used : 0;
}

/* The first second in which `limit` ports are taken; 0 = within an hour never. */
static uint32_t pressure_reaches(const struct pressure_pool *pool, double used, double limit)
{
	for (uint32_t second = 0; second < PRESSURE_AHEAD_S; second++) {
		used = pressure_used_at(pool, used, second);
		if (used >= limit)
			return second + 1;
	}
	return 0;
}

static void pressure_foresee(struct pressure_pool *pool)
{
	double used = pool->measure.used, reusable = pool->measure.ports[POOL_PORT_REUSABLE];
	uint32_t wall = 0, full;

	pool->course = pool->next_course = PRESSURE_UNKNOWN;
	if (!pool->has_rates || pool->opens_per_s < 1)
		return;
	pool->course = pool->next_course = PRESSURE_STEADY;
	if (reusable > 0) /* TIME_WAIT is taken over: it does not keep a port from this pool */
		return;
	if (pool->measure.has_half && pool->measure.half_free.max)
		wall = pressure_reaches(pool, used, used + pool->measure.half_free.max);
	full = pressure_reaches(pool, used, pressure_capacity(pool));
	if (wall) {
		pool->course = PRESSURE_WALL;
		pool->seconds = wall;
	}
	if (full && wall) {
		pool->next_course = PRESSURE_FULL;
		pool->next_seconds = full;
	} else if (full) {
		pool->course = PRESSURE_FULL;
		pool->seconds = full;
	}
}

static bool pressure_is_full_soon(const struct pressure_pool *pool)
{
	return (pool->course == PRESSURE_FULL && pool->seconds < PRESSURE_SOON_S) ||
	       (pool->next_course == PRESSURE_FULL && pool->next_seconds < PRESSURE_SOON_S);
}

void pressure_judge(struct pressure_pool *pool)
{
	const struct pool_measure *m = &pool->measure;
	uint32_t percent = pressure_percent(m->used, pressure_capacity(pool));
	uint32_t half = pressure_percent(m->half_used, m->half_capacity.max);

	pressure_foresee(pool);
	pool->severity = PRESSURE_OK;
	if (!m->used && m->free.max && !pool->failures)
		return;
	if (pool->failures || percent >= 98 || !m->free.max)
		pool->severity = PRESSURE_CRIT;
	else if (percent >= 80 || pressure_is_full_soon(pool))
		pool->severity = PRESSURE_HIGH;
	else if (m->has_half && half >= 90)
		pool->severity = PRESSURE_WARN;
}
