/* SPDX-License-Identifier: PostgreSQL */
/*
 * libFuzzer's entry to the reader of pg_dump's table of contents:
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -I. -Isrc \
 *	    tests/fuzz/fuzz_archive.c src/pg/archive_read.c \
 *	    src/pg/archive_write.c src/core/{buf,err,mem,text}.c \
 *	    -o fuzz_archive && ./fuzz_archive -max_total_time=60 CORPUS
 *
 * CORPUS holds archives of pg_dump -Fc --schema-only. What is read is written
 * again and read again, in pieces of another size: both must say the same.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "pg/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Pieces of a size that the input chooses. */
static int
feed(struct archive_reader *r, const uint8_t *data, size_t len, size_t piece)
{
	struct err err = ERR_INIT;
	bool complete = false;
	size_t at, n;

	for (at = 0; at < len && !complete; at += n) {
		n = len - at < piece ? len - at : piece;
		if (archive_reader_feed(r, data + at, n, &complete, &err) != 0)
			return -1;
	}
	return complete ? 1 : archive_reader_early_end(r, &err);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct archive_head whole, again;
	struct archive_reader *r;
	struct err err = ERR_INIT;
	struct buf out;
	int decoded = archive_head_decode(data, len, &whole, &err), rc;

	archive_reader_new(&r);
	rc = feed(r, data, len, len == 0 ? 1 : 1 + data[len - 1] % 32);
	if ((rc == 1) != (decoded == 0))
		abort();
	archive_reader_free(r);
	if (decoded != 0)
		return 0;
	buf_init(&out, ARCHIVE_HEAD_MAX);
	if (archive_head_encode(&whole, ARCHIVE_CUSTOM, ARCHIVE_GZIP, &out,
	    &err) != 0 ||
	    archive_head_decode(out.data, out.len, &again, &err) != 0) {
		/* A directory's entries have no state for custom format. */
		if (whole.format == ARCHIVE_CUSTOM)
			abort();
	} else {
		if (again.n != whole.n || again.bytes != out.len)
			abort();
		archive_head_free(&again);
	}
	buf_free(&out);
	archive_head_free(&whole);
	return 0;
}
