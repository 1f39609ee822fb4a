/* SPDX-License-Identifier: PostgreSQL */
/*
 * Runs a command with all its threads and children under ptrace and counts
 * those of its system calls that reach files and sockets as points:
 *
 *	CALL@SITE#N	the N-th time, of the whole tree, that CALL was made
 *			from SITE: the two nearest return addresses in the
 *			program itself, "-" for the loader before it
 *
 *	faultrun -l FILE -- COMMAND...		lists the points, one a line
 *	faultrun -p POINT -k KIND -- COMMAND...	KIND at POINT: kill, EIO,
 *						ENOSPC, EINTR or short
 *	   -d ROOT -s STATE	what of ROOT, a file system, is durable by its
 *			fsyncs is kept in STATE, an empty directory outside
 *	   -c		STATE is another faultrun's, begun before; added to
 *	faultrun -m OUT -s STATE [-n ROOT]	what a power cut leaves: each
 *			directory as it was last synced, each file with what it
 *			had then. With -n, the other extreme: all names as they
 *			are now, but of each file only what was synced.
 *
 * Exit code: of the command, 128 + signal; 99 for 0 when POINT was not met, 98
 * when faultrun itself failed. ROOT must not use an inode number twice: a tmpfs.
 * strace counts by thread and cannot cut a write short.
 */
#define _GNU_SOURCE
#include "durable.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
int
main(void)
{
	fprintf(stderr, "faultrun: only for x86-64\n");
	return 98;
}
#else

/*
 * The calls that a disk, a store or a server that fails makes fail. Those of
 * memory, clocks, locks and threads do not. `len` is the argument (1 is the
 * first) that says how much, where less may be done.
 */
static const struct call {
	int nr;
	const char *name;
	int len;
} calls[] = {
	{ SYS_open, "open", 0 }, { SYS_openat, "openat", 0 },
	{ SYS_creat, "creat", 0 }, { SYS_close, "close", 0 },
	{ SYS_read, "read", 3 }, { SYS_pread64, "pread64", 3 },
	{ SYS_readv, "readv", 3 }, { SYS_write, "write", 3 },
	{ SYS_pwrite64, "pwrite64", 3 }, { SYS_writev, "writev", 3 },
	{ SYS_copy_file_range, "copy_file_range", 5 },
	{ SYS_sendfile, "sendfile", 4 }, { SYS_fsync, "fsync", 0 },
	{ SYS_fdatasync, "fdatasync", 0 }, { SYS_syncfs, "syncfs", 0 },
	{ SYS_sync_file_range, "sync_file_range", 0 },
	{ SYS_rename, "rename", 0 }, { SYS_renameat, "renameat", 0 },
	{ SYS_renameat2, "renameat2", 0 }, { SYS_link, "link", 0 },
	{ SYS_linkat, "linkat", 0 }, { SYS_symlink, "symlink", 0 },
	{ SYS_symlinkat, "symlinkat", 0 }, { SYS_unlink, "unlink", 0 },
	{ SYS_unlinkat, "unlinkat", 0 }, { SYS_mkdir, "mkdir", 0 },
	{ SYS_mkdirat, "mkdirat", 0 }, { SYS_rmdir, "rmdir", 0 },
	{ SYS_truncate, "truncate", 0 }, { SYS_ftruncate, "ftruncate", 0 },
	{ SYS_fallocate, "fallocate", 0 }, { SYS_fchmod, "fchmod", 0 },
	{ SYS_fchmodat, "fchmodat", 0 }, { SYS_utimensat, "utimensat", 0 },
	{ SYS_fstat, "fstat", 0 }, { SYS_newfstatat, "newfstatat", 0 },
	{ SYS_statx, "statx", 0 }, { SYS_faccessat, "faccessat", 0 },
	{ SYS_faccessat2, "faccessat2", 0 },
	{ SYS_readlinkat, "readlinkat", 0 },
	{ SYS_getdents64, "getdents64", 0 }, { SYS_lseek, "lseek", 0 },
	{ SYS_flock, "flock", 0 }, { SYS_statfs, "statfs", 0 },
	{ SYS_fstatfs, "fstatfs", 0 }, { SYS_socket, "socket", 0 },
	{ SYS_connect, "connect", 0 }, { SYS_sendto, "sendto", 3 },
	{ SYS_recvfrom, "recvfrom", 3 },
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

enum kind { NONE, KILL, ERROR, SHORT };

static struct {
	const char *list, *point, *root, *state, *out, *now;
	enum kind kind;
	int error;
	FILE *listed;
	bool met, shared;
} opt;

/* ---- the traced ---- */

#define TASKS_MAX 4096
static struct task {
	pid_t pid;
	const struct call *at; /* its end is waited for */
	bool fail, cut;
	unsigned long long arg; /* what was replaced */
} tasks[TASKS_MAX];
static unsigned n_tasks;

static struct task *
task_of(pid_t pid)
{
	unsigned i;

	for (i = 0; i < n_tasks; i++)
		if (tasks[i].pid == pid)
			return &tasks[i];
	for (i = 0; i < n_tasks && tasks[i].pid != 0; i++)
		;
	if (i == TASKS_MAX) {
		errno = EAGAIN;
		die("more than %d threads", TASKS_MAX);
	}
	if (i == n_tasks)
		n_tasks++;
	tasks[i] = (struct task) { .pid = pid };
	return &tasks[i];
}

static void
kill_all(void)
{
	unsigned i;

	for (i = 0; i < n_tasks; i++)
		if (tasks[i].pid != 0)
			kill(tasks[i].pid, SIGKILL);
}

/* The program's own code, which every process of the tree has mapped at the
 * same place: addresses are not random, and its path is looked for. */
static uint64_t text_low, text_high;
static char program[4200];

static void
find_text(pid_t pid)
{
	char path[64], line[4400], perms[8];
	unsigned long long low, high;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	if (f == NULL)
		die("open %s", path);
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%llx-%llx %7s", &low, &high, perms) != 3 ||
		    strchr(line, '/') == NULL ||
		    strcmp(strchr(line, '/'), program) != 0)
			continue;
		if (perms[2] == 'x') {
			text_low = low;
			text_high = high;
		}
	}
	fclose(f);
}

/*
 * What called the C library: words of the stack that point into the
 * program's code. One that is left over from earlier may be among them; for a
 * name that comes again in the next run that is good enough.
 */
static void
site_of(pid_t pid, uint64_t sp, char *out, size_t size)
{
	uint64_t words[192], found[2];
	struct iovec to = { words, sizeof(words) };
	struct iovec from = { (void *)(uintptr_t)sp, sizeof(words) };
	ssize_t n = process_vm_readv(pid, &to, 1, &from, 1, 0);
	unsigned i, k = 0;

	for (i = 0; n > 0 && i < (size_t)n / 8 && k < 2; i++)
		if (words[i] > text_low && words[i] < text_high)
			found[k++] = words[i] - text_low;
	if (k == 0)
		snprintf(out, size, "-");
	else
		snprintf(out, size, "%jx,%jx", (uintmax_t)found[0],
		    (uintmax_t)(k > 1 ? found[1] : 0));
}

#define SITES_MAX 16384
static struct site {
	char name[96];
	unsigned count;
} sites[SITES_MAX];

static unsigned
count_at(const char *name)
{
	uint32_t h = 2166136261u;
	const char *p;
	unsigned i;

	for (p = name; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	for (i = 0; i < SITES_MAX; i++) {
		struct site *s = &sites[(h + i) % SITES_MAX];

		if (s->name[0] == '\0')
			snprintf(s->name, sizeof(s->name), "%s", name);
		if (strcmp(s->name, name) == 0)
			return ++s->count;
	}
	errno = EAGAIN;
	die("more than %d call sites", SITES_MAX);
}

static unsigned long long *
argument(struct user_regs_struct *r, int n)
{
	unsigned long long *const at[] = { &r->rdi, &r->rsi, &r->rdx, &r->r10,
		&r->r8, &r->r9 };

	return at[n - 1];
}

/*
 * A socket on which a call failed is broken: that it stays open and silent,
 * for which libpq would wait, is not what an error looks like.
 */
static void
break_connection(pid_t thread, int fd)
{
	char path[64], line[256];
	int pid = 0, process, copy = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", thread);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Tgid: %d", &pid) == 1)
			break;
	if (f != NULL)
		fclose(f);
	process = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process >= 0)
		copy = (int)syscall(SYS_pidfd_getfd, process, fd, 0);
	if (copy < 0)
		die("reach descriptor %d of %d", fd, thread);
	if (shutdown(copy, SHUT_RDWR) != 0 && errno != ENOTCONN)
		die("break a connection");
	close(copy);
	close(process);
}

static void
do_fault(struct task *t, const struct call *c, struct user_regs_struct *r)
{
	opt.met = true;
	if (opt.kind == KILL) {
		kill_all();
		return;
	}
	if (opt.kind == SHORT) {
		if (c->len == 0 || *argument(r, c->len) < 2)
			return; /* there is no half of it */
		t->arg = *argument(r, c->len);
		*argument(r, c->len) = t->arg / 2;
		t->cut = true;
	} else {
		t->fail = true;
		if (opt.error != EINTR &&
		    (c->nr == SYS_sendto || c->nr == SYS_recvfrom))
			break_connection(t->pid, (int)r->rdi);
		/* Of close() the descriptor is gone whatever it answers. */
		if (c->nr != SYS_close)
			r->orig_rax = (unsigned long long)-1;
	}
	if (ptrace(PTRACE_SETREGS, t->pid, NULL, r) != 0 && errno != ESRCH)
		die("set registers");
}

/* A call begins. Is its end to be waited for? */
static bool
on_call(struct task *t)
{
	struct user_regs_struct r;
	char site[64], name[96], point[128];
	unsigned i;

	if (ptrace(PTRACE_GETREGS, t->pid, NULL, &r) != 0)
		return false; /* killed meanwhile */
	for (i = 0; i < CALLS && calls[i].nr != (int)r.orig_rax; i++)
		;
	if (i == CALLS)
		return false;
	site_of(t->pid, r.rsp, site, sizeof(site));
	snprintf(name, sizeof(name), "%s@%s", calls[i].name, site);
	snprintf(point, sizeof(point), "%s#%u", name, count_at(name));
	if (opt.listed != NULL)
		fprintf(opt.listed, "%s%s\n", point,
		    calls[i].len != 0 && *argument(&r, calls[i].len) > 1 ?
			" cut" : "");
	t->at = &calls[i];
	if (!opt.met && opt.point != NULL && strcmp(point, opt.point) == 0)
		do_fault(t, &calls[i], &r);
	return t->fail || t->cut || (opt.root != NULL &&
	    (calls[i].nr == SYS_fsync || calls[i].nr == SYS_fdatasync ||
		calls[i].nr == SYS_syncfs));
}

static void
on_end(struct task *t)
{
	const struct call *c = t->at;
	struct user_regs_struct r;

	if (ptrace(PTRACE_GETREGS, t->pid, NULL, &r) != 0)
		return;
	if (t->cut)
		*argument(&r, c->len) = t->arg;
	if (t->fail)
		r.rax = (unsigned long long)-opt.error;
	if ((t->cut || t->fail) &&
	    ptrace(PTRACE_SETREGS, t->pid, NULL, &r) != 0 && errno != ESRCH)
		die("set registers");
	if (!t->fail && !t->cut && r.rax == 0 && opt.root != NULL)
		durable_synced(t->pid, (int)r.rdi, c->nr == SYS_syncfs);
	t->at = NULL;
	t->fail = t->cut = false;
}

/* In the child: only the calls of the table stop it. */
static void
filter_calls(void)
{
	struct sock_filter f[4 + CALLS + 2];
	struct sock_fprog prog = { .filter = f };
	unsigned i, n = 0;

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	    offsetof(struct seccomp_data, nr));
	for (i = 0; i < CALLS; i++)
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
		    (uint32_t)calls[i].nr, (uint8_t)(CALLS - i), 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
	    SECCOMP_RET_ALLOW);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
	    SECCOMP_RET_TRACE);
	prog.len = (unsigned short)n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0)
		die("filter calls");
}

static pid_t
start(char **argv)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (personality(ADDR_NO_RANDOMIZE) == -1 ||
	    ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		die("be traced");
	raise(SIGSTOP);
	filter_calls();
	execvp(argv[0], argv);
	die("run %s", argv[0]);
}

static void
go_on(pid_t pid, bool to_end, int sig)
{
	if (ptrace(to_end ? PTRACE_SYSCALL : PTRACE_CONT, pid, NULL,
		(void *)(intptr_t)sig) != 0 && errno != ESRCH)
		die("continue %d", pid);
}

static void
on_stop(pid_t pid, int status)
{
	struct task *t = task_of(pid);
	int sig = WSTOPSIG(status), event = status >> 16;

	if (event == PTRACE_EVENT_SECCOMP) {
		go_on(pid, on_call(t), 0);
	} else if (event == PTRACE_EVENT_EXEC) {
		find_text(pid);
		go_on(pid, false, 0);
	} else if (event != 0) {
		go_on(pid, false, 0);
	} else if (sig == (SIGTRAP | 0x80)) {
		if (t->at != NULL)
			on_end(t);
		go_on(pid, false, 0);
	} else if (sig == SIGSTOP) {
		/* A new thread or child begins with it; none of what is
		 * tested sends it. */
		go_on(pid, false, 0);
	} else {
		/* A signal while the end of a call is waited for. */
		go_on(pid, t->at != NULL && (t->fail || t->cut), sig);
	}
}

static int
trace(char **argv)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP |
	    PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
	    PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	pid_t first = start(argv), pid;
	int status, code = 98;

	if (first < 0 || waitpid(first, &status, 0) != first ||
	    ptrace(PTRACE_SETOPTIONS, first, NULL, options) != 0)
		die("trace");
	task_of(first);
	go_on(first, false, 0);
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status)) {
			on_stop(pid, status);
			continue;
		}
		if (pid == first)
			code = WIFEXITED(status) ? WEXITSTATUS(status) :
						   128 + WTERMSIG(status);
		task_of(pid)->pid = 0;
	}
	if (opt.listed != NULL && fclose(opt.listed) != 0)
		die("write %s", opt.list);
	return opt.point != NULL && !opt.met && code == 0 ? 99 : code;
}

static void
set_kind(const char *s)
{
	static const struct { const char *name; int error; } errors[] = {
		{ "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EINTR", EINTR },
	};
	unsigned i;

	opt.kind = strcmp(s, "kill") == 0 ? KILL :
	    strcmp(s, "short") == 0	  ? SHORT :
					    NONE;
	for (i = 0; i < 3; i++)
		if (strcmp(s, errors[i].name) == 0) {
			opt.kind = ERROR;
			opt.error = errors[i].error;
		}
	errno = EINVAL;
	if (opt.kind == NONE)
		die("kind %s", s);
}

int
main(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "+l:p:k:cd:s:m:n:")) != -1) {
		switch (c) {
		case 'l': opt.list = optarg; break;
		case 'p': opt.point = optarg; break;
		case 'k': set_kind(optarg); break;
		case 'c': opt.shared = true; break;
		case 'd': opt.root = optarg; break;
		case 's': opt.state = optarg; break;
		case 'm': opt.out = optarg; break;
		case 'n': opt.now = optarg; break;
		default: return 98;
		}
	}
	errno = EINVAL;
	if ((opt.root != NULL || opt.out != NULL) && opt.state == NULL)
		die("-s is missing");
	if (opt.out != NULL) {
		durable_cut(opt.state, opt.out, opt.now);
		return 0;
	}
	if (optind >= argc || (opt.point != NULL && opt.kind == NONE))
		die("see the head of the source");
	if (realpath(argv[optind], program) == NULL)
		die("find %s", argv[optind]);
	if (opt.list != NULL && (opt.listed = fopen(opt.list, "we")) == NULL)
		die("create %s", opt.list);
	if (opt.root != NULL)
		durable_begin(opt.root, opt.state, opt.shared);
	return trace(argv + optind);
}
#endif
