/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/manifest_names.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	enum manifest_rank rank;
} types[] = {
	[MANIFEST_HEAD] = { "manifest", RANK_HEAD },
	[MANIFEST_TABLESPACE] = { "tablespace", RANK_TABLESPACE },
	[MANIFEST_DIR] = { "dir", RANK_PATHS },
	[MANIFEST_LINK] = { "link", RANK_PATHS },
	[MANIFEST_FILE] = { "file", RANK_PATHS },
	[MANIFEST_DATA] = { "data", RANK_PATHS },
	[MANIFEST_CONFIG] = { "config", RANK_CONFIG },
	[MANIFEST_CONTROL] = { "control", RANK_CONTROL },
	[MANIFEST_BACKUP_LABEL] = { "backup_label", RANK_BACKUP_LABEL },
	[MANIFEST_TABLESPACE_MAP] = { "tablespace_map", RANK_TABLESPACE_MAP },
	[MANIFEST_SETTING] = { "setting", RANK_SETTING },
	[MANIFEST_END] = { "end", RANK_END },
};

const char *
manifest_type_name(enum manifest_type type)
{
	return types[type].name;
}

enum manifest_rank
manifest_rank(enum manifest_type type)
{
	return types[type].rank;
}

bool
manifest_type_parse(const char *name, enum manifest_type *out)
{
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(name, types[i].name) == 0) {
			*out = (enum manifest_type)i;
			return true;
		}
	return false;
}

void
manifest_part_key(const struct incarnation *inc, enum repo_kind kind,
    const char *label, size_t part, char out[STORAGE_KEY_MAX])
{
	manifest_part_generation_key(inc, kind, label, part, 0, out);
}

void
manifest_part_generation_key(const struct incarnation *inc,
    enum repo_kind kind, const char *label, size_t part, uint32_t generation,
    char out[STORAGE_KEY_MAX])
{
	char tail[128], gen[16] = "";

	if (generation > 0)
		(void)snprintf(gen, sizeof(gen), ".g%u", generation);
	(void)snprintf(tail, sizeof(tail), "%s%s/manifest-%02zu%s.zst",
	    repo_folder(kind), label, part, gen);
	repo_key(inc, tail, out);
}

struct stored {
	struct manifest_stored *list;
	size_t n;
};

static int
note_stored(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct stored *s = arg;
	struct manifest_stored m = { 0, entry->size };
	char again[32];
	size_t i;

	/* What follows "manifest-00." */
	if (sscanf(entry->name, "g%9u.zst", &m.generation) == 1)
		(void)snprintf(again, sizeof(again), "g%u.zst", m.generation);
	else
		(void)snprintf(again, sizeof(again), "zst");
	if (entry->is_directory || strcmp(again, entry->name) != 0 ||
	    s->n == MANIFEST_GENERATIONS_MAX)
		return 0;
	for (i = s->n++; i > 0 &&
	     s->list[i - 1].generation > m.generation; i--)
		s->list[i] = s->list[i - 1];
	s->list[i] = m;
	return 0;
}

int
manifest_part_stored(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label, size_t part,
    struct manifest_stored *out, size_t *n, struct err *err)
{
	struct stored s = { out, 0 };
	char tail[128], prefix[STORAGE_KEY_MAX];
	int rc;

	(void)snprintf(tail, sizeof(tail), "%s%s/manifest-%02zu.",
	    repo_folder(kind), label, part);
	repo_key(inc, tail, prefix);
	rc = storage_list(repo->st, prefix, true, note_stored, &s, err);
	*n = s.n;
	return rc;
}
