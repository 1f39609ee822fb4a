/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/coredump.h"
#include "core/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/mem.h"
#include "core/time.h"

#define TURN_MS 200
#define WAIT_STEP_MAX_MS 50
#define KILL_AFTER_MS 10000
#define GROUP_GRACE_US 200000
#define SAID_IN_MESSAGE (ERR_MSG_MAX - 600)
#define SAID_FILE_MAX ((off_t)1 << 20) /* then its beginning is dropped */
#define FDS_WITHOUT_CLOSE_RANGE 4096
#define ENV_MAX 65536

struct process {
	char *name;
	enum err_code code;
	pid_t pid; /* 0: waited for */
	int status; /* as waitpid() gives it */
	unsigned kill_after_ms;
	bool group, deaf;
	uint64_t limit_ms;
	int64_t until; /* by time_monotonic(); 0: no limit */
	int in, out; /* our ends, or -1 */
	int said;    /* a memory file, its standard error */
	char text[PROCESS_SAID_MAX + 1];
};

/* What the child needs; all made before the fork. */
struct child {
	const char *path;
	char *const *argv;
	char **env;
	int in, out, said; /* its standard descriptors, all above 2 */
	int report;	   /* an errno goes here when it cannot begin */
	pid_t parent;
};

/* Above the standard ones, or dup2() in the child would hit another. */
static int
above_standard(int fd)
{
	int high;

	if (fd < 0 || fd > 2)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	(void)close(fd); /* the copy is what is used */
	return high;
}

static int
make_pipe(int *reader, int *writer, struct err *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return err_sys(err, errno, "pipe");
	*reader = above_standard(fds[0]);
	*writer = above_standard(fds[1]);
	if (*reader < 0 || *writer < 0)
		return err_sys(err, errno, "pipe");
	return 0;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* a pipe's or memory file's end */
	*fd = -1;
}

static bool
same_variable(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return n == strcspn(b, "=") && strncmp(a, b, n) == 0;
}

/* Our environment with the changes; the strings stay where they are. */
static char **
make_env(const char *const *changes)
{
	size_t n = 0, n_changes = 0, i, k;
	char **out;

	while (environ != NULL && environ[n] != NULL && n < ENV_MAX)
		n++;
	while (changes != NULL && changes[n_changes] != NULL)
		n_changes++;
	out = xcalloc(n + n_changes + 1, sizeof(*out));
	for (i = 0, k = 0; i < n; i++) {
		size_t c = 0;

		while (c < n_changes && !same_variable(environ[i], changes[c]))
			c++;
		if (c == n_changes)
			out[k++] = environ[i];
	}
	for (i = 0; i < n_changes; i++)
		if (strchr(changes[i], '=') != NULL)
			out[k++] = (char *)(uintptr_t)changes[i];
	return out;
}

/* From here to exec only what POSIX allows after a fork among threads. */

static void
reset_signals(void)
{
	struct sigaction sa;
	sigset_t none;
	int i;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_DFL;
	(void)sigemptyset(&sa.sa_mask);
	for (i = 1; i < NSIG; i++)
		(void)sigaction(i, &sa, NULL); /* KILL and STOP refuse */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Ours are close-on-exec all; a library's or the caller's may not be. */
static void
close_others_on_exec(void)
{
	int fd;

#if defined(HAVE_CLOSE_RANGE) && defined(CLOSE_RANGE_CLOEXEC)
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		return;
#endif
	for (fd = 3; fd < FDS_WITHOUT_CLOSE_RANGE; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* most are not open */
}

static void __attribute__((noreturn))
be_the_child(const struct child *c)
{
	int failed;

	(void)setpgid(0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != c->parent)
		_exit(127); /* the parent is gone already */
	if (dup2(c->in, 0) >= 0 && dup2(c->out, 1) >= 0 &&
	    dup2(c->said, 2) >= 0) {
		close_others_on_exec();
		reset_signals();
		coredump_allow();
		(void)execve(c->path, c->argv, c->env);
	}
	failed = errno;
	(void)!write(c->report, &failed, sizeof(failed));
	_exit(127);
}

/* Fork and learn whether the program began. */
static int
begin(struct process *p, struct child *c, struct err *err)
{
	int reader = -1, failed = 0;
	sigset_t all, old;
	ssize_t n = 0;

	if (make_pipe(&reader, &c->report, err) != 0) {
		close_fd(&reader);
		return -1;
	}
	c->parent = getpid();
	/* No handler of ours may run in the child. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	p->pid = fork();
	if (p->pid == 0)
		be_the_child(c);
	failed = errno;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	close_fd(&c->report);
	if (p->pid < 0) {
		p->pid = 0;
		close_fd(&reader);
		return err_sys(err, failed, "start %s", c->path);
	}
	do
		n = read(reader, &failed, sizeof(failed));
	while (n < 0 && errno == EINTR);
	close_fd(&reader);
	if (n != (ssize_t)sizeof(failed))
		return 0; /* closed by exec */
	return err_sys(err, failed, "start %s", c->path);
}

/* The child's end of one standard descriptor, and ours. */
static int
connect_io(enum process_io io, int given, bool input, int *theirs, int *ours,
    struct err *err)
{
	switch (io) {
	case PROCESS_PIPE:
		return input ? make_pipe(theirs, ours, err) :
			       make_pipe(ours, theirs, err);
	case PROCESS_FD:
		*theirs = fcntl(given, F_DUPFD_CLOEXEC, 3);
		break;
	case PROCESS_SAID:
	case PROCESS_NULL:
		*theirs = above_standard(open("/dev/null", O_RDWR | O_CLOEXEC));
		break;
	}
	return *theirs >= 0 ? 0 :
			      err_sys(err, errno, "prepare a descriptor");
}

static int
open_said(struct process *p, struct err *err)
{
	p->said = above_standard(memfd_create("stderr", MFD_CLOEXEC));
	/* Appending, so that cutting it does not leave a hole. */
	if (p->said < 0 || fcntl(p->said, F_SETFL, O_APPEND) != 0)
		return err_sys(err, errno, "make a memory file");
	return 0;
}

static int
set_nonblocking(int fd, struct err *err)
{
	if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return 0;
	return err_sys(err, errno, "prepare a pipe");
}

int
process_start(struct process **out, const struct process_spec *spec,
    struct err *err)
{
	struct child c = { .in = -1, .out = -1, .report = -1 };
	struct process *p = xcalloc(1, sizeof(*p));
	const char *slash = strrchr(spec->argv[0], '/');
	int ret = -1;

	p->name = xstrdup(spec->name != NULL ? spec->name :
		slash != NULL		     ? slash + 1 :
					       spec->argv[0]);
	p->code = spec->code == ERR_NONE ? ERR_IO : spec->code;
	p->kill_after_ms = spec->kill_after_ms != 0 ? spec->kill_after_ms :
						      KILL_AFTER_MS;
	p->group = spec->group;
	p->deaf = spec->deaf;
	p->limit_ms = spec->limit_ms;
	if (p->limit_ms > 0)
		p->until = time_monotonic() + (int64_t)p->limit_ms * 1000;
	p->in = p->out = p->said = -1;
	c.path = spec->argv[0];
	c.argv = (char *const *)(uintptr_t)spec->argv;
	c.env = make_env(spec->env);
	if (connect_io(spec->in, spec->in_fd, true, &c.in, &p->in, err) != 0 ||
	    connect_io(spec->out, spec->out_fd, false, &c.out, &p->out,
		err) != 0 ||
	    open_said(p, err) != 0 || set_nonblocking(p->in, err) != 0 ||
	    set_nonblocking(p->out, err) != 0)
		goto out;
	c.said = p->said;
	if (spec->out == PROCESS_SAID) {
		close_fd(&c.out);
		c.out = fcntl(p->said, F_DUPFD_CLOEXEC, 3);
	}
	if (begin(p, &c, err) != 0)
		goto out;
	*out = p;
	p = NULL;
	ret = 0;
out:
	close_fd(&c.in);
	close_fd(&c.out);
	free(c.env);
	process_free(p);
	return ret;
}

/* It must not fill the memory. */
static void
limit_said(const struct process *p)
{
	struct stat st;

	if (fstat(p->said, &st) == 0 && st.st_size > SAID_FILE_MAX)
		(void)!ftruncate(p->said, 0); /* again in the next turn */
}

/* For the top of a loop: no signal has come, and it has time left. */
static int
may_go_on(const struct process *p, struct err *err)
{
	if (!p->deaf && cancel_check(err) != 0)
		return -1;
	if (p->until == 0 || time_monotonic() < p->until)
		return 0;
	return err_set(err, p->code, "%s had not ended after %.3g s, and was "
	    "ended", p->name, (double)p->limit_ms / 1000);
}

/* One turn of waiting for a pipe; 0 also when nothing came. */
static int
wait_pipe(const struct process *p, int fd, short events, struct err *err)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	if (may_go_on(p, err) != 0)
		return -1;
	/* EINTR, time-out and ready are all "look again". */
	(void)poll(&pfd, 1, TURN_MS);
	limit_said(p);
	return 0;
}

int
process_read(struct process *p, void *data, size_t size, size_t *got,
    struct err *err)
{
	ssize_t n;

	*got = 0;
	if (p->out < 0)
		return 0;
	for (;;) {
		if (may_go_on(p, err) != 0)
			return -1;
		n = read(p->out, data, size);
		if (n >= 0)
			break;
		if (errno != EAGAIN && errno != EINTR)
			return err_sys(err, errno, "read from %s", p->name);
		if (wait_pipe(p, p->out, POLLIN, err) != 0)
			return -1;
	}
	*got = (size_t)n;
	return 0;
}

/* It closed its standard input before the end of what it should read. */
static int
reads_no_more(struct process *p, struct err *err)
{
	if (process_wait(p, err) != 0)
		return -1;
	return err_set(err, p->code, "%s ended before it had read everything",
	    p->name);
}

int
process_write(struct process *p, const void *data, size_t len, struct err *err)
{
	const char *from = data;
	ssize_t n;

	if (p->in < 0)
		return err_set(err, ERR_BUG, "%s has no pipe to write to",
		    p->name);
	while (len > 0) {
		if (may_go_on(p, err) != 0)
			return -1;
		n = write(p->in, from, len);
		if (n >= 0) {
			from += n;
			len -= (size_t)n;
			continue;
		}
		if (errno == EPIPE)
			return reads_no_more(p, err);
		if (errno != EAGAIN && errno != EINTR)
			return err_sys(err, errno, "write to %s", p->name);
		if (wait_pipe(p, p->in, POLLOUT, err) != 0)
			return -1;
	}
	return 0;
}

void
process_close_in(struct process *p)
{
	close_fd(&p->in);
}

void
process_close_out(struct process *p)
{
	close_fd(&p->out);
}

/* Has it ended? Remembers how. */
static bool
has_ended(struct process *p)
{
	pid_t pid;

	if (p->pid == 0)
		return true;
	do
		pid = waitpid(p->pid, &p->status, WNOHANG);
	while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return false;
	if (pid < 0)
		p->status = 127 << 8; /* ECHILD: somebody else's wait got it */
	p->pid = 0;
	return true;
}

/*
 * What a message is made of: from the first line with an error on, since what
 * comes after it explains it (a query of many lines); else the last lines.
 */
static const char *
telling_lines(const char *said)
{
	const size_t len = strlen(said);
	const char *p = strstr(said, "error: ");

	if (p != NULL) {
		while (p > said && p[-1] != '\n')
			p--;
		return p;
	}
	if (len <= SAID_IN_MESSAGE)
		return said;
	said += len - SAID_IN_MESSAGE;
	p = strchr(said, '\n');
	return p != NULL ? p + 1 : said;
}

/* "pg_dump: error: ...; detail (exit status 1)" */
static int
failure(struct process *p, struct err *err)
{
	const int signo = WIFSIGNALED(p->status) ? WTERMSIG(p->status) : 0;
	const char *said = telling_lines(process_said(p)), *sep = "";
	const size_t name_len = strlen(p->name);
	struct buf b;

	buf_init(&b, ERR_MSG_MAX);
	while (*said != '\0' && b.len < SAID_IN_MESSAGE) {
		size_t n = strcspn(said, "\n");

		if (b.len == 0 && strncmp(said, p->name, name_len) == 0 &&
		    strncmp(said + name_len, ": ", 2) == 0) {
			said += name_len + 2; /* it comes anyhow */
			n -= name_len + 2;
		}
		if (n > 0) {
			buf_printf(&b, "%s%.*s", sep, (int)(n <
			    SAID_IN_MESSAGE - b.len ? n :
			    SAID_IN_MESSAGE - b.len), said);
			sep = "; ";
		}
		said += n + (said[n] == '\n');
	}
	if (signo != 0)
		(void)err_set(err, p->code, "%s was ended by SIG%s%s%s",
		    p->name, cancel_signal_name(signo),
		    b.len > 0 ? ": " : "", buf_str(&b));
	else
		(void)err_set(err, p->code, "%s: %s%s(exit status %d)",
		    p->name, buf_str(&b), b.len > 0 ? " " : "",
		    WEXITSTATUS(p->status));
	buf_free(&b);
	if (signo == SIGKILL)
		(void)err_hint(err, "the system may have run out of memory: "
		    "dmesg | tail");
	return -1;
}

int
process_wait_status(struct process *p, int *status, struct err *err)
{
	unsigned step = 1;

	close_fd(&p->in);
	close_fd(&p->out);
	while (!has_ended(p)) {
		if (may_go_on(p, err) != 0)
			return -1;
		limit_said(p);
		time_sleep_ms(step);
		if (step < WAIT_STEP_MAX_MS)
			step *= 2;
	}
	if (!p->deaf && cancel_check(err) != 0)
		return -1; /* which is why it ended */
	if (!WIFEXITED(p->status))
		return failure(p, err);
	*status = WEXITSTATUS(p->status);
	return 0;
}

int
process_wait(struct process *p, struct err *err)
{
	int status = 0;

	if (process_wait_status(p, &status, err) != 0)
		return -1;
	return status == 0 ? 0 : failure(p, err);
}

/* Has it ended, and is not waited for yet? Its number is still its own. */
static bool
is_zombie(pid_t pid)
{
	siginfo_t info;

	info.si_pid = 0;
	return waitid(P_PID, (id_t)pid, &info,
	    WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/*
 * A shell dies of SIGTERM and leaves its commands: they have got the signal
 * too, a moment to obey it, and then SIGKILL.
 */
static bool
group_has_ended(struct process *p)
{
	if (p->group && p->pid != 0) {
		if (!is_zombie(p->pid))
			return false;
		(void)usleep(GROUP_GRACE_US);
		(void)kill(-p->pid, SIGKILL);
	}
	return has_ended(p);
}

void
process_terminate(struct process *p)
{
	const int64_t until = time_monotonic() +
	    (int64_t)p->kill_after_ms * 1000;
	const pid_t pid = p->pid;
	useconds_t step_us = 1000;
	bool killed = false;

	if (pid != 0)
		(void)kill(p->group ? -pid : pid, SIGTERM);
	close_fd(&p->in);
	close_fd(&p->out);
	while (!group_has_ended(p)) {
		if (!killed && time_monotonic() > until) {
			(void)kill(-pid, SIGKILL); /* its whole group */
			(void)kill(pid, SIGKILL);
			killed = true;
		}
		(void)usleep(step_us); /* also after a signal to us */
		if (step_us < WAIT_STEP_MAX_MS * 1000)
			step_us *= 2;
	}
}

const char *
process_said(struct process *p)
{
	off_t from = 0;
	struct stat st;
	ssize_t n = 0;
	size_t i, k = 0;

	if (fstat(p->said, &st) == 0) {
		if (st.st_size > PROCESS_SAID_MAX)
			from = st.st_size - PROCESS_SAID_MAX;
		n = pread(p->said, p->text, PROCESS_SAID_MAX, from);
	}
	for (i = 0; n > 0 && i < (size_t)n; i++)
		if (p->text[i] != '\0' && p->text[i] != '\r')
			p->text[k++] = p->text[i];
	while (k > 0 && p->text[k - 1] == '\n')
		k--;
	p->text[k] = '\0';
	return p->text;
}

int
process_id(const struct process *p)
{
	return (int)p->pid;
}

void
process_free(struct process *p)
{
	if (p == NULL)
		return;
	process_terminate(p);
	close_fd(&p->said);
	free(p->name);
	free(p);
}

int
process_run(const struct process_spec *spec, struct buf *output,
    struct err *err)
{
	struct process_spec s = *spec;
	struct process *p = NULL;
	char piece[8192];
	size_t got = 0;
	int ret = -1;

	s.in = PROCESS_NULL;
	s.out = output != NULL ? PROCESS_PIPE : PROCESS_NULL;
	if (process_start(&p, &s, err) != 0)
		return -1;
	do {
		if (process_read(p, piece, sizeof(piece), &got, err) != 0)
			goto out;
		if (output == NULL)
			continue;
		buf_add(output, piece, got);
		if (buf_check(output, p->name, err) != 0)
			goto out;
	} while (got > 0);
	ret = process_wait(p, err);
out:
	process_free(p);
	return ret;
}
