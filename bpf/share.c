// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Part of the build: share OBJECT
 *
 * The programs of an object read the same few fields again and again, inlined, and libbpf works out the place of a
 * field anew for each instruction that has it. Here one instruction of each kind is copied into the section
 * "shared/fields", and only the copies are left for libbpf. The others get the number of theirs where their kind of
 * instruction has nothing; the loader writes in what has become of it (src/attach/programs.c,
 * include/porttrace/shared.h).
 */
#include <err.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "porttrace/shared.h"

#define SHARED_MAX 1024

/* The head of .BTF.ext: lengths and places behind it, in bytes. */
struct share_head {
	uint16_t magic;
	uint8_t version, flags;
	uint32_t len;
	uint32_t func_at, func_len, line_at, line_len, relo_at, relo_len;
};

/* In .BTF.ext, a section's records. */
struct share_section {
	uint32_t name; /* in .BTF */
	uint32_t count;
	struct bpf_core_relo records[];
};

struct share {
	Elf *elf;
	Elf_Data *types, *ext, *room; /* .BTF, .BTF.ext, "shared" */
	const char *strings; /* in .BTF */
	uint32_t room_name; /* of "shared" in them */
	struct bpf_insn before[SHARED_MAX]; /* of each that is shared */
	struct bpf_core_relo records[SHARED_MAX]; /* the same */
	size_t count, used; /* of them, and of the instructions in `room` */
};

static Elf_Data *share_find(Elf *elf, const char *name)
{
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		errx(1, "sections: %s", elf_errmsg(-1));
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr head;

		if (gelf_getshdr(section, &head) && !strcmp(elf_strptr(elf, names, head.sh_name), name))
			return elf_getdata(section, NULL);
	}
	errx(1, "there is no section %s", name);
}

static bool share_is_wide(const struct bpf_insn *insn)
{
	return insn->code == (BPF_LD | BPF_IMM | BPF_DW);
}

/* Both name a place in the same type, are of the same kind, and stand in the same kind of instruction. */
static bool share_is_same(const struct share *s, size_t i, const struct bpf_core_relo *record,
			  const struct bpf_insn *insn)
{
	const struct bpf_core_relo *r = &s->records[i];
	const struct bpf_insn *b = &s->before[i];

	return r->type_id == record->type_id && r->kind == record->kind && b->code == insn->code &&
	       b->off == insn->off && b->imm == insn->imm &&
	       !strcmp(s->strings + r->access_str_off, s->strings + record->access_str_off);
}

/* Its number. */
static size_t share_number(struct share *s, const struct bpf_core_relo *record, const struct bpf_insn *insn)
{
	size_t len = share_is_wide(insn) ? 2 : 1, i;

	for (i = 0; i < s->count && !share_is_same(s, i, record, insn); i++)
		;
	if (i < s->count)
		return s->records[i].insn_off / sizeof(*insn);
	if (s->count == SHARED_MAX || (s->used + len + 1) * sizeof(*insn) > s->room->d_size)
		errx(1, "no room for so many relocations");
	s->before[i] = *insn;
	s->records[i] = *record;
	s->records[i].insn_off = (uint32_t)(s->used * sizeof(*insn));
	memcpy((struct bpf_insn *)s->room->d_buf + s->used, insn, len * sizeof(*insn));
	s->count++;
	s->used += len;
	return s->used - len;
}

static void share_records(struct share *s, const struct share_section *section)
{
	char *code = share_find(s->elf, s->strings + section->name)->d_buf;

	for (uint32_t i = 0; i < section->count; i++) {
		struct bpf_insn *insn = (struct bpf_insn *)(code + section->records[i].insn_off);

		if (!shared_mark(insn, share_number(s, &section->records[i], insn)))
			errx(1, "an instruction of a kind (%#x) that is not shared", insn->code);
	}
}

/* What stands in "shared" ends the program too: the rest of it stays as it was. */
static void share_write(struct share *s, struct share_head *head, char *at)
{
	struct share_section section = { .name = s->room_name, .count = (uint32_t)s->count };
	uint32_t record_size = sizeof(struct bpf_core_relo);

	memcpy(at, &record_size, sizeof(record_size));
	memcpy(at + sizeof(record_size), &section, sizeof(section));
	memcpy(at + sizeof(record_size) + sizeof(section), s->records, s->count * sizeof(s->records[0]));
	head->relo_len = (uint32_t)(sizeof(record_size) + sizeof(section) + s->count * sizeof(s->records[0]));
	s->ext->d_size = (size_t)(at - (char *)s->ext->d_buf) + head->relo_len;
	elf_flagdata(s->ext, ELF_C_SET, ELF_F_DIRTY);
}

static uint32_t share_string(const struct share *s, uint32_t len, const char *wanted)
{
	for (uint32_t at = 0; at < len; at += (uint32_t)strlen(s->strings + at) + 1)
		if (!strcmp(s->strings + at, wanted))
			return at;
	errx(1, "no string %s in .BTF", wanted);
}

static void share_object(struct share *s)
{
	const struct btf_header *types = s->types->d_buf;
	struct share_head *head = s->ext->d_buf;
	char *relos = (char *)head + head->len + head->relo_at, *at = relos + sizeof(uint32_t);

	s->strings = (const char *)types + types->hdr_len + types->str_off;
	s->room_name = share_string(s, types->str_len, SHARED_SECTION);
	if (relos + head->relo_len != (char *)head + s->ext->d_size || *(uint32_t *)relos != sizeof(s->records[0]))
		errx(1, "relocations do not stand where they are looked for");
	while (at < relos + head->relo_len) {
		const struct share_section *section = (const struct share_section *)at;

		share_records(s, section);
		at += sizeof(*section) + section->count * sizeof(section->records[0]);
	}
	share_write(s, head, relos);
}

int main(int argc, char **argv)
{
	static struct share s;
	int fd = argc == 2 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
	Elf_Scn *section = NULL;

	if (fd < 0 || elf_version(EV_CURRENT) == EV_NONE || !(s.elf = elf_begin(fd, ELF_C_RDWR, NULL)))
		errx(2, "usage: share OBJECT");
	s.types = share_find(s.elf, ".BTF");
	s.ext = share_find(s.elf, ".BTF.ext");
	s.room = share_find(s.elf, SHARED_SECTION);
	share_object(&s);
	while ((section = elf_nextscn(s.elf, section)))
		elf_flagscn(section, ELF_C_SET, ELF_F_DIRTY);
	for (section = NULL; (section = elf_nextscn(s.elf, section));) {
		Elf_Data *data = elf_getdata(section, NULL);

		if (data)
			elf_flagdata(data, ELF_C_SET, ELF_F_DIRTY);
	}
	if (elf_update(s.elf, ELF_C_WRITE) < 0)
		errx(1, "%s: %s", argv[1], elf_errmsg(-1));
	elf_end(s.elf);
	return close(fd) ? 1 : 0;
}
