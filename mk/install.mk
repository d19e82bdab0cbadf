# Lays the project out as Kafka is laid out, so that scripts and people find everything where they expect it.

INSTALL_BIN := $(DESTDIR)$(PREFIX)/bin
INSTALL_CONFIG := $(DESTDIR)$(PREFIX)/config
SERVER_BINARY := $(filter %/kafka-server-start,$(BINARIES))
CONFIG_FILES := $(wildcard config/*.properties)

.PHONY: install

## make install         bin/ with Kafka's script names (with and without .sh) and config/ under PREFIX=/usr/local/kafka
install: all
	@install -d $(INSTALL_BIN) $(INSTALL_CONFIG)
	@set -e; for program in ottla-tools $(notdir $(SERVER_BINARY)); do \
	    install -m 755 $(BUILD)/bin/$$program $(INSTALL_BIN)/.$$program.new; \
	    mv -f $(INSTALL_BIN)/.$$program.new $(INSTALL_BIN)/$$program; \
	done
	@set -e; for name in $(TOOL_NAMES); do \
	    ln -sfn ottla-tools $(INSTALL_BIN)/$$name; \
	    ln -sfn ottla-tools $(INSTALL_BIN)/$$name.sh; \
	done
	@$(if $(SERVER_BINARY),ln -sfn kafka-server-start $(INSTALL_BIN)/kafka-server-start.sh)
	@# Settings that are there belong to whoever runs the broker: they stay.
	@set -e; for file in $(CONFIG_FILES); do \
	    to=$(INSTALL_CONFIG)/$$(basename $$file); \
	    [ -e $$to ] || install -m 644 $$file $$to; \
	done
	@echo "installed in $(DESTDIR)$(PREFIX)"
