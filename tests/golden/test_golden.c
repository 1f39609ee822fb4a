/* SPDX-License-Identifier: PostgreSQL */
/*
 * Objects as version 1 wrote them, frozen: they must be readable for ever.
 * What does not go through zstd must also still be written the same. The
 * files are never made anew; a changed one means a changed format.
 */
#include "config.h"

#include "../unit/fixture_repo.h"

#include <ctype.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/text.h"
#include "pg/archive.h"
#include "repo/commit.h"
#include "repo/dumpread.h"
#include "repo/hash.h"
#include "repo/keyring.h"
#include "repo/pack.h"
#include "repo/walstore.h"

#define FOLDER "clusters/main/15-7312345678901234567/"
#define BACKUP FOLDER "backups/" LABEL_A "/"
#define DUMP FOLDER "dumps/" LABEL_A "/"
#define SEGMENT "000000010000000000000003"
#define WAL_HASH "80f2a30f4e268b1d1d7286988c9c84ad"
#define FILE_SIZE (3 * 8192 + 100)
#define WAL_SIZE 20000

struct golden {
	struct repo *repo;
	struct incarnation inc;
};

/* The bytes of NAME.hex. */
static void
load(const char *name, struct buf *b)
{
	const char *src = getenv("DAPK_SRCDIR");
	char *path = xasprintf("%s/tests/golden/%s.hex",
	    src == NULL ? "." : src, name);
	FILE *f = fopen(path, "r");
	char pair[3] = "";
	uint8_t byte;
	int c;
	size_t n = 0;

	if (f == NULL)
		fail_msg("cannot open %s (is DAPK_SRCDIR set?)", path);
	buf_init(b, 1 << 20);
	while ((c = fgetc(f)) != EOF) {
		if (isspace(c))
			continue;
		pair[n++] = (char)c;
		if (n < 2)
			continue;
		if (!text_unhex(pair, &byte, 1))
			fail_msg("%s: not hexadecimal", path);
		buf_add_byte(b, byte);
		n = 0;
	}
	assert_int_equal(n, 0);
	assert_true(b->len > 100);
	(void)fclose(f);
	free(path);
}

static void
store(struct storage *st, const char *name, const char *key)
{
	struct buf b;

	load(name, &b);
	OK(storage_put(st, key, b.data, b.len, &err));
	buf_free(&b);
}

static int
setup(void **state)
{
	struct golden *g = xcalloc(1, sizeof(*g));
	struct storage *st = storage_mem_new();

	store(st, "repository", "dapk-repository");
	store(st, "pack", BACKUP "pack-01-000000.zst");
	store(st, "manifest", BACKUP "manifest-00.zst");
	store(st, "commit", BACKUP "commit");
	store(st, "dump-pack", DUMP "pack-01-000000.zst");
	store(st, "dump-manifest", DUMP "manifest-00.zst");
	store(st, "dump-commit", DUMP "commit");
	store(st, "wal", FOLDER "wal/00000001/00000000/" SEGMENT "-" WAL_HASH
	    ".zst");
	if (repo_open_storage(&g->repo, st, &err) != 0)
		return -1;
	g->inc = (struct incarnation){ "main", 15,
		UINT64_C(7312345678901234567) };
	*state = g;
	return 0;
}

static int
teardown(void **state)
{
	struct golden *g = *state;

	repo_close(g->repo);
	free(g);
	return 0;
}

/* The content of the stored file: a pattern, its second block zero. */
static void
pattern(uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(i % 251);
}

static void
the_repository_is_known(void **state)
{
	struct golden *g = *state;

	assert_string_equal(g->repo->id_text,
	    "00112233445566778899aabbccddeeff");
	assert_true(g->repo->fingerprint_seed ==
	    UINT64_C(0x0123456789abcdef));
	assert_true(g->repo->created == 848669467123456);
}

static void
the_commit_says_what_it_said(void **state)
{
	struct golden *g = *state;
	char(*labels)[FORMAT_LABEL_MAX];
	struct commit c;
	size_t n;

	OK(catalogue_backups(g->repo, &g->inc, &labels, &n, NULL, &err));
	assert_int_equal(n, 1);
	free(labels);
	OK(commit_get(g->repo, &g->inc, LABEL_A, &c, &err));
	assert_string_equal(c.method, "local");
	assert_string_equal(c.program, "dapk-backup 0.1.0");
	assert_string_equal(c.host, "db1");
	assert_string_equal(c.parent, "");
	assert_int_equal(c.catalog_version, 202209061);
	assert_int_equal(c.start_lsn, 0x3000028);
	assert_int_equal(c.stop_lsn, 0x3000138);
	assert_true(c.start_time == 848669467123456);
	assert_true(c.stop_time == 848669468000000);
	assert_string_equal(c.wal_first, SEGMENT);
	assert_int_equal(c.block_size, 8192);
	assert_int_equal(c.relation_segment_blocks, 131072);
	assert_int_equal(c.wal_segment_size, 16 << 20);
	assert_true(c.data_checksums);
	assert_false(c.from_standby);
	assert_int_equal(c.files, 2);
	assert_int_equal(c.original_bytes, 3 + FILE_SIZE);
	assert_int_equal(c.n_tablespaces, 1);
	assert_int_equal(c.tablespaces[0].oid, 16390);
	assert_string_equal(c.tablespaces[0].path, "/srv/t\xc3\xa4 1");
	assert_int_equal(c.n_damaged, 1);
	assert_int_equal(c.damaged[0].block, 2);
	assert_int_equal(c.damaged[0].expected, 4660);
	assert_int_equal(c.n_parts, 1);
	assert_int_equal(c.n_packs, 1);
	assert_string_equal(c.packs[0].id.label, LABEL_A);
	assert_int_equal(c.packs[0].live, 3 + FILE_SIZE);
	/* From before commits said what was read. */
	assert_string_equal(c.source, "");
	assert_true(c.read_all);
	assert_true(c.full_read == c.start_time);
	assert_int_equal(c.packs[0].plain, 0);
	commit_free(&c);
}

/* The commit in NAME.hex is still written like this. */
static void
check_commit(const struct golden *g, const char *name, const struct commit *c)
{
	struct buf old, again;
	const char *json;
	size_t n;

	load(name, &old);
	OK(text_object_decode(old.data, old.len, "commit", &json, &n, &err));
	buf_init(&again, 1 << 20);
	commit_encode(c, g->repo, &again);
	assert_int_equal(again.len, n);
	assert_memory_equal(again.data, json, n);
	buf_clear(&again);
	text_object_encode("commit", json, n, &again);
	assert_int_equal(again.len, old.len);
	assert_memory_equal(again.data, old.data, old.len);
	buf_free(&again);
	buf_free(&old);
}

static void
the_commit_of_a_dump_says_what_it_said(void **state)
{
	struct golden *g = *state;
	struct commit c;

	OK(commit_get_dump(g->repo, &g->inc, LABEL_A, &c, &err));
	assert_int_equal(c.kind, REPO_DUMP);
	assert_string_equal(c.method, "copy");
	assert_true(c.start_time == 848669467123456);
	assert_int_equal(c.files, 4);
	assert_string_equal(c.dump.database, "sh\xc3\xb6p 1");
	assert_false(c.dump.globals);
	assert_int_equal(c.dump.snapshot_lsn, 0x3000028);
	assert_true(c.dump.snapshot_time == 848669467200000);
	assert_string_equal(c.dump.server_version, "15.20");
	assert_int_equal(c.dump.server_version_num, 150020);
	assert_string_equal(c.dump.pg_dump_version, "15.20");
	assert_string_equal(c.dump.archive_version, "1.14");
	assert_string_equal(c.dump.encoding, "UTF8");
	assert_int_equal(c.dump.n_options, 2);
	assert_string_equal(c.dump.options[0], "-T");
	assert_string_equal(c.dump.options[1], "a b.\"c\"");
	assert_int_equal(c.dump.tables, 2);
	assert_int_equal(c.dump.rows, 150);
	assert_int_equal(c.dump.large_objects, 2);
	assert_int_equal(c.n_packs, 1);
	assert_int_equal(c.packs[0].id.kind, REPO_DUMP);
	check_commit(g, "dump-commit", &c);
	commit_free(&c);
}

static void
the_commit_of_an_incremental_says_what_it_said(void **state)
{
	struct golden *g = *state;
	struct commit c;
	struct buf old;
	const char *json;
	size_t n;

	load("incremental", &old);
	OK(text_object_decode(old.data, old.len, "commit", &json, &n, &err));
	OK(commit_decode(json, n, &c, &err));
	assert_string_equal(c.label, LABEL_B);
	assert_string_equal(c.parent, LABEL_A);
	assert_string_equal(c.source, "ffeeddccbbaa99887766554433221100");
	assert_false(c.read_all);
	assert_true(c.full_read == 848669467123456);
	assert_int_equal(c.n_packs, 2);
	assert_string_equal(c.packs[0].id.label, LABEL_A);
	assert_int_equal(c.packs[0].plain, 3 + FILE_SIZE);
	assert_int_equal(c.packs[0].live, 3 + 8192);
	assert_string_equal(c.packs[1].id.label, LABEL_B);
	check_commit(g, "incremental", &c);
	buf_free(&old);
	commit_free(&c);
}

/* Blocks 1, 2 and 9000 of a file, the last one short. */
static void
the_gathered_frame_holds_what_it_held(void **state)
{
	struct golden *g = *state;
	struct frame_codec *codec = frame_codec_new(1);
	struct object_reader r;
	struct frame_header h;
	uint64_t blocks[3];
	uint8_t plain[2 * 8192 + 100];
	struct buf old, out;
	size_t n;

	pattern(plain, sizeof(plain));
	load("gathered", &old);
	buf_init(&out, 1 << 20);
	OK(object_reader_open_bytes(&r, g->repo, old.data, old.len,
	    "gathered", OBJECT_PACK, g->inc.system_id, &err));
	OK(object_reader_frame(&r, codec, 0, &h, &out, &err));
	assert_int_equal(h.type, FRAME_FILE);
	assert_int_equal(h.path_len, 11);
	assert_memory_equal(h.path, "base/1/1259", 11);
	assert_int_equal(out.len, sizeof(plain));
	assert_memory_equal(out.data, plain, sizeof(plain));
	OK(frame_blocks_decode(&h, blocks, 3, &n, &err));
	assert_int_equal(n, 3);
	assert_int_equal(blocks[0], 1);
	assert_int_equal(blocks[1], 2);
	assert_int_equal(blocks[2], 9000);
	object_reader_close(&r);
	buf_free(&out);
	buf_free(&old);
	frame_codec_free(codec);
}

static void
the_manifest_says_what_it_said(void **state)
{
	struct golden *g = *state;
	struct manifest_reader *r;
	struct manifest_entry e;
	struct commit c;
	uint8_t plain[FILE_SIZE];

	pattern(plain, sizeof(plain));
	memset(plain + 8192, 0, 8192);
	OK(commit_get(g->repo, &g->inc, LABEL_A, &c, &err));
	OK(manifest_reader_open(&r, g->repo, &g->inc, LABEL_A, c.parts,
	    c.n_parts, &err));
	assert_int_equal(manifest_reader_next(r, &e, &err), 1);
	assert_int_equal(e.type, MANIFEST_HEAD);
	assert_int_equal(e.block_size, 8192);
	assert_int_equal(manifest_reader_next(r, &e, &err), 1);
	assert_string_equal(e.path, "PG_VERSION");
	assert_int_equal(e.crc, crc32c("15\n", 3));
	assert_int_equal(manifest_reader_next(r, &e, &err), 1);
	assert_int_equal(e.type, MANIFEST_DIR);
	assert_int_equal(e.mode, 0700);
	assert_int_equal(manifest_reader_next(r, &e, &err), 1);
	assert_string_equal(e.path, "base/1/1259");
	assert_int_equal(e.size, FILE_SIZE);
	assert_int_equal(e.mode, 0600);
	assert_true(e.mtime == 848669467123456);
	assert_int_equal(e.crc, crc32c(plain, sizeof(plain)));
	assert_int_equal(e.n_runs, 1);
	assert_int_equal(e.runs[0].blocks, 4);
	assert_int_equal(e.runs[0].frame, 1);
	assert_string_equal(manifest_reader_pack(r, e.runs[0].pack)->label,
	    LABEL_A);
	assert_int_equal(manifest_reader_next(r, &e, &err), 1);
	assert_int_equal(e.type, MANIFEST_LINK);
	assert_string_equal(e.target, "/srv/t\xc3\xa4 1");
	assert_int_equal(manifest_reader_next(r, &e, &err), 1);
	assert_int_equal(e.type, MANIFEST_BACKUP_LABEL);
	assert_memory_equal(e.data, "START WAL LOCATION: 0/3000028\n", 30);
	assert_int_equal(manifest_reader_next(r, &e, &err), 1);
	assert_int_equal(e.type, MANIFEST_END);
	assert_int_equal(manifest_reader_next(r, &e, &err), 0);
	manifest_reader_close(r);
	commit_free(&c);
}

static void
check_map(const struct buf *b)
{
	struct pack_id *packs;
	struct map_run *runs;
	struct buf again;
	uint32_t n_packs, n_runs;

	OK(map_decode(b->data, b->len, &packs, &n_packs, &runs, &n_runs,
	    &err));
	assert_int_equal(n_packs, 1);
	assert_string_equal(packs[0].label, LABEL_A);
	assert_int_equal(n_runs, 2);
	assert_int_equal(runs[0].blocks, 4);
	assert_int_equal(runs[0].frame, 1);
	assert_int_equal(runs[1].blocks, 300);
	assert_int_equal(runs[1].pack, MAP_PACK_ZEROS);
	buf_init(&again, 1000);
	map_encode(packs, n_packs, runs, n_runs, &again);
	assert_int_equal(again.len, b->len);
	assert_memory_equal(again.data, b->data, b->len);
	buf_free(&again);
	free(packs);
	free(runs);
}

static void
check_sums(const struct buf *b, const uint8_t *plain, uint64_t seed)
{
	struct page_sum sums[4];
	struct buf again;
	size_t i;

	buf_init(&again, 1000);
	buf_add_le32(&again, 0);
	buf_add_le32(&again, 1);
	buf_add_le64(&again, hash_64("15\n", 3, seed));
	buf_add_le32(&again, crc32c("15\n", 3));
	buf_add_le32(&again, 1);
	buf_add_le32(&again, 4);
	assert_int_equal(page_sums(plain, FILE_SIZE, 8192, seed, sums), 4);
	for (i = 0; i < 4; i++) {
		buf_add_le64(&again, sums[i].fingerprint);
		buf_add_le32(&again, sums[i].crc);
	}
	assert_int_equal(again.len, b->len);
	assert_memory_equal(again.data, b->data, b->len);
	buf_free(&again);
}

static void
the_pack_holds_what_it_held(void **state)
{
	struct golden *g = *state;
	struct pack_cache *cache = pack_cache_new(g->repo, &g->inc, 1);
	struct pack_id id = { LABEL_A, 1, 0, REPO_BACKUP };
	struct frame_header h;
	uint8_t plain[FILE_SIZE];
	struct buf out;

	pattern(plain, sizeof(plain));
	memset(plain + 8192, 0, 8192);
	buf_init(&out, 1 << 20);
	OK(pack_cache_frame(cache, &id, 0, &h, &out, &err));
	assert_string_equal(buf_str(&out), "15\n");
	assert_memory_equal(h.path, "PG_VERSION", h.path_len);
	OK(pack_cache_frame(cache, &id, 1, &h, &out, &err));
	assert_int_equal(h.block_size, 8192);
	assert_int_equal(out.len, FILE_SIZE);
	assert_memory_equal(out.data, plain, FILE_SIZE);
	OK(pack_cache_frame(cache, &id, 2, &h, &out, &err));
	assert_int_equal(h.type, FRAME_MAP);
	check_map(&out);
	OK(pack_cache_frame(cache, &id, 3, &h, &out, &err));
	assert_int_equal(h.type, FRAME_SUMS);
	check_sums(&out, plain, g->repo->fingerprint_seed);
	buf_free(&out);
	pack_cache_free(cache);
}

/* The table's rows as COPY sends them. */
static void
check_rows(const struct buf *got)
{
	static const char *const names[] = { "a\\tb", "\\N",
		"\xc3\xa4\\\\" };
	struct buf rows;
	int i;

	buf_init(&rows, 1 << 20);
	for (i = 1; i <= 150; i++)
		buf_printf(&rows, "%d\t%s\n", i, names[i % 3]);
	assert_string_equal(buf_str(got), buf_str(&rows));
	buf_free(&rows);
}

static void
check_archive(const struct buf *got)
{
	struct archive_head head;
	const struct archive_entry *e;

	OK(archive_head_decode(got->data, got->len, &head, &err));
	assert_int_equal(head.bytes, got->len);
	assert_int_equal(head.version, ARCHIVE_VERSION(1, 14));
	assert_string_equal(head.dbname, "sh\xc3\xb6p 1");
	e = archive_head_find(&head, 3342);
	assert_non_null(e);
	assert_true(archive_entry_is_table_data(e));
	assert_string_equal(e->copy_stmt,
	    "COPY public.items (id, name) FROM stdin;\n");
	archive_head_free(&head);
}

static void
check_large_objects(const struct buf *got)
{
	const uint8_t *p = got->data;
	size_t i;

	assert_int_equal(got->len, 12 + 4 + 12 + 1000);
	assert_int_equal(get_le32(p), 16400);
	assert_int_equal(get_le64(p + 4), 4);
	assert_memory_equal(p + 12, "\0\1\2\3", 4);
	p += 16;
	assert_true(get_le32(p) == UINT32_C(3000000000));
	assert_int_equal(get_le64(p + 4), 1000);
	for (i = 0; i < 1000; i++)
		assert_int_equal(p[12 + i], 0xab);
}

static void
the_dump_holds_what_it_held(void **state)
{
	struct golden *g = *state;
	const struct dump_item *items;
	struct dumpset *set;
	struct dumpread *r;
	struct dump_chunk *chunks;
	struct buf b;
	uint8_t hash[DUMP_CHUNK_HASH_SIZE];
	size_t n;

	buf_init(&b, 1 << 20);
	OK(dumpset_open(&set, g->repo, &g->inc, LABEL_A, &err));
	OK(dumpread_new(&r, set, g->repo, &err));
	items = dumpset_items(set, &n);
	assert_int_equal(n, 4);
	OK(dumpread_all(r, &items[0], &b, &err));
	check_archive(&b);
	buf_clear(&b);
	OK(dumpread_all(r, &items[1], &b, &err));
	check_large_objects(&b);
	assert_string_equal(items[2].path, "table/public/e%2Fm%25p \"ty");
	assert_string_equal(items[2].name, "e/m%p \"ty");
	assert_int_equal(items[2].size, 0);
	assert_string_equal(items[3].path, "table/public/items");
	assert_int_equal(items[3].dump_id, 3342);
	assert_int_equal(items[3].n_lists, 2);
	buf_clear(&b);
	OK(dumpread_all(r, &items[3], &b, &err));
	check_rows(&b);
	OK(dumpread_chunks(r, &items[3], &chunks, &n, &err));
	dump_chunk_hash(b.data, chunks[0].bytes, g->repo->fingerprint_seed,
	    hash);
	assert_memory_equal(chunks[0].hash, hash, sizeof(hash));
	free(chunks);
	dumpread_free(r);
	dumpset_free(set);
	buf_free(&b);
}

/* The lists of the table's chunks, read and written again. */
static void
chunk_lists_are_still_written_the_same(void **state)
{
	struct golden *g = *state;
	struct pack_cache *cache = pack_cache_new(g->repo, &g->inc, 1);
	struct pack_id id = { LABEL_A, 1, 0, REPO_DUMP }, *packs;
	struct object_reader *o;
	struct frame_header h;
	struct dump_chunk *chunks;
	struct buf b, again;
	uint32_t i, n_packs, n, lists = 0;

	buf_init(&b, 1 << 20);
	buf_init(&again, 1 << 20);
	OK(pack_cache_open(cache, &id, 0, &o, &err));
	for (i = 0; i < o->n; i++) {
		if (o->entries[i].type != FRAME_CHUNK_LIST)
			continue;
		OK(pack_cache_frame(cache, &id, i, &h, &b, &err));
		OK(chunk_list_decode(b.data, b.len, &packs, &n_packs, &chunks,
		    &n, &err));
		buf_clear(&again);
		chunk_list_encode(packs, n_packs, chunks, n, &again);
		assert_int_equal(again.len, b.len);
		assert_memory_equal(again.data, b.data, b.len);
		free(packs);
		free(chunks);
		lists++;
	}
	assert_int_equal(lists, 2);
	buf_free(&b);
	buf_free(&again);
	pack_cache_free(cache);
}

static int
collect(void *arg, const uint8_t *data, size_t len, struct err *why)
{
	buf_add(arg, data, len);
	return buf_check(arg, "content", why);
}

static void
check_wal_tag(const struct format_wal_tag *tag)
{
	assert_int_equal(tag->length, WAL_SIZE);
	assert_int_equal(tag->segment_size, 1 << 20);
	assert_int_equal(tag->parts, 1);
	assert_int_equal(tag->part_length, 16 << 20);
	assert_int_equal(tag->major, 15);
	assert_int_equal(tag->lsn, 0x300000);
	assert_true(tag->archived == 848669470000001);
}

static void
check_wal_summary(const struct wal_summary *s)
{
	assert_true(s->parsed);
	assert_true(s->ended);
	assert_int_equal(s->first_record, 0x300028);
	assert_int_equal(s->end, 0x304e00);
	assert_int_equal(s->unfinished, 0x304e00);
	assert_int_equal(s->records, 9);
	assert_int_equal(s->commits, 2);
	assert_int_equal(s->first_commit_time, 1);
	assert_int_equal(s->last_commit_time, 2);
	assert_int_equal(s->min_xid, 730);
	assert_int_equal(s->max_xid, 731);
	assert_int_equal(s->max_time, 3);
	assert_int_equal(s->max_time_lsn, 0x301000);
	assert_int_equal(s->n_restore_points, 1);
	assert_int_equal(s->points[0].lsn, 0x302000);
	assert_int_equal(s->points[0].end, 0x302068);
	assert_string_equal(s->points[0].name, "before update");
}

static void
the_segment_is_what_it_was(void **state)
{
	struct golden *g = *state;
	struct frame_codec *codec = frame_codec_new(1);
	struct format_wal_tag tag;
	struct wal_summary summary;
	struct wal_stored ws;
	struct wal_file file;
	uint8_t content[WAL_SIZE];
	struct buf b;

	pattern(content, sizeof(content));
	OK(wal_file_parse(SEGMENT, &file, &err));
	OK(wal_store_pick(g->repo, &g->inc, &file, &ws, &err));
	OK(wal_store_describe(g->repo, &g->inc, &ws, &tag, &summary, &err));
	check_wal_tag(&tag);
	check_wal_summary(&summary);
	buf_init(&b, 1 << 20);
	OK(wal_store_read(g->repo, &g->inc, &ws, codec, collect, &b, &err));
	assert_int_equal(b.len, WAL_SIZE);
	assert_memory_equal(b.data, content, WAL_SIZE);
	buf_free(&b);
	frame_codec_free(codec);
}

/* Everything around the zstd frames, written anew from what was read. */
static void
headers_and_indexes_are_still_written_the_same(void **state)
{
	static const struct {
		const char *name;
		enum object_type type;
	} objects[] = { { "pack", OBJECT_PACK }, { "gathered", OBJECT_PACK },
		{ "manifest", OBJECT_MANIFEST }, { "wal", OBJECT_WAL },
		{ "dump-pack", OBJECT_PACK },
		{ "dump-manifest", OBJECT_MANIFEST } };
	struct golden *g = *state;
	struct object_reader r;
	struct frame_header h;
	struct buf old, again;
	size_t i, used;
	uint32_t k, end;

	for (i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		load(objects[i].name, &old);
		OK(object_reader_open_bytes(&r, g->repo, old.data, old.len,
		    objects[i].name, objects[i].type,
		    g->inc.system_id, &err));
		buf_init(&again, 1 << 20);
		object_header_encode(&r.header, &again);
		assert_int_equal(again.len, r.entries[0].offset);
		assert_memory_equal(again.data, old.data, again.len);
		for (k = 0; k < r.n; k++) {
			const uint8_t *p = old.data + r.entries[k].offset;

			OK(frame_header_decode(p, r.entries[k].length, &h,
			    &used, &err));
			buf_clear(&again);
			frame_header_encode(&h, &again);
			assert_int_equal(again.len, used);
			assert_memory_equal(again.data, p, used);
		}
		buf_clear(&again);
		end = r.entries[r.n - 1].offset + r.entries[r.n - 1].length;
		index_encode(r.entries, r.n, end, &again);
		assert_int_equal(again.len, old.len - end);
		assert_memory_equal(again.data, old.data + end, again.len);
		object_reader_close(&r);
		buf_free(&again);
		buf_free(&old);
	}
}

/*
 * An encrypted repository with one file of WAL, and the key file that opens
 * it: made by chance, so it can only be read, and must be for ever.
 */
#define RING "c21c996c80f7433e"
#define HISTORY "1\t0/3000138\tno recovery target specified\n"

static int
gather(void *arg, const uint8_t *data, size_t len, struct err *why)
{
	(void)why;
	buf_add(arg, data, len);
	return 0;
}

static void
what_was_encrypted_opens_with_its_key(void **state)
{
	static const struct incarnation inc = { "main", 15,
		UINT64_C(7711652944642461319) };
	struct keyring_unlock unlock = { .passphrase = NULL };
	struct storage *st = storage_mem_new();
	struct frame_codec *codec = frame_codec_new(1);
	struct wal_stored *found;
	struct wal_file file;
	struct repo *repo;
	struct buf key, out;
	char path[] = "/tmp/test-golden-XXXXXX";
	size_t n;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0); /* mode 0600, as a key file must have */
	load("encrypted-key", &key);
	assert_int_equal(write(fd, key.data, key.len), key.len);
	(void)close(fd);
	store(st, "encrypted-repository", "dapk-repository");
	store(st, "encrypted-pair", "keys/" RING "/pair-00000001");
	store(st, "encrypted-recipient",
	    "keys/" RING "/recipient-ca572e4ff95a3ff7");
	store(st, "encrypted-wrap",
	    "keys/" RING "/wrap-00000001-ca572e4ff95a3ff7");
	store(st, "encrypted-secrets",
	    "keys/" RING "/secrets-00000001-955dfcc7cf64ccf6");
	store(st, "encrypted-history",
	    "clusters/main/15-7711652944642461319/wal/00000002/"
	    "00000002.history-018f04c7635b216f134411f80c6db81e.zst");
	OK(repo_open_storage(&repo, st, &err));
	assert_string_equal(keyring_name(repo->ring), RING);
	unlock.key_file = path;
	keyring_give(repo->ring, &unlock);
	OK(wal_file_parse("00000002.history", &file, &err));
	OK(wal_store_find(repo, &inc, &file, &found, &n, &err));
	assert_int_equal(n, 1);
	buf_init(&out, 1 << 20);
	OK(wal_store_read(repo, &inc, &found[0], codec, gather, &out, &err));
	assert_int_equal(out.len, sizeof(HISTORY) - 1);
	assert_memory_equal(out.data, HISTORY, sizeof(HISTORY) - 1);
	(void)unlink(path);
	free(found);
	buf_free(&out);
	buf_free(&key);
	frame_codec_free(codec);
	repo_close(repo);
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_repository_is_known),
		TEST(the_commit_says_what_it_said),
		TEST(the_commit_of_an_incremental_says_what_it_said),
		TEST(the_gathered_frame_holds_what_it_held),
		TEST(the_manifest_says_what_it_said),
		TEST(the_pack_holds_what_it_held),
		TEST(the_commit_of_a_dump_says_what_it_said),
		TEST(the_dump_holds_what_it_held),
		TEST(chunk_lists_are_still_written_the_same),
		TEST(the_segment_is_what_it_was),
		TEST(headers_and_indexes_are_still_written_the_same),
		TEST(what_was_encrypted_opens_with_its_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
