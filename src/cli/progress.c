/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/log.h"
#include "core/text.h"
#include "core/time.h"

#define SECOND 1000000
#define REDRAW_US (SECOND / 4)
#define LINE_US (10 * SECOND) /* where there is no terminal */
#define BAR_MIN 10
#define BAR_MAX 40

static void
add_duration(char *out, size_t size, uint64_t seconds)
{
	if (seconds >= 100 * 3600)
		(void)snprintf(out, size, "days");
	else if (seconds >= 3600)
		(void)snprintf(out, size, "%u:%02u:%02u",
		    (unsigned)(seconds / 3600),
		    (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60));
	else
		(void)snprintf(out, size, "%u:%02u",
		    (unsigned)(seconds / 60), (unsigned)(seconds % 60));
}

/* "12 MB of 591 MB, 100 MB/s, 0:42 left" */
static void
add_numbers(char *out, size_t size, uint64_t done, uint64_t total,
    uint64_t rate_bytes, int64_t elapsed_us)
{
	char a[TEXT_SIZE_MAX], b[TEXT_SIZE_MAX], c[TEXT_SIZE_MAX], left[24];
	double rate;
	size_t len;

	len = (size_t)snprintf(out, size, "%s of %s",
	    text_human_size(done, a), text_human_size(total, b));
	/* The first moments say nothing about the rest. */
	if (elapsed_us < SECOND / 2 || rate_bytes == 0 || len >= size)
		return;
	rate = (double)rate_bytes * SECOND / (double)elapsed_us;
	add_duration(left, sizeof(left),
	    (uint64_t)((double)(total - done) / rate + 0.5));
	(void)snprintf(out + len, size - len, ", %s/s, %s left",
	    text_human_size((uint64_t)rate, c), left);
}

void
progress_line(char out[PROGRESS_LINE_MAX], unsigned width, const char *what,
    uint64_t done, uint64_t total, uint64_t rate_bytes, int64_t elapsed_us)
{
	char numbers[128], bar[BAR_MAX + 3] = "";
	unsigned percent, cells, filled, used;
	size_t len;

	if (width > PROGRESS_LINE_MAX)
		width = PROGRESS_LINE_MAX;
	if (width < 2) {
		out[0] = '\0';
		return;
	}
	if (total == 0) {
		(void)snprintf(out, width, "%s", what);
		return;
	}
	if (done > total)
		done = total; /* files grew while they were read */
	percent = (unsigned)((double)done * 100 / (double)total);
	add_numbers(numbers, sizeof(numbers), done, total, rate_bytes,
	    elapsed_us);
	used = (unsigned)(strlen(what) + strlen(numbers)) + 9;
	if (used + BAR_MIN + 2 < width) {
		cells = width - 1 - used - 2;
		if (cells > BAR_MAX)
			cells = BAR_MAX;
		filled = cells * percent / 100;
		bar[0] = '[';
		memset(bar + 1, '#', filled);
		memset(bar + 1 + filled, '.', cells - filled);
		bar[cells + 1] = ']';
		bar[cells + 2] = '\0';
	}
	len = (size_t)snprintf(out, width, "%s %3u%% %s%s%s", what, percent,
	    bar, bar[0] != '\0' ? " " : "", numbers);
	/* Too narrow for all: percent alone is better than half a number. */
	if (len >= width)
		(void)snprintf(out, width, "%u%%", percent);
}

static unsigned
terminal_width(void)
{
	struct winsize ws;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
		return ws.ws_col;
	return 80;
}

/* A broken terminal is no reason to stop a backup. */
static void
put(const char *text)
{
	(void)!write(STDERR_FILENO, text, strlen(text));
}

/* With the lock held. */
static void
take_off(struct progress *p)
{
	if (p->shown)
		put("\r\033[K");
	p->shown = false;
}

static void
draw(struct progress *p)
{
	char text[PROGRESS_LINE_MAX + 8];

	(void)snprintf(text, sizeof(text), p->terminal ? "\r%s\033[K" :
	    "%s\n", p->line);
	put(text);
	p->shown = p->terminal;
}

static void
before_log(void *arg)
{
	struct progress *p = arg;

	(void)pthread_mutex_lock(&p->lock);
	take_off(p);
	(void)pthread_mutex_unlock(&p->lock);
}

static void
after_log(void *arg)
{
	struct progress *p = arg;

	(void)pthread_mutex_lock(&p->lock);
	if (p->on && p->terminal && p->line[0] != '\0')
		draw(p);
	(void)pthread_mutex_unlock(&p->lock);
}

void
progress_start(struct progress *p, const struct config *cfg)
{
	const char *term = getenv("TERM");

	memset(p, 0, sizeof(*p));
	(void)pthread_mutex_init(&p->lock, NULL);
	p->terminal = isatty(STDERR_FILENO) == 1 && term != NULL &&
	    strcmp(term, "dumb") != 0;
	p->on = cfg->progress == PROGRESS_ALWAYS ||
	    (cfg->progress == PROGRESS_AUTO && p->terminal && !cfg->quiet &&
		cfg->log_format == LOG_TEXT);
	if (p->on)
		log_set_hooks(before_log, after_log, p);
}

void
progress_update(struct progress *p, const char *what, uint64_t done,
    uint64_t total)
{
	int64_t now;

	if (!p->on)
		return;
	now = time_monotonic();
	(void)pthread_mutex_lock(&p->lock);
	if (p->begun == 0 && done > 0) {
		p->begun = now;
		p->begun_bytes = done;
	}
	if (p->drawn == 0 ||
	    now - p->drawn >= (p->terminal ? REDRAW_US : LINE_US)) {
		p->drawn = now;
		progress_line(p->line, p->terminal ? terminal_width() : 80,
		    what, done, total, done - p->begun_bytes,
		    p->begun == 0 ? 0 : now - p->begun);
		draw(p);
	}
	(void)pthread_mutex_unlock(&p->lock);
}

void
progress_end(struct progress *p)
{
	if (p->on)
		log_set_hooks(NULL, NULL, NULL);
	(void)pthread_mutex_lock(&p->lock);
	take_off(p);
	p->on = false;
	(void)pthread_mutex_unlock(&p->lock);
	(void)pthread_mutex_destroy(&p->lock);
}
