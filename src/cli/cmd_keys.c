/* SPDX-License-Identifier: PostgreSQL */
/*
 * keys: who can open an encrypted repository. The first of the cluster's
 * repositories is changed, the others, which have the same ring, follow.
 */
#include "config.h"

#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/jout.h"
#include "cli/keys_sheet.h"
#include "cli/people.h"
#include "cli/prompt.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/random.h"
#include "core/secret.h"
#include "core/time.h"
#include "repo/keyfile.h"

#define SHEET_MAX ((size_t)1 << 20)
#define LINE_MAX_BYTES 256

static int
open_ring(struct repo **out, const struct config *cfg, struct err *err)
{
	if (cli_open_repo(out, cfg, err) != 0)
		return -1;
	if ((*out)->ring != NULL)
		return 0;
	(void)err_set(err, ERR_REFUSED, "%s is not encrypted: it has no keys",
	    storage_url((*out)->st));
	return err_hint(err, "a repository is encrypted from its beginning or "
	    "never: 'dapk-backup init --encrypt' makes one in an empty place");
}

/* Is a secret at hand, or only what the store says? */
static bool
has_secret(const struct config *cfg)
{
	struct keyring_unlock u;

	repo_unlock(&cfg->repo, &u);
	return u.key_file != NULL || u.passphrase_file != NULL ||
	    u.passphrase != NULL;
}

static uint32_t
newest(const struct keyring_entry *e, size_t n)
{
	uint32_t pair = 0;
	size_t i;

	for (i = 0; i < n; i++)
		if (e[i].pair > pair)
			pair = e[i].pair;
	return pair;
}

static unsigned
count_pairs(const struct keyring_entry *e, size_t n)
{
	unsigned pairs = 0;
	size_t i;

	for (i = 0; i < n; i++)
		pairs += e[i].pair > 0;
	return pairs;
}

/* Secrets that a host of the public key alone made for itself. */
struct unvouched {
	char (*ids)[KEYRING_ID_TEXT];
	size_t n;
};

static int
list_json(const struct repo *repo, const struct keyring_entry *e, size_t n,
    const struct unvouched *un, struct err *err)
{
	json_t *top = json_object(), *pairs = json_array(),
	       *people = json_array(), *sets = json_array(), *o;
	size_t i;

	for (i = 0; i < n; i++) {
		o = json_object();
		if (e[i].pair > 0) {
			jout_set(o, "pair", jout_number(e[i].pair));
		} else {
			jout_set(o, "id", jout_text(e[i].id));
			jout_set(o, "kind", jout_text(people_kind(e[i].kind)));
			jout_set(o, "name", jout_text(e[i].name));
			jout_set(o, "pairs", jout_number(e[i].pairs));
		}
		jout_set(o, "created", jout_time(e[i].created));
		jout_set(o, "fingerprint", jout_text(e[i].fingerprint));
		jout_append(e[i].pair > 0 ? pairs : people, o);
	}
	jout_set(top, "repository", jout_text(repo->id_text));
	jout_set(top, "ring", jout_text(keyring_name(repo->ring)));
	for (i = 0; un != NULL && i < un->n; i++)
		jout_append(sets, jout_text(un->ids[i]));
	jout_set(top, "checked", un != NULL ? json_true() : json_false());
	jout_set(top, "pairs", pairs);
	jout_set(top, "recipients", people);
	jout_set(top, "unvouched", sets);
	return jout_write(top, stdout, err);
}

static void
list_text(const struct repo *repo, const struct keyring_entry *e, size_t n,
    const struct unvouched *un)
{
	const unsigned pairs = count_pairs(e, n);
	char when[TIME_TEXT_MAX];
	struct buf name;
	size_t i;

	(void)printf("%s, repository %s, key ring %s\n",
	    storage_url(repo->st), repo->id_text, keyring_name(repo->ring));
	for (i = 0; i < n; i++) {
		(void)time_format_local(e[i].created, when);
		if (e[i].pair > 0) {
			(void)printf("pair %u  of %s  fingerprint %s%s\n",
			    e[i].pair, when, e[i].fingerprint,
			    e[i].pair == newest(e, n) ? "  (written to)" : "");
			continue;
		}
		buf_init(&name, KEYRING_NAME_MAX);
		keys_show_name(&name, e[i].name);
		(void)printf("recipient %s  %-10s  of %s  fingerprint %s  "
		    "opens %u of %u pair%s  %s\n", e[i].id,
		    people_kind(e[i].kind), when, e[i].fingerprint, e[i].pairs,
		    pairs, pairs == 1 ? "" : "s", buf_str(&name));
		buf_free(&name);
	}
	for (i = 0; un != NULL && i < un->n; i++)
		(void)printf("secrets %s: nobody vouches for them; a host with "
		    "the public key alone made\n  them when it had lost its "
		    "state, or somebody else who has it. If it is yours:\n"
		    "  dapk-backup keys rotate --accept %s\n", un->ids[i],
		    un->ids[i]);
	(void)printf("%s\n", un != NULL ? "all of this is authenticated, by the "
	    "key given" : "this is what the store says: give a key to have it "
	    "checked");
}

static int
keys_list(const struct config *cfg, struct repo *repo, struct err *err)
{
	const bool checked = has_secret(cfg);
	struct unvouched un = { .n = 0 };
	struct keyring_entry *e;
	size_t n;
	int rc = 0;

	if (keyring_entries(repo, checked, &e, &n, err) != 0)
		return -1;
	if (checked)
		rc = keyring_unvouched(repo, &un.ids, &un.n, err);
	if (rc == 0 && cfg->json)
		rc = list_json(repo, e, n, checked ? &un : NULL, err);
	else if (rc == 0)
		list_text(repo, e, n, checked ? &un : NULL);
	free(un.ids);
	free(e);
	return rc;
}

/*
 * To the other places. One that cannot be reached gets it by the next copy;
 * until then it is not safe to lose the first.
 */
static int
spread(const struct config *cfg, const struct repo *repo, struct err *err)
{
	const struct config_repository *r;
	struct repo *to;
	unsigned i;
	int rc = 0;

	for (i = 1; (r = config_repository(cfg, i)) != NULL; i++) {
		struct err failed = ERR_INIT;
		int one;

		to = NULL;
		one = repo_open_configured(&to, r, &failed);
		if (one == 0 && to->ring == NULL)
			one = err_set(&failed, ERR_REFUSED, "%s is not "
			    "encrypted", r->url);
		if (one == 0)
			one = keyring_copy(repo, to, &failed);
		repo_close(to);
		if (one == 0)
			continue;
		(void)err_wrap(&failed, "done in %s, not in %s", cfg->repo.url,
		    r->url);
		failed.hint[0] = '\0'; /* here more is known */
		(void)err_hint(&failed, "when it can be reached, 'dapk-backup "
		    "copy' brings the keys there");
		if (failed.code == ERR_CONFIG || failed.code == ERR_NOT_FOUND)
			failed.code = ERR_STORAGE; /* a disk not mounted */
		if (rc != 0)
			log_err(LOG_ERROR, &failed);
		else
			*err = failed;
		rc = -1;
	}
	return rc;
}

static int
keys_add(const struct config *cfg, struct repo *repo, struct err *err)
{
	const struct people_wish wish = { .key_file = cfg->new_key_file,
		.passphrase_file = cfg->new_passphrase_file,
		.public_key_file = cfg->new_public_key_file,
		.name = cfg->key_name };
	struct people p;
	struct buf name;
	size_t i;
	int rc;

	rc = people_gather(&p, &wish, err);
	for (i = 0; rc == 0 && i < p.n; i++) {
		buf_init(&name, KEYRING_NAME_MAX);
		keys_show_name(&name, p.list[i].name);
		rc = keyring_add(repo, &p.list[i], err);
		if (rc == 0)
			(void)printf("recipient %s (%s, %s) opens all that is "
			    "stored and will be\n", p.list[i].id,
			    people_kind(p.list[i].kind), buf_str(&name));
		buf_free(&name);
	}
	if (rc == 0 && p.key_made)
		(void)printf("%s was made now: keep a copy of it elsewhere, "
		    "and one on paper\n", cfg->new_key_file);
	people_free(&p);
	return rc == 0 ? spread(cfg, repo, err) : -1;
}

static int
keys_rotate(const struct config *cfg, struct repo *repo, struct err *err)
{
	uint32_t pair;

	if (cfg->accept != NULL &&
	    keyring_accept(repo, cfg->accept, err) != 0)
		return -1;
	if (keyring_rotate(repo, &pair, err) != 0)
		return -1;
	(void)printf("pair %u is written to from now on. What was stored "
	    "before opens with the keys as\nbefore: the old pairs stay.\n",
	    pair);
	return spread(cfg, repo, err);
}

/* The whole id of the one that begins so. */
static int
find_id(struct repo *repo, const char *prefix, char out[KEYRING_ID_TEXT],
    struct err *err)
{
	struct keyring_entry *e;
	size_t n, i, found = 0, len = strlen(prefix);

	out[0] = '\0';
	if (keyring_entries(repo, false, &e, &n, err) != 0)
		return -1;
	for (i = 0; i < n; i++)
		if (e[i].pair == 0 && strncmp(e[i].id, prefix, len) == 0) {
			memcpy(out, e[i].id, KEYRING_ID_TEXT);
			found++;
		}
	free(e);
	if (found > 1)
		return err_set(err, ERR_USAGE, "the ids of several recipients "
		    "begin with %s", prefix);
	/* One whose object is gone and whose wraps are not: a whole id. */
	if (found == 0)
		(void)snprintf(out, KEYRING_ID_TEXT, "%s", prefix);
	return 0;
}

struct revoking {
	const char *prefix;
	unsigned done;
};

static int
revoke_one(void *arg, struct repo *repo, const struct config_repository *at,
    struct err *err)
{
	struct revoking *r = arg;
	char id[KEYRING_ID_TEXT];

	(void)at;
	if (repo->ring == NULL)
		return err_set(err, ERR_REFUSED, "%s is not encrypted",
		    storage_url(repo->st));
	if (find_id(repo, r->prefix, id, err) != 0)
		return -1;
	if (keyring_revoke(repo, id, err) != 0) {
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_clear(err); /* shut out there before */
		return 0;
	}
	r->done++;
	(void)printf("recipient %s opens nothing any more in %s\n", id,
	    storage_url(repo->st));
	return 0;
}

static int
keys_revoke(const struct config *cfg, struct err *err)
{
	struct revoking r = { .done = 0 };

	if (cfg->n_arguments < 2) {
		(void)err_set(err, ERR_USAGE, "whom? The id of a recipient is "
		    "missing");
		return err_hint(err, "'dapk-backup keys list' shows them");
	}
	r.prefix = cfg->arguments[1];
	if (cli_each_repository(cfg, revoke_one, &r, err) != 0)
		return -1;
	if (r.done == 0) {
		(void)err_set(err, ERR_NOT_FOUND, "there is no recipient %s",
		    r.prefix);
		return err_hint(err, "'dapk-backup keys list' shows them");
	}
	(void)printf("Whoever kept copies of that key and of what lies in keys/ "
	    "can still read what is stored,\nand what will be, until a new "
	    "pair of keys is written to:\n  dapk-backup keys rotate\n");
	return 0;
}

static const char *
file_argument(const struct config *cfg, struct err *err)
{
	if (cfg->n_arguments > 1)
		return cfg->arguments[1];
	(void)err_set(err, ERR_USAGE, "the name of the file is missing");
	(void)err_hint(err, "usage: dapk-backup keys %s FILE",
	    cfg->arguments[0]);
	return NULL;
}

static int
write_public(const char *path, const uint8_t key[CRYPT_KEY], struct err *err)
{
	uint8_t public_half[CRYPT_KEY], there[CRYPT_KEY];
	char print[KEYRING_ID_TEXT];
	char *pub = xasprintf("%s.pub", path);
	int rc = keyring_public_of(key, public_half, err);

	if (rc == 0)
		rc = keyring_fingerprint(public_half, print, err);
	if (rc == 0)
		rc = keyfile_write_public(pub, public_half, err);
	if (rc != 0 && err->code == ERR_EXISTS) {
		err_clear(err);
		rc = keyfile_read_public(pub, there, err);
		if (rc == 0 && memcmp(there, public_half, CRYPT_KEY) != 0)
			rc = err_set(err, ERR_EXISTS, "%s is there, of "
			    "another key", pub);
	}
	if (rc == 0)
		(void)printf("%s is the key (mode 0600): keep it away from the "
		    "database's host.\n%s is its public half, fingerprint %s: "
		    "with it, a host writes\nwhat it cannot read "
		    "(encryption-public-key-file).\n", path, pub, print);
	free(pub);
	return rc;
}

/* Again is fine: the public half of one that is there is made anew. */
static int
keys_generate(const struct config *cfg, struct err *err)
{
	const char *path = file_argument(cfg, err);
	uint8_t key[CRYPT_KEY];
	bool exists = false;
	int rc = path == NULL ? -1 : io_exists(path, &exists, err);

	if (rc == 0 && exists)
		rc = keyfile_read(path, key, err);
	else if (rc == 0) {
		rc = random_bytes(key, sizeof(key), err);
		if (rc == 0)
			rc = keyfile_write(path, key, err);
	}
	if (rc == 0)
		rc = write_public(path, key, err);
	explicit_bzero(key, sizeof(key));
	return rc;
}

/* The key file that is configured: a passphrase is its owner's to write. */
static int
sheet_secret(const struct config *cfg, struct repo *repo,
    uint8_t key[CRYPT_KEY], struct err *err)
{
	struct keyring_entry *e;
	struct keyring_unlock u;
	size_t n;

	repo_unlock(&cfg->repo, &u);
	if (u.key_file == NULL) {
		(void)err_set(err, ERR_USAGE, "--with-secret prints a key "
		    "file, and none is given");
		return err_hint(err, "give --encryption-key-file FILE; a "
		    "passphrase is not printed: write it onto the sheet");
	}
	if (cfg->output == NULL) {
		(void)err_set(err, ERR_USAGE, "--with-secret needs --output: "
		    "nothing secret is shown unasked");
		return err_hint(err, "--output FILE makes a file of mode 0600, "
		    "--output - writes to standard output");
	}
	/* Does it open this repository? A sheet must not promise in vain. */
	if (keyring_entries(repo, true, &e, &n, err) != 0)
		return -1;
	free(e);
	return keyfile_read(u.key_file, key, err);
}

static int
write_sheet(const char *path, const struct buf *b, struct err *err)
{
	int fd, rc;

	if (path == NULL || strcmp(path, "-") == 0) {
		if (fwrite(b->data, 1, b->len, stdout) != b->len)
			return err_sys(err, errno, "write to standard output");
		return 0;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (fd < 0)
		return err_sys(err, errno, "create %s", path);
	rc = io_write_full(fd, b->data, b->len, path, err);
	if (rc == 0)
		rc = io_fsync(fd, path, err);
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(err, errno, "close %s", path);
	if (rc != 0)
		(void)unlink(path); /* half a sheet is none */
	return rc;
}

static int
keys_print_sheet(const struct config *cfg, struct repo *repo, struct err *err)
{
	struct keyring_entry *e = NULL;
	uint8_t key[CRYPT_KEY];
	struct buf b;
	size_t n = 0;
	int rc = 0;

	buf_init(&b, SHEET_MAX);
	if (cfg->with_secret)
		rc = sheet_secret(cfg, repo, key, err);
	if (rc == 0)
		rc = keyring_entries(repo, has_secret(cfg), &e, &n, err);
	/* Room at once: growing would leave copies of the secret behind. */
	if (rc == 0 && cfg->with_secret)
		(void)buf_reserve(&b, SHEET_MAX - 1);
	if (rc == 0)
		rc = keys_sheet(cfg, repo, e, n, cfg->with_secret ? key : NULL,
		    &b, err);
	if (rc == 0)
		rc = write_sheet(cfg->output, &b, err);
	if (rc == 0 && cfg->output != NULL && strcmp(cfg->output, "-") != 0)
		(void)printf("%s is the sheet: print it%s\n", cfg->output,
		    cfg->with_secret ? " and remove it" : "");
	free(e);
	explicit_bzero(key, sizeof(key));
	secret_buf_free(&b);
	return rc;
}

/* Four lines, from a person or from standard input. */
static int
read_sheet(struct buf *b, struct err *err)
{
	char line[LINE_MAX_BYTES], question[64];
	int i, rc = 0;

	(void)buf_reserve(b, SECRET_FILE_MAX - 1);
	if (isatty(STDIN_FILENO) == 0)
		return io_read_fd(STDIN_FILENO, "standard input", b, err);
	for (i = 1; i <= 4 && rc == 0; i++) {
		(void)snprintf(question, sizeof(question), "Line %d of the "
		    "key (not shown): ", i);
		rc = prompt_secret(question, line, sizeof(line), err);
		/* With or without its number. */
		if (rc == 0 && strchr(line, ':') == NULL)
			buf_printf(b, "%d: ", i);
		if (rc == 0)
			buf_printf(b, "%s\n", line);
	}
	explicit_bzero(line, sizeof(line));
	return rc;
}

static int
keys_from_sheet(const struct config *cfg, struct err *err)
{
	const char *path = file_argument(cfg, err);
	uint8_t key[CRYPT_KEY], public_half[CRYPT_KEY];
	char print[KEYRING_ID_TEXT];
	struct buf b;
	int rc = -1;

	buf_init(&b, SECRET_FILE_MAX);
	if (path != NULL && read_sheet(&b, err) == 0 &&
	    buf_check(&b, "the sheet", err) == 0 &&
	    keyfile_from_sheet(buf_str(&b), key, err) == 0 &&
	    keyring_public_of(key, public_half, err) == 0 &&
	    keyring_fingerprint(public_half, print, err) == 0)
		rc = keyfile_write(path, key, err);
	if (rc == 0)
		(void)printf("%s is the key again, fingerprint %s\n", path,
		    print);
	explicit_bzero(key, sizeof(key));
	secret_buf_free(&b);
	return rc;
}

struct action {
	const char *name;
	bool takes_argument;
	int (*run)(const struct config *cfg, struct err *err);
	int (*run_on)(const struct config *cfg, struct repo *repo,
	    struct err *err); /* on the ring of the repository in use */
};

static const struct action actions[] = {
	{ "list", false, NULL, keys_list },
	{ "add", false, NULL, keys_add },
	{ "rotate", false, NULL, keys_rotate },
	{ "revoke", true, keys_revoke, NULL },
	{ "generate", true, keys_generate, NULL },
	{ "sheet", false, NULL, keys_print_sheet },
	{ "from-sheet", true, keys_from_sheet, NULL },
};

#define N_ACTIONS (sizeof(actions) / sizeof(actions[0]))

static int
check_options(const struct config *cfg, const struct action *a,
    struct err *err)
{
	const bool add = strcmp(a->name, "add") == 0;
	const bool sheet = strcmp(a->name, "sheet") == 0;
	const char *wrong = NULL;

	if (!add && (cfg->new_key_file != NULL || cfg->key_name != NULL ||
	    cfg->new_passphrase_file != NULL ||
	    cfg->new_public_key_file != NULL))
		wrong = "--new-* and --name belong to keys add";
	if (!sheet && (cfg->with_secret || cfg->output != NULL))
		wrong = "--with-secret and --output belong to keys sheet";
	if (cfg->accept != NULL && strcmp(a->name, "rotate") != 0)
		wrong = "--accept belongs to keys rotate";
	if (cfg->json && strcmp(a->name, "list") != 0)
		wrong = "--json belongs to keys list";
	if (!a->takes_argument && cfg->n_arguments > 1)
		wrong = "too many arguments";
	if (wrong == NULL)
		return 0;
	return err_set(err, ERR_USAGE, "keys %s: %s", a->name, wrong);
}

int
cmd_keys(const struct config *cfg, struct err *err)
{
	const struct action *a = NULL;
	struct repo *repo = NULL;
	size_t i;
	int rc;

	for (i = 0; i < N_ACTIONS; i++)
		if (strcmp(actions[i].name, cfg->arguments[0]) == 0)
			a = &actions[i];
	if (a == NULL) {
		(void)err_set(err, ERR_USAGE, "keys does not know '%s'",
		    cfg->arguments[0]);
		return err_hint(err, "list, add, rotate, revoke, generate, "
		    "sheet or from-sheet");
	}
	if (check_options(cfg, a, err) != 0)
		return -1;
	if (a->run != NULL)
		return a->run(cfg, err) == 0 ? EXIT_DONE : -1;
	rc = open_ring(&repo, cfg, err);
	if (rc == 0)
		rc = a->run_on(cfg, repo, err);
	repo_close(repo);
	return rc == 0 ? EXIT_DONE : -1;
}
