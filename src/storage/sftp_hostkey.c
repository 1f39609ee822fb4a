/* SPDX-License-Identifier: PostgreSQL */
/*
 * Is it the host that we know? Its key must stand in known_hosts (the format
 * of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT); what another key would mean is
 * never guessed about.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "storage/sftp_session.h"

#define SYSTEM_FILE "/etc/ssh/ssh_known_hosts"
#define LINE_LEN_MAX 4096
#define FINGERPRINT_MAX 64

/* The method of each key type, the best first. */
static const struct {
	int type;
	const char *method;
} methods[] = {
	{ LIBSSH2_KNOWNHOST_KEY_ED25519, "ssh-ed25519" },
	{ LIBSSH2_KNOWNHOST_KEY_ECDSA_256, "ecdsa-sha2-nistp256" },
	{ LIBSSH2_KNOWNHOST_KEY_ECDSA_384, "ecdsa-sha2-nistp384" },
	{ LIBSSH2_KNOWNHOST_KEY_ECDSA_521, "ecdsa-sha2-nistp521" },
	{ LIBSSH2_KNOWNHOST_KEY_SSHRSA, "ssh-rsa" },
};

static char *
own_file(const struct sftp_login *login)
{
	if (login->known_hosts != NULL)
		return xstrdup(login->known_hosts);
	return xasprintf("%s/.ssh/known_hosts", login->home);
}

static int
read_into(struct sftp_session *s, LIBSSH2_KNOWNHOSTS *hosts,
    const char *path, struct err *err)
{
	char *said = NULL;

	if (access(path, R_OK) != 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0; /* then it knows no host */
		return err_sys(err, errno, "read known hosts of %s", path);
	}
	if (s->lib->knownhost_readfile(hosts, path,
	    LIBSSH2_KNOWNHOST_FILE_OPENSSH) >= 0)
		return 0;
	(void)s->lib->session_last_error(s->ssh, &said, NULL, 0);
	return err_set(err, ERR_CONFIG, "known hosts of %s cannot be read: %s",
	    path, said == NULL ? "" : said);
}

static int
read_hosts(struct sftp_session *s, const struct sftp_login *login,
    LIBSSH2_KNOWNHOSTS **out, struct err *err)
{
	LIBSSH2_KNOWNHOSTS *hosts = s->lib->knownhost_init(s->ssh);
	char *path = own_file(login);
	int ret = 0;

	if (hosts == NULL)
		ret = err_set(err, ERR_STORAGE, "no memory for known hosts");
	if (ret == 0)
		ret = read_into(s, hosts, path, err);
	if (ret == 0 && login->known_hosts == NULL)
		ret = read_into(s, hosts, SYSTEM_FILE, err);
	free(path);
	if (ret == 0)
		*out = hosts;
	else if (hosts != NULL)
		s->lib->knownhost_free(hosts);
	return ret;
}

/* Ask for a key of a type that known_hosts has of this host. */
int
sftp_hostkey_prefer(struct sftp_session *s, const struct sftp_login *login,
    struct err *err)
{
	static const char no_key[] = "\0\0\0\7no-key";
	LIBSSH2_KNOWNHOSTS *hosts;
	char list[256] = "";
	size_t i, len = 0;
	int rc = 0;

	if (read_hosts(s, login, &hosts, err) != 0)
		return -1;
	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		/* No key matches this one: "mismatch" says it has the type. */
		if (s->lib->knownhost_checkp(hosts, login->place.host,
		    (int)login->place.port, no_key, sizeof(no_key) - 1,
		    LIBSSH2_KNOWNHOST_TYPE_PLAIN |
		    LIBSSH2_KNOWNHOST_KEYENC_RAW | methods[i].type, NULL) ==
		    LIBSSH2_KNOWNHOST_CHECK_MISMATCH)
			len += (size_t)snprintf(list + len,
			    sizeof(list) - len, "%s%s", len == 0 ? "" : ",",
			    methods[i].method);
	}
	s->lib->knownhost_free(hosts);
	if (len > 0)
		rc = s->lib->session_method_pref(s->ssh,
		    LIBSSH2_METHOD_HOSTKEY, list);
	if (rc != 0)
		return err_set(err, ERR_CONFIG, "known-hosts has keys of %s "
		    "that libssh2 cannot use: %s", login->place.host, list);
	return 0;
}

/* As ssh shows it: "SHA256:" and base64 without padding. */
static void
fingerprint(struct sftp_session *s, char out[FINGERPRINT_MAX])
{
	const char *hash = s->lib->hostkey_hash(s->ssh,
	    LIBSSH2_HOSTKEY_HASH_SHA256);
	int n = snprintf(out, FINGERPRINT_MAX, "SHA256:");

	if (hash == NULL)
		return;
	text_base64(hash, 32, out + n);
	out[strcspn(out, "=")] = '\0';
}

static int
known_type(int type)
{
	switch (type) {
	case LIBSSH2_HOSTKEY_TYPE_RSA:
		return LIBSSH2_KNOWNHOST_KEY_SSHRSA;
	case LIBSSH2_HOSTKEY_TYPE_ECDSA_256:
		return LIBSSH2_KNOWNHOST_KEY_ECDSA_256;
	case LIBSSH2_HOSTKEY_TYPE_ECDSA_384:
		return LIBSSH2_KNOWNHOST_KEY_ECDSA_384;
	case LIBSSH2_HOSTKEY_TYPE_ECDSA_521:
		return LIBSSH2_KNOWNHOST_KEY_ECDSA_521;
	case LIBSSH2_HOSTKEY_TYPE_ED25519:
		return LIBSSH2_KNOWNHOST_KEY_ED25519;
	default:
		return LIBSSH2_KNOWNHOST_KEY_UNKNOWN;
	}
}

static int
append_line(const char *path, const char *line, size_t len, struct err *err)
{
	char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	int fd = -1, ret = -1;
	off_t size;
	char end;

	if (io_mkdir_p(dir[0] == '\0' ? "/" : dir, 0700, err) != 0)
		goto out;
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0) {
		err_sys(err, errno, "write %s", path);
		goto out;
	}
	/* An editor may have left the last line without its end. */
	size = lseek(fd, 0, SEEK_END);
	ret = size > 0 && pread(fd, &end, 1, size - 1) == 1 && end != '\n' ?
	    io_write_full(fd, "\n", 1, path, err) : 0;
	if (ret == 0)
		ret = io_write_full(fd, line, len, path, err);
	if (ret == 0)
		ret = io_fsync(fd, path, err);
	if (close(fd) != 0 && ret == 0)
		ret = err_sys(err, errno, "close %s", path);
	if (ret == 0)
		ret = io_fsync_parent(path, err);
out:
	free(dir);
	return ret;
}

/* A host that is seen for the first time: its line into known_hosts. */
static int
accept_host(struct sftp_session *s, const struct sftp_login *login,
    const char *key, size_t key_len, int type, struct err *err)
{
	LIBSSH2_KNOWNHOSTS *hosts = s->lib->knownhost_init(s->ssh);
	struct libssh2_knownhost *added = NULL;
	char line[LINE_LEN_MAX], print[FINGERPRINT_MAX], *name, *path;
	size_t len = 0;
	int ret = -1;

	name = login->place.port == 22 ? xstrdup(login->place.host) :
	    xasprintf("[%s]:%u", login->place.host, login->place.port);
	path = own_file(login);
	if (hosts == NULL || s->lib->knownhost_addc(hosts, name, NULL, key,
	    key_len, NULL, 0, LIBSSH2_KNOWNHOST_TYPE_PLAIN |
	    LIBSSH2_KNOWNHOST_KEYENC_RAW | type, &added) != 0 ||
	    s->lib->knownhost_writeline(hosts, added, line, sizeof(line),
	    &len, LIBSSH2_KNOWNHOST_FILE_OPENSSH) != 0)
		err_set(err, ERR_STORAGE, "the key of %s cannot be written "
		    "down", name);
	else
		ret = append_line(path, line, len, err);
	if (ret == 0) {
		fingerprint(s, print);
		log_warning("host %s was not known: its key %s is trusted "
		    "from now on (%s)", name, print, path);
	}
	if (hosts != NULL)
		s->lib->knownhost_free(hosts);
	free(path);
	free(name);
	return ret;
}

static int
refuse_unknown(struct sftp_session *s, const struct sftp_login *login,
    struct err *err)
{
	char print[FINGERPRINT_MAX], *path = own_file(login);
	const struct sftp_place *p = &login->place;

	fingerprint(s, print);
	err_set(err, ERR_CONFIG, "host %s, port %u is not known: its key has "
	    "the fingerprint %s, and %s does not have it", p->host, p->port,
	    print, path);
	err_hint(err, "compare it with what 'ssh-keygen -lf "
	    "/etc/ssh/ssh_host_*_key.pub' says on that host, then type: "
	    "ssh-keyscan -p %u %s >> %s (or host-key = accept-new)", p->port,
	    p->host, path);
	free(path);
	return -1;
}

static int
refuse_changed(struct sftp_session *s, const struct sftp_login *login,
    struct err *err)
{
	char print[FINGERPRINT_MAX], *path = own_file(login);
	const struct sftp_place *p = &login->place;

	fingerprint(s, print);
	err_set(err, ERR_CONFIG, "the key of host %s, port %u HAS CHANGED: it "
	    "is %s now, and %s has another: somebody may stand between, or "
	    "the host was set up anew", p->host, p->port, print, path);
	err_hint(err, "only when you know why: ssh-keygen -f %s -R "
	    "'[%s]:%u', then ssh-keyscan -p %u %s >> %s", path, p->host,
	    p->port, p->port, p->host, path);
	free(path);
	return -1;
}

int
sftp_hostkey_check(struct sftp_session *s, const struct sftp_login *login,
    struct err *err)
{
	LIBSSH2_KNOWNHOSTS *hosts;
	size_t len = 0;
	int type = 0, rc;
	const char *key = s->lib->session_hostkey(s->ssh, &len, &type);

	if (key == NULL)
		return err_set(err, ERR_STORAGE, "host %s shows no key",
		    login->place.host);
	if (read_hosts(s, login, &hosts, err) != 0)
		return -1;
	rc = s->lib->knownhost_checkp(hosts, login->place.host,
	    (int)login->place.port, key, len, LIBSSH2_KNOWNHOST_TYPE_PLAIN |
	    LIBSSH2_KNOWNHOST_KEYENC_RAW, NULL);
	s->lib->knownhost_free(hosts);
	switch (rc) {
	case LIBSSH2_KNOWNHOST_CHECK_MATCH:
		return 0;
	case LIBSSH2_KNOWNHOST_CHECK_MISMATCH:
		return refuse_changed(s, login, err);
	case LIBSSH2_KNOWNHOST_CHECK_NOTFOUND:
		if (login->accept_new)
			return accept_host(s, login, key, len,
			    known_type(type), err);
		return refuse_unknown(s, login, err);
	default:
		return err_set(err, ERR_STORAGE, "the key of host %s cannot "
		    "be looked up", login->place.host);
	}
}
