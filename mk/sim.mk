# The simulator: everything below tests/simulation but programs, as objects that tests link.

SIM_LIBRARY_OBJECTS := $(filter-out %/main.o,$(SIM_OBJECTS))

# Unit tests of the simulated seams and of the checkers are named sim_..._test.
$(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/sim_*_test.c)): $(SIM_LIBRARY_OBJECTS)
