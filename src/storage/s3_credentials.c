/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/s3_credentials.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define REGION_DEFAULT "us-east-1"

struct s3_credentials {
	struct s3_keys keys;
};

static void
wipe(char **text)
{
	if (*text != NULL)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void
s3_keys_free(struct s3_keys *keys)
{
	wipe(&keys->id);
	wipe(&keys->secret);
	wipe(&keys->token);
}

int
s3_credentials_new(struct s3_credentials **out,
    const struct storage_settings *set, struct err *err)
{
	struct s3_credentials *c;

	if (set->access_key_id == NULL || set->secret_access_key == NULL) {
		err_set(err, ERR_CONFIG, "there are no keys for S3");
		return err_hint(err, "set access-key-id and secret-access-key "
		    "in the configuration file");
	}
	c = xcalloc(1, sizeof(*c));
	c->keys.id = xstrdup(set->access_key_id);
	c->keys.secret = xstrdup(set->secret_access_key);
	*out = c;
	return 0;
}

void
s3_credentials_free(struct s3_credentials *c)
{
	if (c == NULL)
		return;
	s3_keys_free(&c->keys);
	free(c);
}

int
s3_credentials_get(struct s3_credentials *c, struct s3_keys *out,
    struct err *err)
{
	out->id = xstrdup(c->keys.id);
	out->secret = xstrdup(c->keys.secret);
	out->token = c->keys.token == NULL ? NULL : xstrdup(c->keys.token);
	return 0;
}

void
s3_credentials_refuse(struct s3_credentials *c, const struct s3_keys *used)
{
}

const char *
s3_credentials_source(const struct s3_credentials *c)
{
	return "access-key-id of the configuration file";
}

char *
s3_credentials_region(const struct storage_settings *set)
{
	static const char *const names[] = { "AWS_REGION",
		"AWS_DEFAULT_REGION" };
	const char *value = set->region;
	size_t i;

	for (i = 0; value == NULL && i < sizeof(names) / sizeof(names[0]); i++) {
		value = getenv(names[i]);
		if (value != NULL && *value == '\0')
			value = NULL;
	}
	return xstrdup(value == NULL ? REGION_DEFAULT : value);
}
