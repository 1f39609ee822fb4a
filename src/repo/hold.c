/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/hold.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/textset.h"

#define HOST_MAX 256
#define USER_BUFFER 4096

static int
hold_set(const char *cluster, struct textset *set, struct err *err)
{
	if (!cluster_name_valid(cluster))
		return err_set(err, ERR_BUG, "'%s' is no name of a cluster",
		    cluster);
	memset(set, 0, sizeof(*set));
	set->kind = "hold";
	(void)snprintf(set->folder, sizeof(set->folder), "holds/%s/", cluster);
	return 0;
}

/* Who asks: for people, who would like to know whom to call. */
static void
fill_in(struct hold *hold)
{
	char host[HOST_MAX], number[24], buffer[USER_BUFFER];
	struct passwd entry, *found = NULL;

	if (gethostname(host, sizeof(host)) != 0)
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	(void)snprintf(number, sizeof(number), "%lu",
	    (unsigned long)geteuid());
	if (getpwuid_r(geteuid(), &entry, buffer, sizeof(buffer), &found) != 0)
		found = NULL;
	hold->host = xstrdup(host);
	hold->user = xstrdup(found == NULL ? number : entry.pw_name);
	hold->created = time_now();
}

int
hold_put(struct repo *repo, const char *cluster, struct hold *hold,
    struct err *err)
{
	char created[TIME_TEXT_MAX];
	struct textset set;
	struct buf b;
	int rc;

	hold->host = hold->user = NULL;
	if (hold_set(cluster, &set, err) != 0 ||
	    textset_id(hold->id, err) != 0)
		return -1;
	fill_in(hold);
	buf_init(&b, TEXTSET_BODY_MAX);
	buf_printf(&b, "{\n\"id\": \"%s\",\n\"created\": \"%s\",\n"
	    "\"host\": \"", hold->id, time_format(hold->created, created));
	text_escape(&b, hold->host, strlen(hold->host));
	buf_add_str(&b, "\",\n\"user\": \"");
	text_escape(&b, hold->user, strlen(hold->user));
	buf_add_str(&b, "\",\n\"reason\": \"");
	if (hold->reason != NULL)
		text_escape(&b, hold->reason, strlen(hold->reason));
	buf_add_str(&b, "\"\n}");
	rc = textset_put(repo, &set, hold->id, &b, err);
	buf_free(&b);
	return rc;
}

struct holds {
	struct hold *list;
	size_t n;
};

static void
take(void *arg, const struct textset_item *item, struct json_reader *j)
{
	struct holds *holds = arg;
	struct hold *h;

	holds->list = xreallocarray(holds->list, holds->n + 1,
	    sizeof(*holds->list));
	h = &holds->list[holds->n++];
	memset(h, 0, sizeof(*h));
	memcpy(h->id, item->id, sizeof(h->id));
	h->created = json_get_time(j, j->root, "created");
	h->host = json_get_escaped(j, j->root, "host");
	h->user = json_get_escaped(j, j->root, "user");
	h->reason = json_get_escaped(j, j->root, "reason");
}

static int
by_time(const void *a, const void *b)
{
	const struct hold *x = a, *y = b;

	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	return strcmp(x->id, y->id);
}

int
hold_list(struct repo *repo, const char *cluster, struct hold **out,
    size_t *n, struct err *err)
{
	struct holds holds = { .list = NULL };
	struct textset set;

	*out = NULL;
	*n = 0;
	if (hold_set(cluster, &set, err) != 0)
		return -1;
	if (textset_read(repo, &set, take, &holds, err) != 0) {
		holds_free(holds.list, holds.n);
		return -1;
	}
	if (holds.n > 0)
		qsort(holds.list, holds.n, sizeof(*holds.list), by_time);
	*out = holds.list;
	*n = holds.n;
	return 0;
}

void
holds_free(struct hold *holds, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(holds[i].host);
		free(holds[i].user);
		free(holds[i].reason);
	}
	free(holds);
}

/* By their names alone: one that is damaged goes like the others. */
int
hold_remove(struct repo *repo, const char *cluster, size_t *removed,
    struct err *err)
{
	struct textset_item *items;
	struct textset set;
	size_t i, n;
	int rc = 0;

	if (removed != NULL)
		*removed = 0;
	if (hold_set(cluster, &set, err) != 0 ||
	    textset_list(repo, &set, &items, &n, err) != 0)
		return -1;
	for (i = 0; i < n && rc == 0; i++) {
		rc = textset_remove(repo, &set, items[i].id, err);
		if (rc == 0 && removed != NULL)
			++*removed;
	}
	free(items);
	return rc;
}

int
hold_check(struct repo *repo, const char *cluster, struct err *err)
{
	char since[TIME_TEXT_MAX];
	struct hold *holds;
	size_t n;
	int rc = 0;

	if (hold_list(repo, cluster, &holds, &n, err) != 0)
		return err_hint(err, "'dapk-backup release' removes all holds, "
		    "those that cannot be read too");
	if (n > 0) {
		const struct hold *h = &holds[0];
		const bool reason = h->reason[0] != '\0';

		rc = err_set(err, ERR_LOCKED, "cluster %s is on hold in %s: "
		    "%s on %s held it at %s%s%s%s", cluster,
		    storage_url(repo->st), h->user, h->host,
		    time_format_local(h->created, since), reason ? " (" : "",
		    h->reason, reason ? ")" : "");
		err_hint(err, "when the work is done: dapk-backup release "
		    "--cluster %s", cluster);
	}
	holds_free(holds, n);
	return rc;
}
