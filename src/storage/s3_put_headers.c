/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/s3_put_headers.h"

#include <stdlib.h>

#include "core/mem.h"

static char *
copy(const char *s)
{
	return s == NULL ? NULL : xstrdup(s);
}

void
s3_put_rules_init(struct s3_put_rules *rules,
    const struct storage_settings *set)
{
	rules->server_side_encryption = copy(set->server_side_encryption);
	rules->kms_key_id = copy(set->kms_key_id);
	rules->storage_class = copy(set->storage_class);
	rules->object_lock_days = set->object_lock_days;
}

void
s3_put_rules_free(struct s3_put_rules *rules)
{
	free(rules->server_side_encryption);
	free(rules->kms_key_id);
	free(rules->storage_class);
}

int
s3_put_headers(const struct s3_put_rules *rules, const char *key,
    const void *body, size_t len, int64_t now, struct s3_put_headers *out,
    struct err *err)
{
	out->n = 0;
	return 0;
}
