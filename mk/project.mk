# Targets about the project as a whole.

.PHONY: deps demo cluster test test-fast sanitize tsan check-layers check-rules check-format integration

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

## make sanitize        the unit, simulation and integration tests under ASan and UBSan
sanitize: deps
	@BUILD=$(BUILD)/asan SANITIZE=address,undefined OPTIMIZE=-O1 tests/run-all

## make tsan            the integration tests under ThreadSanitizer
tsan: deps
	@BUILD=$(BUILD)/tsan SANITIZE=thread OPTIMIZE=-O1 tests/run-all integration

## make check-layers    who may include what
check-layers:
	@scripts/check-layers.sh

## make check-rules     each of the forty rules of ZooKeeper mode has a test that names it
check-rules:
	@scripts/check-rules.sh

## make check-format    clang-format decides layout
check-format:
	@clang-format --dry-run -Werror $(SOURCES)

.PHONY: test-apache
## make test-apache     beside Apache Kafka 3.9.2, which Maven fetches: its tools, its directories, mixed clusters
test-apache: deps
	@tests/run-all apache
