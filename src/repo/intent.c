/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/intent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/commit.h"
#include "repo/textset.h"

static void
intent_set(const struct incarnation *inc, struct textset *set)
{
	memset(set, 0, sizeof(*set));
	set->kind = "intent";
	repo_key(inc, "intents/", set->folder);
}

int
intent_put(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label, uint32_t attempt, const char *parent,
    char id[INTENT_ID_TEXT], struct err *err)
{
	char host[INTENT_HOST_MAX];
	char now[TIME_TEXT_MAX], process[LEASE_PROCESS_MAX];
	struct textset set;
	struct buf b;
	int rc;

	intent_set(inc, &set);
	if (textset_id(id, err) != 0)
		return -1;
	if (gethostname(host, sizeof(host)) != 0)
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	buf_init(&b, TEXTSET_BODY_MAX);
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
	rc = textset_put(repo, &set, id, &b, err);
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
	struct textset set;

	intent_set(inc, &set);
	return textset_remove(repo, &set, id, err);
}

struct intents {
	struct intent *list;
	size_t n;
};

static void
take(void *arg, const struct textset_item *item, struct json_reader *j)
{
	struct intents *l = arg;
	struct intent *i;
	char *host;

	l->list = xreallocarray(l->list, l->n + 1, sizeof(*l->list));
	i = &l->list[l->n++];
	memset(i, 0, sizeof(*i));
	memcpy(i->id, item->id, sizeof(i->id));
	i->mtime = item->mtime;
	if (json_object_get(j->root, "kind") != NULL && /* not in 0.1 */
	    strcmp(json_get_text(j, j->root, "kind"), "dump") == 0)
		i->kind = REPO_DUMP;
	json_copy_text(j, j->root, "label", i->label, sizeof(i->label));
	if (!label_valid(i->label))
		json_note(j, "label");
	i->attempt = (uint32_t)json_get_u64(j, j->root, "attempt",
	    UINT32_MAX);
	(void)snprintf(i->parent, sizeof(i->parent), "%s",
	    json_get_text_or_null(j, j->root, "parent"));
	if (i->parent[0] != '\0' && !label_valid(i->parent))
		json_note(j, "parent");
	host = json_get_escaped(j, j->root, "host");
	(void)snprintf(i->host, sizeof(i->host), "%s", host);
	free(host);
	if (json_object_get(j->root, "process") != NULL) { /* not in 0.1 */
		i->pid = (long)json_get_u64(j, j->root, "pid", INT32_MAX);
		json_copy_text(j, j->root, "process", i->process,
		    sizeof(i->process));
	}
	i->started = json_get_time(j, j->root, "started");
}

int
intent_list(struct repo *repo, const struct incarnation *inc,
    struct intent **out, size_t *n, struct err *err)
{
	struct intents l = { .list = NULL };
	struct textset set;

	*out = NULL;
	*n = 0;
	intent_set(inc, &set);
	if (textset_read(repo, &set, take, &l, err) != 0) {
		free(l.list);
		return -1;
	}
	*out = l.list;
	*n = l.n;
	return 0;
}
