/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_ARCHIVE_PRIVATE_H
#define PG_ARCHIVE_PRIVATE_H

/* What archive_read.c and archive_write.c share of the format. */
#define ARCHIVE_MAGIC "PGDMP"
#define ARCHIVE_MAGIC_BYTES 5
#define ARCHIVE_INT_SIZE 4
#define ARCHIVE_HAS_ALGORITHM ARCHIVE_VERSION(1, 15)
#define ARCHIVE_HAS_RELKIND ARCHIVE_VERSION(1, 16)
#define ARCHIVE_MANY_BLOBS ARCHIVE_VERSION(1, 16)

#endif
