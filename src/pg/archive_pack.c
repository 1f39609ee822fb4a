/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/archive_pack.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "core/mem.h"
#include "core/text.h"

#define OUT_BYTES ((size_t)128 << 10)
#define GZIP_WRAPPER 16 /* zlib's way to ask for gzip's header */
#define WINDOW_BITS 15
#define MEM_LEVEL 8
#define GZIP_LEVEL 1 /* these archives are on their way to somewhere */
#define ZSTD_LEVEL 3

struct archive_pack {
	enum archive_compression compression;
	enum archive_pack_kind kind;
	z_stream z;
	bool z_ready;
	ZSTD_CCtx *zstd;
	bool begun; /* something was written since the last end */
	uint8_t out[OUT_BYTES];
};

static int
open_gzip(struct archive_pack *p, int level, struct err *err)
{
	const int bits = WINDOW_BITS +
	    (p->kind == ARCHIVE_PACK_FILE ? GZIP_WRAPPER : 0);
	int rc = deflateInit2(&p->z, level, Z_DEFLATED, bits, MEM_LEVEL,
	    Z_DEFAULT_STRATEGY);

	if (rc != Z_OK)
		return err_set(err, ERR_BUG, "zlib does not begin: %s",
		    zError(rc));
	p->z_ready = true;
	return 0;
}

static int
open_zstd(struct archive_pack *p, int level, struct err *err)
{
	p->zstd = ZSTD_createCCtx();
	if (p->zstd == NULL || ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd,
	    ZSTD_c_compressionLevel, level)))
		return err_set(err, ERR_BUG, "zstd does not begin");
	return 0;
}

int
archive_pack_new(struct archive_pack **out,
    enum archive_compression compression, int level,
    enum archive_pack_kind kind, struct err *err)
{
	struct archive_pack *p = xcalloc(1, sizeof(*p));
	int ret = 0;

	p->compression = compression;
	p->kind = kind;
	if (compression == ARCHIVE_GZIP)
		ret = open_gzip(p, level == ARCHIVE_LEVEL_DEFAULT ? GZIP_LEVEL :
		    level, err);
	else if (compression == ARCHIVE_ZSTD)
		ret = open_zstd(p, level == ARCHIVE_LEVEL_DEFAULT ? ZSTD_LEVEL :
		    level, err);
	else if (compression != ARCHIVE_NONE)
		ret = err_set(err, ERR_UNSUPPORTED, "lz4 is not written");
	if (ret != 0) {
		archive_pack_free(p);
		p = NULL;
	}
	*out = p;
	return ret;
}

/* deflate() takes 32-bit lengths. */
static int
run_gzip(struct archive_pack *p, const uint8_t *data, size_t len, int flush,
    archive_sink sink, void *arg, struct err *err)
{
	int rc = Z_OK;

	do {
		const size_t piece = len > OUT_BYTES ? OUT_BYTES : len;

		p->z.next_in = (Bytef *)(uintptr_t)data;
		p->z.avail_in = (uInt)piece;
		do {
			p->z.next_out = p->out;
			p->z.avail_out = OUT_BYTES;
			rc = deflate(&p->z,
			    piece == len ? flush : Z_NO_FLUSH);
			if (rc == Z_STREAM_ERROR)
				return err_set(err, ERR_BUG, "zlib fails");
			if (p->z.avail_out < OUT_BYTES && sink(arg, p->out,
			    OUT_BYTES - p->z.avail_out, err) != 0)
				return -1;
		} while (p->z.avail_out == 0 ||
		    (piece == len && flush == Z_FINISH && rc != Z_STREAM_END));
		data += piece;
		len -= piece;
	} while (len > 0);
	return 0;
}

static int
run_zstd(struct archive_pack *p, const void *data, size_t len,
    ZSTD_EndDirective mode, archive_sink sink, void *arg, struct err *err)
{
	ZSTD_inBuffer in = { data, len, 0 };
	size_t left;

	do {
		ZSTD_outBuffer out = { p->out, OUT_BYTES, 0 };

		left = ZSTD_compressStream2(p->zstd, &out, &in, mode);
		if (ZSTD_isError(left))
			return err_set(err, ERR_BUG, "zstd fails: %s",
			    ZSTD_getErrorName(left));
		if (out.pos > 0 && sink(arg, p->out, out.pos, err) != 0)
			return -1;
	} while (in.pos < in.size || (mode == ZSTD_e_end && left != 0));
	return 0;
}

int
archive_pack_write(struct archive_pack *p, const void *data, size_t len,
    archive_sink sink, void *arg, struct err *err)
{
	if (len == 0)
		return 0;
	p->begun = true;
	if (p->compression == ARCHIVE_GZIP)
		return run_gzip(p, data, len, Z_NO_FLUSH, sink, arg, err);
	if (p->compression == ARCHIVE_ZSTD)
		return run_zstd(p, data, len, ZSTD_e_continue, sink, arg, err);
	return sink(arg, data, len, err);
}

int
archive_pack_end(struct archive_pack *p, archive_sink sink, void *arg,
    struct err *err)
{
	p->begun = false;
	if (p->compression == ARCHIVE_GZIP) {
		if (run_gzip(p, NULL, 0, Z_FINISH, sink, arg, err) != 0)
			return -1;
		return deflateReset(&p->z) == Z_OK ? 0 :
		    err_set(err, ERR_BUG, "zlib does not begin again");
	}
	if (p->compression == ARCHIVE_ZSTD)
		return run_zstd(p, NULL, 0, ZSTD_e_end, sink, arg, err);
	return 0;
}

bool
archive_pack_begun(const struct archive_pack *p)
{
	return p->begun;
}

void
archive_pack_free(struct archive_pack *p)
{
	if (p == NULL)
		return;
	if (p->z_ready)
		(void)deflateEnd(&p->z); /* says only that data was left */
	ZSTD_freeCCtx(p->zstd);
	free(p);
}

static bool
parse_level(const char *text, uint64_t max, int *level)
{
	uint64_t v;

	if (text[0] == '\0')
		return true;
	if (text[0] != ':' || !text_u64(text + 1, max, &v) || v == 0)
		return false;
	*level = (int)v;
	return true;
}

bool
archive_compression_parse(const char *text,
    enum archive_compression *compression, int *level)
{
	*level = ARCHIVE_LEVEL_DEFAULT;
	if (strcmp(text, "none") == 0) {
		*compression = ARCHIVE_NONE;
		return true;
	}
	if (strncmp(text, "gzip", 4) == 0) {
		*compression = ARCHIVE_GZIP;
		return parse_level(text + 4, 9, level);
	}
	if (strncmp(text, "zstd", 4) == 0) {
		*compression = ARCHIVE_ZSTD;
		return parse_level(text + 4, 19, level);
	}
	return false;
}

int
archive_compression_option(const char *text,
    enum archive_compression *compression, int *level, struct err *err)
{
	if (archive_compression_parse(text, compression, level))
		return 0;
	(void)err_set(err, ERR_USAGE, "--compress %s is not known", text);
	return err_hint(err, "none, gzip, gzip:1 to gzip:9, zstd, or zstd:1 "
	    "to zstd:19");
}
