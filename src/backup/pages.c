/* SPDX-License-Identifier: PostgreSQL */
/* Pages are read again with pread(2): nothing between us and the kernel that
 * could give the old bytes once more (TRAPS T39). */
#include "config.h"

#include "backup/pages.h"

#include <string.h>

#include "core/cancel.h"
#include "core/io.h"
#include "core/log.h"
#include "core/time.h"
#include "pg/page.h"

#define BAD_MAX 1024 /* blocks of 1 kB in a MiB */
#define SHORT_WAIT_MS 20

/* A page that does not hold, by its number in the piece at hand. */
struct suspect {
	uint32_t index;
	enum page_state state;
	bool changed; /* in the last round */
};

static enum page_state
verify_one(const struct pages_file *f, const uint8_t *page, uint64_t off)
{
	return page_verify(page, f->block_size,
	    f->first_block + (uint32_t)(off / f->block_size),
	    f->with_checksum);
}

static void
report_one(struct pages_file *f, const uint8_t *page, uint64_t off,
    enum page_state state, pages_report report, void *arg)
{
	struct pages_bad bad;

	bad.block = f->first_block + (uint32_t)(off / f->block_size);
	bad.expected = 0;
	bad.found = page_stored_checksum(page);
	bad.reason = "header";
	if (state == PAGE_BAD_CHECKSUM) {
		bad.expected = page_checksum(page, f->block_size, bad.block);
		bad.reason = "checksum";
	} else if (f->with_checksum)
		bad.expected = page_checksum(page, f->block_size, bad.block);
	f->damaged++;
	report(arg, &bad);
}

/*
 * Read the suspects once more; those that hold now leave the list. *len
 * becomes less when the file ends before one of them.
 */
static int
again(struct pages_file *f, uint8_t *data, size_t *len, uint64_t off,
    struct suspect *list, size_t *n, struct err *err)
{
	uint8_t page[PAGE_SIZE_MAX];
	size_t i, kept = 0, at, got;

	for (i = 0; i < *n; i++) {
		at = (size_t)list[i].index * f->block_size;
		if (io_pread_upto(f->fd, page, f->block_size, off + at, &got,
		    f->name, err) != 0)
			return -1;
		if (got < f->block_size) {
			*len = at; /* truncated meanwhile */
			break;
		}
		list[i].changed = memcmp(page, data + at, got) != 0;
		if (list[i].changed) {
			memcpy(data + at, page, got);
			list[i].state = verify_one(f, page, off + at);
		}
		if (list[i].state != PAGE_OK && list[i].state != PAGE_ZERO)
			list[kept++] = list[i];
	}
	*n = kept;
	return 0;
}

static int
resolve(struct pages_file *f, uint8_t *data, size_t *len, uint64_t off,
    struct suspect *list, size_t n, pages_report report, void *arg,
    struct err *err)
{
	bool many = f->damaged >= PAGES_MANY_DAMAGED;
	unsigned round, rounds = many ? 2 : PAGES_ROUNDS;
	size_t i, at;

	for (round = 0; round < rounds && n > 0; round++) {
		if (cancel_check(err) != 0)
			return -1;
		/* The first time at once: the write is mostly over by now. */
		if (round > 0)
			time_sleep_ms(many ? 10 : PAGES_WAIT_MS);
		if (again(f, data, len, off, list, &n, err) != 0)
			return -1;
	}
	for (i = 0; i < n; i++) {
		at = (size_t)list[i].index * f->block_size;
		if (at + f->block_size > *len)
			break;
		if (list[i].changed)
			log_debug("%s: the block at %llu changes while it is "
			    "read; recovery restores it from WAL", f->name,
			    (unsigned long long)(off + at));
		else
			report_one(f, data + at, off + at, list[i].state,
			    report, arg);
	}
	return 0;
}

/* A piece of a page at the end: the server is extending the file. */
static int
complete_tail(struct pages_file *f, uint8_t *data, size_t *len, uint64_t off,
    struct err *err)
{
	size_t whole = *len - *len % f->block_size, got = 0;
	unsigned round;

	for (round = 0; round < PAGES_ROUNDS; round++) {
		if (cancel_check(err) != 0)
			return -1;
		time_sleep_ms(SHORT_WAIT_MS);
		if (io_pread_upto(f->fd, data + whole, f->block_size,
		    off + whole, &got, f->name, err) != 0)
			return -1;
		if (got == f->block_size)
			break;
	}
	*len = whole + got;
	return 0;
}

int
pages_verify(struct pages_file *f, uint8_t *data, size_t *len, uint64_t off,
    pages_report report, void *arg, struct err *err)
{
	struct suspect list[BAD_MAX];
	enum page_state state;
	size_t n = 0, at;
	uint32_t i;

	if (*len % f->block_size != 0 &&
	    complete_tail(f, data, len, off, err) != 0)
		return -1;
	for (i = 0; (size_t)(i + 1) * f->block_size <= *len; i++) {
		at = (size_t)i * f->block_size;
		state = verify_one(f, data + at, off + at);
		if (state != PAGE_OK && state != PAGE_ZERO && n < BAD_MAX)
			list[n++] = (struct suspect){ i, state, false };
	}
	if (n == 0)
		return 0;
	return resolve(f, data, len, off, list, n, report, arg, err);
}
