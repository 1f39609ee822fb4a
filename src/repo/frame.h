/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_FRAME_H
#define REPO_FRAME_H

/*
 * Frames (FORMAT.md section 4.2): plain bytes to a header and a payload, and
 * back with everything checked. A struct frame_codec holds the contexts of
 * one thread and is reused for every frame.
 */
#include "core/buf.h"
#include "core/err.h"
#include "repo/format.h"
#include "repo/objectkey.h"

struct frame_codec;

/*
 * level: zstd's, 1..19 (3 is tuned for pages). About 1 MiB at level 3, and as
 * much as the largest frame where frames are encrypted.
 */
struct frame_codec *frame_codec_new(int level);
void frame_codec_free(struct frame_codec *c);

/*
 * Append a frame (header and payload) of these plain bytes to out. Of h the
 * caller sets type, number, block_size, position and path; the rest is
 * filled in. key: of its object, NULL or with id 0 when it is not encrypted.
 * On -1 out is as before.
 */
int frame_encode(struct frame_codec *c, struct frame_header *h,
    const struct object_key *key, const void *plain, size_t len,
    struct buf *out, struct err *err) ERR_USE;

/*
 * Decode the frame at data (len bytes: header and payload, as the index says)
 * into plain, which has room for plain_max bytes. Header CRC, lengths,
 * authentication, zstd and hash are checked. where ("PACK-KEY frame 7") is
 * for errors. What h points to is in data, or (encrypted) stays until the
 * codec's next frame.
 */
int frame_decode(struct frame_codec *c, const uint8_t *data, size_t len,
    const struct object_key *key, struct frame_header *h, void *plain,
    size_t plain_max, const char *where, struct err *err) ERR_USE;

/*
 * What can be told without a key: lengths, header CRC, and of an encrypted
 * frame the ciphertext's hash (of any other, nothing more).
 */
int frame_prove(const uint8_t *data, size_t len, struct frame_header *h,
    const char *where, struct err *err) ERR_USE;

#endif
