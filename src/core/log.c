/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/buf.h"

#define LINE_MAX_BYTES 16384

static struct {
	pthread_mutex_t lock;
	enum log_level level;
	enum log_format format;
	char command[32];
	void (*before)(void *);
	void (*after)(void *);
	void *arg;
} logger = { .lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO };

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

void
log_init(enum log_level level, enum log_format format, const char *command)
{
	logger.level = level;
	logger.format = format;
	(void)snprintf(logger.command, sizeof(logger.command), "%s",
	    command == NULL ? "" : command);
}

bool
log_enabled(enum log_level level)
{
	return level <= logger.level;
}

void
log_set_hooks(void (*before)(void *), void (*after)(void *), void *arg)
{
	(void)pthread_mutex_lock(&logger.lock);
	logger.before = before;
	logger.after = after;
	logger.arg = arg;
	(void)pthread_mutex_unlock(&logger.lock);
}

/* JSON needs valid UTF-8; a byte that is not ASCII becomes U+00XX. */
static void
add_json_string(struct buf *b, const char *s)
{
	buf_add_byte(b, '"');
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			buf_printf(b, "\\u%04x", c);
		else
			buf_add_byte(b, c);
	}
	buf_add_byte(b, '"');
}

static void
add_json_line(struct buf *b, enum log_level level, const char *msg,
    const char *code, const char *hint)
{
	struct timespec now;
	struct tm tm;
	char stamp[32];

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &tm);
	(void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(b, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\"", stamp,
	    now.tv_nsec / 1000000, level_names[level]);
	if (logger.command[0] != '\0')
		buf_printf(b, ",\"command\":\"%s\"", logger.command);
	buf_printf(b, ",\"pid\":%ld,\"message\":", (long)getpid());
	add_json_string(b, msg);
	if (code != NULL)
		buf_printf(b, ",\"code\":\"%s\"", code);
	if (hint != NULL && hint[0] != '\0') {
		buf_add_str(b, ",\"hint\":");
		add_json_string(b, hint);
	}
	buf_add_str(b, "}\n");
}

static void
add_text_line(struct buf *b, enum log_level level, const char *msg,
    const char *hint)
{
	buf_printf(b, "dapk-backup%s%s: %s%s%s\n",
	    logger.command[0] != '\0' ? " " : "", logger.command,
	    level == LOG_INFO ? "" : level_names[level],
	    level == LOG_INFO ? "" : ": ", msg);
	if (hint != NULL && hint[0] != '\0')
		buf_printf(b, "  hint: %s\n", hint);
}

static void
emit(enum log_level level, const char *msg, const char *code,
    const char *hint)
{
	struct buf b;

	buf_init(&b, LINE_MAX_BYTES);
	if (logger.format == LOG_JSON)
		add_json_line(&b, level, msg, code, hint);
	else
		add_text_line(&b, level, msg, hint);
	(void)pthread_mutex_lock(&logger.lock);
	if (logger.before != NULL)
		logger.before(logger.arg);
	/* When standard error is gone there is nobody left to tell. */
	(void)!write(STDERR_FILENO, buf_str(&b), b.len);
	if (logger.after != NULL)
		logger.after(logger.arg);
	(void)pthread_mutex_unlock(&logger.lock);
	buf_free(&b);
}

static void __attribute__((format(printf, 2, 0)))
emit_va(enum log_level level, const char *fmt, va_list ap)
{
	char msg[ERR_MSG_MAX];

	if (!log_enabled(level))
		return;
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	emit(level, msg, NULL, NULL);
}

#define DEFINE_LOG(name, level)                                              \
	void name(const char *fmt, ...)                                      \
	{                                                                    \
		va_list ap;                                                  \
                                                                             \
		va_start(ap, fmt);                                           \
		emit_va(level, fmt, ap);                                     \
		va_end(ap);                                                  \
	}

DEFINE_LOG(log_error, LOG_ERROR)
DEFINE_LOG(log_warning, LOG_WARNING)
DEFINE_LOG(log_info, LOG_INFO)
DEFINE_LOG(log_debug, LOG_DEBUG)

void
log_err(enum log_level level, const struct err *err)
{
	if (log_enabled(level))
		emit(level, err->msg, err_code_name(err->code), err->hint);
}
