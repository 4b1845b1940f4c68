// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "excerpt.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXCERPT_SLOTS 2048 /* power of two, several times the number of names */

struct excerpt_name {
	const char *name; /* NULL = free; of the programs' types */
	size_t len; /* without the "___flavor" that CO-RE cuts off */
	uint32_t hash;
	bool is_struct, is_field;
};

struct excerpt {
	const struct btf *kernel;
	struct btf *out; /* owned */
	struct excerpt_name names[EXCERPT_SLOTS]; /* by hash, the next free one if that is taken */
	size_t count;
	uint32_t *ids; /* owned: of `out`, by id of `kernel`; 0 = not there yet */
	int pointer; /* id of the one pointer, 0 = not there yet */
};

/* --- the names that the programs' types have --- */

static size_t excerpt_name_len(const char *name)
{
	const char *flavor = strstr(name, "___");

	return flavor && flavor != name ? (size_t)(flavor - name) : strlen(name);
}

/* FNV-1a. */
static uint32_t excerpt_hash(const char *name, size_t len)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)name[i]) * 16777619u;
	return hash ^ hash >> 16;
}

/* Where the name is, or may be put. */
static struct excerpt_name *excerpt_slot(struct excerpt *ex, const char *name, size_t len, uint32_t hash)
{
	size_t i = hash & (EXCERPT_SLOTS - 1);

	while (ex->names[i].name && (ex->names[i].hash != hash || ex->names[i].len != len ||
				     memcmp(ex->names[i].name, name, len)))
		i = (i + 1) & (EXCERPT_SLOTS - 1);
	return &ex->names[i];
}

/* NULL = no room. */
static struct excerpt_name *excerpt_add_name(struct excerpt *ex, const char *name)
{
	size_t len = excerpt_name_len(name);
	uint32_t hash = excerpt_hash(name, len);
	struct excerpt_name *slot = excerpt_slot(ex, name, len, hash);

	if (slot->name)
		return slot;
	if (ex->count + 1 == EXCERPT_SLOTS)
		return NULL;
	*slot = (struct excerpt_name){ .name = name, .len = len, .hash = hash };
	ex->count++;
	return slot;
}

static const struct excerpt_name *excerpt_find(struct excerpt *ex, const char *name)
{
	size_t len = strlen(name);

	return excerpt_slot(ex, name, len, excerpt_hash(name, len));
}

static int excerpt_add_names(struct excerpt *ex, const struct btf *programs, const struct btf_type *type)
{
	const struct btf_member *member = btf_members(type);
	struct excerpt_name *name = excerpt_add_name(ex, btf__name_by_offset(programs, type->name_off));

	if (!name)
		return -E2BIG;
	name->is_struct = true;
	for (int i = 0; i < btf_vlen(type); i++, member++) {
		name = excerpt_add_name(ex, btf__name_by_offset(programs, member->name_off));
		if (!name)
			return -E2BIG;
		name->is_field = true;
	}
	return 0;
}

static int excerpt_read_programs(struct excerpt *ex, const struct btf *programs)
{
	uint32_t count = btf__type_cnt(programs);
	int r = 0;

	for (uint32_t id = 1; id < count && r == 0; id++) {
		const struct btf_type *type = btf__type_by_id(programs, id);

		if (btf_is_composite(type))
			r = excerpt_add_names(ex, programs, type);
	}
	return r;
}

/* --- the kernel's types --- */

static int excerpt_type(struct excerpt *ex, uint32_t id);

/* Of an anonymous one (which is inside of another) as much as of the others that are wanted. */
static bool excerpt_wants_fields(struct excerpt *ex, const char *name)
{
	return !*name || excerpt_find(ex, name)->is_struct;
}

static bool excerpt_wants_field(struct excerpt *ex, const char *name)
{
	return !*name || excerpt_find(ex, name)->is_field;
}

static int excerpt_field(struct excerpt *ex, const struct btf_type *type, uint32_t i, const char *name)
{
	int of = excerpt_type(ex, btf_members(type)[i].type);

	return of < 0 ? of : btf__add_field(ex->out, name, of, btf_member_bit_offset(type, i),
					    btf_member_bitfield_size(type, i));
}

/* Types of fields go first: fields are added to the last type that there is. */
static int excerpt_fields(struct excerpt *ex, const struct btf_type *type, bool add)
{
	int r = 0;

	for (uint32_t i = 0; i < btf_vlen(type) && r >= 0; i++) {
		const char *name = btf__name_by_offset(ex->kernel, btf_members(type)[i].name_off);

		if (excerpt_wants_field(ex, name))
			r = add ? excerpt_field(ex, type, i, name) : excerpt_type(ex, btf_members(type)[i].type);
	}
	return r < 0 ? r : 0;
}

static int excerpt_struct(struct excerpt *ex, const struct btf_type *type)
{
	const char *name = btf__name_by_offset(ex->kernel, type->name_off);
	bool fields = excerpt_wants_fields(ex, name);
	int r = fields ? excerpt_fields(ex, type, false) : 0, id;

	if (r < 0)
		return r;
	id = btf_is_struct(type) ? btf__add_struct(ex->out, name, type->size) :
				   btf__add_union(ex->out, name, type->size);
	if (id >= 0 && fields)
		r = excerpt_fields(ex, type, true);
	return r < 0 ? r : id;
}

static int excerpt_array(struct excerpt *ex, const struct btf_type *type)
{
	const struct btf_array *array = btf_array(type);
	int index = excerpt_type(ex, array->index_type), element = excerpt_type(ex, array->type);

	if (index < 0 || element < 0)
		return index < 0 ? index : element;
	return btf__add_array(ex->out, index, element, array->nelems);
}

static int excerpt_pointer(struct excerpt *ex)
{
	if (!ex->pointer)
		ex->pointer = btf__add_ptr(ex->out, 0);
	return ex->pointer;
}

static int excerpt_new_type(struct excerpt *ex, const struct btf_type *type)
{
	const char *name = btf__name_by_offset(ex->kernel, type->name_off);

	switch (btf_kind(type)) {
	case BTF_KIND_INT:
		return btf__add_int(ex->out, name, type->size, btf_int_encoding(type));
	case BTF_KIND_FLOAT:
		return btf__add_float(ex->out, name, type->size);
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return btf__add_enum(ex->out, name, type->size);
	case BTF_KIND_ARRAY:
		return excerpt_array(ex, type);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return excerpt_struct(ex, type);
	case BTF_KIND_PTR:
		return excerpt_pointer(ex);
	default: /* only behind pointers */
		return -EINVAL;
	}
}

/* The id in `out` of a type of the kernel's, without typedefs and qualifiers; or -errno. No struct holds itself. */
static int excerpt_type(struct excerpt *ex, uint32_t id)
{
	const struct btf_type *type = btf__type_by_id(ex->kernel, id);
	int r;

	while (type && (btf_is_mod(type) || btf_is_typedef(type))) {
		id = type->type;
		type = btf__type_by_id(ex->kernel, id);
	}
	if (!type || !id)
		return -EINVAL;
	if (ex->ids[id])
		return (int)ex->ids[id];
	r = excerpt_new_type(ex, type);
	if (r > 0)
		ex->ids[id] = (uint32_t)r;
	return r;
}

static int excerpt_take(struct excerpt *ex)
{
	uint32_t count = btf__type_cnt(ex->kernel);
	int r = 0;

	for (uint32_t id = 1; id < count && r >= 0; id++) {
		const struct btf_type *type = btf__type_by_id(ex->kernel, id);
		const char *name;

		if (!btf_is_composite(type))
			continue;
		name = btf__name_by_offset(ex->kernel, type->name_off);
		if (*name && excerpt_find(ex, name)->is_struct)
			r = excerpt_type(ex, id);
	}
	return r < 0 ? r : 0;
}

static int excerpt_make(struct excerpt *ex, const struct btf *programs, int fd)
{
	const void *data;
	uint32_t size;
	int r;

	ex->ids = calloc(btf__type_cnt(ex->kernel), sizeof(*ex->ids));
	ex->out = btf__new_empty();
	if (!ex->ids || !ex->out)
		return -ENOMEM;
	r = excerpt_read_programs(ex, programs);
	if (r == 0)
		r = excerpt_take(ex);
	if (r < 0)
		return r;
	data = btf__raw_data(ex->out, &size);
	if (!data)
		return -ENOMEM;
	return write(fd, data, size) == (ssize_t)size ? 0 : -EIO;
}

int excerpt_write(const struct btf *kernel, const struct btf *programs, int fd)
{
	struct excerpt *ex = calloc(1, sizeof(*ex));
	int r;

	if (!ex)
		return -ENOMEM;
	ex->kernel = kernel;
	r = excerpt_make(ex, programs, fd);
	btf__free(ex->out);
	free(ex->ids);
	free(ex);
	return r;
}
