/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_S3_PLACE_H
#define STORAGE_S3_PLACE_H

/*
 * Where a bucket is: s3://bucket/prefix, endpoint, region and path style made
 * into hosts and paths. Pure and thread safe.
 */
#include <stdbool.h>

#include "core/buf.h"
#include "storage/storage.h"

struct s3_place {
	char *bucket;
	char *prefix; /* "", or ends with '/'; taken as it is, not decoded */
	char *host; /* with a port that is not the usual; NULL: Amazon's */
	bool https;
	bool in_path; /* the bucket's name */
};

/* ERR_CONFIG names what is wrong; *place is to be freed in any case. */
int s3_place_init(struct s3_place *place, const struct storage_settings *set,
    struct err *err) ERR_USE;
void s3_place_free(struct s3_place *place);

/* What stands in the Host header. */
void s3_place_host(const struct s3_place *place, const char *region,
    struct buf *out);

/* The path of an object, or of the bucket (key NULL), not encoded. */
void s3_place_path(const struct s3_place *place, const char *key,
    struct buf *out);

#endif
