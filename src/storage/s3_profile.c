/* SPDX-License-Identifier: PostgreSQL */
/*
 * Files in the form of ~/.aws/credentials and ~/.aws/config. libinih, which
 * reads our own configuration, cuts lines at 200 characters, and session
 * tokens have a thousand: so they are read here. Indented lines belong to a
 * setting above them (s3 =, ...), and none of those matters here.
 */
#include "config.h"

#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/secret.h"
#include "storage/s3_source.h"

/* Keys in files change under us: they are read again after this. */
#define FILE_LIFETIME (INT64_C(600) * 1000000)

enum setting {
	KEY_ID, SECRET_KEY, SESSION_TOKEN, REGION, ROLE_ARN, SESSION_NAME,
	TOKEN_FILE, SOURCE_PROFILE, CREDENTIAL_SOURCE, PROCESS, SSO_SESSION,
	SSO_URL, N_SETTINGS
};

static const char *const setting_names[N_SETTINGS] = {
	[KEY_ID] = "aws_access_key_id",
	[SECRET_KEY] = "aws_secret_access_key",
	[SESSION_TOKEN] = "aws_session_token",
	[REGION] = "region",
	[ROLE_ARN] = "role_arn",
	[SESSION_NAME] = "role_session_name",
	[TOKEN_FILE] = "web_identity_token_file",
	[SOURCE_PROFILE] = "source_profile",
	[CREDENTIAL_SOURCE] = "credential_source",
	[PROCESS] = "credential_process",
	[SSO_SESSION] = "sso_session",
	[SSO_URL] = "sso_start_url",
};

struct profile {
	char *name;
	char *path[2]; /* credentials, config */
	bool named; /* by somebody, so it has to be there */
	bool there;
	char *values[N_SETTINGS]; /* NULL: not set */
};

static void
profile_free(struct profile *p)
{
	size_t i;

	for (i = 0; i < N_SETTINGS; i++)
		secret_text_free(p->values[i]);
	free(p->name);
	free(p->path[0]);
	free(p->path[1]);
}

/* Without white space around it; changes what s points to. */
static char *
trim(char *s)
{
	size_t len;

	while (isspace((unsigned char)*s))
		s++;
	len = strlen(s);
	while (len > 0 && isspace((unsigned char)s[len - 1]))
		len--;
	s[len] = '\0';
	return s;
}

/* Is "[profile NAME]" (in the config file; there [default] too) this one's? */
static bool
names_profile(char *line, bool config, const char *name)
{
	static const char word[] = "profile";
	char *end = strchr(line, ']'), *s;

	if (end == NULL)
		return false;
	*end = '\0';
	s = trim(line + 1);
	if (config && strncmp(s, word, sizeof(word) - 1) == 0 &&
	    isspace((unsigned char)s[sizeof(word) - 1]))
		s = trim(s + sizeof(word) - 1);
	else if (config && strcmp(s, "default") != 0)
		return false;
	if (*s == '"' && strlen(s) > 1 && s[strlen(s) - 1] == '"') {
		s[strlen(s) - 1] = '\0';
		s++;
	}
	return strcmp(s, name) == 0;
}

/* The first that is set stays: the credentials file comes before config. */
static void
take(struct profile *p, char *line)
{
	char *equals = strchr(line, '='), *value, *comment;
	size_t i;

	if (equals == NULL)
		return;
	*equals = '\0';
	line = trim(line);
	value = equals + 1;
	comment = value;
	while ((comment = strpbrk(comment, "#;")) != NULL) {
		if (isspace((unsigned char)comment[-1])) {
			*comment = '\0';
			break;
		}
		comment++;
	}
	value = trim(value);
	for (i = 0; i < N_SETTINGS; i++)
		if (strcasecmp(line, setting_names[i]) == 0 &&
		    p->values[i] == NULL && *value != '\0')
			p->values[i] = xstrdup(value);
}

static void
read_lines(struct profile *p, char *text, bool config)
{
	char *line, *rest = text;
	bool inside = false;

	if (strncmp(rest, "\xef\xbb\xbf", 3) == 0)
		rest += 3; /* an editor of Windows */
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (*line == '[') {
			inside = names_profile(line, config, p->name);
			p->there = p->there || inside;
		} else if (inside && !isspace((unsigned char)*line) &&
		    *line != '#' && *line != ';')
			take(p, line);
	}
}

/* A file that is not there has nothing in it. */
static int
read_file(struct profile *p, const char *path, bool config,
    enum secret_mode mode, struct err *err)
{
	struct buf b;
	int rc = secret_read_file(path, mode, &b, err);

	if (rc == 0)
		read_lines(p, (char *)b.data, config);
	secret_buf_free(&b);
	return rc;
}

static char *
file_path(const char *variable, const char *usual)
{
	char *path = s3_source_getenv(variable), *home, *whole;
	char scratch[4096];
	struct passwd pw, *found = NULL;

	if (path != NULL && strncmp(path, "~/", 2) != 0)
		return path;
	home = s3_source_getenv("HOME");
	if (home == NULL && getpwuid_r(geteuid(), &pw, scratch,
	    sizeof(scratch), &found) == 0 && found != NULL)
		home = xstrdup(pw.pw_dir);
	whole = xasprintf("%s/%s", home == NULL ? "" : home,
	    path != NULL ? path + 2 : usual);
	free(home);
	free(path);
	return whole;
}

static void
profile_init(struct profile *p, const char *name)
{
	memset(p, 0, sizeof(*p));
	p->name = name != NULL ? xstrdup(name) : NULL;
	if (p->name == NULL)
		p->name = s3_source_getenv("AWS_PROFILE");
	p->named = p->name != NULL;
	if (p->name == NULL)
		p->name = xstrdup("default");
	p->path[0] = file_path("AWS_SHARED_CREDENTIALS_FILE",
	    ".aws/credentials");
	p->path[1] = file_path("AWS_CONFIG_FILE", ".aws/config");
}

static int
profile_read(struct profile *p, struct err *err)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (read_file(p, p->path[i], i == 1, SECRET_ANY, err) == 0)
			continue;
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_clear(err);
	}
	if (p->there)
		return 0;
	err_set(err, p->named ? ERR_CONFIG : ERR_NOT_FOUND,
	    "there is no profile %s in %s or %s", p->name, p->path[0],
	    p->path[1]);
	return err_hint(err, "aws configure --profile %s; or correct "
	    "credentials (AWS_PROFILE, HOME)", p->name);
}

/* The profile gets its keys in a way that is not ours. */
static int
refuse_other_ways(const struct profile *p, struct err *err)
{
	static const enum setting ways[] = { PROCESS, SSO_SESSION, SSO_URL,
		SOURCE_PROFILE, CREDENTIAL_SOURCE, ROLE_ARN };
	size_t i;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (p->values[ways[i]] == NULL)
			continue;
		err_set(err, ERR_CONFIG, "profile %s gets its keys by %s, "
		    "which this program does not do", p->name,
		    setting_names[ways[i]]);
		return err_hint(err, "give the keys themselves: 'aws "
		    "configure export-credentials --profile %s' shows them; "
		    "or use credentials = imds, web-identity or container",
		    p->name);
	}
	return err_set(err, p->named ? ERR_CONFIG : ERR_NOT_FOUND,
	    "profile %s has no aws_access_key_id", p->name);
}

/* Moves the profile's keys into the session. */
static int
take_keys(struct profile *p, const char *where, struct s3_session *out,
    struct err *err)
{
	memset(out, 0, sizeof(*out));
	if (p->values[SECRET_KEY] == NULL) {
		err_set(err, ERR_CONFIG, "%s has aws_access_key_id and no "
		    "aws_secret_access_key", where);
		return err_hint(err, "aws configure --profile %s", p->name);
	}
	out->keys.id = p->values[KEY_ID];
	out->keys.secret = p->values[SECRET_KEY];
	out->keys.token = p->values[SESSION_TOKEN];
	p->values[KEY_ID] = p->values[SECRET_KEY] = NULL;
	p->values[SESSION_TOKEN] = NULL;
	out->lifetime = FILE_LIFETIME;
	if (s3_source_check_keys(&out->keys, where, err) == 0)
		return 0;
	s3_session_free(out);
	return -1;
}

int
s3_source_file(const char *path, struct s3_session *out, struct err *err)
{
	struct profile p = { .name = xstrdup("default") };
	int rc;

	rc = read_file(&p, path, false, SECRET_PRIVATE, err);
	if (rc == 0 && p.values[KEY_ID] == NULL) {
		rc = err_set(err, ERR_CONFIG, "%s has no aws_access_key_id in "
		    "a section [default]", path);
		(void)err_hint(err, "write into it: [default], "
		    "aws_access_key_id = ..., aws_secret_access_key = ...");
	}
	if (rc == 0)
		rc = take_keys(&p, path, out, err);
	if (rc != 0 && err->code == ERR_NOT_FOUND) {
		err->code = ERR_CONFIG;
		(void)err_hint(err, "correct credentials = file:PATH");
	}
	profile_free(&p);
	return rc;
}

int
s3_source_profile(const struct s3_source_context *c, const char *name,
    struct s3_session *out, struct err *err)
{
	struct s3_source_context in_region = *c;
	struct profile p;
	char *where;
	int rc;

	profile_init(&p, name);
	where = xasprintf("profile %s", p.name);
	rc = profile_read(&p, err);
	if (in_region.region == NULL)
		in_region.region = p.values[REGION];
	if (rc != 0)
		goto out;
	if (p.values[ROLE_ARN] != NULL && p.values[TOKEN_FILE] != NULL)
		rc = s3_source_assume_web_identity(&in_region,
		    p.values[ROLE_ARN], p.values[SESSION_NAME],
		    p.values[TOKEN_FILE], out, err);
	else if (p.values[KEY_ID] != NULL && p.values[ROLE_ARN] == NULL)
		rc = take_keys(&p, where, out, err);
	else
		rc = refuse_other_ways(&p, err);
out:
	free(where);
	profile_free(&p);
	return rc;
}

char *
s3_source_profile_region(const char *name)
{
	struct err err = ERR_INIT;
	struct profile p;
	char *region = NULL;

	profile_init(&p, name);
	if (profile_read(&p, &err) == 0 && p.values[REGION] != NULL)
		region = xstrdup(p.values[REGION]);
	profile_free(&p); /* that it cannot be read is told with the keys */
	return region;
}
