/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/evidence.h"

#include <stdlib.h>

#include "core/mem.h"

struct evidence {
	const char *reason;
};

int
evidence_collect(struct evidence **out, const struct evidence_params *p,
    struct err *err)
{
	struct evidence *ev = xcalloc(1, sizeof(*ev));

	(void)p;
	(void)err;
	ev->reason = "WAL is not looked at yet";
	*out = ev;
	return 0;
}

void
evidence_free(struct evidence *ev)
{
	free(ev);
}

const char *
evidence_reason(const struct evidence *ev)
{
	return ev->reason;
}

enum evidence_answer
evidence_file(const struct evidence *ev, const char *path,
    uint64_t parent_blocks, uint64_t now_blocks, uint8_t *bits)
{
	(void)ev;
	(void)path;
	(void)parent_blocks;
	(void)now_blocks;
	(void)bits;
	return EVIDENCE_READ_ALL;
}
