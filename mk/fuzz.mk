# Fuzz targets: every tests/fuzz/NAME_fuzz.c is one, with LLVMFuzzerTestOneInput. libFuzzer needs clang, whatever CC is.
#
#   tests/fuzz/corpus/NAME/   kept inputs (at least one): seeds of `make fuzz`, replayed by `make unit`
#   FUZZ_SECONDS=n            how long each target runs (60); FUZZ_RUNS=n counts executions instead
#   FUZZ=NAME                 that target only

FUZZ_SECONDS := 60
FUZZ_RUNS :=
FUZZ_BUILD := $(BUILD)/fuzz
FUZZ_NAMES := $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ := $(FUZZ_NAMES)
FUZZ_CC := clang
FUZZ_SANITIZE := $(CLANG_QUIET) -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_OBJECTS := $(patsubst $(BUILD)/obj/%,$(FUZZ_BUILD)/obj/%,$(LIBRARY_OBJECTS))
FUZZ_LIBRARY := $(FUZZ_BUILD)/libottla.a
FUZZ_TEST_OBJECTS := $(patsubst $(BUILD)/obj/%,$(FUZZ_BUILD)/obj/%,$(TEST_LIB_OBJECTS))
FUZZ_TEST_LIBRARY := $(FUZZ_BUILD)/libtest.a
FUZZ_REPLAYS := $(FUZZ_NAMES:%=$(BUILD)/tests/fuzz/%_replay)

$(FUZZ_OBJECTS) $(FUZZ_TEST_OBJECTS) $(FUZZ_NAMES:%=$(FUZZ_BUILD)/obj/tests/fuzz/%_fuzz.o): | $(GENERATED) $(MESSAGE_INDEX)

$(FUZZ_BUILD)/obj/generated/%.o: $(BUILD)/generated/%.c
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(CPPFLAGS) $(CFLAGS) $(FUZZ_SANITIZE) -fsanitize=fuzzer-no-link -c $< -o $@

$(FUZZ_BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "CC   $< (fuzz)"
	$(Q)$(FUZZ_CC) $(CPPFLAGS) $(CFLAGS) $(FUZZ_SANITIZE) -fsanitize=fuzzer-no-link -c $< -o $@

$(FUZZ_LIBRARY): $(FUZZ_OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^

$(FUZZ_TEST_LIBRARY): $(FUZZ_TEST_OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^

$(FUZZ_BUILD)/%_fuzz: $(FUZZ_BUILD)/obj/tests/fuzz/%_fuzz.o $(FUZZ_TEST_LIBRARY) $(FUZZ_LIBRARY)
	@echo "LINK $@"
	$(Q)$(FUZZ_CC) $(LDFLAGS) $(FUZZ_SANITIZE) -fsanitize=fuzzer $^ -lcheck -lsubunit -lrt $(LIBS) -o $@

$(FUZZ_BUILD)/seeds: $(BUILD)/obj/tests/fuzz/seeds.o $(TEST_LIB_OBJECTS) $(LIBRARY)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ -lcheck -lsubunit -lrt $(LIBS) -o $@

.PHONY: fuzz fuzz-%
## make fuzz            every fuzz target for a minute (FUZZ_SECONDS=n, FUZZ_RUNS=n, FUZZ=NAME)
fuzz: $(FUZZ:%=fuzz-%)

# Findings stay in the build directory; a repaired one moves to tests/fuzz/corpus/NAME.
fuzz-%: $(FUZZ_BUILD)/%_fuzz $(FUZZ_BUILD)/seeds
	@mkdir -p $(FUZZ_BUILD)/seeds-of/$* $(FUZZ_BUILD)/grown/$*
	@$(FUZZ_BUILD)/seeds $* $(FUZZ_BUILD)/seeds-of/$*
	@if $< $(FUZZ_BUILD)/grown/$* $(FUZZ_BUILD)/seeds-of/$* tests/fuzz/corpus/$* \
	    -artifact_prefix=$(FUZZ_BUILD)/$*- -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 -max_len=4096 \
	    $(if $(FUZZ_RUNS),-runs=$(FUZZ_RUNS),-max_total_time=$(FUZZ_SECONDS)) \
	    -print_final_stats=1 -verbosity=0 >$(FUZZ_BUILD)/$*.log 2>&1; \
	then echo "fuzz $*: $$(sed -n 's/^stat::number_of_executed_units: *//p' $(FUZZ_BUILD)/$*.log) executions, no finding"; \
	else tail -n 60 $(FUZZ_BUILD)/$*.log; echo "fuzz $*: FINDING, kept as $(FUZZ_BUILD)/$*-*"; exit 1; fi

.SECONDARY: $(FUZZ_NAMES:%=$(FUZZ_BUILD)/%_fuzz)

# The corpus in every test run, built with the compiler and sanitizers of the day.
$(FUZZ_NAMES:%=$(BUILD)/obj/tests/fuzz/%_fuzz.o) $(BUILD)/obj/tests/fuzz/seeds.o: | $(GENERATED) $(MESSAGE_INDEX)

$(BUILD)/tests/fuzz/%_replay: $(BUILD)/obj/tests/fuzz/%_fuzz.o $(BUILD)/obj/tests/fuzz/replay.o $(TEST_LIB_OBJECTS) $(LIBRARY)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ -lcheck -lsubunit -lrt $(LIBS) -o $@

unit: $(FUZZ_REPLAYS)
UNIT_TESTS += $(FUZZ_REPLAYS)

-include $(shell find $(FUZZ_BUILD)/obj -name '*.d' 2>/dev/null)
