/* See group_history.h. */
#include "tests/simulation/group_history.h"

#include <stdio.h>

void group_name(int32_t group, char ret_name[16]) {
    snprintf(ret_name, 16, "group-%d", group);
}

int32_t group_number(struct str id) {
    for (int32_t group = 0; group < PLAN_GROUPS_MAX; group++) {
        char name[16];
        group_name(group, name);
        if (str_equal_text(id, name)) {
            return group;
        }
    }
    return -1;
}
