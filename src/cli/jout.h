/* SPDX-License-Identifier: PostgreSQL */
#ifndef CLI_JOUT_H
#define CLI_JOUT_H

/*
 * Building the JSON that commands print: jansson (2.13 and later) with the
 * words of this program. Each function that makes a value gives a new
 * reference. jansson fails only when memory is out: then the program ends.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "core/err.h"

/* A message: as it is where that is UTF-8, else escaped. */
json_t *jout_text(const char *s);
/* A path or label of a file, escaped as FORMAT.md section 3 has it. */
json_t *jout_escaped(const char *s);
json_t *jout_time(int64_t t); /* 0: null */
json_t *jout_number(uint64_t v);

/* The value's reference is taken. */
void jout_set(json_t *object, const char *name, json_t *value);
void jout_append(json_t *array, json_t *value);

/* Print it and a line feed; takes the reference. */
int jout_write(json_t *j, FILE *out, struct err *err) ERR_USE;

#endif
