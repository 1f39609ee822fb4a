/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

/* Lines kept in memory, and what a server's backup_manifest is held against. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backup/streammanifest.h"
#include "repo/linestore.h"

static void
add_file(struct linestore *s, const char *path, uint64_t size, uint32_t crc)
{
	static const struct map_run runs[] = { { 131072, 7, 300, 0 },
		{ 1, UINT32_MAX, 0, 0 }, { 5, 0, 1, 127 } };
	struct manifest_entry e = { .type = MANIFEST_FILE, .path = path,
		.size = size, .crc = crc, .mode = 0600, .mtime = -5,
		.runs = runs, .n_runs = 3 };

	linestore_add(s, &e);
}

static void
lines_come_back_sorted_and_whole(void **state)
{
	struct linestore *s = linestore_new();
	struct manifest_entry e;

	(void)state;
	add_file(s, "base/2", 1, 1);
	add_file(s, "base/10", UINT64_MAX, 0xffffffff);
	add_file(s, "PG_VERSION", 0, 0);
	linestore_sort(s);
	linestore_get(s, 0, &e);
	assert_string_equal(e.path, "PG_VERSION");
	assert_true(linestore_find(s, "base/10", &e));
	assert_true(e.size == UINT64_MAX && e.crc == 0xffffffff);
	assert_true(e.mtime == -5 && e.mode == 0600 && e.n_runs == 3);
	assert_true(e.runs[0].blocks == 131072 && e.runs[0].frame == 300);
	assert_true(e.runs[1].pack == UINT32_MAX);
	assert_int_equal(e.runs[2].block, 127);
	assert_false(linestore_find(s, "base/1", &e));
	linestore_free(s);
}

#define HEAD "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n"
#define TAIL "],\n\"WAL-Ranges\": [\n],\n\"Manifest-Checksum\": \"00\"}\n"
#define ROW(path, size, crc)                                      \
	"{ \"Path\": \"" path "\", \"Size\": " size               \
	", \"Last-Modified\": \"2026-11-22 13:31:07 GMT\", "      \
	"\"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"" crc \
	"\" },\n"

/* What the check says of this text; it is given in pieces of n bytes. */
static int
check(const char *text, size_t n)
{
	struct streammanifest *m = streammanifest_new();
	struct linestore *stored = linestore_new(), *sent = linestore_new();
	struct err err = ERR_INIT;
	size_t off, len = strlen(text), piece;
	int rc = 0;

	add_file(stored, "base/1/\"x\\", 10, 0x04030201);
	add_file(stored, "base/1/2", 8192, 0);
	linestore_sort(stored);
	add_file(sent, "backup_label", 3, 1);
	linestore_sort(sent);
	for (off = 0; off < len && rc == 0; off += piece) {
		piece = len - off < n ? len - off : n;
		rc = streammanifest_add(m, text + off, piece, &err);
	}
	if (rc == 0)
		rc = streammanifest_check(m, stored, sent, &err);
	linestore_free(stored);
	linestore_free(sent);
	streammanifest_free(m);
	return rc;
}

static void
what_arrived_is_held_against_the_servers_list(void **state)
{
	static const char good[] = HEAD
	    ROW("base/1/\\\"x\\\\", "10", "01020304")
	    "{ \"Encoded-Path\": \"626173652f312f32\", \"Size\": 8192, "
	    "\"Checksum-Algorithm\": \"CRC32C\", "
	    "\"Checksum\": \"00000000\" },\n"
	    ROW("backup_label", "3", "01000000") TAIL;

	(void)state;
	assert_int_equal(check(good, 1), 0);
	assert_int_equal(check(good, 100000), 0);
	/* Another size, another CRC, a file that never came, half a list. */
	assert_int_equal(check(HEAD ROW("base/1/2", "1", "00000000") TAIL,
	    64), -1);
	assert_int_equal(check(HEAD ROW("base/1/2", "8192", "00000001") TAIL,
	    64), -1);
	assert_int_equal(check(HEAD ROW("base/1/3", "8192", "00000000") TAIL,
	    64), -1);
	assert_int_equal(check(HEAD ROW("base/1/2", "8192", "00000000"), 64),
	    -1);
	assert_int_equal(check(HEAD TAIL, 64), -1);
	assert_int_equal(check(HEAD ROW("base/1/2", "8192", "0000") TAIL, 64),
	    -1);
	assert_int_equal(check("", 1), 0); /* it sent none */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_back_sorted_and_whole),
		cmocka_unit_test(
		    what_arrived_is_held_against_the_servers_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
