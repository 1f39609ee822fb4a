/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/conninfo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "pg/libpq.h"

#define CONNINFO_TEXT_MAX 65536

void
conninfo_add(struct buf *b, const char *keyword, const char *value)
{
	buf_printf(b, "%s%s='", b->len > 0 ? " " : "", keyword);
	for (; *value != '\0'; value++) {
		if (*value == '\'' || *value == '\\')
			buf_add_byte(b, '\\');
		buf_add_byte(b, (uint8_t)*value);
	}
	buf_add_byte(b, '\'');
}

/* Item i of a comma-separated list, "" past its end. Caller frees. */
static char *
list_item(const char *list, size_t i)
{
	const char *end;

	for (; i > 0 && list != NULL; i--) {
		list = strchr(list, ',');
		if (list != NULL)
			list++;
	}
	if (list == NULL)
		return xstrdup("");
	end = strchr(list, ',');
	return xstrndup(list, end == NULL ? strlen(list) :
	    (size_t)(end - list));
}

static size_t
list_count(const char *list)
{
	size_t n = 1;

	if (list == NULL || *list == '\0')
		return 0;
	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

/* What the lists say; strings are of the options or the environment. */
struct lists {
	const char *host, *hostaddr, *port;
	size_t n; /* hosts */
};

static void
find_lists(const PQconninfoOption *opts, struct lists *l)
{
	const PQconninfoOption *o;

	memset(l, 0, sizeof(*l));
	for (o = opts; o != NULL && o->keyword != NULL; o++) {
		if (o->val == NULL || *o->val == '\0')
			continue;
		if (strcmp(o->keyword, "host") == 0)
			l->host = o->val;
		else if (strcmp(o->keyword, "hostaddr") == 0)
			l->hostaddr = o->val;
		else if (strcmp(o->keyword, "port") == 0)
			l->port = o->val;
	}
	if (l->host == NULL && l->hostaddr == NULL)
		l->host = getenv("PGHOST");
	if (l->port == NULL)
		l->port = getenv("PGPORT");
	l->n = list_count(l->host);
	if (list_count(l->hostaddr) > l->n)
		l->n = list_count(l->hostaddr);
}

static int
check_lists(const struct lists *l, struct err *err)
{
	size_t ports = list_count(l->port), addrs = list_count(l->hostaddr);

	if (l->n > CONNINFO_HOSTS_MAX)
		return err_set(err, ERR_CONFIG, "the connection string names "
		    "more than %d hosts", CONNINFO_HOSTS_MAX);
	if (ports > 1 && ports != l->n)
		return err_set(err, ERR_CONFIG, "the connection string names "
		    "%zu hosts and %zu ports: give one port, or one for each "
		    "host", l->n, ports);
	if (addrs != 0 && l->host != NULL && addrs != l->n)
		return err_set(err, ERR_CONFIG, "the connection string names "
		    "%zu hosts and %zu addresses (hostaddr)", l->n, addrs);
	return 0;
}

/* The options with host i of the lists. */
static void
make_host(const PQconninfoOption *opts, const struct lists *l, size_t i,
    struct conninfo_host *out)
{
	char *host = list_item(l->host, i);
	char *addr = list_item(l->hostaddr, i);
	char *port = list_item(l->port, list_count(l->port) > 1 ? i : 0);
	const PQconninfoOption *o;
	struct buf b;

	buf_init(&b, CONNINFO_TEXT_MAX);
	for (o = opts; o != NULL && o->keyword != NULL; o++) {
		if (o->val == NULL || *o->val == '\0' ||
		    strcmp(o->keyword, "host") == 0 ||
		    strcmp(o->keyword, "hostaddr") == 0 ||
		    strcmp(o->keyword, "port") == 0 ||
		    (l->n > 1 &&
		    strcmp(o->keyword, "target_session_attrs") == 0))
			continue;
		conninfo_add(&b, o->keyword, o->val);
	}
	if (*host != '\0')
		conninfo_add(&b, "host", host);
	if (*addr != '\0')
		conninfo_add(&b, "hostaddr", addr);
	if (*port != '\0')
		conninfo_add(&b, "port", port);
	out->conninfo = xstrdup(buf_str(&b));
	out->name = xasprintf("%s%s%s", *host != '\0' ? host :
	    *addr != '\0' ? addr : "the server", *port != '\0' ? ":" : "",
	    port);
	buf_free(&b);
	free(host);
	free(addr);
	free(port);
}

int
conninfo_split(const char *conninfo, struct conninfo_host **out, size_t *n,
    struct err *err)
{
	const struct libpq *pq;
	PQconninfoOption *opts = NULL;
	struct lists l;
	char *msg = NULL;
	size_t i;
	int rc = -1;

	if (conninfo == NULL)
		conninfo = "";
	*out = NULL;
	*n = 0;
	if (libpq_get(&pq, err) != 0)
		return -1;
	/* pg_connect() says what is wrong; a lone word is a database's name. */
	if (strchr(conninfo, '=') != NULL || strstr(conninfo, "://") != NULL)
		opts = pq->PQconninfoParse(conninfo, &msg);
	if (msg != NULL)
		pq->PQfreemem(msg);
	find_lists(opts, &l);
	if (check_lists(&l, err) != 0)
		goto out;
	*n = l.n > 1 ? l.n : 1;
	*out = xcalloc(*n, sizeof(**out));
	for (i = 0; i < l.n && l.n > 1; i++)
		make_host(opts, &l, i, &(*out)[i]);
	if (l.n <= 1) {
		make_host(opts, &l, 0, &(*out)[0]);
		free((*out)[0].conninfo);
		(*out)[0].conninfo = xstrdup(conninfo);
	}
	rc = 0;
out:
	if (opts != NULL)
		pq->PQconninfoFree(opts);
	return rc;
}

void
conninfo_free(struct conninfo_host *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(list[i].conninfo);
		free(list[i].name);
	}
	free(list);
}

bool
conninfo_names_database(const char *conninfo)
{
	struct err ignored = ERR_INIT; /* pg_connect() says what is wrong */
	const PQconninfoOption *o;
	PQconninfoOption *opts;
	const struct libpq *pq;
	char *msg = NULL;
	bool found = false;

	if (getenv("PGDATABASE") != NULL || getenv("PGSERVICE") != NULL)
		return true;
	if (conninfo == NULL)
		return false;
	if (strchr(conninfo, '=') == NULL && strstr(conninfo, "://") == NULL)
		return *conninfo != '\0';
	if (libpq_get(&pq, &ignored) != 0)
		return false;
	opts = pq->PQconninfoParse(conninfo, &msg);
	if (msg != NULL)
		pq->PQfreemem(msg);
	for (o = opts; o != NULL && o->keyword != NULL; o++)
		found |= (strcmp(o->keyword, "dbname") == 0 ||
		    strcmp(o->keyword, "service") == 0) &&
		    o->val != NULL && *o->val != '\0';
	if (opts != NULL)
		pq->PQconninfoFree(opts);
	return found;
}
