# Programs the integration tests run. librdkafka is linked here and nowhere else.

WITNESS := $(BUILD)/tests/witness
GROUP_MEMBER := $(BUILD)/tests/group_member
EXPIRE := $(BUILD)/tests/expire

# Never sanitized: they are witnesses, not the accused, and librdkafka is not instrumented.
$(GROUP_MEMBER): tests/interop/group_member.c
$(WITNESS): tests/integration/witness.c
$(WITNESS) $(GROUP_MEMBER): broker/base/check.c tests/lib/rdkafka_client.h
	@mkdir -p $(@D)
	@echo "CC   $@"
	$(Q)$(CC) -std=gnu17 -g -O2 $(WARNINGS) -D_GNU_SOURCE -I. $(filter %.c,$^) -lrdkafka -o $@

$(EXPIRE): $(BUILD)/obj/tests/integration/expire.o $(LIBRARY)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ $(LIBS) -o $@

# What promtool would say of a page of metrics.
$(BUILD)/tests/check_exposition: tests/integration/check_exposition.c tests/lib/exposition.c broker/base/check.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -g -O2 $(WARNINGS) -D_GNU_SOURCE -I. $^ -o $@

# Preloaded into brokers, to count what they allocate.
$(BUILD)/tests/count_allocations.so: tests/integration/count_allocations.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -g -O2 $(WARNINGS) -fno-builtin -fPIC -shared -D_GNU_SOURCE $< -o $@

.PHONY: witness
witness: $(WITNESS) $(EXPIRE) $(BUILD)/tests/count_allocations.so

# Clients that cost little, the least a broker could cost, and an open-loop client of librdkafka.
BENCH_WIRE := $(BUILD)/obj/tests/bench/wire.o
$(BUILD)/tests/replay $(BUILD)/tests/load $(BUILD)/tests/floor: $(BUILD)/tests/%: $(BUILD)/obj/tests/bench/%.o $(BENCH_WIRE) $(LIBRARY)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ $(LIBS) -o $@
$(BUILD)/tests/open_loop: $(BUILD)/obj/tests/bench/open_loop.o $(LIBRARY)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ -lrdkafka $(LIBS) -o $@
$(BENCH_WIRE) $(BUILD)/obj/tests/bench/replay.o $(BUILD)/obj/tests/bench/load.o $(BUILD)/obj/tests/bench/floor.o: | $(GENERATED) $(MESSAGE_INDEX)

BENCH_PROGRAMS := $(BUILD)/tests/bench_groups $(BUILD)/tests/bench_compaction

$(BENCH_PROGRAMS): $(BUILD)/tests/bench_%: $(BUILD)/obj/tests/bench/%.o $(TEST_LIB_OBJECTS) $(LIBRARY)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ -lcheck -lsubunit -lrt $(LIBS) -o $@
$(BENCH_PROGRAMS:$(BUILD)/tests/bench_%=$(BUILD)/obj/tests/bench/%.o): | $(GENERATED) $(MESSAGE_INDEX)

.PHONY: bench bench-apache bench-parts bench-failover
BENCH_LOADS := $(BUILD)/tests/load $(BUILD)/tests/floor $(BUILD)/tests/open_loop $(BUILD)/tests/replay
BENCH_RUN = BUILD=$(BUILD) tests/bench/bench --out $(BUILD)/bench/results.jsonl $(BENCH)
## make bench           what brokers cost beside the floor: one table; samples and plots in build/bench (BENCH='--pairs 5 ...')
bench: deps
	@scripts/deps.sh bench
	@$(MAKE) -s all $(BENCH_LOADS)
	@$(BENCH_RUN)
	@tests/bench/plot $(BUILD)/bench/results.jsonl

## make bench-apache    the same with Apache Kafka 3.9.2 in turn, which Maven fetches
bench-apache: deps
	@scripts/deps.sh apache
	@scripts/deps.sh bench
	@$(MAKE) -s all $(BENCH_LOADS)
	@BUILD=$(BUILD) tests/apache/fetch
	@$(BENCH_RUN) --apache
	@tests/bench/plot $(BUILD)/bench/results.jsonl

## make bench-parts     group coordinator and compaction, each without a network
bench-parts: deps $(BENCH_PROGRAMS)
	@for program in $(BENCH_PROGRAMS); do CK_FORK=no $$program || exit 1; done

## make bench-failover  how long producers wait when the leader of 100 partitions is killed
bench-failover: deps
	@$(MAKE) -s all
	@tests/bench/failover
