/* SPDX-License-Identifier: PostgreSQL */
/*
 * Completion for shells, written from the command and option tables, so that
 * it knows what this program knows. Of the rows for how a storage is reached
 * bash shows none before a letter of the name is typed: they are many and
 * belong into the file.
 */
#include "config.h"

#include "cli/cli.h"

#include <string.h>

/* What stands where a value is to be typed. */
enum kind {
	KIND_NONE, /* nothing can be said */
	KIND_FILES,
	KIND_DIRS,
	KIND_CLUSTER, /* the names in the configuration file */
	KIND_REPOSITORY,
	KIND_CHOICES
};

static const char *const timelines[] = { "latest", "current", NULL };
static const char *const jobs[] = { "auto", NULL };

static const char *const *
choices_of(const struct option *o)
{
	if (o->type == OPTION_TIMELINE)
		return timelines;
	return o->type == OPTION_JOBS ? jobs : o->choices;
}

static enum kind
kind_of_word(const char *word, size_t len)
{
	if (len == 3 && strncmp(word, "DIR", len) == 0)
		return KIND_DIRS;
	if ((len == 4 && strncmp(word, "FILE", len) == 0) ||
	    (len == 4 && strncmp(word, "PATH", len) == 0) ||
	    (len == 4 && strncmp(word, "DEST", len) == 0))
		return KIND_FILES;
	return KIND_NONE;
}

static enum kind
kind_of(const struct option *o)
{
	if (choices_of(o) != NULL)
		return KIND_CHOICES;
	if (o->type == OPTION_NAME)
		return strcmp(o->name, "cluster") == 0 ? KIND_CLUSTER :
							 KIND_REPOSITORY;
	if (o->type == OPTION_URL)
		return KIND_DIRS; /* an absolute path is one */
	return kind_of_word(o->value, strlen(o->value));
}

/* What the arguments are; by the last word of "NAME DEST". */
static enum kind
kind_of_arguments(const struct command *c)
{
	const char *last = strrchr(c->arguments, ' ');

	last = last == NULL ? c->arguments : last + 1;
	if (c->arguments[0] != '[' && strchr(c->arguments, '|') != NULL)
		return KIND_CHOICES;
	return kind_of_word(last, strlen(last));
}

/* Words apart by spaces, of the first "bash|zsh". */
static void
print_words(const char *text)
{
	for (; *text != '\0' && *text != ' '; text++)
		(void)putchar(*text == '|' ? ' ' : *text);
}

static void
print_choices(const char *const *choices)
{
	size_t i;

	for (i = 0; choices[i] != NULL; i++)
		(void)printf("%s%s", i > 0 ? " " : "", choices[i]);
}

/* Is it of use to turn it off? */
static bool
can_be_off(const struct option *o)
{
	return o->type == OPTION_BOOL && o->default_value != NULL &&
	    strcmp(o->default_value, "yes") == 0;
}

/* Of those for any repository; not retain, which some commands take. */
static bool
is_seldom(const struct option *o)
{
	return option_is_storage(o) && o->commands == COMMAND_ANY;
}

/* ------------------------------------------------------------------ bash */

static const char bash_head[] =
    "# bash completion for dapk-backup, written by \"dapk-backup completion "
    "bash\".\n"
    "# shellcheck shell=bash\n\n"
    "# Names of the sections [cluster NAME] or [repository NAME] of the file.\n"
    "_dapk_backup_names() {\n"
    "\tlocal i file=${DAPK_BACKUP_CONFIG:-" CONFIG_FILE_DEFAULT "}\n"
    "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
    "\t\tcase ${COMP_WORDS[i]} in\n"
    "\t\t--config=?*) file=${COMP_WORDS[i]#*=} ;;\n"
    "\t\t--config)\n"
    "\t\t\tfile=${COMP_WORDS[i + 1]}\n"
    "\t\t\t[[ $file != = ]] || file=${COMP_WORDS[i + 2]}\n"
    "\t\t\t;;\n"
    "\t\tesac\n"
    "\tdone\n"
    "\tsed -n \"s/^[[:space:]]*\\\\[$1[[:space:]]\\\\{1,\\\\}"
    "\\\\([^][:space:]]*\\\\)[[:space:]]*\\\\].*/\\\\1/p\" \\\n"
    "\t\t\"${file/#\\~\\//$HOME/}\" 2>/dev/null\n"
    "}\n\n";

static const char bash_tail[] =
    "_dapk_backup_reply() { # KIND WORD PREFIX\n"
    "\tlocal words=()\n"
    "\tcase $1 in\n"
    "\t@none) return ;;\n"
    "\t@files)\n"
    "\t\twords=(-f)\n"
    "\t\tcompopt -o filenames 2>/dev/null\n"
    "\t\t;;\n"
    "\t@dirs)\n"
    "\t\twords=(-d)\n"
    "\t\tcompopt -o filenames 2>/dev/null\n"
    "\t\t;;\n"
    "\t@cluster) words=(-W \"$(_dapk_backup_names cluster)\") ;;\n"
    "\t@repository) words=(-W \"$(_dapk_backup_names repository)\") ;;\n"
    "\t*) words=(-W \"$1\") ;;\n"
    "\tesac\n"
    "\tmapfile -t COMPREPLY < <(compgen -P \"$3\" \"${words[@]}\" -- \"$2\" || "
    "true)\n"
    "}\n\n"
    "_dapk_backup() {\n"
    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} command='' pending='' word i\n"
    "\tCOMPREPLY=()\n"
    "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
    "\t\tword=${COMP_WORDS[i]}\n"
    "\t\tif [[ $word = '=' ]]; then\n"
    "\t\t\tcontinue # \"--option=value\" comes as three words\n"
    "\t\telif [[ -n $pending ]]; then\n"
    "\t\t\tpending=''\n"
    "\t\telif [[ $word = -* ]]; then\n"
    "\t\t\t[[ -z $(_dapk_backup_value \"$command,$word\") ]] || "
    "pending=$word\n"
    "\t\telif [[ -z $command ]]; then\n"
    "\t\t\tcommand=$word\n"
    "\t\tfi\n"
    "\tdone\n"
    "\tif [[ -n $pending ]]; then\n"
    "\t\t[[ $cur != '=' ]] || cur=''\n"
    "\t\t_dapk_backup_reply \"$(_dapk_backup_value "
    "\"$command,$pending\")\" \"$cur\" ''\n"
    "\telif [[ $cur = --*=* ]]; then\n"
    "\t\tword=$(_dapk_backup_value \"$command,${cur%%=*}\")\n"
    "\t\t_dapk_backup_reply \"${word:-@none}\" \"${cur#*=}\" "
    "\"${cur%%=*}=\"\n"
    "\telif [[ $cur = -* ]]; then\n"
    "\t\tword=$(_dapk_backup_options \"$command\")\n"
    "\t\t[[ ${#cur} -le 2 ]] || word+=\" $_dapk_backup_storage\"\n"
    "\t\t_dapk_backup_reply \"$word\" \"$cur\" ''\n"
    "\telif [[ -z $command || $command = help ]]; then\n"
    "\t\t_dapk_backup_reply \"$_dapk_backup_commands\" \"$cur\" ''\n"
    "\telse\n"
    "\t\t_dapk_backup_reply \"$(_dapk_backup_argument \"$command\")\" "
    "\"$cur\" ''\n"
    "\tfi\n"
    "}\n\n"
    "complete -F _dapk_backup dapk-backup\n";

static void
bash_kind(enum kind kind, const struct option *o)
{
	static const char *const names[] = { "@none", "@files", "@dirs",
		"@cluster", "@repository" };

	if (kind == KIND_CHOICES && o != NULL)
		print_choices(choices_of(o));
	else if (kind != KIND_CHOICES)
		(void)printf("%s", names[kind]);
}

static void
bash_options_of(const char *name, unsigned commands)
{
	const struct option *o;
	bool all = commands == COMMAND_ANY;

	(void)printf("\t%s) echo '", name);
	for (o = option_table; o->name != NULL; o++) {
		if (is_seldom(o) || (all ? o->commands != commands :
			(o->commands & commands) == 0))
			continue;
		(void)printf("--%s ", o->name);
		if (can_be_off(o))
			(void)printf("--no-%s ", o->name);
	}
	(void)printf("' ;;\n");
}

static void
bash_options(void)
{
	const struct command *c;
	const struct option *o;

	(void)printf("_dapk_backup_commands='");
	for (c = command_table; c->name != NULL; c++)
		(void)printf("%s ", c->name);
	(void)printf("help'\n\n# How a repository is reached and opened.\n"
	    "_dapk_backup_storage='");
	for (o = option_table; o->name != NULL; o++) {
		if (is_seldom(o))
			(void)printf("--%s ", o->name);
	}
	(void)printf("'\n\n_dapk_backup_options() { # COMMAND\n"
	    "\tcase $1 in\n");
	for (c = command_table; c->name != NULL; c++)
		bash_options_of(c->name, c->bit);
	bash_options_of("*", COMMAND_ANY);
	(void)printf("\tesac\n}\n\n");
}

/* "backup,--jobs|backup,-j|": where this row is meant. */
static void
bash_patterns(const struct option *o)
{
	const struct command *c;
	const char *between = "";

	if (option_find(o->name, strlen(o->name), COMMAND_ANY) == o) {
		(void)printf(",--%s", o->name);
		between = "|";
	}
	for (c = command_table; c->name != NULL; c++) {
		if ((o->commands & c->bit) == 0)
			continue;
		(void)printf("%s%s,--%s", between, c->name, o->name);
		if (o->short_name != 0)
			(void)printf("|%s,-%c", c->name, o->short_name);
		between = "|";
	}
}

static void
bash_values(void)
{
	const struct option *o;

	(void)printf("# What follows an option: words, @files and the like, "
	    "@none; nothing when it\n# takes no value.\n"
	    "_dapk_backup_value() { # COMMAND,OPTION\n\tcase $1 in\n");
	for (o = option_table; o->name != NULL; o++) {
		if (o->commands == 0 || !option_takes_value(o))
			continue;
		(void)putchar('\t');
		if (o->commands == COMMAND_ANY)
			(void)printf("*,--%s", o->name);
		else
			bash_patterns(o);
		(void)printf(") echo '");
		bash_kind(kind_of(o), o);
		(void)printf("' ;;\n");
	}
	(void)printf("\tesac\n}\n\n");
}

static void
bash_arguments(void)
{
	const struct command *c;
	enum kind kind;

	(void)printf("_dapk_backup_argument() { # COMMAND\n\tcase $1 in\n");
	for (c = command_table; c->name != NULL; c++) {
		kind = kind_of_arguments(c);
		if (kind == KIND_NONE)
			continue;
		(void)printf("\t%s) echo '", c->name);
		if (kind == KIND_CHOICES)
			print_words(c->arguments);
		else
			bash_kind(kind, NULL);
		(void)printf("' ;;\n");
	}
	(void)printf("\t*) echo @none ;;\n\tesac\n}\n\n");
}

/* ------------------------------------------------------------------- zsh */

static const char zsh_head[] =
    "#compdef dapk-backup\n"
    "# zsh completion for dapk-backup, written by \"dapk-backup completion "
    "zsh\".\n\n"
    "# Names of the sections [cluster NAME] or [repository NAME] of the file.\n"
    "_dapk_backup_names() {\n"
    "\tlocal file=${opt_args[--config]:-${DAPK_BACKUP_CONFIG:-"
    CONFIG_FILE_DEFAULT "}}\n"
    "\tlocal -a names\n"
    "\tnames=(${(f)\"$(sed -n \"s/^[[:space:]]*\\\\[$1[[:space:]]\\\\{1,\\\\}"
    "\\\\([^][:space:]]*\\\\)[[:space:]]*\\\\].*/\\\\1/p\" ${~file} "
    "2>/dev/null)\"})\n"
    "\t_wanted names expl \"$1\" compadd -a names\n"
    "}\n\n";

/* Text inside '...' and [...]. */
static void
zsh_text(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\'') {
			(void)printf("'\\''");
			continue;
		}
		if (strchr("[]\\:", *text) != NULL)
			(void)putchar('\\');
		(void)putchar(*text);
	}
}

static void
zsh_kind(enum kind kind, const struct option *o, const char *words)
{
	switch (kind) {
	case KIND_FILES:
		(void)printf("_files");
		break;
	case KIND_DIRS:
		(void)printf("_files -/");
		break;
	case KIND_CLUSTER:
		(void)printf("_dapk_backup_names cluster");
		break;
	case KIND_REPOSITORY:
		(void)printf("_dapk_backup_names repository");
		break;
	case KIND_CHOICES:
		(void)putchar('(');
		if (o != NULL)
			print_choices(choices_of(o));
		else if (words != NULL)
			print_words(words);
		(void)putchar(')');
		break;
	case KIND_NONE:
		(void)putchar(' ');
	}
}

static void
zsh_option(const struct option *o)
{
	bool value = option_takes_value(o);
	bool again = o->type == OPTION_PASS || o->type == OPTION_MAP;

	(void)printf(" \\\n\t\t\t");
	if (again)
		(void)printf("'*'");
	/* "-?" would need more quoting than it is worth. */
	if (o->short_name == 0 || o->short_name == '?') {
		(void)printf("--%s%s", o->name, value ? "=" : "");
	} else {
		if (!again)
			(void)printf("'(-%c --%s)'", o->short_name, o->name);
		(void)printf("{-%c%s,--%s%s}", o->short_name, value ? "+" : "",
		    o->name, value ? "=" : "");
	}
	(void)printf("'[");
	zsh_text(o->help);
	(void)putchar(']');
	if (value) {
		(void)putchar(':');
		zsh_text(o->value);
		(void)putchar(':');
		zsh_kind(kind_of(o), o, NULL);
	}
	(void)putchar('\'');
	if (can_be_off(o)) {
		(void)printf(" \\\n\t\t\t'(--%s)--no-%s[not\\: ", o->name,
		    o->name);
		zsh_text(o->help);
		(void)printf("]'");
	}
}

static void
zsh_options(unsigned commands)
{
	const struct option *o;
	bool all = commands == COMMAND_ANY;

	for (o = option_table; o->name != NULL; o++) {
		if (all ? o->commands == commands :
			  (o->commands & commands) != 0)
			zsh_option(o);
	}
}

static void
zsh_command(const struct command *c)
{
	(void)printf("\t%s)\n\t\t_arguments -s -S", c->name);
	zsh_options(c->bit);
	if (c->max_arguments > 0) {
		(void)printf(" \\\n\t\t\t'*:");
		zsh_text(c->arguments);
		(void)putchar(':');
		zsh_kind(kind_of_arguments(c), NULL, c->arguments);
		(void)putchar('\'');
	}
	(void)printf(" && ret=0\n\t\t;;\n");
}

static void
print_zsh(void)
{
	const struct command *c;

	(void)printf("%s_dapk_backup() {\n\tlocal curcontext=\"$curcontext\" "
	    "state line ret=1\n\tlocal -A opt_args\n\tlocal -a commands\n"
	    "\tcommands=(\n", zsh_head);
	for (c = command_table; c->name != NULL; c++) {
		(void)printf("\t\t'%s:", c->name);
		zsh_text(c->help);
		(void)printf("'\n");
	}
	(void)printf("\t\t'help:show a command'\\''s options and examples'\n"
	    "\t)\n\t_arguments -C -S");
	zsh_options(COMMAND_ANY);
	(void)printf(" \\\n\t\t\t'1:command:->command' "
	    "'*::argument:->rest' && ret=0\n"
	    "\tcase $state in\n"
	    "\tcommand)\n"
	    "\t\t_describe -t commands command commands && ret=0\n"
	    "\t\treturn ret\n\t\t;;\n"
	    "\trest) ;;\n"
	    "\t*) return ret ;;\n"
	    "\tesac\n"
	    "\tcase $words[1] in\n"
	    "\thelp) _describe -t commands command commands && ret=0 ;;\n");
	for (c = command_table; c->name != NULL; c++)
		zsh_command(c);
	(void)printf("\tesac\n\treturn ret\n}\n\n"
	    "# Autoloaded, the file is the function; sourced, it is made known.\n"
	    "if [[ $zsh_eval_context[-1] = loadautofunc ]]; then\n"
	    "\t_dapk_backup \"$@\"\nelse\n"
	    "\tcompdef _dapk_backup dapk-backup\nfi\n");
}

int
cmd_completion(const struct config *cfg, struct err *err)
{
	const char *shell = cfg->arguments[0];

	if (strcmp(shell, "bash") == 0) {
		(void)printf("%s", bash_head);
		bash_options();
		bash_values();
		bash_arguments();
		(void)printf("%s", bash_tail);
	} else if (strcmp(shell, "zsh") == 0) {
		print_zsh();
	} else {
		(void)err_set(err, ERR_USAGE, "no completion for shell %s",
		    shell);
		return err_hint(err, "type dapk-backup completion bash, or "
		    "zsh");
	}
	return EXIT_DONE;
}
