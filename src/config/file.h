/* SPDX-License-Identifier: PostgreSQL */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

/*
 * The configuration file: sections and keys, each checked against the option
 * table while it is read. Values are kept as text with their line.
 */
#include "config/option.h"

#define CONFIG_FILE_SIZE_MAX ((size_t)1 << 20)

struct config_section {
	enum option_section kind;
	char *name; /* NULL for [global] */
	unsigned line;
};

struct config_entry {
	size_t section; /* index of its section */
	const struct option *option;
	char *value;
	unsigned line;
};

struct config_file {
	char *path; /* for messages */
	struct config_section *sections;
	size_t n_sections;
	struct config_entry *entries;
	size_t n_entries;
};

/* Read and check a file. ERR_CONFIG "FILE:LINE: ..." at the first mistake. */
int config_file_read(struct config_file *f, const char *path,
    struct err *err) ERR_USE;

/* The same from text in memory (0-terminated). */
int config_file_parse(struct config_file *f, const char *path,
    const char *text, struct err *err) ERR_USE;
void config_file_free(struct config_file *f); /* also of a zeroed one */

/* The section, or NULL; how many of a kind there are. */
const struct config_section *config_file_section(const struct config_file *f,
    enum option_section kind, const char *name);
size_t config_file_count(const struct config_file *f,
    enum option_section kind);

/* The entry of this key in this section, or NULL. */
const struct config_entry *config_file_entry(const struct config_file *f,
    const struct config_section *section, const char *option_name);

#endif
