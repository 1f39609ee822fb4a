/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_LIBSSH2_H
#define STORAGE_LIBSSH2_H

/*
 * libssh2, opened with dlopen() when first needed (core/libarchive.h says
 * why). Thread safe; a session and all that is of it serve one thread.
 */
#include <libssh2.h>
#include <libssh2_sftp.h>

#include "core/err.h"

#define LIBSSH2_FUNCTIONS(X)              \
	X(init)                           \
	X(free)                           \
	X(session_init_ex)                \
	X(session_free)                   \
	X(session_handshake)              \
	X(session_disconnect_ex)          \
	X(session_hostkey)                \
	X(session_last_error)             \
	X(session_method_pref)            \
	X(session_set_blocking)           \
	X(session_set_timeout)            \
	X(hostkey_hash)                   \
	X(knownhost_init)                 \
	X(knownhost_readfile)             \
	X(knownhost_checkp)               \
	X(knownhost_addc)                 \
	X(knownhost_writeline)            \
	X(knownhost_free)                 \
	X(userauth_list)                  \
	X(userauth_authenticated)         \
	X(userauth_password_ex)           \
	X(userauth_keyboard_interactive_ex) \
	X(userauth_publickey_fromfile_ex) \
	X(agent_init)                     \
	X(agent_connect)                  \
	X(agent_list_identities)          \
	X(agent_get_identity)             \
	X(agent_userauth)                 \
	X(agent_disconnect)               \
	X(agent_free)                     \
	X(sftp_init)                      \
	X(sftp_shutdown)                  \
	X(sftp_last_error)                \
	X(sftp_open_ex)                   \
	X(sftp_read)                      \
	X(sftp_write)                     \
	X(sftp_seek64)                    \
	X(sftp_fsync)                     \
	X(sftp_fstat_ex)                  \
	X(sftp_statvfs)                   \
	X(sftp_readdir_ex)                \
	X(sftp_close_handle)              \
	X(sftp_rename_ex)                 \
	X(sftp_unlink_ex)                 \
	X(sftp_mkdir_ex)                  \
	X(sftp_rmdir_ex)                  \
	X(sftp_stat_ex)

struct libssh2 {
#define LIBSSH2_POINTER(name) __typeof__(&libssh2_##name) name;
	LIBSSH2_FUNCTIONS(LIBSSH2_POINTER)
#undef LIBSSH2_POINTER
};

/* *out stays valid until the process ends. ERR_CONFIG: not installed. */
int libssh2_get(const struct libssh2 **out, struct err *err) ERR_USE;

#endif
