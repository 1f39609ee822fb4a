/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/intent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/random.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/commit.h"
#include "repo/json.h"

#define KIND "intent"
#define FOLDER "intents/"
#define BODY_MAX ((size_t)64 << 10)

static void
intent_key(const struct incarnation *inc, const char *id,
    char out[STORAGE_KEY_MAX])
{
	char tail[64];

	(void)snprintf(tail, sizeof(tail), FOLDER "%s", id);
	repo_key(inc, tail, out);
}

int
intent_put(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label, uint32_t attempt, const char *parent,
    char id[INTENT_ID_TEXT], struct err *err)
{
	char host[INTENT_HOST_MAX], key[STORAGE_KEY_MAX];
	char now[TIME_TEXT_MAX], process[LEASE_PROCESS_MAX];
	uint8_t random[8];
	struct buf b;
	int rc;

	if (random_bytes(random, sizeof(random), err) != 0)
		return -1;
	text_hex(random, sizeof(random), id);
	if (gethostname(host, sizeof(host)) != 0)
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	buf_init(&b, BODY_MAX);
	buf_printf(&b, "{\n\"id\": \"%s\",\n\"kind\": \"%s\",\n"
	    "\"label\": \"%s\",\n\"attempt\": %u,\n", id,
	    repo_kind_name(kind), label, attempt);
	if (parent[0] == '\0')
		buf_add_str(&b, "\"parent\": null,\n");
	else
		buf_printf(&b, "\"parent\": \"%s\",\n", parent);
	buf_add_str(&b, "\"host\": \"");
	text_escape(&b, host, strlen(host));
	lease_process(process);
	buf_printf(&b, "\",\n\"pid\": %ld,\n\"process\": \"%s\",\n"
	    "\"started\": \"%s\"\n}", (long)getpid(), process,
	    time_format(time_now(), now));
	intent_key(inc, id, key);
	rc = buf_check(&b, key, err);
	if (rc == 0)
		rc = repo_put_text(repo, key, KIND, buf_str(&b), b.len, err);
	buf_free(&b);
	return rc;
}

bool
intent_process_dead(const struct intent *i, const char *process)
{
	struct lease_info holder = { .pid = i->pid };

	memcpy(holder.process, i->process, sizeof(holder.process));
	return lease_process_dead(&holder, process);
}

int
intent_remove(struct repo *repo, const struct incarnation *inc,
    const char *id, struct err *err)
{
	char key[STORAGE_KEY_MAX];

	intent_key(inc, id, key);
	return storage_remove(repo->st, key, err);
}

struct intents {
	struct intent *list;
	size_t n;
};

static int
note(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct intents *l = arg;
	struct intent *i;
	uint8_t id[8];

	if (entry->is_directory || strlen(entry->name) !=
	    INTENT_ID_TEXT - 1 || !text_unhex(entry->name, id, sizeof(id)))
		return 0;
	l->list = xreallocarray(l->list, l->n + 1, sizeof(*l->list));
	i = &l->list[l->n++];
	memset(i, 0, sizeof(*i));
	memcpy(i->id, entry->name, sizeof(i->id));
	i->mtime = entry->mtime;
	return 0;
}

static int
decode(const char *json, size_t len, struct intent *i, struct err *err)
{
	struct json_reader j;
	char *host;
	int rc;

	if (json_open(&j, json, len, err) != 0)
		return -1;
	if (json_object_get(j.root, "kind") != NULL && /* not in 0.1 */
	    strcmp(json_get_text(&j, j.root, "kind"), "dump") == 0)
		i->kind = REPO_DUMP;
	json_copy_text(&j, j.root, "label", i->label, sizeof(i->label));
	if (!label_valid(i->label))
		json_note(&j, "label");
	i->attempt = (uint32_t)json_get_u64(&j, j.root, "attempt",
	    UINT32_MAX);
	(void)snprintf(i->parent, sizeof(i->parent), "%s",
	    json_get_text_or_null(&j, j.root, "parent"));
	if (i->parent[0] != '\0' && !label_valid(i->parent))
		json_note(&j, "parent");
	host = json_get_escaped(&j, j.root, "host");
	(void)snprintf(i->host, sizeof(i->host), "%s", host);
	free(host);
	if (json_object_get(j.root, "process") != NULL) { /* not in 0.1 */
		i->pid = (long)json_get_u64(&j, j.root, "pid", INT32_MAX);
		json_copy_text(&j, j.root, "process", i->process,
		    sizeof(i->process));
	}
	i->started = json_get_time(&j, j.root, "started");
	rc = json_check(&j, err);
	json_close(&j);
	return rc;
}

static int
read_intent(struct repo *repo, const struct incarnation *inc,
    struct intent *i, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	const char *json;
	struct buf b;
	size_t len;
	int rc;

	buf_init(&b, BODY_MAX);
	intent_key(inc, i->id, key);
	rc = repo_get_text(repo, key, KIND, &b, &json, &len, err);
	if (rc == 0) {
		rc = decode(json, len, i, err);
		if (rc != 0)
			err_wrap(err, "%s/%s", storage_url(repo->st), key);
	}
	buf_free(&b);
	return rc;
}

int
intent_list(struct repo *repo, const struct incarnation *inc,
    struct intent **out, size_t *n, struct err *err)
{
	struct intents l = { .list = NULL };
	char key[STORAGE_KEY_MAX];
	size_t i, kept = 0;
	int rc;

	*out = NULL;
	*n = 0;
	repo_key(inc, FOLDER, key);
	rc = storage_list(repo->st, key, true, note, &l, err);
	for (i = 0; i < l.n && rc == 0; i++) {
		rc = read_intent(repo, inc, &l.list[i], err);
		if (rc == 0)
			l.list[kept++] = l.list[i];
		else if (err->code == ERR_NOT_FOUND) {
			err_clear(err); /* ended meanwhile */
			rc = 0;
		}
	}
	if (rc != 0) {
		free(l.list);
		return -1;
	}
	*out = l.list;
	*n = kept;
	return 0;
}
