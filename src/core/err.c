/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
(err_set)(struct err *err, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	err->code = code;
	err->sys_errno = 0;
	err->hint[0] = '\0';
	va_start(ap, fmt);
	(void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	return -1;
}

int
(err_sys)(struct err *err, int errnum, const char *fmt, ...)
{
	va_list ap;
	size_t len;
	char text[128];

	err->code = ERR_IO;
	if (errnum == ENOENT)
		err->code = ERR_NOT_FOUND;
	else if (errnum == EEXIST)
		err->code = ERR_EXISTS;
	err->sys_errno = errnum;
	err->hint[0] = '\0';
	va_start(ap, fmt);
	(void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	len = strlen(err->msg);
#ifdef STRERROR_R_CHAR_P
	(void)snprintf(err->msg + len, sizeof(err->msg) - len, ": %s",
	    strerror_r(errnum, text, sizeof(text)));
#else /* POSIX', as musl has it */
	if (strerror_r(errnum, text, sizeof(text)) != 0)
		(void)snprintf(text, sizeof(text), "error %d", errnum);
	(void)snprintf(err->msg + len, sizeof(err->msg) - len, ": %s", text);
#endif
	return -1;
}

int
(err_wrap)(struct err *err, const char *fmt, ...)
{
	va_list ap;
	char old[ERR_MSG_MAX];
	size_t len;

	memcpy(old, err->msg, sizeof(old));
	va_start(ap, fmt);
	(void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	len = strlen(err->msg);
	(void)snprintf(err->msg + len, sizeof(err->msg) - len, ": %s", old);
	return -1;
}

int
(err_hint)(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (err->hint[0] != '\0')
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
	return -1;
}

void
err_clear(struct err *err)
{
	err->code = ERR_NONE;
	err->sys_errno = 0;
	err->msg[0] = '\0';
	err->hint[0] = '\0';
}

const char *
err_code_name(enum err_code code)
{
	static const char *const names[] = {
		[ERR_NONE] = "none",
		[ERR_BUG] = "bug",
		[ERR_USAGE] = "usage",
		[ERR_CONFIG] = "config",
		[ERR_IO] = "io",
		[ERR_NOT_FOUND] = "not-found",
		[ERR_EXISTS] = "exists",
		[ERR_DAMAGED] = "damaged",
		[ERR_UNSUPPORTED] = "unsupported",
		[ERR_LOCKED] = "locked",
		[ERR_STORAGE] = "storage",
		[ERR_POSTGRES] = "postgres",
		[ERR_REFUSED] = "refused",
		[ERR_CANCELLED] = "cancelled",
	};

	return names[code];
}
