# Targets about the project as a whole.

.PHONY: deps demo cluster test test-fast sanitize tsan check-layers check-rules check-format check-clang \
        integration

## make deps            install what is missing (apt-get; the only place with package names)
deps:
	@scripts/deps.sh

## make demo            three brokers, a replicated topic, the leader killed, nothing lost
demo: deps
	@$(MAKE) -s all
	@scripts/demo.sh

## make cluster         leave ZooKeeper and three brokers running until Ctrl-C
cluster: deps
	@$(MAKE) -s all
	@exec scripts/cluster.sh

## make test            install what is missing, build, run every test; ends with "N passed, N failed"
test: deps
	@tests/run-all

# Instrumented code takes several times as long: time-outs are stretched by PATIENCE, and no bound on time is checked.
# UBSan tells what it found with a stack; a report ends the process (-fno-sanitize-recover), TSan's at its end.
SLOW := OPTIMIZE=-O1 PATIENCE=4 CK_TIMEOUT_MULTIPLIER=4 UBSAN_OPTIONS=print_stacktrace=1 \
        ASAN_OPTIONS=detect_stack_use_after_return=1 TSAN_OPTIONS=second_deadlock_stack=1

## make sanitize        every suite under ASan (leaks too) and UBSan, 100 seeds (SUITES=name... SANITIZE_SEEDS=n)
sanitize: deps
	@BUILD=$(BUILD)/asan SANITIZE=address,undefined $(SLOW) SEEDS=$(or $(SANITIZE_SEEDS),100) tests/run-all $(SUITES)

## make tsan            the integration tests under ThreadSanitizer (SUITES=name...)
tsan: deps
	@BUILD=$(BUILD)/tsan SANITIZE=thread $(SLOW) tests/run-all $(or $(SUITES),integration)

## make check-layers    who may include what
check-layers:
	@scripts/check-layers.sh

## make check-rules     each of the forty rules of ZooKeeper mode has a test that names it
check-rules:
	@scripts/check-rules.sh

# The page that lists all metrics; metrics_test says when it is not the table's.
broker/METRICS.md: broker/metrics.tbl.h broker/metrics.c | $(BUILD)/bin/kafka-server-start
	@$(MAKE) -s $(BUILD)/bin/kafka-server-start && $(BUILD)/bin/kafka-server-start --print-metrics >$@.new && mv $@.new $@

## make check-format    clang-format decides layout
check-format:
	@clang-format --dry-run -Werror $(SOURCES)

## make check-clang     clang has no warning either (what is built is built by gcc)
check-clang: $(GENERATED) $(MESSAGE_INDEX)
	@printf '%s\n' $(filter %.c,$(SOURCES)) | xargs -P "$$(nproc)" -n 16 \
	    clang -fsyntax-only -Werror $(filter-out -MMD -MP,$(CPPFLAGS)) $(CFLAGS) $(CLANG_QUIET)

.PHONY: test-apache
## make test-apache     beside Apache Kafka 3.9.2, which Maven fetches: its tools, its directories, mixed clusters
test-apache: deps
	@scripts/deps.sh apache
	@tests/run-all apache
