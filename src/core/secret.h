/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_SECRET_H
#define CORE_SECRET_H

/*
 * Secrets: files that hold them, and memory that forgets them.
 *
 *	secret_read_file(path, SECRET_PRIVATE, &b, err);
 *	...				buf_str(&b)
 *	secret_buf_free(&b);
 *
 * Thread safe.
 */
#include "core/buf.h"
#include "core/err.h"

#define SECRET_FILE_MAX ((size_t)256 << 10)

enum secret_mode {
	SECRET_PRIVATE, /* nobody but its owner may have rights to it */
	SECRET_ANY	/* the platform made it (a projected token) */
};

/*
 * The whole file into a fresh b, without white space at its end: an editor's
 * or Windows' line end is not part of a key. The buffer is not moved while it
 * is filled, so no copy is left behind. ERR_NOT_FOUND, ERR_CONFIG (rights, no
 * file, too large, a zero byte), ERR_IO; b is to be freed in any case.
 */
int secret_read_file(const char *path, enum secret_mode mode, struct buf *b,
    struct err *err) ERR_USE;

/* Overwrite, then free. */
void secret_buf_free(struct buf *b);
void secret_text_free(char *text); /* NULL is fine */

#endif
