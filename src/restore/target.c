/* SPDX-License-Identifier: PostgreSQL */
/*
 * The recovery target as typed. What PostgreSQL would take silently (an xid
 * with an epoch, an action without a target) is refused here, since there it
 * would change what comes out.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "core/text.h"
#include "core/time.h"
#include "restore/plan.h"

#define XID_FIRST_NORMAL 3

static int
parse_timeline(struct restore_plan *plan, struct err *err)
{
	const char *s = plan->config->timeline;
	uint64_t n;
	bool ok;

	if (s == NULL)
		s = "latest";
	/* The moment of consistency lies on the backup's own timeline (T88). */
	if (plan->target == TARGET_IMMEDIATE && strcmp(s, "latest") == 0)
		s = "current";
	if (strcmp(s, "latest") == 0 || strcmp(s, "current") == 0) {
		(void)snprintf(plan->timeline, sizeof(plan->timeline), "%s", s);
		return 0;
	}
	if (strncmp(s, "0x", 2) == 0 || strncmp(s, "0X", 2) == 0)
		ok = strlen(s + 2) <= 8 && text_hex_u64(s + 2, strlen(s + 2), &n);
	else
		ok = text_u64(s, UINT32_MAX, &n);
	if (!ok || n == 0) {
		err_set(err, ERR_USAGE, "--timeline %s is no timeline", s);
		return err_hint(err, "give latest, current, or a number; one "
				     "read off a WAL file's name is "
				     "hexadecimal: 0x%s", s);
	}
	(void)snprintf(plan->timeline, sizeof(plan->timeline), "%u",
	    (unsigned)n);
	return 0;
}

static int
parse_time(struct restore_plan *plan, const char *value, struct err *err)
{
	char local[TIME_TEXT_MAX];

	plan->want.type = WAL_TARGET_TIME;
	if (time_parse(value, &plan->want.time, &plan->zone_assumed, err) != 0)
		return err_wrap(err, "--target-time");
	if (plan->zone_assumed)
		plan_note(plan, "the target time names no zone: taken as %s",
		    time_format_local(plan->want.time, local));
	return 0;
}

static int
parse_xid(struct restore_plan *plan, const char *value, struct err *err)
{
	uint64_t n;

	plan->want.type = WAL_TARGET_XID;
	if (!text_u64(value, UINT64_MAX, &n))
		return err_set(err, ERR_USAGE,
		    "--target-xid %s is no transaction id", value);
	if (n > UINT32_MAX) {
		err_set(err, ERR_USAGE,
		    "--target-xid %s has an epoch; recovery compares the "
		    "lower 32 bits only", value);
		return err_hint(err, "use --target-xid %u",
		    (unsigned)(uint32_t)n);
	}
	if (n < XID_FIRST_NORMAL)
		return err_set(err, ERR_USAGE,
		    "--target-xid %s: the first transaction id is %d", value,
		    XID_FIRST_NORMAL);
	plan->want.xid = (uint32_t)n;
	return 0;
}

static int
parse_name(struct restore_plan *plan, const char *value, struct err *err)
{
	plan->want.type = WAL_TARGET_NAME;
	if (value[0] == '\0' || strlen(value) >= WAL_RESTORE_POINT_NAME_MAX)
		return err_set(err, ERR_USAGE,
		    "--target-name: a restore point has 1 to %d characters",
		    WAL_RESTORE_POINT_NAME_MAX - 1);
	plan->want.name = value;
	return 0;
}

static int
check_combination(const struct restore_plan *plan, struct err *err)
{
	const struct config *c = plan->config;

	if (c->standby && plan->target != TARGET_LATEST)
		return err_set(err, ERR_USAGE,
		    "--standby follows its primary and takes no target");
	if (c->standby && c->action != ACTION_PROMOTE)
		return err_set(err, ERR_USAGE,
		    "--standby stays in recovery and takes no --action");
	if (c->exclusive && plan->target != TARGET_TIME &&
	    plan->target != TARGET_XID && plan->target != TARGET_LSN)
		return err_set(err, ERR_USAGE,
		    "--exclusive needs a time, xid or lsn as target");
	if (c->action != ACTION_PROMOTE && plan->target == TARGET_LATEST) {
		err_set(err, ERR_USAGE,
		    "--action needs a target: PostgreSQL always promotes at "
		    "the end of the archive");
		return err_hint(err, "add --target-time, -lsn, -xid or -name");
	}
	return 0;
}

int
plan_target_parse(struct restore_plan *plan, struct err *err)
{
	const struct config *c = plan->config;
	const char *value = c->target_value == NULL ? "" : c->target_value;
	int rc = 0;

	plan->target = c->target == TARGET_DEFAULT ? TARGET_LATEST : c->target;
	plan->want.inclusive = !c->exclusive;
	switch (plan->target) {
	case TARGET_TIME:
		rc = parse_time(plan, value, err);
		break;
	case TARGET_XID:
		rc = parse_xid(plan, value, err);
		break;
	case TARGET_LSN:
		plan->want.type = WAL_TARGET_LSN;
		if (!lsn_parse(value, &plan->want.lsn))
			rc = err_set(err, ERR_USAGE,
			    "--target-lsn %s is no LSN (as 0/3000028)", value);
		break;
	case TARGET_NAME:
		rc = parse_name(plan, value, err);
		break;
	case TARGET_DEFAULT:
	case TARGET_IMMEDIATE:
	case TARGET_LATEST:
		break;
	}
	if (rc != 0 || parse_timeline(plan, err) != 0)
		return -1;
	return check_combination(plan, err);
}

void
plan_target_text(const struct restore_plan *plan, struct buf *out)
{
	char text[TIME_TEXT_MAX], local[TIME_TEXT_MAX], lsn[LSN_TEXT_MAX];

	switch (plan->target) {
	case TARGET_TIME:
		buf_printf(out, "time %s (%s)",
		    time_format(plan->want.time, text),
		    time_format_local(plan->want.time, local));
		break;
	case TARGET_XID:
		buf_printf(out, "transaction %u", (unsigned)plan->want.xid);
		break;
	case TARGET_LSN:
		buf_printf(out, "LSN %s", lsn_format(plan->want.lsn, lsn));
		break;
	case TARGET_NAME:
		buf_printf(out, "restore point \"%s\"", plan->want.name);
		break;
	case TARGET_IMMEDIATE:
		buf_add_str(out, "the end of the backup");
		break;
	case TARGET_DEFAULT:
	case TARGET_LATEST:
		buf_add_str(out, "the end of the archive");
		break;
	}
}

bool
plan_has_target(const struct restore_plan *plan)
{
	return plan->target != TARGET_LATEST && plan->target != TARGET_DEFAULT;
}
