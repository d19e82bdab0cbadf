/* Numbers as Java prints them. */
#ifndef OTTLA_TOOLS_JAVA_NUMBER_H
#define OTTLA_TOOLS_JAVA_NUMBER_H

#include <stddef.h>

#define JAVA_DOUBLE_SIZE 40

/* Double.toString: "1024.0", "1.0E7", "NaN"; the shortest digits that read back as the same value. */
void java_double_format(double value, char ret_text[JAVA_DOUBLE_SIZE]);
void java_float_format(float value, char ret_text[JAVA_DOUBLE_SIZE]);

#endif
