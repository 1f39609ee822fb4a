/* SPDX-License-Identifier: PostgreSQL */
/*
 * storage_faults SCHEME RULES LINES OPERATION...
 *
 * A storage behind a line with faults (tests/services/fault-proxy.py) may fail,
 * and may never be wrong: what it says was put is there, what it gives back is
 * what was put, what it lists is all there is, and what it cannot know it does
 * not call absent. A fault that passes (one connection) must not even be seen;
 * one that stays ends in an error when the time is over.
 *
 * Told of the server by stores.h, whose URL or endpoint is the proxy's;
 * DAPK_TEST_S3_DIRECT is the endpoint without it, DAPK_TEST_SFTP_DIRECT the
 * URL. RULES and LINES are the proxy's files. Prints what was tried and what
 * came of it; exit code 1 when anything was wrong.
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "storage/storage.h"
#include "stores.h"

#define BODY ((size_t)200000)
#define SHORT_MS 2000 /* time limit where the fault stays */
#define LONG_MS 20000 /* where it passes */
/*
 * The last try begins in time and ends when it is noticed that nothing comes:
 * half the time limit, and the mean rate is that of some seconds.
 */
#define SLACK_MS(limit) ((limit) / 2 + 7500)
#define SWEEP 14      /* bytes at which a connection is cut, each way */

static const char *rules_path, *lines_path;
static struct storage *direct; /* the truth */
static struct storage_settings faulty;
static uint8_t body[BODY], other_body[BODY];
static unsigned n_keys;	   /* of put and remove, each a new one */
static unsigned list_keys; /* below l/ */
static unsigned wrong;
static struct err err;

/* What came of the tries with one kind of fault. */
static unsigned tries, hits, succeeded, failed;

static void __attribute__((format(printf, 3, 4)))
complain(const char *op, const char *rule, const char *fmt, ...)
{
	va_list ap;

	wrong++;
	printf("WRONG: %s with '%s': ", op, rule);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
die(const char *what)
{
	printf("%s: %s (%s)\n", what, err.msg, err.hint);
	exit(2);
}

/* ----------------------------------------------------------- the proxy */

static void
set_rules(const char *rule)
{
	char *tmp = xasprintf("%s.tmp", rules_path);
	FILE *f = fopen(tmp, "w");

	/* The number makes it new even when the rule is not. */
	if (f == NULL || fprintf(f, "# %u\n%s\n", tries, rule) < 0 ||
	    fclose(f) != 0 || rename(tmp, rules_path) != 0 ||
	    truncate(lines_path, 0) != 0) {
		perror(rules_path);
		exit(2);
	}
	free(tmp);
}

static bool
no_fault(const char *rule)
{
	return strncmp(rule, "delay", 5) == 0 ||
	    strncmp(rule, "rate", 4) == 0 || strcmp(rule, "pass") == 0;
}

/*
 * What the proxy says of the connections that ended since: the most bytes of
 * one of them each way, and whether a fault did happen. Waits for the first.
 */
static bool
read_lines(bool none_expected, uint64_t *up, uint64_t *down)
{
	/* The faulty connection's line may come after its successor's. */
	int64_t until = now_ms() + (none_expected ? 0 : 1000);
	int64_t at_most = until + 2000;
	unsigned long long u, d;
	char line[256], *p;
	bool hit = false;
	FILE *f;

	*up = *down = 0;
	do {
		usleep(2000);
		f = fopen(lines_path, "r");
		while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
			p = strstr(line, " up=");
			while (p != NULL && strstr(p + 1, " up=") != NULL)
				p = strstr(p + 1, " up=");
			if (p == NULL ||
			    sscanf(p, " up=%llu down=%llu", &u, &d) != 2)
				continue;
			*up = u > *up ? u : *up;
			*down = d > *down ? d : *down;
			if (strstr(p, " hit") != NULL)
				hit = true;
		}
		if (f != NULL)
			fclose(f);
	} while (!hit && now_ms() < at_most &&
	    (*up + *down == 0 || now_ms() < until));
	return hit;
}

/* ------------------------------------------------------ the operations */

/* True: there, and what it must be. Anything but that or absent is wrong. */
static bool
truly_there(const char *key, const uint8_t *data, const char *op,
    const char *rule)
{
	struct buf b;
	bool there = true;

	buf_init(&b, STORAGE_OBJECT_MAX);
	err_clear(&err);
	if (storage_get_all(direct, key, &b, &err) != 0) {
		if (err.code != ERR_NOT_FOUND)
			die("the server without faults");
		there = false;
	} else if (b.len != BODY || memcmp(b.data, data, BODY) != 0)
		complain(op, rule, "%s has %zu bytes that are not what was put",
		    key, b.len);
	buf_free(&b);
	return there;
}

/* The operations return 0, or -1 with err; they complain themselves. */
typedef int (*operation_fn)(struct storage *st, const char *rule);

static int
op_put(struct storage *st, const char *rule)
{
	char key[64];
	struct err first;
	int rc;

	snprintf(key, sizeof(key), "p/%u", n_keys++);
	rc = storage_put(st, key, body, BODY, &err);
	first = err;
	if (rc != 0 && err.code == ERR_EXISTS)
		complain("put", rule, "its own bytes are in the way: %s",
		    err.msg);
	if (!truly_there(key, body, "put", rule) && rc == 0)
		complain("put", rule, "done, and %s is not there", key);
	err = first;
	return rc;
}

/* ERR_EXISTS is how this one succeeds. */
static int
op_taken(struct storage *st, const char *rule)
{
	struct err first;
	int rc = storage_put(st, "known", other_body, BODY, &err);

	first = err;
	if (rc == 0)
		complain("taken", rule, "a taken name was given away");
	if (!truly_there("known", body, "taken", rule))
		complain("taken", rule, "the taken name is gone");
	err = first;
	return rc != 0 && err.code == ERR_EXISTS ? 0 : -1;
}

static int
op_get(struct storage *st, const char *rule)
{
	struct buf b;
	int rc;

	buf_init(&b, STORAGE_OBJECT_MAX);
	rc = storage_get_all(st, "known", &b, &err);
	if (rc == 0 && (b.len != BODY || memcmp(b.data, body, BODY) != 0))
		complain("get", rule, "%zu bytes that are not the object's",
		    b.len);
	buf_free(&b);
	return rc;
}

static int
op_range(struct storage *st, const char *rule)
{
	size_t off = 12345, len = 150000;
	uint8_t *out = xmalloc(len);
	int rc = storage_get(st, "known", off, len, out, &err);

	if (rc == 0 && memcmp(out, body + off, len) != 0)
		complain("range", rule, "bytes that are not the object's");
	free(out);
	return rc;
}

static int
op_stat(struct storage *st, const char *rule)
{
	uint64_t size = 0;
	int rc = storage_stat(st, "known", &size, NULL, &err);

	if (rc == 0 && size != BODY)
		complain("stat", rule, "size %llu", (unsigned long long)size);
	return rc;
}

/* ERR_NOT_FOUND is how this one succeeds. */
static int
op_absent(struct storage *st, const char *rule)
{
	struct buf b;
	int rc;

	buf_init(&b, STORAGE_OBJECT_MAX);
	rc = storage_get_all(st, "never", &b, &err);
	if (rc == 0)
		complain("absent", rule, "%zu bytes of what is not there",
		    b.len);
	buf_free(&b);
	return rc != 0 && err.code == ERR_NOT_FOUND ? 0 : -1;
}

static int
count_entry(void *arg, const struct storage_entry *e, struct err *e2)
{
	uint8_t *seen = arg;
	unsigned n;
	char *end;

	(void)e2;
	n = (unsigned)strtoul(e->name, &end, 10);
	if (*end != '\0' || end == e->name || n >= list_keys || seen[n]++ ||
	    e->size != 3 || e->is_directory)
		complain("list", "?", "an entry '%s' of %llu bytes", e->name,
		    (unsigned long long)e->size);
	return 0;
}

static int
op_list(struct storage *st, const char *rule)
{
	uint8_t *seen = xcalloc(list_keys, 1);
	unsigned i, missing = 0;
	int rc = storage_list(st, "l/", false, count_entry, seen, &err);

	for (i = 0; i < list_keys; i++)
		missing += seen[i] == 0;
	if (rc == 0 && missing > 0)
		complain("list", rule, "%u of %u are missing", missing,
		    list_keys);
	free(seen);
	return rc;
}

static int
op_remove(struct storage *st, const char *rule)
{
	struct err first;
	char key[64];
	int rc;

	snprintf(key, sizeof(key), "r/%u", n_keys++);
	err_clear(&err);
	if (storage_put(direct, key, body, BODY, &err) != 0)
		die("the server without faults");
	rc = storage_remove(st, key, &err);
	first = err;
	if (truly_there(key, body, "remove", rule) && rc == 0)
		complain("remove", rule, "done, and %s is there", key);
	err = first;
	return rc;
}

static const struct operation {
	const char *name;
	operation_fn fn;
	enum err_code never; /* would be a lie */
} operations[] = {
	{ "put", op_put, ERR_NOT_FOUND },
	{ "taken", op_taken, ERR_NOT_FOUND },
	{ "get", op_get, ERR_NOT_FOUND },
	{ "range", op_range, ERR_NOT_FOUND },
	{ "stat", op_stat, ERR_NOT_FOUND },
	{ "absent", op_absent, ERR_EXISTS },
	{ "list", op_list, ERR_NOT_FOUND },
	{ "remove", op_remove, ERR_NOT_FOUND },
};

/* ----------------------------------------------------------- the tries */

/*
 * One operation with a handle of its own, so that its first connection is the
 * proxy's first. `must`: an error is wrong.
 */
static void
try_once(const struct operation *op, const char *rule, bool must,
    uint64_t limit_ms, uint64_t *up, uint64_t *down)
{
	struct storage *st;
	int64_t start;
	int rc;

	tries++;
	set_rules(rule);
	faulty.timeout_ms = limit_ms;
	err_clear(&err);
	if (storage_open(&st, &faulty, &err) != 0)
		die("opening");
	start = now_ms();
	err_clear(&err);
	rc = op->fn(st, rule);
	if (now_ms() - start > (int64_t)(limit_ms + SLACK_MS(limit_ms)))
		complain(op->name, rule, "took %lld ms of %llu",
		    (long long)(now_ms() - start),
		    (unsigned long long)limit_ms);
	storage_close(st);
	if (rc == 0)
		succeeded++;
	else {
		failed++;
		if (must)
			complain(op->name, rule, "the fault passed: %s (%s)",
			    err.msg, err_code_name(err.code));
		if (err.code == op->never || err.msg[0] == '\0')
			complain(op->name, rule, "%s: %s",
			    err_code_name(err.code), err.msg);
	}
	if (read_lines(no_fault(rule), up, down))
		hits++;
}

/* Each kind of fault at bytes spread over what the connection carries. */
static const struct kind {
	const char *name;
	bool up;
	bool stays;	/* every connection, not only the first */
	bool must;	/* be overcome */
	unsigned sweep; /* how many bytes */
} kinds[] = {
	{ "up-reset", true, false, true, SWEEP },
	{ "down-reset", false, false, true, SWEEP },
	{ "up-close", true, false, true, SWEEP },
	{ "down-close", false, false, true, SWEEP },
	{ "up-flip", true, false, false, SWEEP },
	{ "down-flip", false, false, false, SWEEP },
	/* These take their time: it is over before the error comes. */
	{ "up-hang", true, false, false, 1 },
	{ "down-hang", false, false, false, 1 },
	{ "down-reset", false, true, false, 1 },
	{ "up-close", true, true, false, 1 },
};

/* The i-th byte of `sweep` ones: the edges, and evenly between them. */
static uint64_t
nth_byte(unsigned i, unsigned sweep, uint64_t total)
{
	if (i < 2 && sweep > 4)
		return i;
	if (i == 2 && sweep > 4)
		return total - 1;
	return total * (2 * i + 1) / (2 * (uint64_t)sweep);
}

static void
report(const char *op, const char *fault)
{
	static unsigned t, h, s, f;

	printf("%-7s %-24s tried %3u, happened %3u, overcome %3u, failed %3u\n",
	    op, fault, tries - t, hits - h, succeeded - s, failed - f);
	if (hits == h && !no_fault(fault))
		complain(op, fault, "this fault never happened");
	t = tries;
	h = hits;
	s = succeeded;
	f = failed;
}

static void
sweep(const struct operation *op, const struct kind *k, uint64_t total,
    bool plain)
{
	uint64_t up, down;
	char rule[96], name[64];
	unsigned i;

	/* Nothing but a cipher notices what the network's sums let through. */
	if (plain && strstr(k->name, "flip") != NULL)
		return;
	for (i = 0; i < k->sweep; i++) {
		snprintf(rule, sizeof(rule), "%s%s=%llu", k->stays ? "" : "1 ",
		    k->name,
		    (unsigned long long)nth_byte(i, k->sweep, total));
		try_once(op, rule, k->must,
		    k->must ? LONG_MS : SHORT_MS, &up, &down);
	}
	snprintf(name, sizeof(name), "%s%s", k->name,
	    k->stays ? ", always" : "");
	report(op->name, name);
}

static void
try_all(const struct operation *op, bool s3, bool plain)
{
	static const struct {
		const char *rule;
		bool must, http;
		uint64_t limit_ms;
	} fixed[] = {
		{ "1-2 refuse", true, false, LONG_MS },
		{ "refuse", false, false, SHORT_MS },
		{ "1 hang", false, false, SHORT_MS },
		{ "hang", false, false, SHORT_MS },
		{ "delay=40", true, false, LONG_MS },
		{ "rate=300000", true, false, LONG_MS },
		{ "1-2 http=503,1", true, true, LONG_MS },
		{ "1-2 http=500", true, true, LONG_MS },
		{ "http=503,1", false, true, SHORT_MS },
		{ "http=503,3600", false, true, SHORT_MS },
	};
	uint64_t up, down, u, d;
	size_t i;

	try_once(op, "pass", true, LONG_MS, &up, &down);
	report(op->name, "pass");
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		sweep(op, &kinds[i], kinds[i].up ? up : down, plain);
	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		if (fixed[i].http && !(s3 && plain))
			continue;
		try_once(op, fixed[i].rule, fixed[i].must, fixed[i].limit_ms,
		    &u, &d);
		report(op->name, fixed[i].rule);
	}
	printf("%-7s carried %llu bytes there, %llu back\n", op->name,
	    (unsigned long long)up, (unsigned long long)down);
}

/* ------------------------------------------------------------- the run */

static void
prepare(bool s3)
{
	char key[64];
	unsigned i;
	size_t n;
	uint32_t x = 7;

	for (n = 0; n < BODY; n++) {
		x = x * 1664525u + 1013904223u;
		body[n] = (uint8_t)(x >> 24);
		other_body[n] = (uint8_t)~body[n];
	}
	err_clear(&err);
	if (storage_create(direct, &err) != 0 ||
	    storage_put(direct, "known", body, BODY, &err) != 0)
		die("the server without faults");
	/* More than one page of S3's, more than one answer of SFTP's. */
	list_keys = s3 ? 1010 : 130;
	for (i = 0; i < list_keys; i++) {
		snprintf(key, sizeof(key), "l/%u", i);
		if (storage_put(direct, key, "abc", 3, &err) != 0)
			die("the server without faults");
	}
}

/* What an unfinished put left may still get there when nobody waits for it. */
static int
check_entry(void *arg, const struct storage_entry *e, struct err *e2)
{
	(void)arg, (void)e2;
	if (e->size != BODY)
		complain("put", "at the end", "%s has %llu bytes", e->name,
		    (unsigned long long)e->size);
	return 0;
}

static void
run(const char *names[], int n, bool s3, bool plain)
{
	size_t i;
	int k;

	for (k = 0; k < n; k++) {
		for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
			if (strcmp(names[k], operations[i].name) == 0)
				break;
		if (i == sizeof(operations) / sizeof(operations[0])) {
			printf("no operation %s\n", names[k]);
			exit(2);
		}
		try_all(&operations[i], s3, plain);
		fflush(stdout);
	}
	err_clear(&err);
	if (storage_list(direct, "p/", false, check_entry, NULL, &err) != 0)
		die("the server without faults");
	printf("%u tries, %u with a fault: %u overcome, %u failed; wrong: %u\n",
	    tries, hits, succeeded, failed, wrong);
}

int
main(int argc, const char *argv[])
{
	struct storage_settings set;
	char *url, *direct_url;
	const char *base;
	bool s3;

	if (argc < 5) {
		printf("storage_faults SCHEME RULES LINES OPERATION...\n");
		return 2;
	}
	rules_path = argv[2];
	lines_path = argv[3];
	s3 = strcmp(argv[1], "s3") == 0;
	base = stores_env(argv[1], &set);
	url = xasprintf("%s/faults-%ld", base, (long)getpid());
	direct_url = xasprintf("%s/faults-%ld",
	    s3 ? base : getenv("DAPK_TEST_SFTP_DIRECT"), (long)getpid());
	faulty = set;
	faulty.url = url;
	set.url = direct_url;
	if (s3)
		set.endpoint = getenv("DAPK_TEST_S3_DIRECT");
	if (storage_open(&direct, &set, &err) != 0)
		die("opening");
	prepare(s3);
	run(argv + 4, argc - 4, s3,
	    s3 && strncmp(faulty.endpoint, "http:", 5) == 0);
	storage_close(direct);
	free(url);
	free(direct_url);
	return wrong > 0;
}
