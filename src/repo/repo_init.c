/* SPDX-License-Identifier: PostgreSQL */
/* Making a repository, or a further place of one. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "core/bytes.h"
#include "core/random.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/keyring.h"
#include "repo/repo_private.h"

#define README_KEY "README.recovery"
#define README_MAX ((size_t)16 << 10)

static const char readme_head[] =
    "This directory is a repository of dapk-backup: backups of PostgreSQL\n"
    "clusters, their write-ahead log (WAL), and dumps of databases. Nothing in\n"
    "it is to be edited, renamed or removed by hand. Copying the whole of it is\n"
    "fine.\n"
    "\n"
    "What is here\n"
    "\n"
    "  dapk-repository              what makes this a repository\n"
    "  clusters/NAME/MAJOR-SYSTEM/  one PostgreSQL cluster: its major version\n"
    "                               and system identifier\n"
    "    backups/LABEL/commit       a backup exists when this file does; it is\n"
    "                               text and can be read\n"
    "    backups/LABEL/pack-*.zst   the files' content\n"
    "    backups/LABEL/manifest-*   which files there are, and where in packs\n"
    "    dumps/LABEL/...            the same of a database that was dumped\n"
    "    wal/TIMELINE/...           archived WAL, one file a segment\n"
    "\n"
    "How to restore\n"
    "\n"
    "  Install dapk-backup on a machine that has the same major version of\n"
    "  PostgreSQL, and type, with the path of this directory for PATH:\n"
    "\n"
    "    dapk-backup info --repository-url file://PATH\n"
    "    dapk-backup restore --repository-url file://PATH -D DIR\n"
    "    dapk-backup load --repository-url file://PATH LABEL     (a dump)\n"
    "\n";

static const char readme_plain[] =
    "Without the program\n"
    "\n"
    "  Every .zst file is a normal zstd file: 'zstd -t FILE' checks it. A WAL\n"
    "  file comes back with\n"
    "\n"
    "    zstd -dc wal/TIMELINE/LOG/SEGMENT-HASH.zst > SEGMENT\n"
    "\n"
    "  (if SEGMENT-HASH.part-NNNN.zst files of the same HASH are beside it,\n"
    "  name them behind it, in order; if SEGMENT-HASH.gN.zst are, take those of\n"
    "  the highest N alone; several HASHes are what two servers wrote, and only\n"
    "  a person can tell which is wanted). 'zstd -dc' of a manifest shows one\n"
    "  line a file, with its size, mode and the places of its blocks in the\n"
    "  packs; 'zstd -dc' of a pack shows its blocks one after another.\n"
    "\n"
    "  recover.py, which comes with dapk-backup (/usr/share/dapk-backup or\n"
    "  /usr/local/share/dapk-backup; scripts/ in its source), restores a whole\n"
    "  backup of a repository that is not encrypted with nothing but python3\n"
    "  and the zstd command:\n"
    "\n"
    "    python3 recover.py PATH --list\n"
    "    python3 recover.py PATH --backup LABEL --output DIR\n"
    "    python3 recover.py PATH --dump LABEL --output FILE\n"
    "\n"
    "  A dump comes out as a file for PostgreSQL's pg_restore.\n"
    "\n"
    "  How all of it is laid out, byte by byte, is in FORMAT.md of\n"
    "  dapk-backup's source: recover.py was written from it alone.\n";

static const char readme_encrypted[] =
    "This repository is encrypted\n"
    "\n"
    "  restore, load and info need its key: what it was made with, or what\n"
    "  'dapk-backup keys add' let in since. It is not here, and without it\n"
    "  nothing here can be read by anybody. Add to the commands above\n"
    "\n"
    "    --encryption-key-file FILE            (a key file), or\n"
    "    --encryption-passphrase-file FILE     (a passphrase in a file)\n"
    "\n"
    "  A key file that was printed (dapk-backup keys sheet) is made again by\n"
    "\n"
    "    dapk-backup keys from-sheet FILE\n"
    "\n"
    "  which asks for its lines. Who was let in stands in keys/, and\n"
    "\n"
    "    dapk-backup keys list --repository-url file://PATH\n"
    "\n"
    "  shows it. How all of it is laid out and encrypted, byte by byte, is in\n"
    "  FORMAT.md of dapk-backup's source.\n";

/* What stands at the top of the place. */
struct top {
	bool identity;
	char foreign[256]; /* a name that is not ours, or "" */
};

static int
note_top(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct top *top = arg;

	if (strcmp(entry->name, REPO_IDENTITY_KEY) == 0)
		top->identity = true;
	else if (strcmp(entry->name, README_KEY) != 0 &&
	    strcmp(entry->name, "keys/") != 0 && /* of an init that died */
	    strcmp(entry->name, "tmp-probe/") != 0)
		(void)snprintf(top->foreign, sizeof(top->foreign), "%s",
		    entry->name);
	return 0;
}

/* The number whose first digits are the highest, as text. */
static void
seed_text(uint64_t seed, char out[17])
{
	uint8_t bytes[8];

	put_le64(bytes, __builtin_bswap64(seed));
	text_hex(bytes, sizeof(bytes), out);
}

/* Of the one that it is a place of, or a new one. */
static int
choose_id(struct repo *repo, const struct repo *of, struct err *err)
{
	if (of != NULL)
		memcpy(repo->id, of->id, sizeof(repo->id));
	else if (random_bytes(repo->id, sizeof(repo->id), err) != 0)
		return -1;
	text_hex(repo->id, sizeof(repo->id), repo->id_text);
	return 0;
}

/* The members that tell how it is encrypted, or what makes fingerprints. */
static int
put_identity(struct repo *repo, const struct repo *of, struct err *err)
{
	char created[TIME_TEXT_MAX], place[REPO_ID_TEXT], seed[17];
	char how[128], json[512];
	uint8_t bytes[24];
	int n;

	if (random_bytes(bytes, sizeof(bytes), err) != 0)
		return -1;
	text_hex(bytes, 8, seed);
	text_hex(bytes + 8, 16, place);
	if (of != NULL)
		seed_text(of->fingerprint_seed, seed);
	if (repo->ring != NULL)
		(void)snprintf(how, sizeof(how), "\"cipher\": \"" REPO_CIPHER
		    "\",\n\"ring\": \"%s\"", keyring_name(repo->ring));
	else
		(void)snprintf(how, sizeof(how), "\"cipher\": \""
		    REPO_CIPHER_NONE "\",\n\"fingerprint_seed\": \"%s\"",
		    seed);
	n = snprintf(json, sizeof(json),
	    "{\n\"id\": \"%s\",\n\"place\": \"%s\",\n"
	    "\"created\": \"%s\",\n\"must_know\": [],\n%s\n}",
	    repo->id_text, place, time_format(time_now(), created), how);
	return repo_put_text(repo, REPO_IDENTITY_KEY, REPO_IDENTITY_KIND,
	    json, (size_t)n, err);
}

/* All keys are durable before the identity names them. */
static int
make_ring(struct repo *repo, const struct repo *of,
    const struct repo_keys *keys, struct err *err)
{
	struct keyring_recipient *who = NULL;
	size_t n = 0, i;

	if (of != NULL && of->ring == NULL)
		return 0;
	if (of != NULL) /* it lies under the same names */
		return keyring_new(&repo->ring, keyring_name(of->ring), NULL,
		    err) != 0 || keyring_copy(of, repo, err) != 0 ? -1 : 0;
	if (keys == NULL || keys->recipients == NULL)
		return 0;
	if (!repo_cipher_supported())
		return err_set(err, ERR_UNSUPPORTED, "this version of "
		    "dapk-backup cannot encrypt");
	if (keys->recipients(keys->arg, &who, &n, err) != 0 ||
	    keyring_begin(repo, &who[0], keys->unlock, err) != 0)
		return -1;
	for (i = 1; i < n; i++)
		if (keyring_add(repo, &who[i], err) != 0)
			return -1;
	return 0;
}

/* A put that found its name taken is fine: another init, or a lost answer. */
static int
or_exists(int rc, struct err *err)
{
	if (rc == 0 || err->code != ERR_EXISTS)
		return rc;
	err_clear(err);
	return 0;
}

static int
put_readme(struct repo *repo, struct err *err)
{
	struct buf b;
	int rc;

	buf_init(&b, README_MAX);
	buf_add_str(&b, readme_head);
	buf_add_str(&b, repo->ring != NULL ? readme_encrypted : readme_plain);
	rc = buf_check(&b, README_KEY, err);
	if (rc == 0)
		rc = storage_put(repo->st, README_KEY, b.data, b.len, err);
	buf_free(&b);
	return or_exists(rc, err);
}

static int
check_empty(struct repo *repo, const struct top *top, struct err *err)
{
	if (top->foreign[0] == '\0')
		return 0;
	err_set(err, ERR_REFUSED,
	    "%s is not empty (there is '%s') and not a repository",
	    storage_url(repo->st), top->foreign);
	return err_hint(err, "name an empty or a new directory");
}

/* It was configured to be read with a key, and would be made without. */
static int
check_wish(const struct repo *repo, const struct repo *of,
    const struct repo_keys *keys, struct err *err)
{
	if (keys == NULL || !keys->expected || keys->recipients != NULL ||
	    (of != NULL && of->ring != NULL))
		return 0;
	(void)err_set(err, ERR_CONFIG, "a key is given for %s, and it would "
	    "not be encrypted", storage_url(repo->st));
	return err_hint(err, "add --encrypt, or leave out encryption-*, "
	    "key-file and " CONFIG_PASSPHRASE_ENV);
}

static int
init_place(struct repo *repo, const struct repo *of,
    const struct repo_keys *keys, bool *created, struct err *err)
{
	struct top top = { .identity = false };
	struct storage *st = repo->st;

	*created = false;
	if (storage_probe_root(st, err) == 0) {
		if (storage_list(st, "", true, note_top, &top, err) != 0)
			return -1;
	} else if (err->code == ERR_NOT_FOUND)
		err_clear(err);
	else
		return -1;
	if (top.identity)
		return 0;
	if (check_empty(repo, &top, err) != 0 ||
	    check_wish(repo, of, keys, err) != 0 ||
	    choose_id(repo, of, err) != 0 || storage_create(st, err) != 0 ||
	    make_ring(repo, of, keys, err) != 0 ||
	    put_readme(repo, err) != 0)
		return -1;
	*created = true;
	if (put_identity(repo, of, err) == 0)
		return 0;
	*created = false;
	return or_exists(-1, err);
}

static bool
same_ring(const struct repo *a, const struct repo *b)
{
	if (a->ring == NULL || b->ring == NULL)
		return a->ring == b->ring;
	return strcmp(keyring_name(a->ring), keyring_name(b->ring)) == 0;
}

/* One that was there already is another repository. */
static int
check_copy(const struct repo *repo, const struct repo *of, struct err *err)
{
	if (of == NULL || (memcmp(repo->id, of->id, sizeof(repo->id)) == 0 &&
	    same_ring(repo, of) && (repo->ring != NULL ||
	    repo->fingerprint_seed == of->fingerprint_seed)))
		return 0;
	err_set(err, ERR_REFUSED, "%s is repository %s already, and not a "
	    "place for copies of %s, which is %s", storage_url(repo->st),
	    repo->id_text, storage_url(of->st), of->id_text);
	return err_hint(err, "name another, empty place: 'dapk-backup init' "
	    "makes it one");
}

static int
init_storage(struct repo **out, struct storage *st, const struct repo *of,
    const struct repo_keys *keys, bool *created, struct err *err)
{
	struct repo *repo = repo_new(st);

	if (init_place(repo, of, keys, created, err) != 0)
		goto failed;
	/* What lies there now is what counts. */
	keyring_release(repo->ring);
	repo->ring = NULL;
	if (repo_read_identity(repo, err) != 0 ||
	    check_copy(repo, of, err) != 0)
		goto failed;
	if (repo->ring != NULL && keys != NULL)
		keyring_give(repo->ring, keys->unlock);
	*out = repo;
	return 0;
failed:
	repo_close(repo);
	return -1;
}

int
repo_init_storage(struct repo **out, struct storage *st,
    const struct repo *of, bool *created, struct err *err)
{
	return init_storage(out, st, of, NULL, created, err);
}

int
repo_init_keys(struct repo **out, const struct storage_settings *set,
    const struct repo *of, const struct repo_keys *keys, bool *created,
    struct err *err)
{
	struct storage *st;

	if (storage_open(&st, set, err) != 0)
		return -1;
	return init_storage(out, st, of, keys, created, err);
}

int
repo_init(struct repo **out, const struct storage_settings *set,
    const struct repo *of, bool *created, struct err *err)
{
	return repo_init_keys(out, set, of, NULL, created, err);
}
