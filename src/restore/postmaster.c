/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "restore/postmaster.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/coredump.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"

#define OUTPUT_MAX ((size_t)64 << 10)
#define PORT_FIRST 5433
#define PORT_LAST 5999
#define STOP_WAIT_MS 60000
#define SOCKET_LONGEST "/.s.PGSQL.65535.lock"
#define SOCKETS_NAME "dapk-backup-"
#define SOCKETS_DIR "/tmp/" SOCKETS_NAME "XXXXXX"
#define OLD_SOCKETS_S 3600
#define SOCKET_PATH_MAX 107 /* sun_path without its 0 */

/* Run argv and collect what it says; *status as wait() gives it. */
static int
run(char *const argv[], struct buf *output, int *status, struct err *err)
{
	int fds[2];
	pid_t pid;
	int rc;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return err_sys(err, errno, "pipe");
	pid = fork();
	if (pid < 0) {
		rc = err_sys(err, errno, "start %s", argv[0]);
		(void)close(fds[0]);
		(void)close(fds[1]);
		return rc;
	}
	if (pid == 0) {
		if (dup2(fds[1], STDOUT_FILENO) < 0 ||
		    dup2(fds[1], STDERR_FILENO) < 0)
			_exit(127);
		coredump_allow();
		(void)execv(argv[0], argv);
		_exit(127);
	}
	(void)close(fds[1]);
	rc = io_read_fd(fds[0], argv[0], output, err);
	(void)close(fds[0]); /* only read from */
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, errno, "wait for %s", argv[0]);
	return rc;
}

/* Does DIR/postgres exist and is it of this major? */
static bool
right_major(const char *dir, int major)
{
	char *path = xasprintf("%s/postgres", dir);
	char option[] = "-V";
	char *argv[] = { path, option, NULL };
	struct err ignored = ERR_INIT; /* then it is not this one */
	struct buf b;
	const char *p;
	int status = -1;
	bool ok = false;

	buf_init(&b, OUTPUT_MAX);
	if (access(path, X_OK) == 0 && run(argv, &b, &status, &ignored) == 0 &&
	    status == 0) {
		p = strstr(buf_str(&b), ") ");
		ok = p != NULL && atoi(p + 2) == major;
	}
	buf_free(&b);
	free(path);
	return ok;
}

static bool
try_dir(struct postmaster *pm, const char *dir, size_t len)
{
	char *copy = xstrndup(dir, len);

	if (len > 0 && right_major(copy, pm->plan->inc.major)) {
		pm->bin = copy;
		return true;
	}
	free(copy);
	return false;
}

static bool
try_path(struct postmaster *pm)
{
	const char *p = getenv("PATH");
	size_t n;

	for (; p != NULL && *p != '\0'; p += n + (p[n] == ':')) {
		n = strcspn(p, ":");
		if (try_dir(pm, p, n))
			return true;
	}
	return false;
}

int
postmaster_find(struct postmaster *pm, const struct restore_plan *plan,
    struct err *err)
{
	static const char *const places[] = { "/usr/lib/postgresql/%d/bin",
		"/usr/pgsql-%d/bin", "/usr/lib/postgresql%d/bin",
		"/usr/local/pgsql-%d/bin", "/opt/postgresql/%d/bin" };
	const int major = plan->inc.major;
	const char *env = getenv("DAPK_BACKUP_PGBIN");
	char dir[128];
	size_t i;

	memset(pm, 0, sizeof(*pm));
	pm->plan = plan;
	if (env != NULL) {
		if (try_dir(pm, env, strlen(env)))
			return 0;
		return err_set(err, ERR_CONFIG, "DAPK_BACKUP_PGBIN=%s holds "
		    "no postgres of version %d", env, major);
	}
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(dir, sizeof(dir), places[i], major);
#pragma GCC diagnostic pop
		if (try_dir(pm, dir, strlen(dir)))
			return 0;
	}
	if (try_path(pm) ||
	    try_dir(pm, "/usr/local/pgsql/bin", strlen("/usr/local/pgsql/bin")))
		return 0;
	err_set(err, ERR_POSTGRES, "no PostgreSQL %d was found to start",
	    major);
	return err_hint(err, "install it (on Debian: apt-get install "
			     "postgresql-%d), or name its bin directory in "
			     "DAPK_BACKUP_PGBIN", major);
}

/* With listen_addresses empty the port only names the socket; still it is
 * one that can be listened on later. */
static bool
port_free(unsigned port)
{
	struct sockaddr_in a;
	const int on = 1;
	int fd;
	bool ok;

	memset(&a, 0, sizeof(a));
	a.sin_family = AF_INET;
	a.sin_port = htons((uint16_t)port);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return true;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	ok = bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	(void)close(fd); /* nothing was sent */
	return ok;
}

static int
choose_port(struct postmaster *pm, struct err *err)
{
	pm->port = pm->plan->config->port;
	if (pm->port != 0)
		return 0;
	for (pm->port = PORT_FIRST; pm->port <= PORT_LAST; pm->port++)
		if (port_free(pm->port))
			return 0;
	return err_set(err, ERR_IO, "no port from %d to %d is free; name one "
	    "with --port", PORT_FIRST, PORT_LAST);
}

/*
 * A server that was left running removes its socket when it ends, but not
 * the directory that was made for it. One that is empty and not of the last
 * hour belongs to nobody any more; rmdir() fails on any other.
 */
static void
remove_old_sockets(void)
{
	char name[sizeof(SOCKETS_DIR) + NAME_MAX];
	struct dirent *e;
	struct stat st;
	DIR *d = opendir("/tmp");

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, SOCKETS_NAME,
			strlen(SOCKETS_NAME)) != 0 ||
		    strlen(e->d_name) != strlen(SOCKETS_NAME) + 6)
			continue;
		(void)snprintf(name, sizeof(name), "/tmp/%s", e->d_name);
		if (lstat(name, &st) == 0 && S_ISDIR(st.st_mode) &&
		    st.st_uid == geteuid() &&
		    st.st_mtime + OLD_SOCKETS_S < time(NULL))
			(void)rmdir(name); /* it may be in use */
	}
	if (d != NULL)
		(void)closedir(d); /* only read from */
}

/*
 * The data directory is private and goes when the cluster goes, so it serves
 * as the socket's, unless its name is too long for a socket's address or
 * could not stand in a list of directories.
 */
static int
make_sockets(struct postmaster *pm, struct err *err)
{
	const char *dir = pm->plan->dir;

	if (strlen(dir) + strlen(SOCKET_LONGEST) <= SOCKET_PATH_MAX &&
	    strpbrk(dir, ",\"' \t\n\\") == NULL) {
		pm->sockets = xstrdup(dir);
		return 0;
	}
	remove_old_sockets();
	pm->sockets = xstrdup(SOCKETS_DIR);
	if (mkdtemp(pm->sockets) == NULL) {
		free(pm->sockets);
		pm->sockets = NULL;
		return err_sys(err, errno, "make a directory in /tmp");
	}
	return 0;
}

static void
add_arg(struct postmaster *pm, char *arg)
{
	if (pm->n_args < POSTMASTER_ARGS_MAX - 4) /* 3 more, and a NULL */
		pm->args[pm->n_args++] = arg;
	else
		free(arg);
}

static void
add_setting(struct postmaster *pm, const char *name, const char *value)
{
	add_arg(pm, xstrdup("-c"));
	add_arg(pm, xasprintf("%s=%s", name, value));
}

static void
build_args(struct postmaster *pm)
{
	const struct restore_plan *plan = pm->plan;
	const struct plan_saved *s = &plan->saved;
	char port[16];

	(void)snprintf(port, sizeof(port), "%u", pm->port);
	add_arg(pm, xasprintf("%s/postgres", pm->bin));
	add_arg(pm, xstrdup("-D"));
	add_arg(pm, xstrdup(plan->dir));
	add_setting(pm, "data_directory", plan->dir);
	if (s->config_file != NULL)
		add_setting(pm, "config_file", s->config_file);
	if (s->hba_file != NULL)
		add_setting(pm, "hba_file", s->hba_file);
	if (s->ident_file != NULL)
		add_setting(pm, "ident_file", s->ident_file);
	add_setting(pm, "external_pid_file", "");
	add_setting(pm, "port", port);
	add_setting(pm, "listen_addresses", "");
	add_setting(pm, "unix_socket_directories", pm->sockets);
	add_setting(pm, "hot_standby", "on");
	/* What follows is how startlog.c can read along. */
	add_setting(pm, "logging_collector", "off");
	add_setting(pm, "log_destination", "stderr");
	add_setting(pm, "log_min_messages", "warning");
	add_setting(pm, "lc_messages", "C");
	if (plan->inc.major < 15) /* Debian's lies in /var/run */
		add_setting(pm, "stats_temp_directory", "pg_stat_tmp");
}

int
postmaster_setting(const struct postmaster *pm, const char *name, char *out,
    size_t size, struct err *err)
{
	char *argv[POSTMASTER_ARGS_MAX];
	char option[] = "-C";
	char *copy = xstrdup(name);
	struct buf b;
	int status = -1, rc;

	memcpy(argv, pm->args, pm->n_args * sizeof(argv[0]));
	argv[pm->n_args] = option;
	argv[pm->n_args + 1] = copy;
	argv[pm->n_args + 2] = NULL;
	buf_init(&b, OUTPUT_MAX);
	rc = run(argv, &b, &status, err);
	if (rc == 0 && status != 0) {
		rc = err_set(err, ERR_POSTGRES,
		    "postgres cannot read its configuration: %.*s",
		    (int)strcspn(buf_str(&b), "\n"), buf_str(&b));
		err_hint(err, "mend %s, then: %s/pg_ctl -D %s start",
		    pm->plan->saved.config_file != NULL ?
			pm->plan->saved.config_file : "postgresql.conf",
		    pm->bin, pm->plan->dir);
	}
	(void)snprintf(out, size, "%.*s", (int)strcspn(buf_str(&b), "\n"),
	    buf_str(&b));
	buf_free(&b);
	free(copy);
	return rc;
}

static bool
readable(const struct postmaster *pm, const char *file)
{
	char *path = file[0] == '/' ? xstrdup(file) :
				      xasprintf("%s/%s", pm->plan->dir, file);
	bool ok = access(path, R_OK) == 0;

	free(path);
	return ok;
}

/* TLS needs files that may have stayed on the old host. */
static int
check_ssl(struct postmaster *pm, struct err *err)
{
	static const char *const files[] = { "ssl_cert_file", "ssl_key_file",
		"ssl_ca_file", "ssl_crl_file", "ssl_dh_params_file" };
	char value[PATH_MAX];
	size_t i;

	if (postmaster_setting(pm, "ssl", value, sizeof(value), err) != 0)
		return -1;
	if (strcmp(value, "on") != 0)
		return 0;
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (postmaster_setting(pm, files[i], value, sizeof(value),
			err) != 0)
			return -1;
		if (value[0] == '\0' || readable(pm, value))
			continue;
		log_warning("%s %s cannot be read on this host: the server is "
			    "started with ssl=off", files[i], value);
		add_setting(pm, "ssl", "off");
		return 0;
	}
	return 0;
}

/* T101: recovery stops when these are lower than they were at the source. */
static int
check_lowered(struct postmaster *pm, struct err *err)
{
	const struct control *c = &pm->plan->control;
	const struct {
		const char *name;
		uint32_t needed;
	} list[] = {
		{ "max_connections", c->max_connections },
		{ "max_worker_processes", c->max_worker_processes },
		{ "max_wal_senders", c->max_wal_senders },
		{ "max_prepared_transactions", c->max_prepared_xacts },
		{ "max_locks_per_transaction", c->max_locks_per_xact },
	};
	char value[64];
	size_t i;

	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		if (postmaster_setting(pm, list[i].name, value, sizeof(value),
			err) != 0)
			return -1;
		if (value[0] != '\0' &&
		    strtoul(value, NULL, 10) < list[i].needed)
			log_warning("%s is %s here and was %u when the backup "
				    "was taken: recovery will refuse it",
			    list[i].name, value, (unsigned)list[i].needed);
	}
	return 0;
}

int
postmaster_prepare(struct postmaster *pm, const struct restore_plan *plan,
    struct err *err)
{
	if (postmaster_find(pm, plan, err) != 0 || choose_port(pm, err) != 0 ||
	    make_sockets(pm, err) != 0)
		return -1;
	pm->log = xasprintf("%s/" POSTMASTER_LOG, plan->dir);
	build_args(pm);
	if (check_ssl(pm, err) != 0)
		return -1;
	return check_lowered(pm, err);
}

/* In the child: a session of its own, so that Ctrl-C is not the server's. */
static void
become_server(const struct postmaster *pm, int log)
{
	const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)umask(077);
	(void)setsid();
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(127);
	/* PGDATA and friends of the caller have no say. */
	(void)unsetenv("PGDATA");
	(void)unsetenv("PGPORT");
	coredump_allow();
	(void)execv(pm->args[0], pm->args);
	_exit(127);
}

int
postmaster_start(struct postmaster *pm, struct err *err)
{
	int log;

	pm->args[pm->n_args] = NULL;
	/* What an earlier server wrote must not be taken for this one's. */
	log = open(pm->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
	    0600);
	if (log < 0)
		return err_sys(err, errno, "create %s", pm->log);
	pm->pid = fork();
	if (pm->pid == 0)
		become_server(pm, log);
	(void)close(log); /* the server has its own */
	if (pm->pid < 0) {
		pm->pid = 0;
		return err_sys(err, errno, "start %s", pm->args[0]);
	}
	return 0;
}

bool
postmaster_running(struct postmaster *pm)
{
	int status;

	if (pm->pid == 0)
		return false;
	if (waitpid(pm->pid, &status, WNOHANG) != pm->pid)
		return true;
	pm->exit_status = status;
	pm->pid = 0;
	return false;
}

/* Fast, then immediate: a server in recovery begins again where it was. */
void
postmaster_stop(struct postmaster *pm)
{
	static const int signals[] = { SIGINT, SIGQUIT, SIGKILL };
	int64_t until;
	size_t i;

	for (i = 0; i < 3 && postmaster_running(pm); i++) {
		(void)kill(pm->pid, signals[i]);
		until = time_monotonic() + (int64_t)STOP_WAIT_MS * 1000;
		while (postmaster_running(pm) && time_monotonic() < until)
			(void)usleep(50000); /* also after a signal to us */
	}
}

/* A server that was killed leaves its socket and lock file there. */
static void
remove_sockets(const struct postmaster *pm)
{
	char *path = xasprintf("%s/.s.PGSQL.%u", pm->sockets, pm->port);
	char *lock = xasprintf("%s.lock", path);

	/* Usually not there; what cannot be removed keeps the directory. */
	(void)unlink(path);
	(void)unlink(lock);
	(void)rmdir(pm->sockets);
	free(path);
	free(lock);
}

void
postmaster_free(struct postmaster *pm)
{
	size_t i;

	for (i = 0; i < pm->n_args; i++)
		free(pm->args[i]);
	if (!pm->left_running && pm->sockets != NULL &&
	    strcmp(pm->sockets, pm->plan->dir) != 0)
		remove_sockets(pm);
	free(pm->sockets);
	free(pm->bin);
	free(pm->log);
	memset(pm, 0, sizeof(*pm));
}
