# Unit tests of the tools are linked with the tools' objects, which are not in the library.

TOOL_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/tools_*_test.c))
TOOL_TEST_OBJECTS := $(filter-out $(BUILD)/obj/tools/main.o,$(TOOL_OBJECTS))

$(TOOL_TESTS): | $(TOOL_TEST_OBJECTS)
$(TOOL_TESTS): LIBS := $(TOOL_TEST_OBJECTS) $(LIBRARY) $(LIBS)
# A changed tool makes its tests anew.
$(TOOL_TESTS:$(BUILD)/%=$(BUILD)/obj/%.o): $(TOOL_TEST_OBJECTS)
