/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include "repo/manifest.h"
#include "repo/object.h"
#include "core/sha256.h"

#define MANIFEST_KEY                                                          \
	"clusters/main/15-7312345678901234567/backups/" LABEL_A               \
	"/manifest-00.zst"

static const struct pack_id pack_a = { LABEL_A, 1, 0, REPO_BACKUP };
static const struct pack_id pack_b = { LABEL_B, 2, 1234567, REPO_BACKUP };

static struct manifest_writer *
writer(struct fixture *f)
{
	struct manifest_writer *w;

	OK(manifest_writer_new(&w, f->repo, &f->inc, LABEL_A, 8192, &err));
	return w;
}

static struct manifest_reader *
reader(struct fixture *f, const struct manifest_part *parts, size_t n)
{
	struct manifest_reader *r;

	OK(manifest_reader_open(&r, f->repo, &f->inc, LABEL_A, parts, n,
	    &err));
	return r;
}

/* The next entry, which must be of this type. */
static void
next(struct manifest_reader *r, struct manifest_entry *e,
    enum manifest_type type)
{
	int rc;

	err_clear(&err);
	rc = manifest_reader_next(r, e, &err);
	if (rc != 1)
		fail_msg("%d: %s", rc, err.msg);
	assert_int_equal(e->type, type);
}

static const char odd_path[] = "base/1/a b%\"\\\n\xff\xc3\xa4";

static void
every_kind_of_line_comes_back(void **state)
{
	struct fixture *f = *state;
	struct manifest_writer *w = writer(f);
	struct manifest_reader *r;
	struct manifest_entry e;
	struct map_run runs[3] = { { 128, 0, 3, 0 }, { 5, MAP_PACK_ZEROS, 0,
	    0 }, { 1, 0, 4, 127 } };
	struct map_run map[2] = { { 0, 0, 5, 0 }, { 0, 0, 6, 0 } };
	const struct manifest_part *parts;
	size_t n;
	uint64_t stored, size;

	runs[2].pack = manifest_writer_pack(w, &pack_a);
	runs[0].pack = manifest_writer_pack(w, &pack_b);
	assert_int_equal(manifest_writer_pack(w, &pack_a), runs[2].pack);
	OK(manifest_writer_add(w, &(struct manifest_entry){
	    .type = MANIFEST_TABLESPACE, .oid = 16390,
	    .target = "/srv/t s" }, &err));
	OK(manifest_writer_add(w, &(struct manifest_entry){
	    .type = MANIFEST_DIR, .path = "base", .mode = 0700 }, &err));
	OK(manifest_writer_add(w, &(struct manifest_entry){
	    .type = MANIFEST_FILE, .path = odd_path, .size = 1097728,
	    .mode = 0600, .mtime = -5, .crc = 0xdeadbeef, .runs = runs,
	    .n_runs = 3 }, &err));
	OK(manifest_writer_add(w, &(struct manifest_entry){
	    .type = MANIFEST_FILE, .path = "base/1/empty", .mode = 0640 },
	    &err));
	OK(manifest_writer_add(w, &(struct manifest_entry){
	    .type = MANIFEST_FILE, .path = "base/1/long",
	    .size = UINT64_C(1) << 30, .mode = 0600, .map = map, .n_map = 2 },
	    &err));
	OK(manifest_writer_add(w, &(struct manifest_entry){
	    .type = MANIFEST_LINK, .path = "pg_tblspc/16390",
	    .target = "/srv/t s" }, &err));
	OK(manifest_writer_add(w, &(struct manifest_entry){
	    .type = MANIFEST_CONFIG,
	    .path = "dapk-backup-config/postgresql.conf",
	    .target = "/etc/postgresql.conf", .setting = "config_file",
	    .size = 10, .mode = 0644, .runs = &runs[2], .n_runs = 1 }, &err));
	OK(manifest_writer_add(w, &(struct manifest_entry){
	    .type = MANIFEST_CONTROL, .path = "global/pg_control",
	    .size = 8192, .mode = 0600, .runs = &runs[2], .n_runs = 1 },
	    &err));
	OK(manifest_writer_add(w, &(struct manifest_entry){
	    .type = MANIFEST_BACKUP_LABEL, .data = "START\n\0x",
	    .data_len = 8 }, &err));
	OK(manifest_writer_add(w, &(struct manifest_entry){
	    .type = MANIFEST_TABLESPACE_MAP, .data = "", .data_len = 0 },
	    &err));
	OK(manifest_writer_add(w, &(struct manifest_entry){
	    .type = MANIFEST_SETTING, .path = "max_connections",
	    .data = "100", .data_len = 3 }, &err));
	OK(manifest_writer_finish(w, &parts, &n, &err));
	assert_int_equal(n, 1);
	stored = manifest_writer_stored(w);
	OK(storage_stat(f->st, MANIFEST_KEY, &size, NULL, &err));
	assert_int_equal(stored, size);

	r = reader(f, parts, n);
	next(r, &e, MANIFEST_HEAD);
	assert_int_equal(e.block_size, 8192);
	next(r, &e, MANIFEST_TABLESPACE);
	assert_int_equal(e.oid, 16390);
	assert_string_equal(e.target, "/srv/t s");
	next(r, &e, MANIFEST_DIR);
	assert_string_equal(e.path, "base");
	assert_int_equal(e.mode, 0700);
	next(r, &e, MANIFEST_FILE);
	assert_string_equal(e.path, odd_path);
	assert_int_equal(e.size, 1097728);
	assert_int_equal(e.mode, 0600);
	assert_int_equal(e.mtime, -5);
	assert_int_equal(e.crc, 0xdeadbeef);
	assert_int_equal(e.n_runs, 3);
	assert_int_equal(e.n_map, 0);
	assert_memory_equal(manifest_reader_pack(r, e.runs[0].pack), &pack_b,
	    sizeof(pack_b));
	assert_int_equal(e.runs[0].blocks, 128);
	assert_int_equal(e.runs[0].frame, 3);
	assert_int_equal(e.runs[1].pack, MAP_PACK_ZEROS);
	assert_int_equal(e.runs[1].blocks, 5);
	assert_int_equal(e.runs[2].block, 127);
	assert_null(manifest_reader_pack(r, 2));
	next(r, &e, MANIFEST_FILE);
	assert_int_equal(e.size, 0);
	assert_int_equal(e.n_runs, 0);
	assert_int_equal(e.mode, 0640);
	next(r, &e, MANIFEST_FILE);
	assert_int_equal(e.n_runs, 0);
	assert_int_equal(e.n_map, 2);
	assert_int_equal(e.map[1].frame, 6);
	next(r, &e, MANIFEST_LINK);
	assert_string_equal(e.path, "pg_tblspc/16390");
	assert_string_equal(e.target, "/srv/t s");
	next(r, &e, MANIFEST_CONFIG);
	assert_string_equal(e.target, "/etc/postgresql.conf");
	assert_string_equal(e.setting, "config_file");
	next(r, &e, MANIFEST_CONTROL);
	next(r, &e, MANIFEST_BACKUP_LABEL);
	assert_int_equal(e.data_len, 8);
	assert_memory_equal(e.data, "START\n\0x", 8);
	next(r, &e, MANIFEST_TABLESPACE_MAP);
	assert_int_equal(e.data_len, 0);
	next(r, &e, MANIFEST_SETTING);
	assert_string_equal(e.path, "max_connections");
	assert_string_equal(e.data, "100");
	next(r, &e, MANIFEST_END);
	assert_int_equal(e.files, 5);
	assert_int_equal(manifest_reader_next(r, &e, &err), 0);
	assert_int_equal(manifest_reader_next(r, &e, &err), 0);
	manifest_reader_close(r);
	manifest_writer_free(w);
}

static struct manifest_entry
file(const char *path)
{
	struct manifest_entry e;

	memset(&e, 0, sizeof(e));
	e.type = MANIFEST_FILE;
	e.path = path;
	return e;
}

static void
the_writer_refuses_a_wrong_order(void **state)
{
	struct fixture *f = *state;
	struct manifest_writer *w = writer(f);
	struct manifest_entry b = file("b"), a = file("a");
	struct manifest_entry dir = { .type = MANIFEST_DIR, .path = "b" };
	struct manifest_entry space = { .type = MANIFEST_TABLESPACE,
		.target = "/x" };
	struct manifest_entry unnamed = file("c");
	struct map_run run = { 1, 0, 0, 0 };

	OK(manifest_writer_add(w, &b, &err));
	FAILS(manifest_writer_add(w, &a, &err), ERR_BUG);
	FAILS(manifest_writer_add(w, &dir, &err), ERR_BUG);
	FAILS(manifest_writer_add(w, &space, &err), ERR_BUG);
	unnamed.size = 1;
	FAILS(manifest_writer_add(w, &unnamed, &err), ERR_BUG);
	unnamed.runs = &run;
	unnamed.n_runs = 1;
	FAILS(manifest_writer_add(w, &unnamed, &err), ERR_BUG);
	manifest_writer_free(w);
}

static void
many_files_take_several_parts_and_come_back_in_order(void **state)
{
	enum { FILES = 120000 };
	struct fixture *f = *state;
	struct manifest_writer *w = writer(f);
	struct manifest_reader *r;
	const struct manifest_part *parts;
	struct manifest_entry e;
	struct map_run runs[8];
	struct pack_id id = pack_a;
	char path[64];
	uint8_t noise[8];
	size_t n, i, k;

	for (i = 0; i < FILES; i++) {
		(void)snprintf(path, sizeof(path), "base/16384/%08zu", i);
		e = file(path);
		e.size = i + 1;
		fixture_noise((uint8_t *)&e.crc, 4, (uint32_t)i);
		for (k = 0; k < 8; k++) {
			fixture_noise(noise, 8, (uint32_t)(i * 8 + k));
			memset(&runs[k], 0, sizeof(runs[k]));
			memcpy(&runs[k].frame, noise, 4);
			runs[k].blocks = 1 + noise[5];
			id.number = (uint32_t)(i / 100);
			runs[k].pack = manifest_writer_pack(w, &id);
		}
		e.runs = runs;
		e.n_runs = 8;
		OK(manifest_writer_add(w, &e, &err));
	}
	OK(manifest_writer_finish(w, &parts, &n, &err));
	assert_in_range(n, 2, 10);
	r = reader(f, parts, n);
	next(r, &e, MANIFEST_HEAD);
	for (i = 0; i < FILES; i++) {
		next(r, &e, MANIFEST_FILE);
		if (e.size != i + 1 || e.n_runs != 8 ||
		    manifest_reader_pack(r, e.runs[7].pack)->number != i / 100)
			fail_msg("file %zu", i);
	}
	next(r, &e, MANIFEST_END);
	assert_int_equal(e.files, FILES);
	manifest_reader_close(r);
	/* Without its last part the manifest is not complete. */
	r = reader(f, parts, n - 1);
	while (manifest_reader_next(r, &e, &err) == 1)
		;
	assert_int_equal(err.code, ERR_DAMAGED);
	manifest_reader_close(r);
	manifest_writer_free(w);
}

static void
a_long_path_fits_and_a_longer_one_is_refused(void **state)
{
	struct fixture *f = *state;
	struct manifest_writer *w = writer(f);
	struct manifest_entry e;
	char *path = xcalloc(1, FORMAT_PATH_MAX + 2);

	memset(path, '\xff', FORMAT_PATH_MAX);
	e = file(path);
	OK(manifest_writer_add(w, &e, &err));
	path[FORMAT_PATH_MAX] = '\xff';
	FAILS(manifest_writer_add(w, &e, &err), ERR_REFUSED);
	manifest_writer_free(w);
	free(path);
}

/* All lines: 0 when the end was reached. */
static int
read_to_end(struct fixture *f, const struct manifest_part *parts, size_t n)
{
	struct manifest_reader *r;
	struct manifest_entry e;
	int rc;

	if (manifest_reader_open(&r, f->repo, &f->inc, LABEL_A, parts, n,
		&err) != 0)
		return -1;
	do
		rc = manifest_reader_next(r, &e, &err);
	while (rc == 1);
	manifest_reader_close(r);
	return rc;
}

static void
every_flipped_bit_of_a_part_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct manifest_writer *w = writer(f);
	const struct manifest_part *parts;
	struct manifest_entry e = file("a");
	struct buf b;
	size_t n, i;

	OK(manifest_writer_add(w, &e, &err));
	OK(manifest_writer_finish(w, &parts, &n, &err));
	assert_int_equal(read_to_end(f, parts, n), 0);
	buf_init(&b, 1 << 20);
	OK(storage_get_all(f->st, MANIFEST_KEY, &b, &err));
	for (i = 0; i < b.len; i++) {
		b.data[i] ^= (uint8_t)(1 << i % 8);
		fixture_replace(f, MANIFEST_KEY, b.data, b.len);
		assert_int_equal(read_to_end(f, parts, n), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
		b.data[i] ^= (uint8_t)(1 << i % 8);
	}
	fixture_replace(f, MANIFEST_KEY, b.data, b.len - 1);
	assert_int_equal(read_to_end(f, parts, n), -1);
	OK(storage_remove(f->st, MANIFEST_KEY, &err));
	assert_int_equal(read_to_end(f, parts, n), -1);
	buf_free(&b);
	manifest_writer_free(w);
}

/* A manifest of this text, with right hashes; read: the code, or ERR_NONE. */
static enum err_code
read_text(struct fixture *f, const char *text)
{
	struct object_header oh;
	struct frame_header h = { .type = FRAME_MANIFEST };
	struct frame_codec *c = frame_codec_new(1);
	struct manifest_part part;
	struct object_writer w;
	struct err ignored = ERR_INIT;

	memset(&oh, 0, sizeof(oh));
	oh.type = OBJECT_MANIFEST;
	memcpy(oh.repository_id, f->repo->id, 16);
	oh.system_id = f->inc.system_id;
	memcpy(oh.name, LABEL_A, sizeof(LABEL_A));
	object_writer_init(&w, 1 << 20, &oh);
	OK(object_writer_add(&w, c, &h, text, strlen(text), &err));
	OK(object_writer_finish(&w, &err));
	part.size = w.bytes.len;
	OK(sha256(w.bytes.data, w.bytes.len, part.sha256, &err));
	if (storage_remove(f->st, MANIFEST_KEY, &ignored) != 0)
		fail_msg("%s", ignored.msg);
	OK(storage_put(f->st, MANIFEST_KEY, w.bytes.data, w.bytes.len, &err));
	object_writer_free(&w);
	frame_codec_free(c);
	err_clear(&err);
	return read_to_end(f, &part, 1) == 0 ? ERR_NONE : err.code;
}

#define HEAD                                                                  \
	"{\"type\":\"manifest\",\"version\":1,\"label\":\"" LABEL_A           \
	"\",\"block_size\":8192}\n"
#define FILE_LINE(path, size, runs)                                           \
	"{\"type\":\"file\",\"path\":\"" path "\",\"size\":" size             \
	",\"mode\":\"600\",\"mtime\":0,\"crc\":\"00000000\"," runs "}\n"
#define PACK_LINE                                                             \
	"{\"type\":\"pack\",\"index\":0,\"label\":\"" LABEL_B                 \
	"\",\"attempt\":1,\"number\":0}\n"
#define END_LINE(files, bytes)                                                \
	"{\"type\":\"end\",\"files\":" files ",\"bytes\":" bytes "}\n"

static void
lines_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		const char *text;
		enum err_code code;
	} cases[] = {
		{ HEAD END_LINE("0", "0"), ERR_NONE },
		{ HEAD PACK_LINE FILE_LINE("a", "8192",
		    "\"runs\":[[1,0,0,0]]") END_LINE("1", "8192"), ERR_NONE },
		/* unknown members are ignored */
		{ HEAD "{\"type\":\"dir\",\"path\":\"a\",\"mode\":\"700\","
		  "\"new\":1}\n" END_LINE("0", "0"), ERR_NONE },
		{ HEAD, ERR_DAMAGED },
		{ END_LINE("0", "0"), ERR_DAMAGED },
		{ HEAD HEAD END_LINE("0", "0"), ERR_DAMAGED },
		{ HEAD END_LINE("1", "0"), ERR_DAMAGED },
		{ HEAD END_LINE("0", "1"), ERR_DAMAGED },
		{ HEAD END_LINE("0", "0") END_LINE("0", "0"), ERR_DAMAGED },
		{ HEAD "no json\n" END_LINE("0", "0"), ERR_DAMAGED },
		{ HEAD "[]\n" END_LINE("0", "0"), ERR_DAMAGED },
		{ HEAD "{\"type\":\"new\"}\n" END_LINE("0", "0"),
		    ERR_DAMAGED },
		/* runs: a pack not named, too few members, none, negative */
		{ HEAD FILE_LINE("a", "1", "\"runs\":[[1,0,0,0]]")
		  END_LINE("1", "1"), ERR_DAMAGED },
		{ HEAD PACK_LINE FILE_LINE("a", "1", "\"runs\":[[1,0,0]]")
		  END_LINE("1", "1"), ERR_DAMAGED },
		{ HEAD PACK_LINE FILE_LINE("a", "1", "\"runs\":[]")
		  END_LINE("1", "1"), ERR_DAMAGED },
		{ HEAD PACK_LINE FILE_LINE("a", "1", "\"runs\":[[0,0,0,0]]")
		  END_LINE("1", "1"), ERR_DAMAGED },
		{ HEAD PACK_LINE FILE_LINE("a", "1", "\"runs\":[[1,0,-1,0]]")
		  END_LINE("1", "1"), ERR_DAMAGED },
		{ HEAD PACK_LINE FILE_LINE("a", "1",
		    "\"runs\":[[1,0,4294967296,0]]") END_LINE("1", "1"),
		    ERR_DAMAGED },
		{ HEAD FILE_LINE("a", "-1", "\"runs\":[]")
		  END_LINE("1", "-1"), ERR_DAMAGED },
		{ HEAD FILE_LINE("a%00b", "0", "\"runs\":[]")
		  END_LINE("1", "0"), ERR_DAMAGED },
		{ HEAD FILE_LINE("a%4", "0", "\"runs\":[]")
		  END_LINE("1", "0"), ERR_DAMAGED },
		/* order */
		{ HEAD FILE_LINE("b", "0", "\"runs\":[]")
		  FILE_LINE("a", "0", "\"runs\":[]") END_LINE("2", "0"),
		    ERR_DAMAGED },
		{ HEAD FILE_LINE("a", "0", "\"runs\":[]")
		  FILE_LINE("a", "0", "\"runs\":[]") END_LINE("2", "0"),
		    ERR_DAMAGED },
		{ HEAD "{\"type\":\"pack\",\"index\":1,\"label\":\"" LABEL_B
		  "\",\"attempt\":1,\"number\":0}\n" END_LINE("0", "0"),
		    ERR_DAMAGED },
		{ HEAD "{\"type\":\"pack\",\"index\":0,\"label\":\"../../x\","
		  "\"attempt\":1,\"number\":0}\n" END_LINE("0", "0"),
		    ERR_DAMAGED },
		{ "{\"type\":\"manifest\",\"version\":2,\"label\":\"" LABEL_A
		  "\",\"block_size\":8192}\n" END_LINE("0", "0"),
		    ERR_UNSUPPORTED },
		{ "{\"type\":\"manifest\",\"version\":1,\"label\":\"" LABEL_B
		  "\",\"block_size\":8192}\n" END_LINE("0", "0"),
		    ERR_DAMAGED },
		{ "{\"type\":\"manifest\",\"version\":1,\"label\":\"" LABEL_A
		  "\",\"block_size\":0}\n" END_LINE("0", "0"), ERR_DAMAGED },
		/* no line feed at the end */
		{ HEAD "{\"type\":\"end\",\"files\":0,\"bytes\":0}",
		    ERR_DAMAGED },
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum err_code code = read_text(f, cases[i].text);

		if (code != cases[i].code)
			fail_msg("case %zu: %s: %s", i, err_code_name(code),
			    err.msg);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_kind_of_line_comes_back),
		TEST(the_writer_refuses_a_wrong_order),
		TEST(many_files_take_several_parts_and_come_back_in_order),
		TEST(a_long_path_fits_and_a_longer_one_is_refused),
		TEST(every_flipped_bit_of_a_part_is_noticed),
		TEST(lines_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
