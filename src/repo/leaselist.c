/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/leaselist.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/json.h"

#define KIND "lease"
#define BODY_MAX ((size_t)64 << 10)
#define NUMBER_DIGITS 10
#define NUMBER_MAX UINT64_C(9999999999)
#define VALID_SECONDS_MAX 86400
#define READ_TRIES 20
#define TRY_AGAIN 1

static void
lease_key(const struct incarnation *inc, const char *name, const char *object,
    char out[STORAGE_KEY_MAX])
{
	char tail[128];

	(void)snprintf(tail, sizeof(tail), "leases/%s/%s", name, object);
	repo_key(inc, tail, out);
}

static void
object_name(const struct lease_info *info, char out[64])
{
	(void)snprintf(out, 64, "%0*" PRIu64 "-%s", NUMBER_DIGITS,
	    info->number, info->id);
}

/* Objects with other names are not leases, and do not count. */
static bool
parse_name(const char *name, struct lease_info *out)
{
	char digits[NUMBER_DIGITS + 1];
	uint8_t id[8];

	if (strlen(name) != NUMBER_DIGITS + 1 + LEASE_ID_TEXT - 1 ||
	    name[NUMBER_DIGITS] != '-')
		return false;
	memcpy(digits, name, NUMBER_DIGITS);
	digits[NUMBER_DIGITS] = '\0';
	memcpy(out->id, name + NUMBER_DIGITS + 1, LEASE_ID_TEXT);
	return text_u64(digits, NUMBER_MAX, &out->number) &&
	    text_unhex(out->id, id, sizeof(id));
}

static int
note(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct lease_list *l = arg;
	struct lease_seen seen = { .mtime = entry->mtime, .newest = true };
	size_t i;

	if (entry->is_directory || !parse_name(entry->name, &seen.info))
		return 0;
	for (i = 0; i < l->n; i++) {
		struct lease_seen *other = &l->list[i];

		if (strcmp(other->info.id, seen.info.id) != 0)
			continue;
		if (other->info.number > seen.info.number)
			seen.newest = false;
		else
			other->newest = false;
	}
	l->list = xreallocarray(l->list, l->n + 1, sizeof(*l->list));
	l->list[l->n++] = seen;
	return 0;
}

static int
list_names(struct lease_list *l, struct repo *repo,
    const struct incarnation *inc, const char *name, struct err *err)
{
	char prefix[STORAGE_KEY_MAX];

	lease_list_free(l);
	lease_key(inc, name, "", prefix);
	return storage_list(repo->st, prefix, true, note, l, err);
}

static int
decode(const char *json, size_t len, struct lease_info *info,
    struct err *err)
{
	struct json_reader j;
	char *host;
	int rc;

	if (json_open(&j, json, len, err) != 0)
		return -1;
	if (strcmp(json_get_text(&j, j.root, "id"), info->id) != 0)
		json_note(&j, "id");
	if (json_get_u64(&j, j.root, "number", NUMBER_MAX) != info->number)
		json_note(&j, "number");
	host = json_get_escaped(&j, j.root, "host");
	(void)snprintf(info->host, sizeof(info->host), "%s", host);
	free(host);
	info->pid = (long)json_get_u64(&j, j.root, "pid", INT32_MAX);
	json_copy_text(&j, j.root, "process", info->process,
	    sizeof(info->process));
	json_copy_text(&j, j.root, "purpose", info->purpose,
	    sizeof(info->purpose));
	info->started = json_get_time(&j, j.root, "started");
	info->valid_ms = json_get_u64(&j, j.root, "valid_seconds",
	    VALID_SECONDS_MAX) * 1000;
	info->ended = json_get_bool(&j, j.root, "ended");
	rc = json_check(&j, err);
	json_close(&j);
	return rc;
}

/* TRY_AGAIN: it has been removed since it was listed. */
static int
read_body(struct repo *repo, const struct incarnation *inc, const char *name,
    struct lease_info *info, struct err *err)
{
	char key[STORAGE_KEY_MAX], object[64];
	const char *json;
	struct buf b;
	size_t len;
	int rc = -1;

	buf_init(&b, BODY_MAX);
	object_name(info, object);
	lease_key(inc, name, object, key);
	if (repo_get_text(repo, key, KIND, &b, &json, &len, err) != 0) {
		if (err->code == ERR_NOT_FOUND) {
			err_clear(err);
			rc = TRY_AGAIN;
		}
	} else {
		rc = decode(json, len, info, err);
		if (rc != 0)
			err_wrap(err, "%s/%s", storage_url(repo->st), key);
	}
	buf_free(&b);
	return rc;
}

int
lease_list_read(struct lease_list *l, struct repo *repo,
    const struct incarnation *inc, const char *name, const char *skip,
    struct err *err)
{
	int i, rc = TRY_AGAIN;
	size_t k;

	/* What is renewed while we read has a new name: list again. */
	for (i = 0; i < READ_TRIES && rc == TRY_AGAIN; i++) {
		rc = list_names(l, repo, inc, name, err);
		for (k = 0; k < l->n && rc == 0; k++) {
			struct lease_seen *seen = &l->list[k];

			if (seen->newest && (skip == NULL ||
			    strcmp(seen->info.id, skip) != 0))
				rc = read_body(repo, inc, name, &seen->info,
				    err);
		}
	}
	if (rc == TRY_AGAIN)
		rc = err_set(err, ERR_LOCKED, "the lease '%s' of cluster %s "
		    "changes hands faster than it can be read", name,
		    inc->cluster);
	if (rc != 0)
		lease_list_free(l);
	return rc;
}

void
lease_list_free(struct lease_list *l)
{
	free(l->list);
	l->list = NULL;
	l->n = 0;
}

const struct lease_seen *
lease_list_find(const struct lease_list *l, const char *id, uint64_t number)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->list[i].info.number == number &&
		    strcmp(l->list[i].info.id, id) == 0)
			return &l->list[i];
	return NULL;
}

const struct lease_seen *
lease_list_newest(const struct lease_list *l, const char *id)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->list[i].newest && strcmp(l->list[i].info.id, id) == 0)
			return &l->list[i];
	return NULL;
}

int
lease_list_put(struct repo *repo, const struct incarnation *inc,
    const char *name, const struct lease_info *info, struct err *err)
{
	char key[STORAGE_KEY_MAX], object[64], now[TIME_TEXT_MAX];
	char started[TIME_TEXT_MAX];
	struct buf b;
	int rc;

	buf_init(&b, BODY_MAX);
	buf_printf(&b, "{\n\"id\": \"%s\",\n\"name\": \"%s\",\n"
	    "\"number\": %" PRIu64 ",\n\"host\": \"", info->id, name,
	    info->number);
	text_escape(&b, info->host, strlen(info->host));
	buf_printf(&b, "\",\n\"pid\": %ld,\n\"process\": \"%s\",\n"
	    "\"purpose\": \"%s\",\n\"started\": \"%s\",\n"
	    "\"renewed\": \"%s\",\n\"valid_seconds\": %" PRIu64 ",\n"
	    "\"ended\": false\n}", info->pid, info->process, info->purpose,
	    time_format(info->started, started),
	    time_format(time_now(), now), (info->valid_ms + 999) / 1000);
	object_name(info, object);
	lease_key(inc, name, object, key);
	rc = buf_check(&b, key, err);
	if (rc == 0)
		rc = repo_put_text(repo, key, KIND, buf_str(&b), b.len, err);
	buf_free(&b);
	return rc;
}

int
lease_list_remove(struct repo *repo, const struct incarnation *inc,
    const char *name, const char *id, const char *not_id, uint64_t below,
    struct err *err)
{
	struct lease_list l = { .list = NULL };
	char key[STORAGE_KEY_MAX], object[64];
	size_t i;
	int rc;

	rc = list_names(&l, repo, inc, name, err);
	for (i = 0; i < l.n && rc == 0; i++) {
		const struct lease_info *info = &l.list[i].info;

		if ((id != NULL && strcmp(info->id, id) != 0) ||
		    (not_id != NULL && strcmp(info->id, not_id) == 0) ||
		    (below != 0 && info->number >= below))
			continue;
		object_name(info, object);
		lease_key(inc, name, object, key);
		rc = storage_remove(repo->st, key, err);
	}
	lease_list_free(&l);
	return rc;
}
