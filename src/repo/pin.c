/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/pin.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/commit.h"
#include "repo/textset.h"

static void
pin_set(const struct incarnation *inc, struct textset *set)
{
	memset(set, 0, sizeof(*set));
	set->kind = "pin";
	repo_key(inc, "pins/", set->folder);
}

int
pin_put(struct repo *repo, const struct incarnation *inc, struct pin *pin,
    struct err *err)
{
	char created[TIME_TEXT_MAX], until[TIME_TEXT_MAX];
	struct textset set;
	struct buf b;
	int rc;

	pin_set(inc, &set);
	if (textset_id(pin->id, err) != 0)
		return -1;
	buf_init(&b, TEXTSET_BODY_MAX);
	buf_printf(&b, "{\n\"id\": \"%s\",\n\"kind\": \"%s\",\n"
	    "\"label\": \"%s\",\n", pin->id, repo_kind_name(pin->kind),
	    pin->label);
	if (pin->until == 0)
		buf_add_str(&b, "\"until\": null,\n");
	else
		buf_printf(&b, "\"until\": \"%s\",\n",
		    time_format(pin->until, until));
	buf_printf(&b, "\"created\": \"%s\",\n\"reason\": \"",
	    time_format(pin->created, created));
	if (pin->reason != NULL)
		text_escape(&b, pin->reason, strlen(pin->reason));
	buf_add_str(&b, "\"\n}");
	rc = textset_put(repo, &set, pin->id, &b, err);
	buf_free(&b);
	return rc;
}

int
pin_remove(struct repo *repo, const struct incarnation *inc, const char *id,
    struct err *err)
{
	struct textset set;

	pin_set(inc, &set);
	return textset_remove(repo, &set, id, err);
}

struct pins {
	struct pin *list;
	size_t n;
};

static void
take(void *arg, const struct textset_item *item, struct json_reader *j)
{
	struct pins *pins = arg;
	struct pin *p;
	const char *kind;

	pins->list = xreallocarray(pins->list, pins->n + 1,
	    sizeof(*pins->list));
	p = &pins->list[pins->n++];
	memset(p, 0, sizeof(*p));
	memcpy(p->id, item->id, sizeof(p->id));
	kind = json_get_text(j, j->root, "kind");
	if (strcmp(kind, repo_kind_name(REPO_DUMP)) == 0)
		p->kind = REPO_DUMP;
	else if (strcmp(kind, repo_kind_name(REPO_BACKUP)) == 0)
		p->kind = REPO_BACKUP;
	else
		json_note(j, "kind");
	json_copy_text(j, j->root, "label", p->label, sizeof(p->label));
	if (!label_valid(p->label))
		json_note(j, "label");
	if (!json_is_null(json_object_get(j->root, "until")))
		p->until = json_get_time(j, j->root, "until");
	p->created = json_get_time(j, j->root, "created");
	p->reason = json_get_escaped(j, j->root, "reason");
}

static int
by_time(const void *a, const void *b)
{
	const struct pin *x = a, *y = b;

	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	return strcmp(x->id, y->id);
}

int
pin_list(struct repo *repo, const struct incarnation *inc, struct pin **out,
    size_t *n, struct err *err)
{
	struct pins pins = { .list = NULL };
	struct textset set;

	*out = NULL;
	*n = 0;
	pin_set(inc, &set);
	if (textset_read(repo, &set, take, &pins, err) != 0) {
		pins_free(pins.list, pins.n);
		return -1;
	}
	if (pins.n > 0)
		qsort(pins.list, pins.n, sizeof(*pins.list), by_time);
	*out = pins.list;
	*n = pins.n;
	return 0;
}

void
pins_free(struct pin *pins, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free(pins[i].reason);
	free(pins);
}
