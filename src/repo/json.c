/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"

int
json_open(struct json_reader *r, const char *text, size_t len,
    struct err *err)
{
	json_error_t why;

	memset(r, 0, sizeof(*r));
	r->root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (r->root == NULL)
		return err_set(err, ERR_DAMAGED, "is not JSON: %s, line %d",
		    why.text, why.line);
	if (json_is_object(r->root))
		return 0;
	json_close(r);
	return err_set(err, ERR_DAMAGED, "is not a JSON object");
}

void
json_close(struct json_reader *r)
{
	json_decref(r->root);
	r->root = NULL;
}

void
json_note(struct json_reader *r, const char *member)
{
	if (r->bad[0] == '\0')
		(void)snprintf(r->bad, sizeof(r->bad), "%s", member);
}

int
json_check(const struct json_reader *r, struct err *err)
{
	if (r->bad[0] == '\0')
		return 0;
	return err_set(err, ERR_DAMAGED,
	    "member \"%s\" is missing or makes no sense", r->bad);
}

int64_t
json_get_i64(struct json_reader *r, const json_t *o, const char *member)
{
	const json_t *v = json_object_get(o, member);

	if (json_is_integer(v))
		return json_integer_value(v);
	json_note(r, member);
	return 0;
}

uint64_t
json_get_u64(struct json_reader *r, const json_t *o, const char *member,
    uint64_t max)
{
	int64_t v = json_get_i64(r, o, member);

	if (v >= 0 && (uint64_t)v <= max)
		return (uint64_t)v;
	json_note(r, member);
	return 0;
}

bool
json_get_bool(struct json_reader *r, const json_t *o, const char *member)
{
	const json_t *v = json_object_get(o, member);

	if (!json_is_boolean(v))
		json_note(r, member);
	return json_is_true(v);
}

const char *
json_get_text(struct json_reader *r, const json_t *o, const char *member)
{
	const char *s = json_string_value(json_object_get(o, member));

	if (s != NULL)
		return s;
	json_note(r, member);
	return "";
}

const char *
json_get_text_or_null(struct json_reader *r, const json_t *o,
    const char *member)
{
	const json_t *v = json_object_get(o, member);

	if (v == NULL || json_is_null(v))
		return "";
	return json_get_text(r, o, member);
}

void
json_copy_text(struct json_reader *r, const json_t *o, const char *member,
    char *out, size_t size)
{
	const char *s = json_get_text(r, o, member);

	if (strlen(s) >= size) {
		json_note(r, member);
		s = "";
	}
	/* All of it is set, so that structs of such can be compared. */
	memset(out, 0, size);
	memcpy(out, s, strlen(s));
}

char *
json_get_escaped(struct json_reader *r, const json_t *o, const char *member)
{
	const char *s = json_get_text(r, o, member);
	struct buf b;
	char *out;

	buf_init(&b, strlen(s));
	if (!text_unescape(&b, s) || strlen(buf_str(&b)) != b.len)
		json_note(r, member);
	out = xstrdup(buf_str(&b));
	buf_free(&b);
	return out;
}

pg_lsn
json_get_lsn(struct json_reader *r, const json_t *o, const char *member)
{
	pg_lsn lsn = 0;

	if (!lsn_parse(json_get_text(r, o, member), &lsn))
		json_note(r, member);
	return lsn;
}

int64_t
json_get_time(struct json_reader *r, const json_t *o, const char *member)
{
	struct err ignored = ERR_INIT;
	bool local = false;
	int64_t t = 0;

	/* Only that it is wrong counts here. */
	if (time_parse(json_get_text(r, o, member), &t, &local, &ignored) !=
		0 || local)
		json_note(r, member);
	return t;
}

void
json_get_hex(struct json_reader *r, const json_t *o, const char *member,
    void *out, size_t len)
{
	if (text_unhex(json_get_text(r, o, member), out, len))
		return;
	memset(out, 0, len);
	json_note(r, member);
}

const json_t *
json_get_list(struct json_reader *r, const json_t *o, const char *member,
    size_t max)
{
	const json_t *v = json_object_get(o, member);

	if (json_is_array(v) && json_array_size(v) <= max)
		return v;
	json_note(r, member);
	return NULL;
}

int
json_check_must_know(const struct json_reader *r, struct err *err)
{
	const json_t *v = json_object_get(r->root, "must_know");
	const char *feature;

	if (v == NULL || (json_is_array(v) && json_array_size(v) == 0))
		return 0;
	feature = json_string_value(json_array_get(v, 0));
	err_set(err, ERR_UNSUPPORTED,
	    "needs feature '%s', which this program does not know",
	    feature == NULL ? "?" : feature);
	return err_hint(err, "use a newer dapk-backup");
}
