/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/s3_answer.h"

#include <string.h>

#include "storage/s3_xml.h"

struct code_kind {
	const char *code;
	enum s3_kind kind;
};

static const struct code_kind codes[] = {
	{ "AccessDenied", S3_KIND_DENIED },
	{ "AccountProblem", S3_KIND_DENIED },
	{ "AllAccessDisabled", S3_KIND_DENIED },
	{ "AuthorizationHeaderMalformed", S3_KIND_REGION },
	{ "BadDigest", S3_KIND_AGAIN }, /* a bit turned over on the way */
	{ "Busy", S3_KIND_AGAIN },
	{ "ConcurrentModification", S3_KIND_AGAIN },
	{ "ConditionalRequestConflict", S3_KIND_AGAIN },
	{ "ExpiredToken", S3_KIND_EXPIRED },
	{ "ExpiredTokenException", S3_KIND_EXPIRED },
	{ "IncompleteBody", S3_KIND_AGAIN },
	{ "InsufficientStorage", S3_KIND_FULL },
	{ "InternalError", S3_KIND_AGAIN },
	{ "InvalidAccessKeyId", S3_KIND_KEYS },
	{ "InvalidObjectState", S3_KIND_FROZEN },
	{ "InvalidRange", S3_KIND_RANGE },
	{ "InvalidToken", S3_KIND_EXPIRED },
	{ "MethodNotAllowed", S3_KIND_UNKNOWN },
	{ "NoSuchBucket", S3_KIND_NO_BUCKET },
	{ "NoSuchKey", S3_KIND_NO_KEY },
	{ "NotImplemented", S3_KIND_UNKNOWN },
	{ "OperationAborted", S3_KIND_AGAIN },
	{ "PermanentRedirect", S3_KIND_REGION },
	{ "PreconditionFailed", S3_KIND_TAKEN },
	{ "QuotaExceeded", S3_KIND_FULL },
	{ "RequestTimeTooSkewed", S3_KIND_CLOCK },
	{ "RequestTimeout", S3_KIND_AGAIN },
	{ "ServiceUnavailable", S3_KIND_AGAIN },
	{ "SignatureDoesNotMatch", S3_KIND_KEYS },
	{ "SlowDown", S3_KIND_AGAIN },
	{ "SlowDownRead", S3_KIND_AGAIN },
	{ "SlowDownWrite", S3_KIND_AGAIN },
	{ "TemporaryRedirect", S3_KIND_REGION },
	{ "ThrottlingException", S3_KIND_AGAIN },
	{ "TokenRefreshRequired", S3_KIND_EXPIRED },
	{ "TooManyRequests", S3_KIND_AGAIN },
	{ "UserSuspended", S3_KIND_DENIED },
	{ "XAmzContentSHA256Mismatch", S3_KIND_AGAIN }, /* as BadDigest */
	{ "XMinioStorageFull", S3_KIND_FULL },
};

/* When there is no code, or one that nobody knows. */
static enum s3_kind
kind_of_status(const struct s3_failure *f)
{
	switch (f->status) {
	case 404:
		return f->code[0] == '\0' ? S3_KIND_UNCLEAR : S3_KIND_REFUSED;
	case 412:
		return S3_KIND_TAKEN;
	case 416:
		return S3_KIND_RANGE;
	case 405:
	case 501:
		return S3_KIND_UNKNOWN;
	case 401:
	case 403:
		return S3_KIND_DENIED;
	case 409:
		return f->code[0] == '\0' ? S3_KIND_AGAIN : S3_KIND_REFUSED;
	case 507:
		return S3_KIND_FULL;
	case 408:
	case 425:
	case 429:
	case 499: /* of a proxy: we seemed to have gone */
		return S3_KIND_AGAIN;
	default:
		if (f->status >= 300 && f->status <= 399)
			return f->location[0] != '\0' ? S3_KIND_REGION :
			    S3_KIND_AGAIN; /* nobody says that: garbled */
		return f->status >= 500 ? S3_KIND_AGAIN : S3_KIND_REFUSED;
	}
}

enum s3_kind
s3_failure_kind(const struct s3_failure *f)
{
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(f->code, codes[i].code) == 0)
			return codes[i].kind;
	return kind_of_status(f);
}

void
s3_failure_text(char *out, size_t size, const char *text)
{
	size_t i;

	for (i = 0; i + 1 < size && text[i] != '\0'; i++)
		out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	out[i] = '\0';
}

struct seen {
	struct s3_failure *f;
	bool is_error;
};

static int
note(void *arg, const char *path, const char *text, struct err *err)
{
	struct seen *seen = arg;
	struct s3_failure *f = seen->f;

	if (strcmp(path, "/Error") == 0)
		seen->is_error = true;
	if (strncmp(path, "/Error/", 7) != 0)
		return 0;
	path += 7;
	if (strcmp(path, "Code") == 0)
		s3_failure_text(f->code, sizeof(f->code), text);
	else if (strcmp(path, "Message") == 0)
		s3_failure_text(f->message, sizeof(f->message), text);
	else if (strcmp(path, "RequestId") == 0)
		s3_failure_text(f->request_id, sizeof(f->request_id), text);
	else if (strcmp(path, "Region") == 0)
		s3_failure_text(f->region, sizeof(f->region), text);
	else if (strcmp(path, "Endpoint") == 0)
		s3_failure_text(f->endpoint, sizeof(f->endpoint), text);
	return 0;
}

bool
s3_failure_read(struct s3_failure *f, int status, const void *body,
    size_t len)
{
	struct seen seen = { .f = f };
	struct err ignored = ERR_INIT; /* many proxies answer with HTML */

	memset(f, 0, sizeof(*f));
	f->status = status;
	if (len > 0 && s3_xml_read(body, len, note, &seen, &ignored) == 0 &&
	    seen.is_error)
		return true;
	memset(f, 0, sizeof(*f));
	f->status = status;
	return false;
}

static enum err_code
code_of(enum s3_kind kind)
{
	switch (kind) {
	case S3_KIND_NO_KEY:
		return ERR_NOT_FOUND;
	case S3_KIND_TAKEN:
		return ERR_EXISTS;
	case S3_KIND_RANGE:
		return ERR_DAMAGED;
	case S3_KIND_UNKNOWN:
		return ERR_UNSUPPORTED;
	case S3_KIND_NO_BUCKET:
	case S3_KIND_DENIED:
	case S3_KIND_KEYS:
	case S3_KIND_EXPIRED:
	case S3_KIND_CLOCK:
	case S3_KIND_REGION:
		return ERR_CONFIG;
	default:
		return ERR_STORAGE;
	}
}

static int
hint(const struct s3_failure *f, const char *bucket, const char *source,
    struct err *err)
{
	switch (s3_failure_kind(f)) {
	case S3_KIND_NO_BUCKET:
		return err_hint(err, "make the bucket %s, or mend the "
		    "repository's url or endpoint", bucket);
	case S3_KIND_DENIED:
		/* Some servers say so of a key that they do not know too. */
		return err_hint(err, "is the key right (from %s), and allowed "
		    "s3:ListBucket on bucket %s and s3:GetObject, "
		    "s3:PutObject, s3:DeleteObject on what is in it?", source,
		    bucket);
	case S3_KIND_KEYS:
		return err_hint(err, "mend the key's id and secret half: they "
		    "came from %s", source);
	case S3_KIND_EXPIRED:
		return err_hint(err, "get a new session token: this one came "
		    "from %s", source);
	case S3_KIND_CLOCK:
		return err_hint(err, "set this host's clock: 'timedatectl' "
		    "shows it");
	case S3_KIND_REGION:
		if (f->region[0] != '\0')
			return err_hint(err, "set region = %s", f->region);
		if (f->endpoint[0] != '\0')
			return err_hint(err, "set endpoint = https://%s, or "
			    "the bucket's region", f->endpoint);
		if (f->location[0] != '\0')
			return err_hint(err, "the answer points to %s: set "
			    "endpoint to where the S3 server is",
			    f->location);
		return err_hint(err, "set region to where the bucket is");
	case S3_KIND_FULL:
		return err_hint(err, "raise the quota of bucket %s, or expire "
		    "old backups", bucket);
	case S3_KIND_FROZEN:
		return err_hint(err, "restore the object from its storage "
		    "class first: see 'aws s3api restore-object help'");
	default:
		return -1;
	}
}

int
s3_failure_tell(const struct s3_failure *f, const char *bucket,
    const char *source, struct err *err)
{
	enum s3_kind kind = s3_failure_kind(f);

	if (f->code[0] == '\0')
		err_set(err, code_of(kind), "the server answered with HTTP "
		    "status %d", f->status);
	else
		err_set(err, code_of(kind), "the server says %s%s%s (HTTP "
		    "status %d%s%s)", f->code,
		    f->message[0] == '\0' ? "" : ": ", f->message, f->status,
		    f->request_id[0] == '\0' ? "" : ", request ",
		    f->request_id);
	return hint(f, bucket, source, err);
}
