/* Targeted scripts: chains of faults that chance alone hardly ever puts together, each after an accident that happened
 * to somebody (reliability.md, section 1). One runs again and again, with drawn victims and times, while clients work.
 */
#ifndef OTTLA_SIM_SCRIPTS_H
#define OTTLA_SIM_SCRIPTS_H

#include <stdint.h>

struct script;
struct workload;
struct world;

/* The plan's script; NULL for none, and then the others do nothing. */
struct script *script_create(struct world *world, struct workload *workload);
void script_destroy(struct script *script);
void script_start(struct script *script);
void script_stop(struct script *script);
/* How often it went to its end. */
int64_t script_rounds(const struct script *script);

#endif
