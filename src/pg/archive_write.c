/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/archive.h"

#include <stdio.h>
#include <string.h>

#include "core/bytes.h"
#include "pg/archive_private.h"

void
archive_put_int(struct buf *b, int32_t v)
{
	buf_add_byte(b, v < 0 ? 1 : 0);
	buf_add_le32(b, v < 0 ? -(uint32_t)v : (uint32_t)v);
}

static void
put_string(struct buf *b, const char *s)
{
	size_t len = s == NULL ? 0 : strlen(s);

	archive_put_int(b, s == NULL ? -1 : (int32_t)len);
	if (len > 0)
		buf_add(b, s, len);
}

/* OIDs and dependencies are numbers in text. */
static void
put_number(struct buf *b, uint32_t v)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%u", v);
	put_string(b, text);
}

const char *
archive_suffix(enum archive_compression c)
{
	switch (c) {
	case ARCHIVE_GZIP:
		return ".gz";
	case ARCHIVE_LZ4:
		return ".lz4";
	case ARCHIVE_ZSTD:
		return ".zst";
	case ARCHIVE_NONE:
		break;
	}
	return "";
}

bool
archive_data_name(const struct archive_head *h, const struct archive_entry *e,
    enum archive_format format, char out[ARCHIVE_NAME_MAX])
{
	out[0] = '\0';
	if (!e->had_dumper || format == ARCHIVE_CUSTOM)
		return false;
	if (archive_entry_is_large_objects(e) && format != ARCHIVE_TAR)
		archive_list_name(h, e, out);
	else
		(void)snprintf(out, ARCHIVE_NAME_MAX, "%d.dat",
		    (int)e->dump_id);
	return true;
}

/* Before 1.16 an archive has one entry of large objects. */
void
archive_list_name(const struct archive_head *h, const struct archive_entry *e,
    char out[ARCHIVE_NAME_MAX])
{
	if (h->version >= ARCHIVE_MANY_BLOBS)
		(void)snprintf(out, ARCHIVE_NAME_MAX, "blobs_%d.toc",
		    (int)e->dump_id);
	else
		(void)snprintf(out, ARCHIVE_NAME_MAX, "blobs.toc");
}

void
archive_object_name(uint32_t oid, char out[ARCHIVE_NAME_MAX])
{
	(void)snprintf(out, ARCHIVE_NAME_MAX, "blob_%u.dat", (unsigned)oid);
}

void
archive_object_line(uint32_t oid, char out[ARCHIVE_LINE_MAX])
{
	char name[ARCHIVE_NAME_MAX];

	archive_object_name(oid, name);
	(void)snprintf(out, ARCHIVE_LINE_MAX, "%u %s\n", (unsigned)oid, name);
}

static void
put_header(const struct archive_head *h, enum archive_format format,
    enum archive_compression compression, struct buf *out)
{
	size_t i;

	buf_add(out, ARCHIVE_MAGIC, ARCHIVE_MAGIC_BYTES);
	buf_add_byte(out, (uint8_t)(h->version / 256));
	buf_add_byte(out, (uint8_t)(h->version % 256));
	buf_add_byte(out, h->revision);
	buf_add_byte(out, ARCHIVE_INT_SIZE);
	buf_add_byte(out, h->off_size);
	/* A directory's toc.dat calls itself tar. */
	buf_add_byte(out, format == ARCHIVE_CUSTOM ? ARCHIVE_CUSTOM :
						     ARCHIVE_TAR);
	if (h->version >= ARCHIVE_HAS_ALGORITHM)
		buf_add_byte(out, (uint8_t)compression);
	else /* only whether it is 0 counts: -1 is zlib's default level */
		archive_put_int(out, compression == ARCHIVE_NONE ? 0 : -1);
	for (i = 0; i < 7; i++)
		archive_put_int(out, h->time[i]);
	put_string(out, h->dbname);
	put_string(out, h->server_version);
	put_string(out, h->dump_version);
}

static void
put_extra(const struct archive_head *h, const struct archive_entry *e,
    enum archive_format format, struct buf *out)
{
	char name[ARCHIVE_NAME_MAX];

	if (format != ARCHIVE_CUSTOM) {
		(void)archive_data_name(h, e, format, name); /* "" for none */
		put_string(out, name);
		return;
	}
	buf_add_byte(out, e->data_state);
	if (h->off_size == 8)
		buf_add_le64(out, e->offset);
	else
		buf_add_le32(out, (uint32_t)e->offset);
}

static void
put_entry(const struct archive_head *h, const struct archive_entry *e,
    enum archive_format format, struct buf *out)
{
	size_t i;

	archive_put_int(out, e->dump_id);
	archive_put_int(out, e->had_dumper ? 1 : 0);
	put_number(out, e->tableoid);
	put_number(out, e->oid);
	put_string(out, e->tag);
	put_string(out, e->desc);
	archive_put_int(out, e->section);
	put_string(out, e->defn);
	put_string(out, e->drop_stmt);
	put_string(out, e->copy_stmt);
	put_string(out, e->namespace);
	put_string(out, e->tablespace);
	put_string(out, e->tableam);
	if (h->version >= ARCHIVE_HAS_RELKIND)
		archive_put_int(out, e->relkind);
	put_string(out, e->owner);
	put_string(out, "false"); /* WITH OIDS, gone since 12 */
	for (i = 0; i < e->n_dependencies; i++)
		put_number(out, (uint32_t)e->dependencies[i]);
	put_string(out, NULL);
	put_extra(h, e, format, out);
}

int
archive_compression_check(const struct archive_head *h,
    enum archive_compression compression, struct err *err)
{
	if (compression <= ARCHIVE_GZIP || h->version >= ARCHIVE_HAS_ALGORITHM)
		return 0;
	(void)err_set(err, ERR_USAGE, "an archive of pg_dump %s cannot "
	    "be compressed with %s: pg_restore knows that from 16 on",
	    h->dump_version == NULL ? "15" : h->dump_version,
	    compression == ARCHIVE_ZSTD ? "zstd" : "lz4");
	return err_hint(err, "use --compress gzip or none");
}

int
archive_head_encode(const struct archive_head *h, enum archive_format format,
    enum archive_compression compression, struct buf *out, struct err *err)
{
	size_t i, n = 0;

	if (archive_compression_check(h, compression, err) != 0)
		return -1;
	put_header(h, format, compression, out);
	for (i = 0; i < h->n; i++)
		n += h->entries[i].skip ? 0 : 1;
	archive_put_int(out, (int32_t)n);
	for (i = 0; i < h->n; i++)
		if (!h->entries[i].skip)
			put_entry(h, &h->entries[i], format, out);
	return buf_check(out, "the archive's table of contents", err);
}
