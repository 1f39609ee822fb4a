/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H

/*
 * Writing HTML: what comes from outside goes through html_text(), which can
 * stand between tags and in a quoted attribute alike. A stream's failure is
 * told by who closes it. Thread safe.
 */
#include <stdint.h>
#include <stdio.h>

/*
 * Escaped; what is no UTF-8 and what no page may hold becomes U+FFFD. NULL is
 * nothing.
 */
void html_text(FILE *f, const char *s);

/* "1,234,567" */
void html_count(FILE *f, uint64_t n);

/* "591 MB", the exact number as its title. */
void html_size(FILE *f, uint64_t bytes);

/* "2026-11-22 14:31" in the local zone, all of it as its title; 0: "-". */
void html_time(FILE *f, int64_t t);

/* "2026-11-22 14:31:07" in the local zone: for titles. */
#define HTML_TIME_MAX 48
const char *html_time_text(int64_t t, char out[HTML_TIME_MAX]);

/* "3 days", the exact number of seconds as its title. */
void html_span(FILE *f, int64_t us);

/* A whole number with its noun: "1 segment", "2 segments". */
void html_number(FILE *f, uint64_t n, const char *noun);

#endif
