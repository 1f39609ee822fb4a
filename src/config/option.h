/* SPDX-License-Identifier: PostgreSQL */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

/*
 * The option table: one row a setting. The command line parser, the file,
 * the environment, --help and the test of the man pages all read it, so that
 * none of them can know an option that another does not. Pure, thread safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "core/err.h"

/* Commands, as bits of struct option.commands. */
enum option_command {
	COMMAND_INIT = 1 << 0,
	COMMAND_CHECK = 1 << 1,
	COMMAND_ARCHIVE_PUSH = 1 << 2,
	COMMAND_ARCHIVE_GET = 1 << 3,
	COMMAND_BACKUP = 1 << 4,
	COMMAND_RESTORE = 1 << 5,
	COMMAND_INFO = 1 << 6,
	COMMAND_EXPORT = 1 << 7,
	COMMAND_EXPIRE = 1 << 8,
	COMMAND_VERIFY = 1 << 9,
	COMMAND_DUMP = 1 << 10,
	COMMAND_LOAD = 1 << 11,
	COMMAND_COPY = 1 << 12,
	COMMAND_STATUS = 1 << 13,
	COMMAND_PIN = 1 << 14,
	COMMAND_UNPIN = 1 << 15,
	COMMAND_HOLD = 1 << 16,
	COMMAND_RELEASE = 1 << 17,
	COMMAND_COMPLETION = 1 << 18,
	COMMAND_REPORT = 1 << 19,
	COMMAND_KEYS = 1 << 20,
	COMMAND_ANY = (1 << 21) - 1
};

enum option_type {
	OPTION_META,	  /* --help, --version: not a setting */
	OPTION_BOOL,	  /* --x, --no-x, --x=yes|no; bool */
	OPTION_TEXT,	  /* char *, not empty */
	OPTION_PATH,	  /* char *, made absolute */
	OPTION_NAME,	  /* char *, name of a cluster or repository */
	OPTION_URL,	  /* char *, "file:///path", "s3://bucket/prefix" */
	OPTION_SECRET,	  /* char *, never shown; only of a private file */
	OPTION_ID,	  /* char *, 32 hexadecimal digits */
	OPTION_CONNINFO,  /* char *, may hold a secret */
	OPTION_TIMELINE,  /* char *, "latest", "current" or a number */
	OPTION_UNSIGNED,  /* unsigned */
	OPTION_INT,	  /* int */
	OPTION_JOBS,	  /* unsigned, "auto": online processors, at most 8 */
	OPTION_SIZE,	  /* uint64_t, bytes */
	OPTION_DURATION,  /* uint64_t, milliseconds */
	OPTION_CHOICE,	  /* an enum, from .choices */
	OPTION_TARGET,	  /* target_value; .min is the enum config_target */
	OPTION_TARGET_WORD, /* "immediate" or "latest" */
	OPTION_MAP,	  /* OLD=NEW, may be given again */
	OPTION_PASS,	  /* a value for pg_dump, may be given again */
	OPTION_PASS_FLAG  /* the same without a value: "no-owner" */
};

/* The section of the file that a key stands in. */
enum option_section {
	SECTION_NONE, /* not a key of the file */
	SECTION_GLOBAL,
	SECTION_CLUSTER,
	SECTION_REPOSITORY
};

struct option {
	const char *name; /* "compress-level" */
	const char *key;  /* in the file, where not the name, else NULL */
	char short_name;  /* 'j', or 0 */
	enum option_type type;
	enum option_section section;
	unsigned commands;	    /* enum option_command bits */
	const char *env;	    /* "DAPK_BACKUP_JOBS", or NULL */
	const char *value;	    /* placeholder, "N"; NULL for BOOL */
	const char *default_value;  /* text, or NULL */
	uint64_t min, max;	    /* numbers, sizes, durations */
	const char *const *choices; /* NULL-terminated, in the enum's order */
	size_t offset;		    /* of the member in struct config */
	const char *help;
};

/* The rows, in the order that --help shows; the last one's name is NULL. */
extern const struct option option_table[];

const char *option_key(const struct option *opt);

/* By long name or short name; NULL when there is none. commands limits it to
 * rows that one of these commands takes. */
const struct option *option_find(const char *name, size_t len,
    unsigned commands);
const struct option *option_find_short(char c, unsigned commands);
const struct option *option_find_env(const char *name);

/* By key and section; any_section (may be NULL) tells where else it stands. */
const struct option *option_find_key(const char *key,
    enum option_section section, enum option_section *elsewhere);

/*
 * Is it one of those that say how a storage is reached? --help names them in
 * one line: they are keys of the file's [repository] sections above all.
 */
bool option_is_storage(const struct option *opt);

/* Does the option take a value of its own argument ("--x VALUE")? */
bool option_takes_value(const struct option *opt);

/*
 * Parse the text and store it in *cfg; what was there is freed. from_file:
 * paths must be absolute, since a file has no current directory. The message
 * of ERR_CONFIG says what is allowed ("must be ..."), the caller puts option
 * and value before it.
 */
int option_set(struct config *cfg, const struct option *opt,
    const char *value, bool from_file, struct err *err) ERR_USE;

/* What values are allowed, as "a whole number from 1 to 19". */
#define OPTION_RANGE_MAX 160
const char *option_range(const struct option *opt, char out[OPTION_RANGE_MAX]);

/*
 * The name nearest to what was typed, or NULL when none is near. names is an
 * array of n.
 */
const char *option_nearest(const char *typed, const char *const *names,
    size_t n);

#endif
