/* Whether a text is in Prometheus' exposition format 0.0.4, as promtool would say, and stricter where scrapers are not:
 * every family has HELP and TYPE, its samples lie together, and no series comes twice. */
#ifndef OTTLA_TESTS_EXPOSITION_H
#define OTTLA_TESTS_EXPOSITION_H

#include <stdint.h>

/* NULL, or what is wrong and where (heap). The number of samples in *ret_samples. */
char *exposition_error(const char *text, int32_t *ret_samples);

#endif
