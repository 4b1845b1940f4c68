// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "types.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TYPES_SLOTS 512 /* power of two, several times the number of names */

struct types_name {
	const char *name; /* NULL = free */
	uint32_t hash;
	uint32_t id; /* 0 = not there */
	uint16_t kind; /* BTF_KIND_* */
};

struct types {
	struct btf *btf;
	struct types_name names[TYPES_SLOTS]; /* by hash, the next free one if that is taken */
	size_t count;
};

int types_open(struct types **ret)
{
	struct types *types = calloc(1, sizeof(*types));

	if (!types)
		return -ENOMEM;
	types->btf = btf__load_vmlinux_btf();
	if (!types->btf) {
		free(types);
		return -EOPNOTSUPP;
	}
	*ret = types;
	return 0;
}

void types_close(struct types *types)
{
	if (!types)
		return;
	btf__free(types->btf);
	free(types);
}

/* FNV-1a. */
static uint32_t types_hash(const char *name, uint16_t kind)
{
	uint32_t hash = 2166136261u ^ kind;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash ^ hash >> 16;
}

/* Where the name is, or may be put. */
static size_t types_slot(const struct types *types, const char *name, uint16_t kind, uint32_t hash)
{
	size_t i = hash & (TYPES_SLOTS - 1);

	while (types->names[i].name && (types->names[i].hash != hash || types->names[i].kind != kind ||
					strcmp(types->names[i].name, name)))
		i = (i + 1) & (TYPES_SLOTS - 1);
	return i;
}

static void types_want(struct types *types, const char *name, uint16_t kind)
{
	uint32_t hash = types_hash(name, kind);
	struct types_name *slot = &types->names[types_slot(types, name, kind, hash)];

	if (slot->name || types->count + 1 == TYPES_SLOTS)
		return;
	*slot = (struct types_name){ .name = name, .hash = hash, .kind = kind };
	types->count++;
}

void types_want_function(struct types *types, const char *name)
{
	if (name)
		types_want(types, name, BTF_KIND_FUNC);
}

void types_want_struct(struct types *types, const char *name)
{
	if (name)
		types_want(types, name, BTF_KIND_STRUCT);
}

void types_want_typedef(struct types *types, const char *name)
{
	types_want(types, name, BTF_KIND_TYPEDEF);
}

void types_look(struct types *types)
{
	uint32_t count = btf__type_cnt(types->btf);

	for (uint32_t id = 1; id < count; id++) {
		const struct btf_type *type = btf__type_by_id(types->btf, id);
		uint16_t kind = btf_kind(type);
		struct types_name *slot;
		const char *name;

		if (kind != BTF_KIND_FUNC && kind != BTF_KIND_STRUCT && kind != BTF_KIND_TYPEDEF)
			continue;
		name = btf__name_by_offset(types->btf, type->name_off);
		slot = &types->names[types_slot(types, name, kind, types_hash(name, kind))];
		if (slot->name && !slot->id)
			slot->id = id;
	}
}

const struct btf *types_btf(const struct types *types)
{
	return types->btf;
}

static uint32_t types_id(const struct types *types, const char *name, uint16_t kind)
{
	return types->names[types_slot(types, name, kind, types_hash(name, kind))].id;
}

static const struct btf_type *types_find(const struct types *types, const char *name, uint16_t kind)
{
	uint32_t id = types_id(types, name, kind);

	return id ? btf__type_by_id(types->btf, id) : NULL;
}

bool types_has_function(const struct types *types, const char *name)
{
	return types_id(types, name, BTF_KIND_FUNC);
}

uint32_t types_function_id(const struct types *types, const char *name)
{
	return types_id(types, name, BTF_KIND_FUNC);
}

uint32_t types_struct_id(const struct types *types, const char *name)
{
	return types_id(types, name, BTF_KIND_STRUCT);
}

uint32_t types_typedef_id(const struct types *types, const char *name)
{
	return types_id(types, name, BTF_KIND_TYPEDEF);
}

int types_nargs(const struct types *types, const char *name)
{
	const struct btf_type *function = types_find(types, name, BTF_KIND_FUNC);

	return function ? btf_vlen(btf__type_by_id(types->btf, function->type)) : 0;
}

unsigned int types_offset(const struct types *types, const char *name, const char *field)
{
	const struct btf_type *type = types_find(types, name, BTF_KIND_STRUCT);

	for (unsigned int i = 0; type && i < btf_vlen(type); i++)
		if (!strcmp(btf__name_by_offset(types->btf, btf_members(type)[i].name_off), field))
			return btf_member_bit_offset(type, i) / 8;
	return 0;
}
