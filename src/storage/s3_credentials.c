/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/s3_credentials.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/secret.h"
#include "core/time.h"
#include "storage/s3_source.h"

#define REGION_DEFAULT "us-east-1"

/*
 * Keys are fetched anew this long before they end, or when half of their time
 * is over: what is signed a moment before the end may arrive after it.
 */
#define MARGIN_US (INT64_C(600) * 1000000)
/* Keys that still hold are used when no new ones come; ask again after: */
#define PAUSE_US (INT64_C(10) * 1000000)
/* A service that hands out keys whose time is over has a wrong clock. */
#define OVER_US (INT64_C(10) * 1000000)
/* Asking a service again and again: no longer than this. */
#define PATIENCE_MS 30000

enum kind {
	KIND_SETTINGS, /* of the configuration file */
	KIND_ENV,
	KIND_WEB_IDENTITY,
	KIND_PROFILE,
	KIND_CONTAINER,
	KIND_IMDS,
	KIND_FILE,
	KIND_AUTO /* not decided yet */
};

struct s3_credentials {
	pthread_mutex_t lock; /* of all below; held while keys are fetched */
	enum kind kind;	      /* auto becomes the one that had keys */
	char *argument;	      /* PATH, NAME (NULL: the usual profile) */
	char *source[KIND_AUTO + 1]; /* what to call them in messages */
	char *ca_file, *region;
	uint64_t patience_ms;

	struct s3_session session;
	bool have;
	bool refused; /* the server takes them for expired */
	int64_t renew_at, ends; /* time_boottime() */
	int64_t next_try;
};

/* The order of the AWS tools. */
static const enum kind auto_order[] = { KIND_ENV, KIND_WEB_IDENTITY,
	KIND_PROFILE, KIND_CONTAINER, KIND_IMDS };

static const struct {
	const char *name;
	enum kind kind;
	bool argument; /* NAME:... */
} words[] = {
	{ "auto", KIND_AUTO, false },
	{ "env", KIND_ENV, false },
	{ "file", KIND_FILE, true },
	{ "profile", KIND_PROFILE, true },
	{ "imds", KIND_IMDS, false },
	{ "web-identity", KIND_WEB_IDENTITY, false },
	{ "container", KIND_CONTAINER, false },
};

void
s3_keys_free(struct s3_keys *keys)
{
	secret_text_free(keys->id);
	secret_text_free(keys->secret);
	secret_text_free(keys->token);
	keys->id = keys->secret = keys->token = NULL;
}

static char *
copy(const char *s)
{
	return s == NULL ? NULL : xstrdup(s);
}

/* Which source the settings name, and its argument. */
static int
parse(const struct storage_settings *set, enum kind *kind,
    const char **argument, struct err *err)
{
	const char *s = set->credentials, *colon;
	size_t i, len;

	*argument = NULL;
	*kind = KIND_AUTO;
	if (s == NULL || strcmp(s, "auto") == 0) {
		if (set->access_key_id != NULL ||
		    set->secret_access_key != NULL)
			*kind = KIND_SETTINGS;
		return 0;
	}
	colon = strchr(s, ':');
	len = colon == NULL ? strlen(s) : (size_t)(colon - s);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i].name) != len ||
		    strncmp(words[i].name, s, len) != 0 ||
		    words[i].argument != (colon != NULL && colon[1] != '\0'))
			continue;
		*kind = words[i].kind;
		*argument = colon == NULL ? NULL : colon + 1;
		return 0;
	}
	err_set(err, ERR_CONFIG, "credentials = %s is not known", s);
	return err_hint(err, "write auto, env, file:PATH, profile:NAME, imds, "
	    "web-identity or container");
}

static int
check_settings(const struct storage_settings *set, struct s3_keys *keys,
    struct err *err)
{
	if (set->access_key_id == NULL || set->secret_access_key == NULL) {
		err_set(err, ERR_CONFIG, "%s is set and %s is not",
		    set->access_key_id == NULL ? "secret-access-key" :
		    "access-key-id", set->access_key_id == NULL ?
		    "access-key-id" : "secret-access-key");
		return err_hint(err, "set both in [repository NAME], or "
		    "neither and credentials");
	}
	keys->id = xstrdup(set->access_key_id);
	keys->secret = xstrdup(set->secret_access_key);
	return s3_source_check_keys(keys, "access-key-id and "
	    "secret-access-key", err);
}

static void
name_sources(struct s3_credentials *c)
{
	c->source[KIND_SETTINGS] =
	    xstrdup("access-key-id of the configuration file");
	c->source[KIND_ENV] = xstrdup("AWS_ACCESS_KEY_ID of the environment");
	c->source[KIND_WEB_IDENTITY] =
	    xstrdup("the role of AWS_ROLE_ARN for a web identity");
	if (c->kind == KIND_PROFILE && c->argument != NULL)
		c->source[KIND_PROFILE] =
		    xasprintf("the AWS profile %s", c->argument);
	else
		c->source[KIND_PROFILE] = xstrdup("the usual AWS profile");
	c->source[KIND_CONTAINER] = xstrdup("the container's role");
	c->source[KIND_IMDS] = xstrdup("the instance's role");
	c->source[KIND_FILE] = xasprintf("the file %s",
	    c->kind == KIND_FILE ? c->argument : "");
	c->source[KIND_AUTO] = xstrdup("credentials = auto");
}

int
s3_credentials_new(struct s3_credentials **out,
    const struct storage_settings *set, struct err *err)
{
	struct s3_credentials *c;
	const char *argument;
	enum kind kind;

	if (parse(set, &kind, &argument, err) != 0)
		return -1;
	c = xcalloc(1, sizeof(*c));
	(void)pthread_mutex_init(&c->lock, NULL); /* no error on Linux */
	c->kind = kind;
	c->argument = copy(argument);
	c->ca_file = copy(set->ca_file);
	c->region = s3_credentials_region(set);
	c->patience_ms = set->timeout_ms == 0 ||
	    set->timeout_ms > PATIENCE_MS ? PATIENCE_MS : set->timeout_ms;
	name_sources(c);
	if (kind == KIND_SETTINGS) {
		if (check_settings(set, &c->session.keys, err) != 0) {
			s3_credentials_free(c);
			return -1;
		}
		c->have = true;
		c->renew_at = c->ends = S3_SESSION_FOREVER;
	}
	*out = c;
	return 0;
}

void
s3_credentials_free(struct s3_credentials *c)
{
	size_t i;

	if (c == NULL)
		return;
	(void)pthread_mutex_destroy(&c->lock); /* nobody holds it */
	for (i = 0; i < sizeof(c->source) / sizeof(c->source[0]); i++)
		free(c->source[i]);
	s3_session_free(&c->session);
	free(c->argument);
	free(c->ca_file);
	free(c->region);
	free(c);
}

/* Look into one source, once or as long as there is patience. */
static int
look(const struct s3_credentials *c, enum kind kind, uint64_t patience_ms,
    struct s3_session *out, struct err *err)
{
	const struct s3_source_context context = { c->ca_file, c->region,
		patience_ms };

	switch (kind) {
	case KIND_ENV:
		return s3_source_env(out, err);
	case KIND_WEB_IDENTITY:
		return s3_source_web_identity(&context, out, err);
	case KIND_PROFILE:
		return s3_source_profile(&context, c->argument, out, err);
	case KIND_CONTAINER:
		return s3_source_container(&context, out, err);
	case KIND_IMDS:
		return s3_source_imds(&context, out, err);
	case KIND_FILE:
		return s3_source_file(c->argument, out, err);
	case KIND_SETTINGS:
	case KIND_AUTO:
		break;
	}
	return err_set(err, ERR_BUG, "there is nothing to look into");
}

/*
 * One source after another. One that is set up and fails is an error: the
 * next one's keys would be somebody else's. Only instance metadata, which
 * need no setting up, may be absent without a word.
 */
static int
look_everywhere(struct s3_credentials *c, struct s3_session *out,
    struct err *err)
{
	struct buf why;
	size_t i;

	buf_init(&why, ERR_MSG_MAX - 256);
	for (i = 0; i < sizeof(auto_order) / sizeof(auto_order[0]); i++) {
		const enum kind kind = auto_order[i];

		if (look(c, kind, kind == KIND_IMDS ? 0 : c->patience_ms, out,
		    err) == 0) {
			c->kind = kind;
			buf_free(&why);
			return 0;
		}
		if (err->code != ERR_NOT_FOUND &&
		    (kind != KIND_IMDS || err->code == ERR_CANCELLED)) {
			buf_free(&why);
			return err_wrap(err, "keys for S3 from %s",
			    c->source[kind]);
		}
		buf_printf(&why, "%s%s", why.len == 0 ? "" : "; ", err->msg);
		err_clear(err);
	}
	err_set(err, ERR_CONFIG, "there are no keys for S3: %s",
	    buf_str(&why));
	buf_free(&why);
	return err_hint(err, "set access-key-id and secret-access-key in "
	    "[repository NAME] of the configuration file, or credentials to "
	    "where they are: file:PATH, profile:NAME, ...");
}

static int
fetch(struct s3_credentials *c, struct s3_session *out, struct err *err)
{
	if (c->kind == KIND_AUTO)
		return look_everywhere(c, out, err);
	if (look(c, c->kind, c->patience_ms, out, err) == 0)
		return 0;
	/* For a source that was chosen, not to be set up is a mistake. */
	if (err->code == ERR_NOT_FOUND) {
		err->code = ERR_CONFIG;
		(void)err_hint(err, "set it up where this program runs "
		    "(PostgreSQL's archiver has the server's environment), or "
		    "choose another source with credentials");
	}
	return err_wrap(err, "keys for S3 from %s", c->source[c->kind]);
}

static void
take(struct s3_credentials *c, struct s3_session *fresh)
{
	const int64_t now = time_boottime();
	int64_t left = fresh->lifetime;

	s3_session_free(&c->session);
	c->session = *fresh;
	c->have = true;
	c->refused = false;
	c->next_try = 0;
	if (left == S3_SESSION_FOREVER) {
		c->ends = c->renew_at = S3_SESSION_FOREVER;
		return;
	}
	if (left <= 0) {
		log_warning("the keys that came from %s had ended already; "
		    "is a clock wrong?", c->source[c->kind]);
		left = OVER_US;
	}
	c->ends = now + left;
	c->renew_at = c->ends - (left / 2 < MARGIN_US ? left / 2 : MARGIN_US);
}

/* Make sure of keys that hold; c is locked. */
static int
renew(struct s3_credentials *c, struct err *err)
{
	const int64_t now = time_boottime();
	const bool hold = c->have && !c->refused && now < c->ends;
	struct s3_session fresh;
	struct err why = ERR_INIT;

	if (c->kind == KIND_SETTINGS ||
	    (hold && (now < c->renew_at || now < c->next_try)))
		return 0;
	if (fetch(c, &fresh, hold ? &why : err) == 0) {
		take(c, &fresh);
		return 0;
	}
	if (!hold || why.code == ERR_CANCELLED)
		return why.code == ERR_NONE ? -1 :
		    err_set(err, why.code, "%s", why.msg);
	c->next_try = time_boottime() + PAUSE_US;
	log_warning("%s; the keys at hand hold for %lld s more", why.msg,
	    (long long)((c->ends - now) / 1000000));
	return 0;
}

int
s3_credentials_get(struct s3_credentials *c, struct s3_keys *out,
    struct err *err)
{
	int rc;

	memset(out, 0, sizeof(*out));
	(void)pthread_mutex_lock(&c->lock);
	rc = renew(c, err);
	if (rc == 0) {
		out->id = xstrdup(c->session.keys.id);
		out->secret = xstrdup(c->session.keys.secret);
		out->token = copy(c->session.keys.token);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return rc;
}

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

void
s3_credentials_refuse(struct s3_credentials *c, const struct s3_keys *used)
{
	(void)pthread_mutex_lock(&c->lock);
	/* Another thread may have fetched others meanwhile. */
	if (c->have && same(c->session.keys.id, used->id) &&
	    same(c->session.keys.token, used->token))
		c->refused = true;
	(void)pthread_mutex_unlock(&c->lock);
}

const char *
s3_credentials_source(struct s3_credentials *c)
{
	const char *source;

	(void)pthread_mutex_lock(&c->lock);
	source = c->source[c->kind];
	(void)pthread_mutex_unlock(&c->lock);
	return source;
}

char *
s3_credentials_region(const struct storage_settings *set)
{
	const char *const profile = set->credentials != NULL &&
	    strncmp(set->credentials, "profile:", 8) == 0 ?
	    set->credentials + 8 : NULL;
	char *value = NULL;

	if (set->region != NULL)
		return xstrdup(set->region);
	/* A profile that is named has its region for itself. */
	if (profile != NULL)
		value = s3_source_profile_region(profile);
	if (value == NULL)
		value = s3_source_getenv("AWS_REGION");
	if (value == NULL)
		value = s3_source_getenv("AWS_DEFAULT_REGION");
	if (value == NULL && profile == NULL)
		value = s3_source_profile_region(NULL);
	return value != NULL ? value : xstrdup(REGION_DEFAULT);
}
