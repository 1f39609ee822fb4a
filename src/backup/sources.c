/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "pg/conninfo.h"

static const char *
role(const struct source *s)
{
	return s->standby ? "a standby" : "the primary";
}

static int
ask(struct source *s, struct err *err)
{
	struct pg_result *res = NULL;
	const char *id;

	if (pg_query(s->conn, &res, err, 0, NULL,
	    "SELECT pg_catalog.pg_is_in_recovery(), (SELECT system_identifier"
	    " FROM pg_catalog.pg_control_system()),"
	    " CASE WHEN pg_catalog.pg_is_in_recovery()"
	    " THEN coalesce(pg_catalog.pg_last_wal_replay_lsn(), '0/0')"
	    " ELSE pg_catalog.pg_current_wal_insert_lsn() END") != 0)
		return err_wrap(err, "ask %s what it is", s->name);
	s->standby = strcmp(pg_value(res, 0, 0), "t") == 0;
	/* PostgreSQL shows it as a signed number. */
	id = pg_value(res, 0, 1);
	s->system_id = *id == '-' ? (uint64_t)strtoll(id, NULL, 10) :
	    (uint64_t)strtoull(id, NULL, 10);
	if (!lsn_parse(pg_value(res, 0, 2), &s->lsn))
		s->lsn = 0;
	pg_result_free(res);
	return 0;
}

static void
source_free(struct source *s)
{
	pg_disconnect(s->conn);
	free(s->conninfo);
	free(s->name);
	memset(s, 0, sizeof(*s));
}

static int
add_host(struct sources *l, const struct conninfo_host *host, size_t place,
    struct err *err)
{
	struct source s = { .place = place };

	s.conninfo = xstrdup(host->conninfo);
	s.name = xstrdup(host->name);
	if (pg_connect(&s.conn, s.conninfo, "backup", err) != 0 ||
	    ask(&s, err) != 0) {
		source_free(&s);
		return -1;
	}
	l->list[l->n++] = s;
	return 0;
}

int
sources_open(struct sources *l, const char *conninfo, struct err *err)
{
	struct conninfo_host *hosts;
	size_t n, i;
	int rc = 0;

	memset(l, 0, sizeof(*l));
	if (conninfo_split(conninfo, &hosts, &n, err) != 0)
		return -1;
	l->named = n;
	l->list = xcalloc(n, sizeof(*l->list));
	for (i = 0; i < n && rc == 0; i++) {
		err_clear(err);
		if (add_host(l, &hosts[i], i, err) == 0)
			continue;
		if (err->code == ERR_CANCELLED || (i + 1 == n && l->n == 0))
			rc = -1;
		else
			log_warning("%s is not used: %s", hosts[i].name,
			    err->msg);
	}
	conninfo_free(hosts, n);
	if (rc != 0)
		return -1;
	err_clear(err);
	for (i = 1; i < l->n; i++)
		if (l->list[i].system_id != l->list[0].system_id)
			return err_set(err, ERR_REFUSED, "%s and %s are "
			    "servers of different clusters: system "
			    "identifiers %llu and %llu", l->list[0].name,
			    l->list[i].name,
			    (unsigned long long)l->list[0].system_id,
			    (unsigned long long)l->list[i].system_id);
	return 0;
}

/* Less is better; negative: not to be used. */
static int
rank(const struct source *s, enum source_from from)
{
	switch (from) {
	case SOURCE_ANY:
		return 0;
	case SOURCE_PRIMARY:
		return s->standby ? -1 : 0;
	case SOURCE_STANDBY:
		return s->standby ? 0 : -1;
	case SOURCE_PREFER_STANDBY:
		return s->standby ? 0 : 1;
	}
	return -1;
}

static bool
better(const struct source *a, const struct source *b, enum source_from from)
{
	int ra = rank(a, from), rb = rank(b, from);

	if ((ra < 0) != (rb < 0))
		return rb < 0;
	if (ra != rb)
		return ra < rb;
	if (from != SOURCE_ANY && a->lsn != b->lsn)
		return a->lsn > b->lsn;
	return a->place < b->place;
}

void
sources_sort(struct source *list, size_t n, enum source_from from,
    size_t *n_fit)
{
	struct source s;
	size_t i, j;

	for (i = 1; i < n; i++) {
		s = list[i];
		for (j = i; j > 0 && better(&s, &list[j - 1], from); j--)
			list[j] = list[j - 1];
		list[j] = s;
	}
	for (*n_fit = 0; *n_fit < n && rank(&list[*n_fit], from) >= 0;)
		++*n_fit;
}

int
sources_order(struct sources *l, enum source_from from, struct err *err)
{
	sources_sort(l->list, l->n, from, &l->n_fit);
	if (l->n_fit > 0)
		return 0;
	err_set(err, ERR_REFUSED, l->named == 1 ? "%s is %s" :
	    "none of the servers in reach is what is wanted: %s is %s",
	    l->list[0].name, role(&l->list[0]));
	return err_hint(err, from == SOURCE_PRIMARY ?
	    "name the primary too (host=a,b in conninfo), or allow a standby: "
	    "--backup-from=any" : "name a standby too (host=a,b in conninfo), "
	    "or allow the primary: --backup-from=prefer-standby");
}

struct source *
sources_primary(struct sources *l, const struct source *used)
{
	struct source *found = NULL;
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (l->list[i].standby || &l->list[i] == used)
			continue;
		if (found != NULL) {
			log_warning("%s and %s both say that they are the "
			    "primary: neither is asked", found->name,
			    l->list[i].name);
			return NULL;
		}
		found = &l->list[i];
	}
	return found;
}

void
sources_say(struct sources *l, const struct source *used,
    enum source_from from)
{
	static const char *const wanted[] = { "the first in the list",
		"the primary is wanted", "a standby is wanted",
		"a standby is preferred" };
	const struct source *primary = sources_primary(l, used);
	char lsn[LSN_TEXT_MAX];

	if (l->named == 1 && !used->standby)
		return;
	if (used->standby && primary != NULL)
		log_info("backup from %s, a standby that has replayed up to "
		    "%s, %llu bytes behind the primary %s", used->name,
		    lsn_format(used->lsn, lsn), (unsigned long long)
		    (primary->lsn > used->lsn ? primary->lsn - used->lsn : 0),
		    primary->name);
	else if (used->standby)
		log_info("backup from %s, a standby that has replayed up to "
		    "%s; no primary is in reach", used->name,
		    lsn_format(used->lsn, lsn));
	else
		log_info("backup from %s, the primary (%s; %zu of %zu "
		    "servers answered)", used->name, wanted[from], l->n,
		    l->named);
}

void
sources_close(struct sources *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		source_free(&l->list[i]);
	free(l->list);
	memset(l, 0, sizeof(*l));
}
