/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/repo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/mem.h"
#include "core/random.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/each.h"
#include "repo/json.h"
#include "repo/keyfile.h"
#include "repo/keyring.h"
#include "repo/repo_private.h"

#define IDENTITY_MAX ((size_t)64 << 10)

bool
cluster_name_valid(const char *name)
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++) {
		char c = name[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9');

		if (!alnum && (i == 0 || (c != '_' && c != '.' && c != '-')))
			return false;
	}
	return i > 0 && i < CLUSTER_NAME_MAX;
}

void
repo_key(const struct incarnation *inc, const char *tail,
    char out[STORAGE_KEY_MAX])
{
	(void)snprintf(out, STORAGE_KEY_MAX, "clusters/%s/%d-%llu/%s",
	    inc->cluster, inc->major, (unsigned long long)inc->system_id,
	    tail);
}

const char *
repo_folder(enum repo_kind kind)
{
	return kind == REPO_DUMP ? "dumps/" : "backups/";
}

void
repo_pack_key_generation(const struct incarnation *inc,
    const struct pack_id *pack, uint32_t generation,
    char out[STORAGE_KEY_MAX])
{
	char tail[128], gen[16] = "";

	if (generation > 0)
		(void)snprintf(gen, sizeof(gen), ".g%u", generation);
	(void)snprintf(tail, sizeof(tail), "%s%s/pack-%02u-%06u%s.zst",
	    repo_folder(pack->kind), pack->label, pack->attempt, pack->number, gen);
	repo_key(inc, tail, out);
}

void
repo_pack_key(const struct incarnation *inc, const struct pack_id *pack,
    char out[STORAGE_KEY_MAX])
{
	repo_pack_key_generation(inc, pack, 0, out);
}

void
repo_damage_key(const struct incarnation *inc, const struct pack_id *pack,
    uint32_t generation, char out[STORAGE_KEY_MAX])
{
	char tail[128];

	(void)snprintf(tail, sizeof(tail),
	    "%s%s/pack-%02u-%06u.g%u.damaged", repo_folder(pack->kind),
	    pack->label, pack->attempt, pack->number, generation);
	repo_key(inc, tail, out);
}

/* Here, so that no reader of a text object can forget it. */
static int
open_checked(struct json_reader *out, const char *json, size_t len,
    struct err *err)
{
	if (json_open(out, json, len, err) != 0)
		return -1;
	if (json_check_must_know(out, err) == 0)
		return 0;
	json_close(out);
	return -1;
}

static int
get_text(struct repo *repo, const char *key, const char *kind, struct buf *b,
    const char **json, size_t *json_len, struct json_reader *out,
    struct err *err)
{
	size_t start = b->len;

	if (storage_get_all(repo->st, key, b, err) != 0)
		return -1;
	if (text_object_decode(b->data == NULL ? NULL : b->data + start,
		b->len - start, kind, json, json_len, err) != 0 ||
	    open_checked(out, *json, *json_len, err) != 0)
		return err_wrap(err, "%s/%s", storage_url(repo->st), key);
	return 0;
}

int
repo_get_text(struct repo *repo, const char *key, const char *kind,
    struct buf *b, const char **json, size_t *json_len, struct err *err)
{
	struct json_reader r;

	if (get_text(repo, key, kind, b, json, json_len, &r, err) != 0)
		return -1;
	json_close(&r);
	return 0;
}

int
repo_get_json(struct repo *repo, const char *key, const char *kind,
    struct buf *b, struct json_reader *out, struct err *err)
{
	const char *json;
	size_t len;

	return get_text(repo, key, kind, b, &json, &len, out, err);
}

int
repo_put_text(struct repo *repo, const char *key, const char *kind,
    const char *json, size_t len, struct err *err)
{
	struct buf b;
	int ret = -1;

	buf_init(&b, FORMAT_TEXT_MAX + 256);
	text_object_encode(kind, json, len, &b);
	if (buf_check(&b, key, err) == 0)
		ret = storage_put(repo->st, key, b.data, b.len, err);
	buf_free(&b);
	return ret;
}

/*
 * The one place that lets encrypted repositories be made and opened: not
 * before all that is stored in them is encrypted.
 */
#ifndef REPO_CIPHER_SUPPORTED
#define REPO_CIPHER_SUPPORTED true
#endif

bool
repo_cipher_supported(void)
{
	return REPO_CIPHER_SUPPORTED;
}

/* Its ring, for one that is encrypted; what opens it is given later. */
static int
decode_cipher(struct repo *repo, struct json_reader *r, struct err *err)
{
	const char *cipher = json_get_text(r, r->root, "cipher");

	if (cipher[0] == '\0' || strcmp(cipher, REPO_CIPHER_NONE) == 0)
		return 0;
	if (!repo_cipher_supported() || strcmp(cipher, REPO_CIPHER) != 0) {
		(void)err_set(err, ERR_UNSUPPORTED,
		    "the repository is encrypted (%s)", cipher);
		return err_hint(err, "use a newer dapk-backup");
	}
	return keyring_new(&repo->ring, json_get_text(r, r->root, "ring"),
	    NULL, err);
}

static int
decode_identity(struct repo *repo, const char *json, size_t len,
    struct err *err)
{
	struct json_reader r;
	uint8_t seed[8] = { 0 };
	const char *place;
	int ret = -1;

	if (json_open(&r, json, len, err) != 0)
		return -1;
	json_get_hex(&r, r.root, "id", repo->id, sizeof(repo->id));
	repo->created = json_get_time(&r, r.root, "created");
	if (decode_cipher(repo, &r, err) != 0)
		goto out;
	if (repo->ring == NULL) /* in an encrypted one it is in the ring */
		json_get_hex(&r, r.root, "fingerprint_seed", seed,
		    sizeof(seed));
	place = json_get_text_or_null(&r, r.root, "place");
	(void)snprintf(repo->place_text, sizeof(repo->place_text), "%s",
	    place);
	if (json_check(&r, err) != 0)
		goto out;
	text_hex(repo->id, sizeof(repo->id), repo->id_text);
	if (repo->place_text[0] == '\0') /* made before places were known */
		memcpy(repo->place_text, repo->id_text, REPO_ID_TEXT);
	/* Written as one number, so the first digits are the highest. */
	repo->fingerprint_seed = __builtin_bswap64(get_le64(seed));
	ret = 0;
out:
	json_close(&r);
	return ret;
}

int
repo_read_identity(struct repo *repo, struct err *err)
{
	struct buf b;
	const char *json;
	size_t len;
	int ret = -1;

	buf_init(&b, IDENTITY_MAX);
	if (repo_get_text(repo, REPO_IDENTITY_KEY, REPO_IDENTITY_KIND, &b, &json, &len,
		err) != 0)
		goto out;
	ret = decode_identity(repo, json, len, err);
	if (ret != 0)
		err_wrap(err, "%s/" REPO_IDENTITY_KEY, storage_url(repo->st));
out:
	buf_free(&b);
	return ret;
}

struct repo *
repo_new(struct storage *st)
{
	struct repo *repo = xcalloc(1, sizeof(*repo));

	repo->st = st;
	return repo;
}

/* ERR_CONFIG, if that is why: nothing is here, or no repository. */
static int
explain_absence(struct storage *st, struct err *err)
{
	struct err probe = ERR_INIT;

	/* A network's failures are what they are, and have taken their time. */
	if (err->code != ERR_NOT_FOUND && (err->code != ERR_STORAGE ||
	    !storage_is_local(storage_url(st))))
		return -1;
	if (storage_probe_root(st, &probe) == 0) {
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_set(err, ERR_CONFIG, "%s is not a repository",
		    storage_url(st));
		return err_hint(err, "is the path right, and the disk mounted?"
		    " A new repository is made by 'dapk-backup init'");
	}
	if (probe.code != ERR_NOT_FOUND)
		return -1;
	*err = probe;
	err->code = ERR_CONFIG;
	err->hint[0] = '\0';
	return err_hint(err, "is the path right, and the disk mounted? A new "
	    "repository is made by 'dapk-backup init'");
}

int
repo_open_storage(struct repo **out, struct storage *st, struct err *err)
{
	struct repo *repo = repo_new(st);

	if (repo_read_identity(repo, err) != 0) {
		explain_absence(st, err);
		repo_close(repo);
		return -1;
	}
	*out = repo;
	return 0;
}

int
repo_open(struct repo **out, const struct storage_settings *set,
    struct err *err)
{
	struct storage *st;

	if (storage_open(&st, set, err) != 0)
		return -1;
	return repo_open_storage(out, st, err);
}

/* Is key-file, which is SFTP's, a key file of ours? */
static bool
own_key_file(const struct config_repository *from)
{
	return from->key_file != NULL && keyfile_is(from->key_file);
}

void
repo_unlock(const struct config_repository *from, struct keyring_unlock *to)
{
	const char *passphrase = getenv(CONFIG_PASSPHRASE_ENV);

	*to = (struct keyring_unlock){
		.passphrase_file = from->encryption_passphrase_file,
		.key_file = from->encryption_key_file,
		.state_directory = from->state_directory,
		.public_only = from->encryption_public_key_file != NULL,
	};
	if (to->key_file == NULL && own_key_file(from))
		to->key_file = from->key_file;
	if (passphrase != NULL && passphrase[0] != '\0')
		to->passphrase = passphrase;
}

bool
repo_expects_keys(const struct config_repository *from)
{
	struct keyring_unlock u;

	repo_unlock(from, &u);
	return u.key_file != NULL || u.passphrase_file != NULL ||
	    u.passphrase != NULL || from->encryption_public_key_file != NULL;
}

void
repo_settings(const struct config_repository *from,
    struct storage_settings *to)
{
	*to = (struct storage_settings){
		.url = from->url,
		.timeout_ms = from->timeout_ms,
		.endpoint = from->endpoint,
		.region = from->region,
		.path_style = (enum storage_path_style)from->path_style,
		.credentials = from->credentials,
		.access_key_id = from->access_key_id,
		.secret_access_key = from->secret_access_key,
		.ca_file = from->ca_file,
		.server_side_encryption = from->server_side_encryption,
		.kms_key_id = from->kms_key_id,
		.storage_class = from->storage_class,
		.object_lock_days = from->object_lock_days,
		.key_file = own_key_file(from) ? NULL : from->key_file,
		.key_passphrase_file = from->key_passphrase_file,
		.password_file = from->password_file,
		.known_hosts = from->known_hosts,
		.host_key = (enum storage_host_key)from->host_key,
	};
}

/* Is it the one that is meant, and as secret as it is meant to be? */
static int
check_expected(const struct repo *repo, const struct config_repository *from,
    struct err *err)
{
	if (from->id != NULL && strcmp(from->id, repo->id_text) != 0) {
		(void)err_set(err, ERR_CONFIG, "%s is repository %s, and "
		    "repository %s is expected", from->url, repo->id_text,
		    from->id);
		return err_hint(err, "is another disk mounted there? The id "
		    "is told by --repository-id or the key id");
	}
	if (repo->ring != NULL || !repo_expects_keys(from))
		return 0;
	(void)err_set(err, ERR_CONFIG, "%s is not encrypted, and a key is "
	    "given for it", from->url);
	return err_hint(err, "is it another repository, or did somebody put "
	    "one into its place? If it is right, leave out encryption-*, "
	    "key-file and " CONFIG_PASSPHRASE_ENV);
}

int
repo_open_configured(struct repo **out, const struct config_repository *from,
    struct err *err)
{
	struct storage_settings set;
	struct keyring_unlock unlock;

	repo_settings(from, &set);
	if (repo_open(out, &set, err) != 0)
		return -1;
	if (check_expected(*out, from, err) != 0) {
		repo_close(*out);
		*out = NULL;
		return -1;
	}
	if ((*out)->ring != NULL) {
		repo_unlock(from, &unlock);
		keyring_give((*out)->ring, &unlock);
	}
	return 0;
}

int
repo_open_within(struct repo **out, const struct config_repository *from,
    uint64_t limit_ms, struct err *err)
{
	struct config_repository quick = *from;
	struct repo *probe;

	if (quick.timeout_ms > limit_ms) {
		/* A storage keeps the time limit that it was opened with. */
		quick.timeout_ms = limit_ms;
		if (repo_open_configured(&probe, &quick, err) != 0)
			return -1;
		repo_close(probe);
	}
	return repo_open_configured(out, from, err);
}

int
repo_begin_attempt(struct repo *repo, struct err *err)
{
	if (repo->ring == NULL)
		return 0;
	if (repo->attempt == NULL)
		repo->attempt = xcalloc(1, sizeof(*repo->attempt));
	if (keyring_look(repo, err) != 0 ||
	    keyring_new_data_key(repo, repo->attempt, err) != 0 ||
	    keyring_remember(repo, repo->attempt, err) != 0) {
		repo_end_attempt(repo);
		return -1;
	}
	repo->fingerprint_seed = repo->attempt->seed;
	return 0;
}

void
repo_end_attempt(struct repo *repo)
{
	if (repo->attempt != NULL)
		explicit_bzero(repo->attempt, sizeof(*repo->attempt));
	free(repo->attempt);
	repo->attempt = NULL;
}

int
repo_clone(const struct repo *repo, struct repo **out, struct err *err)
{
	struct storage *st;

	if (storage_clone(repo->st, &st, err) != 0)
		return -1;
	*out = xmalloc(sizeof(**out));
	**out = *repo;
	(*out)->st = st;
	(*out)->hands = NULL;
	if (repo->ring != NULL)
		(*out)->ring = keyring_share(repo->ring);
	if (repo->attempt != NULL) {
		(*out)->attempt = xmalloc(sizeof(*repo->attempt));
		*(*out)->attempt = *repo->attempt;
	}
	return 0;
}

void
repo_close(struct repo *repo)
{
	if (repo == NULL)
		return;
	repo_hands_free(repo->hands);
	keyring_release(repo->ring);
	repo_end_attempt(repo);
	storage_close(repo->st);
	free(repo);
}

/* Incarnations found so far; the cluster whose folder is being listed. */
struct found {
	const char *cluster;
	struct incarnation *list;
	size_t n;
};

static int
note_incarnation(void *arg, const struct storage_entry *entry,
    struct err *err)
{
	struct found *f = arg;
	struct incarnation inc;
	char again[64], name[64];
	unsigned long long system_id;
	int major;

	if (!entry->is_directory || strlen(entry->name) >= sizeof(name) ||
	    sscanf(entry->name, "%6d-%20llu", &major, &system_id) != 2)
		return 0;
	(void)snprintf(again, sizeof(again), "%d-%llu/", major, system_id);
	if (strcmp(again, entry->name) != 0 || major < 1)
		return 0; /* not a name of ours */
	memset(&inc, 0, sizeof(inc));
	(void)snprintf(inc.cluster, sizeof(inc.cluster), "%s", f->cluster);
	inc.major = major;
	inc.system_id = system_id;
	f->list = xreallocarray(f->list, f->n + 1, sizeof(*f->list));
	f->list[f->n++] = inc;
	return 0;
}

struct names {
	char (*list)[CLUSTER_NAME_MAX];
	size_t n;
};

static int
note_cluster(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct names *names = arg;
	size_t len = strlen(entry->name);
	char name[CLUSTER_NAME_MAX];

	if (!entry->is_directory || len < 2 || len > CLUSTER_NAME_MAX)
		return 0;
	(void)snprintf(name, sizeof(name), "%.*s", (int)len - 1, entry->name);
	if (!cluster_name_valid(name))
		return 0;
	names->list = xreallocarray(names->list, names->n + 1,
	    sizeof(*names->list));
	memcpy(names->list[names->n++], name, sizeof(name));
	return 0;
}

static int
list_incarnations(struct repo *repo, struct found *f, const char *cluster,
    struct err *err)
{
	char prefix[STORAGE_KEY_MAX];

	(void)snprintf(prefix, sizeof(prefix), "clusters/%s/", cluster);
	f->cluster = cluster;
	return storage_list(repo->st, prefix, true, note_incarnation, f, err);
}

int
repo_incarnations(struct repo *repo, const char *cluster,
    struct incarnation **out, size_t *n, struct err *err)
{
	struct found f = { .list = NULL };
	struct names names = { .list = NULL };
	size_t i;
	int ret = 0;

	if (cluster != NULL)
		ret = list_incarnations(repo, &f, cluster, err);
	else
		ret = storage_list(repo->st, "clusters/", true, note_cluster,
		    &names, err);
	for (i = 0; i < names.n && ret == 0; i++)
		ret = list_incarnations(repo, &f, names.list[i], err);
	free(names.list);
	if (ret != 0) {
		free(f.list);
		f.list = NULL;
		f.n = 0;
	}
	*out = f.list;
	*n = f.n;
	return ret;
}
