/* SPDX-License-Identifier: PostgreSQL */
/*
 * pin and unpin: what retention leaves alone, in each repository of the
 * cluster that has it. Repositories that cannot be reached are told in the
 * end, and keep none of the others from being done.
 */
#include "config.h"

#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "export/export.h"
#include "repo/commit.h"
#include "repo/lease.h"
#include "repo/pin.h"

#define EXPIRE_TURNS 300 /* one that is at work is waited for */
#define EXPIRE_TURN_MS 200
#define DATE_LENGTH 10

/* What is looked for, and what the repositories have of it. */
struct pinning {
	const struct config *cfg;
	const char *prefix;
	struct pin wanted; /* of `pin` */
	bool found;
	enum repo_kind kind;
	char label[FORMAT_LABEL_MAX];
	unsigned done; /* repositories */
};

static const char *
name_of(const struct config_repository *r)
{
	return r->name != NULL ? r->name : r->url;
}

/* The same label everywhere, or nothing is done. */
static int
note_found(struct pinning *p, enum repo_kind kind, const char *label,
    struct err *err)
{
	if (p->found && strcmp(p->label, label) != 0) {
		err_set(err, ERR_USAGE, "%s is the beginning of more than one "
		    "label: %s and %s", p->prefix, p->label, label);
		return err_hint(err, "dapk-backup info lists them");
	}
	p->found = true;
	p->kind = kind;
	(void)snprintf(p->label, sizeof(p->label), "%s", label);
	return 0;
}

static int
find_set(void *arg, struct repo *repo, const struct config_repository *from,
    struct err *err)
{
	struct pinning *p = arg;
	struct export_found found;

	(void)from;
	if (export_find(repo, p->cfg->cluster, p->prefix, &found, err) == 0)
		return note_found(p, found.kind, found.label, err);
	if (err->code != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	return 0;
}

/* Retention reads the pins when it has the lease, and goes by those. */
static bool
is_expiring(const struct lease_info *holders, size_t n)
{
	char process[LEASE_PROCESS_MAX];
	size_t i;

	lease_process(process);
	for (i = 0; i < n; i++)
		if (!holders[i].ended &&
		    strncmp(holders[i].purpose, "expire", 6) == 0 &&
		    !lease_process_dead(&holders[i], process))
			return true;
	return false;
}

/*
 * A removal that has begun before the pin was there may not know of it: wait
 * for its end, and look whether the backup is still there.
 */
static int
outlast_expire(struct repo *repo, const struct export_found *found,
    struct err *err)
{
	struct lease_info *holders;
	char key[STORAGE_KEY_MAX];
	unsigned turn;
	uint64_t size;
	bool busy = true;
	size_t n;

	for (turn = 0; busy && turn < EXPIRE_TURNS; turn++) {
		if (turn > 0)
			time_sleep_ms(EXPIRE_TURN_MS);
		if (cancel_check(err) != 0 || lease_look(repo, &found->inc,
		    lease_name(found->kind), &holders, &n, err) != 0)
			return -1;
		busy = is_expiring(holders, n);
		free(holders);
		if (busy && turn == 0)
			log_info("waiting for the expire that runs in %s",
			    storage_url(repo->st));
	}
	if (busy)
		log_warning("an expire that began before goes on in %s: look "
		    "with 'dapk-backup info' later whether %s is still there",
		    storage_url(repo->st), found->label);
	commit_key(&found->inc, found->kind, found->label, key);
	if (storage_stat(repo->st, key, &size, NULL, err) == 0)
		return 0;
	if (err->code != ERR_NOT_FOUND)
		return -1;
	return err_set(err, ERR_NOT_FOUND, "%s %s was removed from %s just "
	    "now", repo_kind_name(found->kind), found->label,
	    storage_url(repo->st));
}

/* Of this label but for the one to be kept (NULL: all). */
static int
remove_pins(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label, const char *keep, size_t *removed,
    struct err *err)
{
	struct pin *pins;
	size_t i, n;
	int rc = 0;

	if (pin_list(repo, inc, &pins, &n, err) != 0)
		return -1;
	for (i = 0; i < n && rc == 0; i++) {
		if (pins[i].kind != kind || strcmp(pins[i].label, label) != 0 ||
		    (keep != NULL && strcmp(pins[i].id, keep) == 0))
			continue;
		rc = pin_remove(repo, inc, pins[i].id, err);
		if (rc == 0)
			++*removed;
	}
	pins_free(pins, n);
	return rc;
}

/* The new one first, so that it is never without. */
static int
pin_one(void *arg, struct repo *repo, const struct config_repository *to,
    struct err *err)
{
	struct pinning *p = arg;
	struct pin pin = p->wanted;
	struct export_found found;
	char until[TIME_TEXT_MAX];
	struct err later = ERR_INIT;
	size_t replaced = 0;

	if (export_find(repo, p->cfg->cluster, p->label, &found, err) != 0) {
		if (err->code != ERR_NOT_FOUND)
			return -1;
		log_info("repository %s does not have %s", name_of(to),
		    p->label);
		err_clear(err);
		return 0;
	}
	pin.kind = found.kind;
	memcpy(pin.label, found.label, sizeof(pin.label));
	pin.created = time_now();
	if (pin_put(repo, &found.inc, &pin, err) != 0)
		return -1;
	if (outlast_expire(repo, &found, err) != 0) {
		if (err->code == ERR_NOT_FOUND && /* that is what is told */
		    pin_remove(repo, &found.inc, pin.id, &later) != 0)
			log_err(LOG_WARNING, &later);
		return -1;
	}
	if (remove_pins(repo, &found.inc, pin.kind, pin.label, pin.id,
		&replaced, err) != 0)
		return -1;
	(void)printf("%s %s is pinned in %s %s%s\n",
	    repo_kind_name(pin.kind), pin.label, name_of(to),
	    pin.until == 0 ? "until it is unpinned" : "until ",
	    pin.until == 0 ? "" : time_format_local(pin.until, until));
	p->done++;
	return 0;
}

/* "2027-01-31" is the end of that day here. */
static int
parse_until(const char *text, int64_t *out, struct err *err)
{
	char day[DATE_LENGTH + 10], until[TIME_TEXT_MAX];
	bool local;

	if (strlen(text) == DATE_LENGTH) {
		(void)snprintf(day, sizeof(day), "%s 23:59:59", text);
		text = day;
	}
	if (time_parse(text, out, &local, err) != 0)
		return err_wrap(err, "--until");
	if (*out > time_now())
		return 0;
	err_set(err, ERR_USAGE, "--until: %s is past",
	    time_format_local(*out, until));
	return err_hint(err, "'dapk-backup unpin LABEL' ends a pin");
}

static int
nowhere(const struct pinning *p, struct err *err)
{
	err_set(err, ERR_NOT_FOUND, "there is no backup or dump %s",
	    p->prefix);
	return err_hint(err, "dapk-backup info lists them");
}

int
cmd_pin(const struct config *cfg, struct err *err)
{
	struct pinning p = { .cfg = cfg, .prefix = cfg->arguments[0] };
	struct err first = ERR_INIT;

	p.wanted.reason = cfg->reason;
	if (cfg->until != NULL &&
	    parse_until(cfg->until, &p.wanted.until, err) != 0)
		return -1;
	if (cli_each_repository(cfg, find_set, &p, &first) != 0 &&
	    (first.code == ERR_USAGE || !p.found)) {
		*err = first;
		return -1;
	}
	if (!p.found)
		return nowhere(&p, err);
	return cli_each_repository(cfg, pin_one, &p, err) != 0 ? -1 :
								 EXIT_DONE;
}

/* Pins count by themselves: what they named may be gone. */
static int
find_pins(void *arg, struct repo *repo, const struct config_repository *from,
    struct err *err)
{
	struct pinning *p = arg;
	struct incarnation *incs;
	struct pin *pins;
	size_t i, k, n, n_pins;
	int rc = 0;

	if (repo_incarnations(repo, p->cfg->cluster, &incs, &n, err) != 0)
		return -1;
	for (i = 0; i < n && rc == 0; i++) {
		rc = pin_list(repo, &incs[i], &pins, &n_pins, err);
		for (k = 0; k < n_pins && rc == 0; k++)
			if (strncmp(pins[k].label, p->prefix,
				strlen(p->prefix)) == 0)
				rc = note_found(p, pins[k].kind,
				    pins[k].label, err);
		pins_free(pins, n_pins);
	}
	free(incs);
	return rc != 0 ? -1 : find_set(p, repo, from, err);
}

static int
unpin_one(void *arg, struct repo *repo, const struct config_repository *to,
    struct err *err)
{
	struct pinning *p = arg;
	struct incarnation *incs;
	size_t i, n, removed = 0;
	int rc = 0;

	if (repo_incarnations(repo, p->cfg->cluster, &incs, &n, err) != 0)
		return -1;
	for (i = 0; i < n && rc == 0; i++)
		rc = remove_pins(repo, &incs[i], p->kind, p->label, NULL,
		    &removed, err);
	free(incs);
	if (rc == 0)
		(void)printf("%s %s is %s pinned in %s\n",
		    repo_kind_name(p->kind), p->label, removed > 0 ?
		    "no longer" : "not", name_of(to));
	return rc;
}

int
cmd_unpin(const struct config *cfg, struct err *err)
{
	struct pinning p = { .cfg = cfg, .prefix = cfg->arguments[0] };
	struct err first = ERR_INIT;

	if (cli_each_repository(cfg, find_pins, &p, &first) != 0 &&
	    (first.code == ERR_USAGE || !p.found)) {
		*err = first;
		return -1;
	}
	if (!p.found)
		return nowhere(&p, err);
	return cli_each_repository(cfg, unpin_one, &p, err) != 0 ? -1 :
								   EXIT_DONE;
}
