/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/dumplobs.h"

#include <string.h>

#include "core/bytes.h"

/* The header is whole. */
static int
begin_object(struct dumplobs *d, struct err *err)
{
	const uint32_t oid = get_le32(d->header);

	d->left = get_le64(d->header + 4);
	if (oid == 0 || oid <= d->last_oid)
		return err_set(err, ERR_DAMAGED, "large object %u stands "
		    "behind %u", (unsigned)oid, (unsigned)d->last_oid);
	d->last_oid = oid;
	return d->begin(d->arg, oid, d->left, err);
}

static int
end_object(struct dumplobs *d, struct err *err)
{
	d->header_len = 0;
	return d->end(d->arg, err);
}

int
dumplobs_feed(struct dumplobs *d, const void *data, size_t len,
    struct err *err)
{
	const uint8_t *p = data;
	size_t n;

	while (len > 0) {
		if (d->header_len < DUMPLOBS_HEADER) {
			n = DUMPLOBS_HEADER - d->header_len;
			n = len < n ? len : n;
			memcpy(d->header + d->header_len, p, n);
			d->header_len += n;
			if (d->header_len == DUMPLOBS_HEADER &&
			    begin_object(d, err) != 0)
				return -1;
		} else {
			n = len < d->left ? len : (size_t)d->left;
			if (d->data(d->arg, p, n, err) != 0)
				return -1;
			d->left -= n;
		}
		p += n;
		len -= n;
		if (d->header_len == DUMPLOBS_HEADER && d->left == 0 &&
		    end_object(d, err) != 0)
			return -1;
	}
	return 0;
}

int
dumplobs_finish(const struct dumplobs *d, struct err *err)
{
	if (d->header_len == 0)
		return 0;
	return err_set(err, ERR_DAMAGED, "the data of large object %u ends "
	    "in the middle", (unsigned)d->last_oid);
}
