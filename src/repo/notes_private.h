/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_NOTES_PRIVATE_H
#define REPO_NOTES_PRIVATE_H

/* What the files of the notes share; only they include this. */
#include "repo/json.h"
#include "repo/notes.h"

/* Whose note is it? Takes j, which gets these members beside its own. */
void notes_write(const struct notes_of *of, const char *name, json_t *j);
json_t *notes_ids(json_t *j, const struct repo *repo,
    const struct incarnation *inc);

/* False: there is none. Else to be closed. */
bool notes_open(const struct notes_of *of, const char *name,
    struct json_reader *r);

/* Where no note has said it yet. */
void notes_take_ids(struct json_reader *r, struct notes *out);

/* The error's message as JSON. */
json_t *notes_error(const struct err *err);

/* notes_state.c: look, verify, expire, hold, the server. */
void notes_read_state(const struct notes_of *of, struct notes *out);
/* The backup and dump of a look; notes.c. */
json_t *notes_set_json(const struct commit *c);
void notes_take_set(struct json_reader *r, const char *member,
    struct notes_set *set);

#endif
