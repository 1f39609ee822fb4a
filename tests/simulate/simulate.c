/* SPDX-License-Identifier: PostgreSQL */
/*
 *	simulate [MIB [NIGHTS]]
 *
 * Without arguments (make check): a small database under the policy that the
 * program has, held to what is promised. With them: a table of policies and
 * loads. Each night 1 % of the pages change; backups are kept for 30 days.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "simulate.h"

#define SMALL_MIB 2048
#define NEVER_MIB 512
#define NIGHTS 400

static const struct sim_load loads[] = {
	/* A third of the pages is in use; the rest, old data, changes little. */
	{ "skewed", 60, 30, 3 }, /* 10 % anywhere */
	{ "zipf", 10, 80, 1 },
	{ "uniform", 0, 0, 1 },
};

static const struct sim_policy standard = { 500, 120, 250, 7, false, 4 };

/* Sizes are parts of the first, full backup; nights' are means. */
struct result {
	double full; /* bytes */
	double max, mean;     /* the repository */
	double current;	      /* packs that the last backup refers to */
	double over;	      /* largest: less the changes of the window */
	double over_plain;    /* and less what was stored because of age */
	double why[SIM_WHYS], maps, night, p95, most;
	double age, runs_mib, max_runs, amplification;
};

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* What changed pages made each backup of the window store, maps included. */
static void
window_sums(const struct sim *s, unsigned night, double *changes,
    double *aged)
{
	unsigned k;

	*changes = 0;
	*aged = 0;
	for (k = night; k > 0 && k + s->window >= night; k--) {
		*changes += (double)(s->nights[k].pages[SIM_CHANGED] +
		    s->nights[k].maps);
		*aged += (double)s->nights[k].pages[SIM_AGED];
	}
}

static void
at_least(double *max, double v)
{
	if (*max < v)
		*max = v;
}

/* Returns what the night stored. */
static double
take_night(const struct sim *s, unsigned i, struct result *r)
{
	const struct sim_night *n = &s->nights[i];
	double total = (double)n->maps, changes, aged;
	unsigned w;

	window_sums(s, i, &changes, &aged);
	at_least(&r->max, (double)n->repository / r->full);
	at_least(&r->over, ((double)n->repository - changes) / r->full);
	at_least(&r->over_plain,
	    ((double)n->repository - changes - aged) / r->full);
	at_least(&r->age, (double)n->max_age);
	at_least(&r->max_runs, (double)n->max_runs);
	at_least(&r->amplification, n->amplification);
	r->mean += (double)n->repository / r->full;
	r->maps += (double)n->maps / r->full;
	for (w = 0; w < SIM_WHYS; w++) {
		r->why[w] += (double)n->pages[w] / r->full;
		total += (double)n->pages[w];
	}
	r->night += total / r->full;
	return total / r->full;
}

static void
simulate(const struct sim_policy *policy, const struct sim_load *load,
    unsigned mib, unsigned nights, struct result *r)
{
	double *totals = xcalloc(nights, sizeof(*totals));
	unsigned i, n = nights - 1;
	struct sim s;

	*r = (struct result){ 0 };
	sim_init(&s, policy, load, mib, nights);
	for (i = 0; i < nights; i++)
		sim_run_night(&s);
	r->full = (double)s.nights[0].repository;
	for (i = 1; i < nights; i++)
		totals[i - 1] = take_night(&s, i, r);
	qsort(totals, n, sizeof(*totals), compare);
	r->p95 = totals[n * 95 / 100];
	r->most = totals[n - 1];
	r->mean /= n;
	r->night /= n;
	r->maps /= n;
	for (i = 0; i < SIM_WHYS; i++)
		r->why[i] /= n;
	r->current = (double)s.nights[n].current / r->full;
	r->runs_mib = (double)s.nights[n].runs / mib;
	sim_free(&s);
	free(totals);
}

static void
print_head(void)
{
	(void)printf("%-8s %4s %4s %5s %4s %5s %4s | %5s %5s %5s %5s %5s | "
	    "%5s %5s %5s | %5s %5s %5s %5s | %4s %6s %6s %5s\n", "load",
	    "half", "age", "young", "week", "packs", "MiB", "max", "mean",
	    "last", "-chg", "-aged", "night", "p95", "most", "chg", "worn",
	    "aged", "maps", "days", "run/MB", "run/f", "read");
}

static void
print_row(const struct sim_policy *p, const struct sim_load *load,
    const struct result *r)
{
	(void)printf("%-8s %4.1f %4u %5.3f %4u %5s %4u | %5.2f %5.2f %5.2f "
	    "%5.2f %5.2f | %5.2f %5.2f %5.2f | %5.2f %5.2f %5.2f %5.2f | "
	    "%4.0f %6.1f %6.0f %5.2f\n", load->name, p->below / 1000.0,
	    p->age_days, p->young / 1000.0, p->settle_days, p->together ?
	    "one" : "apart", p->mib, r->max, r->mean, r->current, r->over,
	    r->over_plain, 100 * r->night, 100 * r->p95, 100 * r->most,
	    100 * r->why[SIM_CHANGED], 100 * r->why[SIM_CONDEMNED],
	    100 * r->why[SIM_AGED], 100 * r->maps, r->age, r->runs_mib,
	    r->max_runs, r->amplification);
	(void)fflush(stdout);
}

static void
table(unsigned mib, unsigned nights)
{
	static const struct sim_policy policies[] = {
		{ 500, 120, 250, 7, false, 4 }, /* as `standard` */
		{ 300, 120, 250, 7, false, 4 },
		{ 700, 120, 250, 7, false, 4 },
		{ 500, 60, 250, 7, false, 4 },
		{ 500, 0, 250, 7, false, 4 },
		{ 300, 0, 250, 7, false, 4 },
		{ 700, 0, 250, 7, false, 4 },
		{ 500, 120, 125, 7, false, 4 },
		{ 500, 120, 500, 7, false, 4 },
		{ 500, 120, 250, 0, false, 4 },
		{ 500, 120, 250, 7, true, 4 },
		{ 500, 120, 250, 7, false, 8 },
		{ 500, 120, 250, 0, true, 8 },
	};
	struct result r;
	size_t i, k;

	(void)printf("%u MiB, %u nights; sizes are parts of the first full "
	    "backup, nights percent of it\n", mib, nights);
	print_head();
	for (k = 0; k < sizeof(loads) / sizeof(loads[0]); k++) {
		for (i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
			simulate(&policies[i], &loads[k], mib, nights, &r);
			print_row(&policies[i], &loads[k], &r);
		}
	}
}

static int
promise(bool holds, const char *what)
{
	if (!holds)
		(void)printf("NOT HELD: %s\n", what);
	return holds ? 0 : 1;
}

static int
check(void)
{
	struct sim_policy never = standard;
	struct result r, without;
	int bad = 0;

	never.age_days = 0;
	print_head();
	simulate(&standard, &loads[0], SMALL_MIB, NIGHTS, &r);
	print_row(&standard, &loads[0], &r);
	bad |= promise(r.over_plain < 1.6, "repository below 1.6 times one "
	    "full backup plus the changes of the window, what was stored "
	    "because of age apart");
	bad |= promise(r.age <= RENEW_AGE_DEFAULT_DAYS + 1, "nothing older "
	    "than refresh-age");
	bad |= promise(r.most < 0.1, "no night of more than a tenth of a "
	    "full backup");
	bad |= promise(r.amplification < 1.5, "a restore reads less than "
	    "1.5 times what it needs");
	simulate(&never, &loads[0], NEVER_MIB, NIGHTS, &without);
	print_row(&never, &loads[0], &without);
	/* That these are measured at all. */
	bad |= promise(without.why[SIM_AGED] == 0 && r.why[SIM_AGED] > 0 &&
	    without.age > 2 * RENEW_AGE_DEFAULT_DAYS, "without refresh-age "
	    "bytes grow old");
	return bad;
}

int
main(int argc, char **argv)
{
	if (argc < 2)
		return check();
	table((unsigned)strtoul(argv[1], NULL, 10), argc > 2 ?
	    (unsigned)strtoul(argv[2], NULL, 10) : NIGHTS);
	return 0;
}
