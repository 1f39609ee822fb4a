/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "retain/retention.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "repo/intent.h"
#include "repo/queue.h"

static const char *
name_of(const struct config_repository *r)
{
	return r->name != NULL ? r->name : r->url;
}

/* One a line, so that two dumps' can be compared. */
static char *
options_text(struct retention_line *l, const struct commit_dump *d)
{
	struct buf b;
	char *text;
	size_t i;

	buf_init(&b, FORMAT_TEXT_MAX);
	for (i = 0; i < d->n_options; i++) {
		buf_add_str(&b, d->options[i]);
		buf_add_byte(&b, '\n');
	}
	text = xstrdup(buf_str(&b));
	buf_free(&b);
	l->texts[l->n_texts++] = text;
	return text;
}

/* Of several the one that lasts longest; whether it has ended the policy
 * says: this host's clock may be wrong. */
static void
fill_pin(struct policy_set *set, const struct info_incarnation *inc)
{
	const struct pin *p;
	size_t i;

	for (i = 0; i < inc->n_pins; i++) {
		p = &inc->pins[i];
		if (p->kind != set->kind || strcmp(p->label, set->label) != 0)
			continue;
		if (set->pinned && (set->pin_until == 0 ||
		    (p->until != 0 && p->until <= set->pin_until)))
			continue;
		set->pinned = true;
		set->pin_until = p->until;
		set->pin_created = p->created;
		set->pin_reason = p->reason;
	}
}

static void
fill_set(struct retention_line *l, struct policy_set *set,
    enum repo_kind kind, const struct info_backup *b)
{
	const struct commit *c = &b->commit;

	set->kind = kind;
	set->label = b->label;
	set->readable = b->problem.code == ERR_NONE;
	set->dismissed = b->dismissed;
	fill_pin(set, l->inc);
	if (!set->readable) {
		(void)label_time(b->label, &set->start);
		set->stop = set->start;
		return;
	}
	set->usable = b->usable;
	set->clean = b->usable && c->damaged_count == 0;
	set->start = c->start_time;
	set->stop = c->stop_time;
	set->timeline = c->timeline;
	set->start_lsn = c->start_lsn;
	set->stop_lsn = c->stop_lsn;
	if (kind == REPO_DUMP) {
		set->database = c->dump.globals ? "" : c->dump.database;
		set->options = options_text(l, &c->dump);
	}
}

/* The number of a segment by its name; 0 when it is none's. */
static uint64_t
segno(const char *name, uint32_t segment_size)
{
	struct err ignored = ERR_INIT;
	struct wal_file f;

	return segment_size == 0 || wal_file_parse(name, &f, &ignored) != 0 ?
	    0 : wal_segno(&f, segment_size);
}

static void
fill_timeline(struct policy_timeline *out, const struct info_incarnation *inc,
    const struct info_timeline *t)
{
	size_t i;

	out->timeline = t->timeline;
	out->path = t->path.n > 0 ? &t->path : NULL;
	out->newest = t->newest;
	out->stored = t->stored;
	out->n_stored = t->n_stored;
	for (i = 0; i < inc->n_ranges; i++) {
		const struct wal_range *r = &inc->ranges[i];

		if (r->timeline != t->timeline)
			continue;
		if (out->first == 0)
			out->first = segno(r->first, inc->wal_segment_size);
		out->last = segno(r->last, inc->wal_segment_size);
	}
}

static void
fill_line(struct retention_line *l, struct policy_line *line,
    const struct info_incarnation *inc)
{
	size_t i;

	l->inc = inc;
	l->line = line;
	l->texts = xcalloc(inc->dumps.n + 1, sizeof(*l->texts));
	line->system_id = inc->inc.system_id;
	line->major = inc->inc.major;
	line->wal_segment_size = inc->wal_segment_size;
	line->n = inc->backups.n + inc->dumps.n;
	line->sets = xcalloc(line->n + 1, sizeof(*line->sets));
	for (i = 0; i < inc->backups.n; i++)
		fill_set(l, &line->sets[i], REPO_BACKUP,
		    &inc->backups.list[i]);
	for (i = 0; i < inc->dumps.n; i++)
		fill_set(l, &line->sets[inc->backups.n + i], REPO_DUMP,
		    &inc->dumps.list[i]);
	line->n_timelines = inc->n_timelines;
	line->timelines = xcalloc(inc->n_timelines + 1,
	    sizeof(*line->timelines));
	for (i = 0; i < inc->n_timelines; i++)
		fill_timeline(&line->timelines[i], inc, &inc->timelines[i]);
}

static struct policy_set *
find_set(struct policy_line *line, enum repo_kind kind, const char *label)
{
	size_t i;

	for (i = 0; i < line->n; i++)
		if (line->sets[i].kind == kind &&
		    strcmp(line->sets[i].label, label) == 0)
			return &line->sets[i];
	return NULL;
}

/*
 * Whoever works on a backup named what it needs. That an intent is old does
 * not count here: the removal forgets the dead ones (retain/removal.h).
 */
static int
ask_intents(struct policy_line *line, struct repo *repo,
    const struct incarnation *inc, struct err *err)
{
	char process[LEASE_PROCESS_MAX];
	struct policy_set *set;
	struct intent *list;
	size_t i, n;

	if (intent_list(repo, inc, &list, &n, err) != 0)
		return -1;
	lease_process(process);
	for (i = 0; i < n; i++) {
		if (intent_process_dead(&list[i], process))
			continue;
		set = find_set(line, list[i].kind, list[i].parent);
		if (set != NULL)
			set->in_use = true;
		set = find_set(line, list[i].kind, list[i].label);
		if (set != NULL)
			set->in_use = true;
	}
	free(list);
	return 0;
}

/* Who waits for it, since when: who waits longest. */
static void
want_wal(struct policy_line *line, const char *name, const char *by,
    int64_t since)
{
	struct err ignored = ERR_INIT;
	struct policy_timeline *t;
	struct wal_file f;
	uint64_t no;
	size_t i;

	if (wal_file_parse(name, &f, &ignored) != 0 ||
	    f.type == WAL_FILE_HISTORY || line->wal_segment_size == 0)
		return;
	no = wal_segno(&f, line->wal_segment_size);
	for (i = 0; i < line->n_timelines; i++) {
		t = &line->timelines[i];
		if (t->timeline != f.timeline)
			continue;
		if (t->wanted_since == 0 || no < t->wanted_from)
			t->wanted_from = no;
		if (t->wanted_since == 0 || since < t->wanted_since) {
			t->wanted_since = since;
			t->wanted_by = by;
		}
	}
}

static void
want_set(struct policy_line *line, enum repo_kind kind, const char *label,
    const char *by, int64_t since)
{
	struct policy_set *set = find_set(line, kind, label);

	if (set == NULL || (set->wanted_by != NULL &&
	    set->wanted_since <= since))
		return;
	set->wanted_by = by;
	set->wanted_since = since;
}

static void
want(struct policy_line *line, const char *item, const char *by,
    int64_t since)
{
	if (strncmp(item, "backup-", 7) == 0)
		want_set(line, REPO_BACKUP, item + 7, by, since);
	else if (strncmp(item, "dump-", 5) == 0)
		want_set(line, REPO_DUMP, item + 5, by, since);
	else
		want_wal(line, item, by, since);
}

/*
 * What one of the others still lacks. WAL that it has waited for longer than
 * is allowed does not count: else all that came after it would stay for it.
 */
static int
ask_queue(struct policy_line *line, const struct info *info,
    const struct incarnation *inc, const char *state_directory,
    const char *name, int64_t not_before, struct err *err)
{
	struct queue_item *items;
	struct queue *q;
	size_t i, n;
	int rc;

	if (!queue_open_existing(&q, state_directory, info->repo, inc, name))
		return 0;
	rc = queue_list(q, &items, &n, err);
	queue_close(q);
	if (rc != 0)
		return -1;
	for (i = 0; i < n; i++)
		if (items[i].since >= not_before)
			want(line, items[i].name, name, items[i].since);
	queue_items_free(items, n);
	return 0;
}

static int
ask_queues(struct retention *r, const struct info *info,
    const struct retention_params *p, struct err *err)
{
	const int64_t limit = r->policy.window - r->policy.rules.mirror_us;
	const struct config_repository *other;
	unsigned i;
	size_t k;

	for (i = 0; (other = config_repository(p->cfg, i)) != NULL; i++) {
		/* Queues go by the name; without one there are none. */
		if (other->name == NULL || (p->address->name != NULL &&
		    strcmp(other->name, p->address->name) == 0))
			continue;
		for (k = 0; k < r->policy.n; k++)
			if (ask_queue(&r->policy.lines[k], info,
			    &r->lines[k].inc->inc, p->cfg->state_directory,
			    other->name, limit, err) != 0)
				return err_wrap(err, "what repository %s "
				    "waits for", name_of(other));
	}
	return 0;
}

static void
fill(struct retention *r, const struct info *info,
    const struct retention_params *p)
{
	const struct config_repository *a = p->address;
	struct policy *policy = &r->policy;
	size_t i;

	policy->now = p->now;
	policy->rules.retain_us = (int64_t)a->retain_ms * 1000;
	policy->rules.keep[KEEP_DAILY] = a->keep_daily;
	policy->rules.keep[KEEP_WEEKLY] = a->keep_weekly;
	policy->rules.keep[KEEP_MONTHLY] = a->keep_monthly;
	policy->rules.keep[KEEP_YEARLY] = a->keep_yearly;
	policy->rules.mirror_us = (int64_t)p->cfg->keep_for_mirror_ms * 1000;
	policy->lines = xcalloc(info->n + 1, sizeof(*policy->lines));
	r->lines = xcalloc(info->n + 1, sizeof(*r->lines));
	for (i = 0; i < info->n; i++) {
		const struct info_incarnation *inc = &info->incarnations[i];

		if (strcmp(inc->inc.cluster, p->cluster) != 0)
			continue;
		fill_line(&r->lines[policy->n], &policy->lines[policy->n],
		    inc);
		policy->n++;
	}
}

int
retention_decide(struct retention *out, const struct info *info,
    const struct retention_params *params, struct err *err)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	fill(out, info, params);
	for (i = 0; i < out->policy.n; i++)
		if (ask_intents(&out->policy.lines[i], params->repo,
		    &out->lines[i].inc->inc, err) != 0)
			goto fail;
	/* How old something may be that is waited for goes by the window. */
	policy_decide(&out->policy);
	if (ask_queues(out, info, params, err) != 0)
		goto fail;
	policy_decide(&out->policy);
	return 0;
fail:
	retention_free(out);
	return -1;
}

void
retention_free(struct retention *r)
{
	size_t i, k;

	policy_free(&r->policy);
	for (i = 0; i < r->policy.n; i++) {
		for (k = 0; k < r->lines[i].n_texts; k++)
			free(r->lines[i].texts[k]);
		free(r->lines[i].texts);
		free(r->policy.lines[i].sets);
		free(r->policy.lines[i].timelines);
	}
	free(r->policy.lines);
	free(r->lines);
	memset(r, 0, sizeof(*r));
}

const struct retention_line *
retention_of(const struct retention *r, const struct info_incarnation *inc)
{
	size_t i;

	for (i = 0; i < r->policy.n; i++)
		if (r->lines[i].inc == inc)
			return &r->lines[i];
	return NULL;
}

const struct policy_set *
retention_set(const struct retention_line *line, enum repo_kind kind,
    size_t index)
{
	return &line->line->sets[kind == REPO_DUMP ?
	    line->inc->backups.n + index : index];
}

static void
explain_set(struct info_set *set, const struct retention_line *line,
    enum repo_kind kind)
{
	const struct policy_set *s;
	size_t i;

	for (i = 0; i < set->n; i++) {
		s = retention_set(line, kind, i);
		free(set->list[i].why);
		set->list[i].why = xstrdup(s->why);
		set->list[i].expires = !s->keep;
	}
}

static void
explain_cluster(struct info *info, const struct retention_params *params)
{
	const struct retention_line *line;
	struct err err = ERR_INIT;
	struct retention r;
	size_t i, k;

	if (retention_decide(&r, info, params, &err) != 0) {
		log_warning("why things are kept is not known: %s", err.msg);
		return;
	}
	for (i = 0; i < info->n; i++) {
		struct info_incarnation *inc = &info->incarnations[i];

		line = retention_of(&r, inc);
		if (line == NULL)
			continue;
		explain_set(&inc->backups, line, REPO_BACKUP);
		explain_set(&inc->dumps, line, REPO_DUMP);
		inc->promised_from = r.policy.window;
		inc->why_wal = xstrdup(line->line->wal_why);
	}
	for (k = 0; r.policy.n > 0 && k < r.policy.n_odd; k++) {
		info->odd = xreallocarray(info->odd, info->n_odd + 1,
		    sizeof(*info->odd));
		info->odd[info->n_odd++] = xstrdup(r.policy.odd[k]);
	}
	retention_free(&r);
}

void
retention_explain(struct info *info, struct repo *repo,
    const struct config *cfg, const struct config_repository *address)
{
	struct retention_params params = { .repo = repo, .cfg = cfg,
		.address = address, .now = time_now() };
	size_t i;

	for (i = 0; i < info->n; i++) {
		params.cluster = info->incarnations[i].inc.cluster;
		/* Those of a cluster follow each other. */
		if (i == 0 || strcmp(params.cluster,
		    info->incarnations[i - 1].inc.cluster) != 0)
			explain_cluster(info, &params);
	}
}
