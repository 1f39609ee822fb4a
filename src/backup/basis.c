/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/basis.h"

#include <string.h>

#include "core/log.h"

/* Is a backup due that reads and checks every page? */
static bool
full_read_due(const struct basis *b, const struct basis_params *p)
{
	const int64_t age = p->begin->start_time -
	    b->parent->commit.full_read;

	return age < 0 || (uint64_t)age / 1000 >= p->full_read_every_ms;
}

static int
find_evidence(struct basis *b, const struct basis_params *p, struct err *err)
{
	const struct server *s = p->server;
	const struct commit *pc = &b->parent->commit;
	const struct evidence_params ep = { p->repo, s->conn, s->pgdata,
		&s->control, s->major, p->begin->timeline,
		p->begin->start_lsn, p->commit->source, pc, p->jobs, p->pulse,
		p->pulse_arg };

	if (full_read_due(b, p)) {
		log_info("every page is read and checked, as has to be done "
		    "from time to time (full-read-every)");
		return 0;
	}
	if (pc->damaged_count > pc->n_damaged) {
		log_info("everything is read: the parent has more damaged "
		    "pages than it lists");
		return 0;
	}
	if (evidence_collect(&b->evidence, &ep, err) != 0)
		return err_wrap(err, "find in WAL what has changed");
	if (evidence_reason(b->evidence) != NULL) { /* it said why */
		evidence_free(b->evidence);
		b->evidence = NULL;
	}
	return 0;
}

int
basis_choose(struct basis *b, const struct basis_params *p, struct err *err)
{
	const struct server *s = p->server;
	const struct parent_params pp = { p->repo, &p->commit->inc,
		&s->control, s->pgdata_fd, s->pgdata, p->begin->timeline,
		p->begin->start_lsn, p->begin->start_time,
		p->refresh_age_ms, p->full, p->leftover };

	memset(b, 0, sizeof(*b));
	if (p->full)
		log_info("all is stored anew, as asked for");
	if (parent_choose(&b->parent, &pp, err) != 0)
		return err_wrap(err, "choose the parent backup");
	if (b->parent == NULL || !b->parent->on_history || !p->with_evidence)
		return 0;
	if (p->leftover != NULL) {
		/* Which of its blocks are the present ones only reading tells. */
		log_info("every page is read, since an interrupted backup "
		    "goes on");
		return 0;
	}
	return find_evidence(b, p, err);
}

void
basis_free(struct basis *b)
{
	evidence_free(b->evidence);
	parent_free(b->parent);
	memset(b, 0, sizeof(*b));
}
