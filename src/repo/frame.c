/* SPDX-License-Identifier: PostgreSQL */
/* Frames (FORMAT.md section 4.2): compressed, and encrypted where a key is. */
#include "config.h"

#include "repo/frame.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "core/bytes.h"
#include "core/mem.h"
#include "core/random.h"
#include "repo/hash.h"

#define HIDDEN_HEADER 8
#define WHERE_FIXED 4 /* lengths of path and block list in the ciphertext */
#define HASH_AT 40
#define HASH_SIZE 8
#define HEADER_AAD 68 /* an encrypted frame's header up to its CRC */
#define OPENED_MAX ((size_t)8 << 20)

struct frame_codec {
	int level;
	ZSTD_CCtx *cctx; /* NULL until first needed */
	ZSTD_DCtx *dctx;
	struct crypt_cipher *cipher; /* of the object at hand; NULL: none yet */
	uint8_t cipher_key[CRYPT_KEY];
	struct buf opened; /* what was decrypted last */
};

struct frame_codec *
frame_codec_new(int level)
{
	struct frame_codec *c = xcalloc(1, sizeof(*c));

	c->level = level;
	buf_init(&c->opened, OPENED_MAX);
	return c;
}

void
frame_codec_free(struct frame_codec *c)
{
	if (c == NULL)
		return;
	(void)ZSTD_freeCCtx(c->cctx); /* these give 0 always */
	(void)ZSTD_freeDCtx(c->dctx);
	crypt_cipher_free(c->cipher);
	explicit_bzero(c->cipher_key, sizeof(c->cipher_key));
	buf_free(&c->opened);
	free(c);
}

/*
 * zstd's own level 3 takes tables of 768 KiB. Frames are short, so nothing
 * far back can be found in them anyway, and what matters is that the tables
 * stay in a core's second cache: with half a MiB, and matches of 6 bytes up,
 * pages compress 15 % faster and are 0.6 % larger (bench/RESULTS.md).
 */
static size_t
tune_level_3(ZSTD_CCtx *cctx)
{
	static const struct {
		ZSTD_cParameter name;
		int value;
	} tuned[] = { { ZSTD_c_strategy, ZSTD_dfast }, { ZSTD_c_hashLog, 16 },
		{ ZSTD_c_chainLog, 16 }, { ZSTD_c_minMatch, 6 } };
	size_t i, rc = 0;

	for (i = 0; i < sizeof(tuned) / sizeof(tuned[0]) &&
	     !ZSTD_isError(rc); i++)
		rc = ZSTD_CCtx_setParameter(cctx, tuned[i].name,
		    tuned[i].value);
	return rc;
}

static ZSTD_CCtx *
compressor(struct frame_codec *c)
{
	size_t rc;

	if (c->cctx != NULL)
		return c->cctx;
	c->cctx = ZSTD_createCCtx();
	if (c->cctx == NULL)
		return NULL;
	/* One-shot calls store the content's size by themselves. */
	rc = ZSTD_CCtx_setParameter(c->cctx, ZSTD_c_compressionLevel,
	    c->level);
	if (!ZSTD_isError(rc))
		rc = ZSTD_CCtx_setParameter(c->cctx, ZSTD_c_checksumFlag, 1);
	if (!ZSTD_isError(rc) && c->level == 3)
		rc = tune_level_3(c->cctx);
	if (ZSTD_isError(rc)) {
		(void)ZSTD_freeCCtx(c->cctx);
		c->cctx = NULL;
	}
	return c->cctx;
}

/* Is the payload wrapped, so that `zstd -dc` does not show it? */
static bool
hidden(enum frame_type type)
{
	return type == FRAME_SUMS || type == FRAME_MAP ||
	    type == FRAME_WAL_SUMMARY || type == FRAME_CHUNK_LIST;
}

static size_t
plain_limit(enum frame_type type)
{
	return type == FRAME_WAL ? FORMAT_WAL_PIECE_MAX :
				   FORMAT_FRAME_PLAIN_MAX;
}

/* The object's cipher: made ready once for all its frames. */
static int
use_key(struct frame_codec *c, const struct object_key *key, struct err *err)
{
	if (c->cipher != NULL &&
	    memcmp(c->cipher_key, key->key, CRYPT_KEY) == 0)
		return 0;
	crypt_cipher_free(c->cipher);
	c->cipher = NULL;
	if (crypt_cipher_new(&c->cipher, key->key, err) != 0)
		return -1;
	memcpy(c->cipher_key, key->key, CRYPT_KEY);
	return 0;
}

/* An encrypted header, as what is vouched for: it cannot hold its own hash. */
static void
header_aad(const uint8_t *header, uint8_t out[HEADER_AAD])
{
	memcpy(out, header, HEADER_AAD);
	memset(out + HASH_AT, 0, HASH_SIZE);
}

static void
write_where(const struct frame_header *h, uint8_t *p)
{
	put_le16(p, (uint16_t)h->path_len);
	put_le16(p + 2, (uint16_t)h->blocks_len);
	p += WHERE_FIXED;
	if (h->path_len > 0)
		memcpy(p, h->path, h->path_len);
	if (h->blocks_len > 0)
		memcpy(p + h->path_len, h->blocks, h->blocks_len);
}

/* The header at p, the wrap and the len bytes behind it: encrypt these. */
static int
encrypt(struct frame_codec *c, struct frame_header *h, uint8_t *p, size_t len,
    const struct object_key *key, struct err *err)
{
	uint8_t bytes[HEADER_AAD], *in = p + frame_header_size(h) +
	    HIDDEN_HEADER;
	struct crypt_aad aad = { bytes, sizeof(bytes) };

	h->hash = 0;
	h->key_id = key->id;
	if (use_key(c, key, err) != 0 ||
	    random_bytes(h->nonce, sizeof(h->nonce), err) != 0)
		return -1;
	frame_header_write(h, p);
	header_aad(p, bytes);
	if (crypt_encrypt(c->cipher, h->nonce, &aad, in, len, in, err) != 0)
		return -1;
	h->hash = hash_64(in, len + CRYPT_TAG, 0);
	return 0;
}

static int
check_lengths(const struct frame_header *h, size_t len, struct err *err)
{
	if (len > plain_limit(h->type) || h->path_len > FORMAT_PATH_MAX ||
	    h->blocks_len > FORMAT_BLOCKS_MAX)
		return err_set(err, ERR_BUG,
		    "a frame of %zu bytes, path of %zu bytes", len,
		    h->path_len);
	return 0;
}

int
frame_encode(struct frame_codec *c, struct frame_header *h,
    const struct object_key *key, const void *plain, size_t len,
    struct buf *out, struct err *err)
{
	const bool secret = key != NULL && key->id != 0;
	const size_t where = secret ?
	    WHERE_FIXED + h->path_len + h->blocks_len : 0;
	const size_t wrap = secret || hidden(h->type) ? HIDDEN_HEADER : 0;
	const size_t tag = secret ? CRYPT_TAG : 0;
	ZSTD_CCtx *cctx = compressor(c);
	size_t head, bound, n;
	uint8_t *p;

	if (cctx == NULL)
		return err_set(err, ERR_BUG, "zstd: no compression at level %d",
		    c->level);
	if (check_lengths(h, len, err) != 0)
		return -1;
	h->cipher = secret;
	head = frame_header_size(h);
	bound = ZSTD_compressBound(len);
	p = buf_reserve(out, head + wrap + where + bound + tag);
	if (p == NULL)
		return buf_check(out, "the object", err);
	n = ZSTD_compress2(cctx, p + head + wrap + where, bound, plain, len);
	if (ZSTD_isError(n))
		return err_set(err, ERR_BUG, "zstd: %s", ZSTD_getErrorName(n));
	n += where + tag;
	if (wrap > 0) {
		put_le32(p + head, FORMAT_MAGIC_HIDDEN);
		put_le32(p + head + 4, (uint32_t)n);
	}
	h->filter = 0;
	h->compression = 1;
	h->plain_len = (uint32_t)len;
	h->payload_len = (uint32_t)(wrap + n);
	if (secret) {
		write_where(h, p + head + wrap);
		if (encrypt(c, h, p, n - tag, key, err) != 0)
			return -1;
	} else
		h->hash = hash_64(plain, len, 0);
	frame_header_write(h, p);
	out->len += head + wrap + n;
	out->data[out->len] = 0;
	return 0;
}

/* Exactly one zstd frame that says its content's size, nothing behind it. */
static int
decompress(struct frame_codec *c, const uint8_t *data, size_t len,
    const struct frame_header *h, void *plain, struct err *err)
{
	size_t n;

	if (c->dctx == NULL)
		c->dctx = ZSTD_createDCtx();
	if (c->dctx == NULL)
		return err_set(err, ERR_BUG, "zstd: no decompressor");
	n = ZSTD_findFrameCompressedSize(data, len);
	if (ZSTD_isError(n) || n != len ||
	    ZSTD_getFrameContentSize(data, len) != h->plain_len)
		return err_set(err, ERR_DAMAGED,
		    "is not one zstd frame of %u bytes content", h->plain_len);
	n = ZSTD_decompressDCtx(c->dctx, plain, h->plain_len, data, len);
	if (ZSTD_isError(n))
		return err_set(err, ERR_DAMAGED, "zstd: %s",
		    ZSTD_getErrorName(n));
	if (n != h->plain_len)
		return err_set(err, ERR_DAMAGED,
		    "has %zu bytes of content instead of %u", n,
		    h->plain_len);
	if (h->cipher == 0 && hash_64(plain, n, 0) != h->hash)
		return err_set(err, ERR_DAMAGED, "its content's hash is wrong");
	return 0;
}

/* A frame being taken apart: its header's bytes, then the payload's. */
struct stored {
	const uint8_t *header;
	const uint8_t *data;
	size_t len;
};

static int
split(const uint8_t *data, size_t len, struct frame_header *h,
    struct stored *out, struct err *err)
{
	size_t used;

	if (frame_header_decode(data, len, h, &used, err) != 0)
		return -1;
	*out = (struct stored){ data, data + used, len - used };
	if (h->payload_len != out->len)
		return err_set(err, ERR_DAMAGED,
		    "has %zu bytes of payload instead of %u", out->len,
		    h->payload_len);
	if (h->cipher == 0 && !hidden(h->type))
		return 0;
	if (out->len < HIDDEN_HEADER ||
	    get_le32(out->data) != FORMAT_MAGIC_HIDDEN ||
	    get_le32(out->data + 4) != out->len - HIDDEN_HEADER)
		return err_set(err, ERR_DAMAGED,
		    "its payload is not wrapped as it should be");
	out->data += HIDDEN_HEADER;
	out->len -= HIDDEN_HEADER;
	if (h->cipher == 0)
		return 0;
	if (hash_64(out->data, out->len, 0) != h->hash)
		return err_set(err, ERR_DAMAGED,
		    "its ciphertext's hash is wrong");
	return out->len >= CRYPT_TAG + WHERE_FIXED ? 0 :
	    err_set(err, ERR_DAMAGED, "its ciphertext is too short");
}

/* Decrypt: the zstd frame is left in s, path and block list go into h. */
static int
decrypt(struct frame_codec *c, const struct object_key *key,
    struct frame_header *h, struct stored *s, struct err *err)
{
	uint8_t bytes[HEADER_AAD], *p;
	struct crypt_aad aad = { bytes, sizeof(bytes) };
	size_t len = s->len - CRYPT_TAG, where;

	if (key == NULL || key->id == 0)
		return err_set(err, ERR_DAMAGED,
		    "is encrypted, in an object that is not");
	if (key->id != h->key_id)
		return err_set(err, ERR_DAMAGED,
		    "names key %u, its object %u", h->key_id, key->id);
	buf_clear(&c->opened);
	p = buf_reserve(&c->opened, s->len);
	if (p == NULL)
		return buf_check(&c->opened, "a frame", err);
	header_aad(s->header, bytes);
	if (use_key(c, key, err) != 0 ||
	    crypt_decrypt(c->cipher, h->nonce, &aad, s->data, s->len, p,
		err) != 0)
		return -1;
	h->path_len = get_le16(p);
	h->blocks_len = get_le16(p + 2);
	where = WHERE_FIXED + h->path_len + h->blocks_len;
	if (where > len || h->path_len > FORMAT_PATH_MAX)
		return err_set(err, ERR_DAMAGED,
		    "the encrypted header's lengths make no sense");
	h->path = (const char *)p + WHERE_FIXED;
	h->blocks = p + WHERE_FIXED + h->path_len;
	s->data = p + where;
	s->len = len - where;
	return frame_header_check_where(h, err);
}

static int
decode(struct frame_codec *c, const uint8_t *data, size_t len,
    const struct object_key *key, struct frame_header *h, void *plain,
    size_t plain_max, struct err *err)
{
	struct stored s;
	uint8_t none[1];

	if (split(data, len, h, &s, err) != 0)
		return -1;
	if (h->plain_len > plain_max)
		return err_set(err, ERR_DAMAGED,
		    "claims %u bytes of content, more than %zu", h->plain_len,
		    plain_max);
	if (h->cipher != 0) {
		if (decrypt(c, key, h, &s, err) != 0)
			return -1;
	} else if (key != NULL && key->id != 0)
		return err_set(err, ERR_DAMAGED,
		    "is not encrypted, in an object that is");
	h->zstd = s.data;
	h->zstd_len = s.len;
	return decompress(c, s.data, s.len, h, plain == NULL ? none : plain,
	    err);
}

int
frame_decode(struct frame_codec *c, const uint8_t *data, size_t len,
    const struct object_key *key, struct frame_header *h, void *plain,
    size_t plain_max, const char *where, struct err *err)
{
	if (decode(c, data, len, key, h, plain, plain_max, err) != 0)
		return err_wrap(err, "%s", where);
	return 0;
}

int
frame_prove(const uint8_t *data, size_t len, struct frame_header *h,
    const char *where, struct err *err)
{
	struct stored s;

	if (split(data, len, h, &s, err) != 0)
		return err_wrap(err, "%s", where);
	return 0;
}
