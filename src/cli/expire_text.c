/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/expire_show.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/log.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/notes.h"

static const char *
plural(size_t n)
{
	return n == 1 ? "" : "s";
}

void
expire_print_count(size_t n, enum repo_kind kind)
{
	(void)printf("%zu %s%s", n, repo_kind_name(kind), plural(n));
}

void
expire_print_removed(const struct removal_report *r, enum repo_kind kind,
    bool dry_run)
{
	char due[TIME_TEXT_MAX];

	if (dry_run && r->objects > 0)
		(void)printf("would remove up to %zu object%s that were listed "
		    "before\n", r->objects, plural(r->objects));
	else if (r->objects > 0) {
		(void)printf("removed %zu object%s, ", r->objects,
		    plural(r->objects));
		expire_print_count(r->backups, kind);
		(void)printf(" among them\n");
	}
	if (r->wanted > 0) {
		expire_print_count(r->wanted, kind);
		(void)printf(" that %s listed stay%s: pinned, or wanted by "
		    "retention again\n", r->wanted == 1 ? "was" : "were",
		    r->wanted == 1 ? "s" : "");
	}
	if (r->intents > 0)
		(void)printf("removed %zu intent%s of %ss that died\n",
		    r->intents, plural(r->intents), repo_kind_name(kind));
	if (r->locked > 0)
		(void)printf("%zu object%s stay%s for a later run: the store "
		    "keeps %s locked\n", r->locked, plural(r->locked),
		    r->locked == 1 ? "s" : "", r->locked == 1 ? "it" : "them");
	if (r->waiting > 0)
		(void)printf("%zu list%s of what is to go wait%s, the first "
		    "until %s\n", r->waiting, plural(r->waiting),
		    r->waiting == 1 ? "s" : "",
		    time_format_local(r->next_due, due));
}

/* "1 backup, 12 WAL segments (96.0 MB) and 3 other objects (1.0 MB)" */
static void
print_marked(const struct expire_run *run, const struct config *cfg)
{
	const struct removal_report *m = &run->marked;
	const bool dry = cfg->dry_run;
	char size[TEXT_SIZE_MAX], grace[32];

	if (m->objects == 0)
		return;
	expire_print_count(m->backups, run->kind);
	if (run->kind == REPO_BACKUP)
		(void)printf(" and %" PRIu64 " WAL segment%s (%s)",
		    run->wal_segments, plural(run->wal_segments),
		    text_human_size(run->wal_bytes, size));
	(void)printf(" %s, %zu object%s and %s beside WAL: removed by an "
	    "'expire' that runs %s later\n", dry ? "would go" : "are to go",
	    m->objects, plural(m->objects), text_human_size(m->bytes, size),
	    notes_age((int64_t)cfg->grace_ms * 1000, grace));
	if (run->wal_more)
		(void)printf("more WAL than that may go: the next runs list "
		    "it\n");
}

static void
print_run(const struct expire_run *run, const struct config *cfg)
{
	if (!run->done)
		return;
	expire_print_removed(&run->removed, run->kind, cfg->dry_run);
	print_marked(run, cfg);
	if (run->refused > 0) {
		expire_print_count(run->refused, run->kind);
		(void)printf(" stay%s: no usable one would be left\n",
		    run->refused == 1 ? "s" : "");
	}
}

static void
print_sets(const struct retention_line *l)
{
	const struct policy_line *line = l->line;
	size_t i;

	for (i = 0; i < line->n; i++)
		(void)printf("  %s %s %s\n",
		    repo_kind_name(line->sets[i].kind), line->sets[i].label,
		    line->sets[i].why);
	if (line->wal_why[0] != '\0')
		(void)printf("  WAL %s\n", line->wal_why);
}

static void
print_rules(const struct expire *x, const struct config *cfg,
    const struct config_repository *address)
{
	static const char *const names[] = { "day", "week", "month", "year" };
	const struct policy *p = &x->retention.policy;
	char age[32], from[TIME_TEXT_MAX];
	size_t i;

	(void)printf("cluster %s in %s: ", cfg->cluster, address->url);
	if (p->rules.retain_us == 0) {
		(void)printf("retain is 0, nothing goes\n");
		return;
	}
	(void)printf("every moment of the last %s, since %s",
	    notes_age(p->rules.retain_us, age),
	    time_format_local(p->window, from));
	for (i = 0; i < 4; i++)
		if (p->rules.keep[i] > 0)
			(void)printf("; the last of each of %u %s%s",
			    p->rules.keep[i], names[i],
			    plural(p->rules.keep[i]));
	(void)printf("\n");
}

/* Clocks of hosts differ; by more than this somebody should look. */
#define CLOCK_MARGIN (INT64_C(300) * 1000000)

void
expire_warn(const struct expire *x)
{
	const struct policy *p = &x->retention.policy;
	char age[32];
	size_t i;

	for (i = 0; i < p->n_odd; i++)
		if (i < 64 && (p->young >> i & 1) != 0)
			log_info("%s", p->odd[i]);
		else
			log_warning("%s", p->odd[i]);
	if (x->ahead > CLOCK_MARGIN)
		log_warning("this host's clock is %s ahead of the "
		    "repository's: the repository's counts",
		    notes_age(x->ahead, age));
	else if (x->ahead < -CLOCK_MARGIN)
		log_warning("this host's clock is %s behind the "
		    "repository's: it counts, and less goes than could",
		    notes_age(-x->ahead, age));
}

void
expire_print_text(const struct expire *x, const struct config *cfg,
    const struct config_repository *address)
{
	const struct policy *p = &x->retention.policy;
	bool idle = true;
	size_t i;

	if (p->n == 0) {
		(void)printf("nothing of cluster %s is in %s\n", cfg->cluster,
		    address->url);
		return;
	}
	print_rules(x, cfg, address);
	expire_warn(x);
	for (i = 0; i < p->n && (cfg->dry_run || cfg->verbose); i++)
		print_sets(&x->retention.lines[i]);
	for (i = 0; i < x->n; i++) {
		const struct expire_run *r = &x->runs[i];

		print_run(r, cfg);
		idle = idle && r->done && r->removed.objects == 0 &&
		    r->removed.waiting == 0 && r->marked.objects == 0;
	}
	if (idle)
		(void)printf("nothing is to go\n");
}
