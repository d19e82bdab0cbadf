# The simulator: the whole broker over simulated clock, disk, network and coordinator, driven by a seed.
#
#   SEEDS=n FIRST_SEED=k   how many seeds and from which on (500 from 1)
#   VERBOSE=1              with SEEDS=1: everything the brokers say

SEEDS := 500
FIRST_SEED := 1
VERBOSE :=
# What the simulator allocates for itself belongs to no process (sim_heap.h).
$(SIM_OBJECTS): CPPFLAGS += -include tests/simulation/outside.h
SIM_WRAP := $(foreach name,malloc calloc realloc free strdup strndup pthread_mutex_lock,-Wl,--wrap=$(name))
SIM_LIBRARY_OBJECTS := $(filter-out %/main.o,$(SIM_OBJECTS))
SIM_UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/sim_*_test.c))

$(BUILD)/tests/sim: $(SIM_OBJECTS) $(LIBRARY)
	@mkdir -p $(@D)
	@echo "LINK $@"
	$(Q)$(CC) $(LDFLAGS) $(SIM_WRAP) $^ $(LIBS) -o $@

# Unit tests of the simulated seams and of the checkers are named sim_..._test. From an archive, so that each takes
# only the parts it names; the library comes once more, behind the objects that need it.
SIM_LIBRARY := $(BUILD)/libsim.a
$(SIM_LIBRARY): $(SIM_LIBRARY_OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^
$(SIM_UNIT_TESTS): $(SIM_LIBRARY)
$(SIM_UNIT_TESTS): private LIBS := $(SIM_LIBRARY) $(LIBRARY) $(LIBS)

.PHONY: sim
## make sim             seeded simulation of clusters (SEEDS=n FIRST_SEED=k VERBOSE=1)
sim: $(BUILD)/tests/sim
	@$< --seeds $(SEEDS) --first $(FIRST_SEED) $(if $(VERBOSE),--verbose)

# Mutants: bugs Kafka once had (reliability.md), each behind #ifdef MUTANT_Mn at the expression it concerns. Only the
# files that name a mutant are compiled for it, and linked before the library, whose own objects then stay out. The
# simulator must find every one; what lives is named, and fails. M31 to M36 are bugs of groups and of the cleaner that
# nobody has had yet; from M37 on they were ours.
MUTANT_SEEDS := 3000
MUTANTS := $(shell grep -rhoE 'ifdef MUTANT_M[0-9]+' broker replication coordinator-client | sed 's/.*_//' | sort -uV)
RUN_MUTANT = tests/simulation/run-mutant $(1) $(BUILD)/mutants/$(1) $(MUTANT_SEEDS) \
    '$(CC) $(CPPFLAGS) $(CFLAGS) -w' '$(CC) $(LDFLAGS) $(SIM_WRAP)' '$(SIM_OBJECTS) $(LIBRARY) $(LIBS)'
.PHONY: mutants $(MUTANTS:%=mutant-%)
## make mutants         how many seeds each deliberate bug survives; fails if one lives (MUTANT_SEEDS=n)
mutants: $(SIM_OBJECTS) $(LIBRARY)
	@status=0; $(foreach mutant,$(MUTANTS),$(call RUN_MUTANT,$(mutant)) || status=1;) \
	    [ $$status = 0 ] && echo "$(words $(MUTANTS)) mutants, none lives"
$(MUTANTS:%=mutant-%): mutant-%: $(SIM_OBJECTS) $(LIBRARY)
	@$(call RUN_MUTANT,$*)
