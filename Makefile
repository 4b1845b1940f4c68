# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# porttrace: see README.md. `make help` lists the targets.

MAKEFLAGS += --no-print-directory

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
BUILD ?= build
KERNEL ?= 6.1
SOAK_KERNELS ?= 5.10 6.1 6.12 6.12-full newest

CC ?= cc
HOSTCC ?= $(CC)
CLANG ?= clang
LLVM_STRIP ?= llvm-strip
BPFTOOL ?= $(or $(shell command -v bpftool 2>/dev/null),$(wildcard /usr/sbin/bpftool))
PKG_CONFIG ?= pkg-config

V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' '$(1)' '$(2)'
endif

MACHINE := $(shell uname -m)
ARCH := $(if $(filter aarch64 arm64,$(MACHINE)),arm64,x86)
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)

# What needs the libraries; the other targets (deps, clean, help) must work without them.
ifeq ($(filter deps clean help demo test,$(MAKECMDGOALS)),)
missing := $(shell for p in libbpf libelf zlib sqlite3; do $(PKG_CONFIG) --exists $$p 2>/dev/null || echo $$p; done)
missing += $(shell command -v $(CLANG) >/dev/null 2>&1 || echo clang) $(if $(BPFTOOL),,bpftool)
ifneq ($(strip $(missing)),)
$(error missing to build porttrace: $(strip $(missing)). Install with: sudo make deps)
endif
endif

CPPFLAGS += -D_GNU_SOURCE -Iinclude -Isrc -I$(BUILD)/skel
CFLAGS ?= -O2 -g
CFLAGS += -std=gnu11 -Wall -Wextra -Wshadow -Wmissing-prototypes -Wformat=2 -Wno-format-nonliteral
CFLAGS += -fno-omit-frame-pointer $(SANITIZE)
LIBS := $(shell $(PKG_CONFIG) --libs libbpf libelf zlib 2>/dev/null)
LDFLAGS += $(SANITIZE)

# Of one sink each, not needed to build the rest, and loaded only by who asks for that sink.
# WITHOUT="libcurl rdkafka" builds as if they were not there.
OPTIONAL := $(filter-out $(WITHOUT),$(shell for p in libcurl rdkafka; do $(PKG_CONFIG) --exists $$p 2>/dev/null && echo $$p; done))
CPPFLAGS += $(if $(filter libcurl,$(OPTIONAL)),-DHAVE_LIBCURL) $(if $(filter rdkafka,$(OPTIONAL)),-DHAVE_RDKAFKA)

BPF_CFLAGS := -g -O2 -target bpf -mcpu=v2 -D__TARGET_ARCH_$(ARCH) -Iinclude -Ibpf -Ivmlinux/$(ARCH) \
	$(if $(MULTIARCH),-idirafter /usr/include/$(MULTIARCH)) -Wall -Wextra -Wno-unused-parameter

BPF_OBJECTS := tracing cgroup bucket
SKELETONS := $(BPF_OBJECTS:%=$(BUILD)/skel/%.skel.h)

PURE_COMMAND_SOURCES := src/cmd/trace_options.c src/cmd/service_options.c src/cmd/service_text.c src/cmd/service_json.c \
	src/cmd/filter_options.c src/cmd/free_options.c src/cmd/free_text.c src/cmd/free_json.c src/cmd/list_options.c src/cmd/list_text.c src/cmd/who_options.c \
	src/cmd/history_options.c src/cmd/history_text.c src/cmd/history_json.c

# Everything from decode on needs no libbpf: that is what the unit tests link.
LIBBPF_SOURCES := src/attach.c $(wildcard src/attach/*.c) src/capture/ring.c src/version.c src/kernel.c \
	$(filter-out $(PURE_COMMAND_SOURCES),$(wildcard src/cmd/*.c)) src/main.c
SOURCES := $(wildcard src/*.c src/*/*.c)
PURE_SOURCES := $(filter-out $(LIBBPF_SOURCES),$(SOURCES))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
PURE_OBJECTS := $(PURE_SOURCES:%.c=$(BUILD)/%.o)

all: $(BUILD)/porttrace

$(BUILD)/porttrace: $(OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/%.o: %.c | $(SKELETONS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(FASTER) -MMD -MP -c -o $@ $<

# The way of an event. GCC clears and copies small structs by string instructions, which are slow to start. Together with
# the register of the frame pointer a seventh of the rate of make bench. And it reads neighbouring words as one, for which
# the processor waits if they were written one by one just before. Calls of libc need no detour: they are always made.
WAY := buf ring event_pack json_out decode cache enrich enrich/recorded enrich/port enrich/service enrich/holder service \
	sockets processes pipeline pool_kind filter wall json_lines sides sink/json sink/output sink/table result human visible \
	recording/raw recording/read recording/recorder capture/recording replay
MOVES := unrolled_loop:256:noalign,libcall:-1:noalign
MOVES := -mmemset-strategy=$(MOVES) -mmemcpy-strategy=$(MOVES)
FAST := $(shell $(CC) $(MOVES) -c -x c /dev/null -o /dev/null 2>/dev/null && echo '$(MOVES)')
$(WAY:%=$(BUILD)/src/%.o): FASTER = $(if $(filter -O2,$(CFLAGS)),-O3 -fno-tree-vectorize -fno-plt -fomit-frame-pointer $(FAST))

# Without the labels of jumps, fifteen thousand: libbpf looks through all symbols for each program.
$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h include/porttrace/*.h vmlinux/$(ARCH)/*.h)
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<
	$(Q)$(LLVM_STRIP) -g -R .rel.BTF -R .rel.BTF.ext $@ 2>/dev/null || true
	$(Q)$(LLVM_STRIP) --wildcard --strip-symbol='LBB*' $@ 2>/dev/null || true
	$(Q)$(if $(filter tracing,$*),$(BUILD)/share $@)

$(BUILD)/share: bpf/share.c include/porttrace/shared.h
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) $(CPPFLAGS) -O2 -g -std=gnu11 -Wall -Wextra -o $@ $< $(shell $(PKG_CONFIG) --libs libelf)
$(BUILD)/bpf/tracing.bpf.o: $(BUILD)/share

$(BUILD)/skel/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

-include $(OBJECTS:.o=.d)

# --- tests ---------------------------------------------------------------------------------------------------------

UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
UNIT_TESTS := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/tests/unit/%)
SCENARIO_SOURCES := $(wildcard tests/scenarios/*.c)

# The programs of the tests have main() of their own; the sanitizers find what assertions do not look for.
$(BUILD)/tests/unit/%: tests/unit/%.c $(wildcard tests/unit/*.h) $(PURE_OBJECTS)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(PURE_OBJECTS) -lcmocka -lsqlite3 -lz -lpthread

# libFuzzer's targets: built by `make fuzz`, with clang, in a build folder of their own.
$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(PURE_OBJECTS)
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fsanitize=fuzzer -o $@ $< $(PURE_OBJECTS) -lsqlite3 -lz -lpthread

$(BUILD)/tests/workload: $(SCENARIO_SOURCES) $(wildcard tests/scenarios/*.h)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -O1 -g -Wall -Wextra -o $@ $(SCENARIO_SOURCES) -lpthread

# The same program for 32 bits, where the compiler can: what a 32-bit program calls is not what a 64-bit one calls.
NARROW := $(shell echo 'int main(void) { return 0; }' | $(CC) -m32 -static -x c - -o /dev/null 2>/dev/null && echo $(BUILD)/tests/workload32)

$(BUILD)/tests/workload32: $(SCENARIO_SOURCES) $(wildcard tests/scenarios/*.h)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -m32 -static -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 -O1 -g -Wall -Wextra -o $@ $(SCENARIO_SOURCES) -lpthread

$(BUILD)/tests/stress: $(wildcard tests/stress/*.c) $(wildcard tests/stress/*.h)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -O2 -g -Wall -Wextra -o $@ $(filter %.c,$^) -lpthread

$(BUILD)/tests/process: $(wildcard tests/process/*.c) $(wildcard tests/process/*.h)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -O1 -g -Wall -Wextra -o $@ $(filter %.c,$^) -lpthread

$(BUILD)/tests/random: $(wildcard tests/random/*.c tests/random/*.h)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -O2 -g -Wall -Wextra -o $@ $(filter %.c,$^) -lpthread

$(BUILD)/tests/cli-load: tests/cli/load.c
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -O1 -g -Wall -Wextra -o $@ $<

$(BUILD)/tests/metrics-load: tests/metrics/load.c
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -O1 -g -Wall -Wextra -o $@ $<

$(BUILD)/tests/free: $(wildcard tests/free/*.c) $(wildcard tests/free/*.h)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -O1 -g -Wall -Wextra -o $@ $(filter %.c,$^)

$(BUILD)/tests/pressure-load: $(wildcard tests/pressure/*.c) $(wildcard tests/pressure/*.h)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -O1 -g -Wall -Wextra -o $@ $(filter %.c,$^) -lpthread

$(BUILD)/tests/daemon-receive: tests/daemon/receive.c
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -O1 -g -Wall -Wextra -o $@ $<

BENCH_PROGRAMS := $(patsubst %,$(BUILD)/tests/bench-%,load measure processes start)

# The bench's, static: a guest then needs no libraries, and the load does the same everywhere.
$(BUILD)/tests/bench-%: tests/bench/%.c
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -O2 -g -static -Wall -Wextra -o $@ $<

HISTORY_PARTS := $(wildcard src/history/*.c) src/buf.c src/event.c src/proc.c

$(BUILD)/tests/history-make: tests/history/generate.c $(HISTORY_PARTS) $(wildcard src/history/*.h) src/history.h
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -O2 -g -Wall -Wextra -o $@ $(filter %.c,$^) -lsqlite3 -lpthread

# By hand: how many events a second the history takes.
$(BUILD)/tests/history-bench: tests/history/bench.c $(HISTORY_PARTS) $(wildcard src/history/*.h) src/history.h
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -O2 -g -Wall -Wextra -o $@ $(filter %.c,$^) -lsqlite3 -lpthread

$(BUILD)/tests/sinks-events: tests/sinks/events.c $(PURE_OBJECTS)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(PURE_OBJECTS) -lsqlite3 -lz -lpthread

$(BUILD)/tests/replay-%: tests/replay/%.c $(PURE_OBJECTS)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(PURE_OBJECTS) -lsqlite3 -lz -lpthread

$(BUILD)/tests/replay-fails.so: tests/replay/fails.c
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -O1 -g -Wall -Wextra -shared -fPIC -o $@ $<

# Sinks without a tracer, and a Kafka cluster of librdkafka's own.
$(BUILD)/tests/sinks-drive: tests/sinks/drive.c tests/unit/events.h $(PURE_OBJECTS)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(PURE_OBJECTS) -lsqlite3 -lz -lpthread

$(BUILD)/tests/sinks-kafka: tests/sinks/kafka.c
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -O1 -g -Wall -Wextra -o $@ $< -lrdkafka

$(BUILD)/tests/list-load: tests/list/load.c
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -O1 -g -Wall -Wextra -o $@ $<

$(BUILD)/tests/owners-%: tests/owners/%.c
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -O1 -g -Wall -Wextra -o $@ $<

unit-tests: $(UNIT_TESTS)
test-programs: $(BUILD)/porttrace $(BUILD)/tests/workload $(NARROW) $(BUILD)/tests/stress $(BUILD)/tests/process \
	$(BUILD)/tests/random $(BUILD)/tests/cli-load $(BUILD)/tests/list-load $(BUILD)/tests/history-make \
	$(BUILD)/tests/metrics-load \
	$(BUILD)/tests/owners-lives $(BUILD)/tests/owners-waits $(BUILD)/tests/free $(BUILD)/tests/daemon-receive \
	$(BUILD)/tests/pressure-load $(BUILD)/tests/sinks-events $(BUILD)/tests/replay-make $(BUILD)/tests/replay-fails.so $(BENCH_PROGRAMS) \
	$(BUILD)/tests/sinks-drive $(if $(filter rdkafka,$(OPTIONAL)),$(BUILD)/tests/sinks-kafka)

# The same sources with the sanitizers, in a build folder of their own.
asan:
	$(Q)$(MAKE) BUILD=$(BUILD)-asan SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=undefined' unit-tests

# Without libFuzzer the tests say that they skip it.
FUZZ_TRIAL := int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d && n > 1; }
fuzz:
	$(Q)echo '$(FUZZ_TRIAL)' | $(CLANG) -fsanitize=fuzzer,address -x c - -o /dev/null 2>/dev/null || \
		{ echo '  clang has no libFuzzer here: nothing is fuzzed'; exit 0; }; \
	$(MAKE) BUILD=$(BUILD)-fuzz CC=$(CLANG) $(BUILD)-fuzz/tests/fuzz/recording \
		SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined'

check: test-programs asan fuzz
	$(Q)tests/run $(SUITES)

check-vm: test-programs
	$(Q)tests/kernels/run $(KERNEL)

# What takes minutes a kernel: a million sockets, 200,000 random calls.
soak: test-programs
	$(Q)failed=0; for k in $(SOAK_KERNELS); do tests/kernels/run $$k --soak || failed=1; done; exit $$failed

# What porttrace costs, beside its peers: figures, no verdicts. All is in tests/bench/results.md in the end. Most of it is
# measured in virtual machines, an hour or two; BENCH="tracing loss" takes some of their groups, BENCH=none none of them.
bench: $(BUILD)/porttrace $(BENCH_PROGRAMS) $(BUILD)/tests/replay-make $(BUILD)/tests/replay-copy \
	$(BUILD)/tests/cli-load $(if $(filter rdkafka,$(OPTIONAL)),$(BUILD)/tests/sinks-kafka)
	$(need-root)
	$(Q)tests/bench/replay
	$(Q)tests/bench/native
	$(Q)tests/bench/scale
	$(Q)tests/bench/pressure 28232 200000
	$(Q)tests/bench/memory
	$(Q)tests/bench/cost $(if $(filter none,$(BENCH)),--report,$(BENCH))

# In a few minutes: that the bench runs, and that porttrace costs no more than tests/bench/bounds says.
bench-quick: $(BUILD)/porttrace $(BENCH_PROGRAMS)
	$(Q)tests/run bench

# docs/coverage.md from the results of check and check-vm that are there.
coverage:
	$(Q)tests/coverage --write

vm-shell: test-programs
	$(Q)tests/vm/run.sh $(KERNEL) --add $(BUILD)/porttrace --add $(BUILD)/tests/workload --shell

lint:
	$(Q)tests/lint/run

# Two commands for a fresh machine: each installs what is missing, builds, and runs.
need-root = @test "$$(id -u)" = 0 || { echo 'porttrace: run it as root: sudo make $@' >&2; exit 3; }

test:
	$(need-root)
	$(Q)dist/deps test
	$(Q)$(MAKE) -j$$(nproc) test-programs asan fuzz
	$(Q)$(MAKE) check

demo:
	$(need-root)
	$(Q)dist/deps build
	$(Q)dist/deps demo
	$(Q)$(MAKE) all
	$(Q)dist/demo/run

deps:
	$(need-root)
	$(Q)dist/deps build

install: $(BUILD)/porttrace
	install -D -m 0755 $(BUILD)/porttrace $(DESTDIR)$(PREFIX)/sbin/porttrace
	install -D -m 0644 docs/porttrace.8 $(DESTDIR)$(PREFIX)/share/man/man8/porttrace.8
	install -D -m 0644 docs/porttrace-json.5 $(DESTDIR)$(PREFIX)/share/man/man5/porttrace-json.5
	install -D -m 0644 docs/porttrace.schema.json $(DESTDIR)$(PREFIX)/share/porttrace/porttrace.schema.json
	install -D -m 0644 dist/systemd/porttrace.service $(DESTDIR)$(PREFIX)/lib/systemd/system/porttrace.service
	sed -i 's|/usr/sbin/porttrace|$(PREFIX)/sbin/porttrace|; s|/etc/default|$(SYSCONFDIR)/default|' \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/porttrace.service
	install -D -m 0644 dist/systemd/porttrace.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/porttrace.conf
	test -e $(DESTDIR)$(SYSCONFDIR)/logrotate.d/porttrace || \
		install -D -m 0644 dist/logrotate/porttrace $(DESTDIR)$(SYSCONFDIR)/logrotate.d/porttrace
	test -e $(DESTDIR)$(SYSCONFDIR)/default/porttrace || \
		install -D -m 0644 dist/default/porttrace $(DESTDIR)$(SYSCONFDIR)/default/porttrace

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz $(BUILD)-lint

help:
	@echo 'make                     builds $(BUILD)/porttrace'
	@echo 'sudo make deps           installs what the build needs (Debian packages)'
	@echo 'sudo make demo           installs, builds, and shows every kind of event on a workload of its own'
	@echo 'sudo make test           installs, builds, and runs all tests'
	@echo 'make check SUITES="unit cli"   some suites: unit scenarios schema cli list free pressure replay fuzz metrics sinks fleet daemon lint docs strace kernels public'
	@echo 'make check-vm KERNEL=6.1 the tests of one kernel of tests/vm/kernels.list'
	@echo 'make coverage            docs/coverage.md from the results of the tests'
	@echo 'make soak                a million sockets on each kernel: minutes (SOAK_KERNELS=6.1)'
	@echo 'make vm-shell KERNEL=6.1 a shell in a virtual machine with that kernel'
	@echo 'make bench               what porttrace costs: instructions beside its peers (tests/bench/results.md; an hour or two),'
	@echo '                         events a second from a recording, pressure at 200,000 connections, memory (sudo dist/deps bench: the peers)'
	@echo 'make bench-quick         in minutes: that the bench runs, and that porttrace costs no more than tests/bench/bounds says'
	@echo 'make fuzz                builds $(BUILD)-fuzz/tests/fuzz/recording, for libFuzzer (tests/fuzz/run)'
	@echo 'make asan, make lint     unit tests with sanitizers; rules of the code, warnings as errors'
	@echo 'make install             to $$DESTDIR$$PREFIX/sbin (PREFIX=$(PREFIX)), the service to $$PREFIX/lib, its settings to $(SYSCONFDIR)'

.PHONY: unit-tests test-programs asan fuzz check check-vm soak bench bench-quick coverage vm-shell lint test demo deps install clean help

.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: all
