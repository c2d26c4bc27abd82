# SPDX-License-Identifier: MIT
#
# make            the program: build/daruma
# make demo       the first demonstration: two instances, a monkey that kills them, a monitor that counts
# make test       everything that is tested: checks, unit tests (plain and under sanitizers), scenarios
# make check      the direction of includes, static analysis, format
# make docs       writes the table of attributes in docs/compose.md anew; a test fails when it is out of date
# make conformance   how many Compose files of the reference corpus load as the reference loads them
# make bench      measures beside the peers, writes bench/RESULTS.md and its plot (about 45 minutes)
# make fuzz       every fuzz target for FUZZ_SECONDS (default 60)
# make install    to PREFIX (default /usr/local)
#
# A new source, test, fuzz target or benchmark needs no entry here: files are found by where they are.
# SAN=address,undefined builds into build/san with sanitizers.

ifeq ($(origin CC),default)
CC       := gcc
endif
PREFIX   ?= /usr/local
OPT      ?= $(if $(SAN),-O1,-O2)
BUILD    := $(if $(SAN),build/san,build)
PACKAGES := libfyaml jansson libmicrohttpd libcurl libcrypto libarchive libpcre2-8

CPPFLAGS += -Isrc -D_GNU_SOURCE $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
CFLAGS   += -std=gnu17 $(OPT) -g -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wno-unused-parameter -fno-common -fstack-protector-strong
LDFLAGS  += -Wl,-z,relro,-z,now,--as-needed
LDLIBS   += $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lm
# V=1 shows the commands.
Q        := $(if $(V),,@)
say       = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

# With -O2 it would take twice as long to build; with -O1 gcc loses sight of some lengths, and warns in vain.
ifneq ($(SAN),)
CFLAGS   += -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer -Wno-format-truncation
LDFLAGS  += -fsanitize=$(SAN)
endif

SOURCES  := $(shell find src -name '*.c')
LIBRARY  := $(BUILD)/libdaruma.a
OBJECTS  := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out src/cli/main.c,$(SOURCES)))
UNIT     := $(patsubst %.c,$(BUILD)/%,$(sort $(shell find tests/unit -name 'test_*.c')))
FUZZ     := $(patsubst %.c,build/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCH    := $(patsubst %.c,$(BUILD)/%,$(wildcard bench/*.c))
EXAMPLES := $(patsubst %.c,$(BUILD)/%,$(wildcard examples/*/*.c))
FORMATTED = $(shell find src tests bench examples -name '*.[ch]')

.PHONY: all deps conformance examples benchmarks unit scenario demo docs test check check-includes check-format check-static \
        bench fuzz fuzzers format install clean
.DELETE_ON_ERROR:

all: $(BUILD)/daruma

$(BUILD)/daruma: $(BUILD)/obj/src/cli/main.o $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/unit/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(LIBRARY) $(LDLIBS) -lcmocka -lhttp_parser

$(BUILD)/examples/%: examples/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< -lmicrohttpd -lhiredis

$(BUILD)/bench/%: bench/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(LIBRARY) $(LDLIBS)

# libFuzzer wants clang and every object instrumented, so a fuzz target compiles the library's sources itself.
build/tests/fuzz/%: tests/fuzz/%.c build/fuzz/libdaruma.a
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)clang $(CPPFLAGS) -std=gnu17 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $@ $< \
	    build/fuzz/libdaruma.a $(LDLIBS) -lhttp_parser

build/fuzz/libdaruma.a: $(patsubst %.c,build/fuzz/obj/%.o,$(filter-out src/cli/main.c,$(SOURCES)))
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)clang $(CPPFLAGS) -std=gnu17 -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -MMD -MP \
	    -c -o $@ $<

deps:
	@tools/install-packages

# Another daruma, whose gateway lays out its memory differently: what a story upgrades to.
$(BUILD)/tests/other/daruma: $(BUILD)/daruma
	@mkdir -p $(@D)
	$(call say,OTHER,$@)
	$(Q)$(CC) $(CPPFLAGS) -DGW_ARENA_LAYOUT=1000u $(CFLAGS) $(LDFLAGS) -o $@ src/gateway/slots.c src/gateway/adopt.c \
	    src/daemon/layouts.c $(BUILD)/obj/src/cli/main.o $(LIBRARY) $(LDLIBS)

examples: $(EXAMPLES)
benchmarks: $(BENCH) $(BUILD)/tests/other/daruma
fuzzers: $(FUZZ)

unit: $(UNIT)
	@tests/run-unit $(UNIT)

# The corpus is not part of the repository: it is looked for beside it.
CORPUS   ?= ../shared/reference/compose
conformance: $(BUILD)/conformance
	@if [ -d "$(CORPUS)" ]; then $< "$(CORPUS)" $(NAME); else echo "conformance: skipped, no corpus at $(CORPUS)"; fi

$(BUILD)/conformance: $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/conformance/*.c)) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

docs: $(BUILD)/tests/unit/compose/test_schema
	@DARUMA_WRITE_DOCS=1 $< >/dev/null

scenario: all examples benchmarks
	@tests/scenario/run $(SCENARIO)

fuzz: fuzzers
	@tests/fuzz/run $(FUZZ)

demo: deps
	@$(MAKE) --no-print-directory -s all examples
	@examples/indestructible/demo.sh

# Its stories about containers start a Docker Engine of their own.
test:
	@tools/install-packages docker.io docker-compose busybox-static python3-flask python3-redis python3-pip prometheus
	@tests/run

check: check-includes check-static check-format

check-includes:
	@tools/check-includes

# duplicateBreak and friends are style; what is switched on here finds faults.
check-static:
	@cppcheck --quiet --std=c11 --enable=warning,performance,portability --error-exitcode=1 --inline-suppr -Isrc \
	    --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches -D_GNU_SOURCE -j2 src

check-format:
	@clang-format --dry-run --Werror $(FORMATTED)

format:
	@clang-format -i $(FORMATTED)

bench: deps
	@$(MAKE) --no-print-directory -s all examples benchmarks
	@bench/run

install: all
	install -D -m 755 $(BUILD)/daruma $(DESTDIR)$(PREFIX)/bin/daruma
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,/usr/local/bin/,$(PREFIX)/bin/,' deploy/systemd/daruma@.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/daruma@.service

clean:
	rm -rf build

-include $(shell find build -path build/engine -prune -o -name '*.d' -print 2>/dev/null)
