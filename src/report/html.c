/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "report/html.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "core/text.h"
#include "core/time.h"
#include "repo/notes.h"

#define SECOND INT64_C(1000000)
#define REPLACEMENT "\xef\xbf\xbd"

static bool
follows(const uint8_t *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return false;
	return true;
}

/* The length of the character that begins here; 0: it is none (RFC 3629). */
static size_t
character(const uint8_t *s)
{
	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f ? 1 : 0;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		/* U+0080 to U+009F are control characters */
		return follows(s + 1, 1) && (s[0] != 0xc2 || s[1] >= 0xa0) ?
		    2 : 0;
	if (s[0] >= 0xe0 && s[0] <= 0xef) {
		if (!follows(s + 1, 2) || (s[0] == 0xe0 && s[1] < 0xa0) ||
		    (s[0] == 0xed && s[1] > 0x9f))
			return 0;
		/* What turns the reading direction would hide the rest. */
		if (s[0] == 0xe2 && ((s[1] == 0x80 && s[2] >= 0xaa &&
		    s[2] <= 0xae) || (s[1] == 0x81 && s[2] >= 0xa6 &&
		    s[2] <= 0xa9)))
			return 0;
		return 3;
	}
	if (s[0] >= 0xf0 && s[0] <= 0xf4 && follows(s + 1, 3) &&
	    (s[0] != 0xf0 || s[1] >= 0x90) && (s[0] != 0xf4 || s[1] <= 0x8f))
		return 4;
	return 0;
}

static const char *
entity(uint8_t c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	case '\n':
	case '\t':
	case '\r':
		return " ";
	}
	return NULL;
}

void
html_text(FILE *f, const char *s)
{
	const uint8_t *p = (const uint8_t *)s;
	const char *known;
	size_t n;

	if (s == NULL)
		return;
	while (*p != '\0') {
		known = entity(*p);
		n = known != NULL ? 1 : character(p);
		if (known != NULL)
			(void)fputs(known, f);
		else if (n == 0)
			(void)fputs(REPLACEMENT, f);
		else
			(void)fwrite(p, 1, n, f);
		p += n == 0 ? 1 : n;
	}
}

void
html_count(FILE *f, uint64_t n)
{
	char digits[24];
	size_t len, i;

	(void)snprintf(digits, sizeof(digits), "%" PRIu64, n);
	len = strlen(digits);
	for (i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			(void)fputc(',', f);
		(void)fputc(digits[i], f);
	}
}

void
html_number(FILE *f, uint64_t n, const char *noun)
{
	html_count(f, n);
	(void)fprintf(f, " %s%s", noun, n == 1 ? "" : "s");
}

void
html_size(FILE *f, uint64_t bytes)
{
	char size[TEXT_SIZE_MAX];

	(void)fputs("<span title=\"", f);
	html_number(f, bytes, "byte");
	(void)fprintf(f, "\">%s</span>", text_human_size(bytes, size));
}

const char *
html_time_text(int64_t t, char out[HTML_TIME_MAX])
{
	time_t unix_time = (time_t)(t / SECOND + TIME_UNIX_EPOCH_OFFSET);
	struct tm tm;

	if (localtime_r(&unix_time, &tm) == NULL ||
	    strftime(out, HTML_TIME_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		out[0] = '\0';
	return out;
}

void
html_time(FILE *f, int64_t t)
{
	char shown[HTML_TIME_MAX], exact[TIME_TEXT_MAX];

	if (t == 0) {
		(void)fputc('-', f);
		return;
	}
	(void)fprintf(f, "<time title=\"%s\">%.*s</time>",
	    time_format(t, exact), (int)sizeof("2026-11-22 14:31") - 1,
	    html_time_text(t, shown));
}

void
html_span(FILE *f, int64_t us)
{
	char age[32];

	if (us < 0)
		us = 0;
	(void)fputs("<span title=\"", f);
	html_number(f, (uint64_t)(us / SECOND), "second");
	(void)fprintf(f, "\">%s</span>", us < SECOND ? "under 1 second" :
	    notes_age(us, age));
}
