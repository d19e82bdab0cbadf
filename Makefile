# One Makefile, no recursion. `make help` lists the targets; V=1 shows commands.
#
#   BUILD=dir        where everything built goes (build; sanitizer builds use a directory of their own)
#   SANITIZE=list    -fsanitize=list, e.g. address,undefined or thread
#   CC=clang         another compiler

CC := gcc
BUILD := build
PREFIX := /usr/local/kafka
SANITIZE :=
OPTIMIZE := -O2
WERROR := $(if $(CI),-Werror,)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wimplicit-fallthrough -Wvla $(WERROR)
# uthash falls through on purpose and says so in comments, which only gcc reads.
CLANG_QUIET := -Wno-implicit-fallthrough
WARNINGS += $(if $(findstring clang,$(CC)),$(CLANG_QUIET))
CFLAGS := -std=gnu17 -g $(OPTIMIZE) -fno-omit-frame-pointer -pthread $(WARNINGS)
CPPFLAGS := -I. -I$(BUILD) -D_GNU_SOURCE -DTHREADED -MMD -MP
LDFLAGS := -pthread
BASE_LIBS := -lisal -lcrypto
CODEC_LIBS := -lz -llz4 -lsnappy -lzstd
LIBS := -lev -lmicrohttpd -lzookeeper_mt $(BASE_LIBS) $(CODEC_LIBS) -ljansson -lpcre2-8 -lsystemd -lm
ifneq ($(SANITIZE),)
CFLAGS += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
LDFLAGS += -fsanitize=$(SANITIZE)
endif
Q := $(if $(V),,@)

GENERATOR := broker/protocol/generate.c
SCHEMAS := $(wildcard broker/protocol/schema/*.schema)
GENERATED := $(patsubst broker/protocol/schema/%.schema,$(BUILD)/generated/protocol/%.c,$(SCHEMAS))
LIBRARY_SOURCES := $(filter-out $(GENERATOR) broker/main.c, \
    $(wildcard broker/*.c broker/*/*.c replication/*.c coordinator-client/*.c))
LIBRARY_OBJECTS := $(LIBRARY_SOURCES:%.c=$(BUILD)/obj/%.o) $(GENERATED:$(BUILD)/%.c=$(BUILD)/obj/%.o)
LIBRARY := $(BUILD)/libottla.a
TOOL_SOURCES := $(wildcard tools/*.c tools/client/*.c)
TOOL_OBJECTS := $(TOOL_SOURCES:%.c=$(BUILD)/obj/%.o)
TEST_LIB_OBJECTS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/lib/*.c)) $(BUILD)/obj/generated/tests/descriptors.o
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/*.c))
SIM_OBJECTS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/simulation/*.c tests/simulation/checkers/*.c))
SOURCES := $(shell find broker replication coordinator-client tools tests -name '*.[ch]' 2>/dev/null)

TOOL_NAMES := $(shell cat tools/names.txt 2>/dev/null)
BINARIES := $(if $(wildcard replication/controller_runtime.c),$(BUILD)/bin/kafka-server-start) \
            $(if $(wildcard tools/main.c),$(BUILD)/bin/ottla-tools $(TOOL_NAMES:%=$(BUILD)/bin/%))

.PHONY: all help deps clean
all: $(LIBRARY) $(BINARIES)

help:
	@sed -n 's/^## //p' $(filter-out %.d,$(MAKEFILE_LIST))

$(BUILD)/generate: $(GENERATOR) $(wildcard broker/protocol/generate/*)
	@mkdir -p $(@D)
	@echo "CC   $@"
	$(Q)$(CC) -std=gnu17 -g -O1 $(WARNINGS) -D_GNU_SOURCE -I. $< -o $@

$(BUILD)/generated/protocol/%.c $(BUILD)/generated/protocol/%.h &: broker/protocol/schema/%.schema $(BUILD)/generate
	@mkdir -p $(@D)
	$(Q)$(BUILD)/generate $< $(BUILD)/generated/protocol

# Every message and API as X-macros, from which tables are built; and one header that includes all of theirs.
MESSAGE_INDEX := $(BUILD)/generated/protocol/messages.h $(BUILD)/generated/protocol/all.h
$(MESSAGE_INDEX) &: $(SCHEMAS) $(BUILD)/generate
	@mkdir -p $(@D)
	$(Q)$(BUILD)/generate --index $(@D) $(SCHEMAS)

# The schemas as tables, so that tests can check the generated code by other means.
$(BUILD)/generated/tests/descriptors.c: $(SCHEMAS) $(BUILD)/generate
	@mkdir -p $(@D)
	$(Q)$(BUILD)/generate --descriptors $(@D) $(SCHEMAS)

# Headers must exist before anything that may include them is compiled.
$(LIBRARY_OBJECTS) $(TOOL_OBJECTS) $(TEST_LIB_OBJECTS) $(SIM_OBJECTS) \
    $(UNIT_TESTS:$(BUILD)/%=$(BUILD)/obj/%.o): | $(GENERATED) $(MESSAGE_INDEX)

$(BUILD)/obj/generated/%.o: $(BUILD)/generated/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "CC   $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(LIBRARY): $(LIBRARY_OBJECTS)
	@mkdir -p $(@D)
	@echo "AR   $@"
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/bin/kafka-server-start: $(BUILD)/obj/broker/main.o $(LIBRARY)
	@mkdir -p $(@D)
	@echo "LINK $@"
	$(Q)$(CC) $(LDFLAGS) $^ $(LIBS) -o $@

$(BUILD)/bin/ottla-tools: $(TOOL_OBJECTS) $(LIBRARY)
	@mkdir -p $(@D)
	@echo "LINK $@"
	$(Q)$(CC) $(LDFLAGS) $^ $(LIBS) -o $@

$(TOOL_NAMES:%=$(BUILD)/bin/%): $(BUILD)/bin/ottla-tools
	$(Q)ln -sf ottla-tools $@

$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(TEST_LIB_OBJECTS) $(LIBRARY)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ -lcheck -lsubunit -lrt $(LIBS) -o $@

# One unit test: make unit-NAME
unit-%: $(BUILD)/tests/unit/%
	@cd $(CURDIR) && CK_VERBOSITY=normal $<

.PHONY: unit
## make unit            unit tests only
unit: $(UNIT_TESTS)
	@tests/run-unit $(UNIT_TESTS)

clean:
	rm -rf $(BUILD)

-include mk/*.mk
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
