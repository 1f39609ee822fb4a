/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_LIBARCHIVE_H
#define CORE_LIBARCHIVE_H

/*
 * libarchive, opened with dlopen() when first needed: loading it and what it
 * needs would take longer than a whole archive-push. Thread safe; an archive
 * or entry serves one thread.
 */
#include <archive.h>
#include <archive_entry.h>

#include "core/err.h"

#define LIBARCHIVE_FUNCTIONS(X)                 \
	X(archive_error_string)                 \
	X(archive_entry_new)                    \
	X(archive_entry_clear)                  \
	X(archive_entry_free)                   \
	X(archive_entry_filetype)               \
	X(archive_entry_mode)                   \
	X(archive_entry_mtime)                  \
	X(archive_entry_pathname)               \
	X(archive_entry_size)                   \
	X(archive_entry_symlink)                \
	X(archive_entry_set_filetype)           \
	X(archive_entry_set_gid)                \
	X(archive_entry_set_gname)              \
	X(archive_entry_set_mtime)              \
	X(archive_entry_set_pathname)           \
	X(archive_entry_set_perm)               \
	X(archive_entry_set_size)               \
	X(archive_entry_set_symlink)            \
	X(archive_entry_set_uid)                \
	X(archive_entry_set_uname)              \
	X(archive_read_new)                     \
	X(archive_read_support_filter_none)     \
	X(archive_read_support_format_tar)      \
	X(archive_read_open)                    \
	X(archive_read_next_header)             \
	X(archive_read_data)                    \
	X(archive_read_free)                    \
	X(archive_write_new)                    \
	X(archive_write_add_filter_none)        \
	X(archive_write_set_format_gnutar)      \
	X(archive_write_set_bytes_per_block)    \
	X(archive_write_set_bytes_in_last_block) \
	X(archive_write_open)                   \
	X(archive_write_header)                 \
	X(archive_write_data)                   \
	X(archive_write_finish_entry)           \
	X(archive_write_close)                  \
	X(archive_write_free)

struct libarchive {
#define LIBARCHIVE_POINTER(name) __typeof__(&name) name;
	LIBARCHIVE_FUNCTIONS(LIBARCHIVE_POINTER)
#undef LIBARCHIVE_POINTER
};

/* *out stays valid until the process ends. ERR_CONFIG: not installed. */
int libarchive_get(const struct libarchive **out, struct err *err) ERR_USE;

#endif
