# The simulator: everything below tests/simulation but programs, as objects that tests link.

SIM_LIBRARY_OBJECTS := $(filter-out %/main.o,$(SIM_OBJECTS))

# Unit tests of the simulated seams and of the checkers are named sim_..._test. The library comes once more, behind the
# objects that need it.
SIM_UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/sim_*_test.c))
$(SIM_UNIT_TESTS): $(SIM_LIBRARY_OBJECTS)
$(SIM_UNIT_TESTS): private LIBS := $(LIBRARY) $(LIBS)
