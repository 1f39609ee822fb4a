/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/jout.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/text.h"
#include "core/time.h"

#define ESCAPED_MAX ((size_t)1 << 16)

json_t *
jout_escaped(const char *s)
{
	struct buf b;
	json_t *j;

	buf_init(&b, ESCAPED_MAX);
	text_escape(&b, s, strlen(s));
	j = json_string(buf_str(&b));
	buf_free(&b);
	return j;
}

json_t *
jout_text(const char *s)
{
	json_t *j = json_string(s);

	return j != NULL ? j : jout_escaped(s); /* not UTF-8 */
}

json_t *
jout_time(int64_t t)
{
	char out[TIME_TEXT_MAX];

	return t == 0 ? json_null() : json_string(time_format(t, out));
}

json_t *
jout_number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

void
jout_set(json_t *object, const char *name, json_t *value)
{
	if (json_object_set_new(object, name, value) != 0)
		abort();
}

void
jout_append(json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) != 0)
		abort();
}

int
jout_write(json_t *j, FILE *out, struct err *err)
{
	int ret = 0;

	if (json_dumpf(j, out, JSON_INDENT(2)) != 0)
		ret = err_set(err, ERR_IO, "cannot write the JSON text");
	else
		(void)fputc('\n', out); /* cli_flush() tells an error */
	json_decref(j);
	return ret;
}
