/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/source.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/io.h"
#include "core/text.h"
#include "repo/hash.h"

#define MACHINE_ID_PATH "/etc/machine-id"
#define MACHINE_ID_MAX 4096
#define SOURCE_TEXT_MAX ((size_t)64 << 10)

/* Some machines have no id, some share one by cloning: the name too. */
static void
add_machine(struct buf *text)
{
	char host[HOST_NAME_MAX + 1];
	struct err why = ERR_INIT;
	struct buf id;

	buf_init(&id, MACHINE_ID_MAX);
	if (io_read_file(MACHINE_ID_PATH, &id, &why) == 0)
		buf_add(text, id.data, id.len);
	buf_free(&id);
	if (gethostname(host, sizeof(host)) != 0)
		host[0] = '\0';
	host[HOST_NAME_MAX] = '\0';
	buf_printf(text, "\n%s\n", host);
}

int
source_id(const char *pgdata, char out[SOURCE_ID_TEXT], struct err *err)
{
	uint8_t hash[HASH_128_SIZE];
	struct buf text;
	struct stat st;
	char *real;
	int ret;

	real = realpath(pgdata, NULL);
	if (real == NULL || stat(real, &st) != 0) {
		err_sys(err, errno, "look at data directory %s", pgdata);
		free(real);
		return -1;
	}
	buf_init(&text, SOURCE_TEXT_MAX);
	add_machine(&text);
	buf_printf(&text, "%s\n%llu\n%llu\n", real,
	    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	ret = buf_check(&text, "name of the data directory", err);
	if (ret == 0) {
		hash_128(text.data, text.len, hash);
		text_hex(hash, sizeof(hash), out);
	}
	buf_free(&text);
	free(real);
	return ret;
}
