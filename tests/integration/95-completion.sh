#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Completion of the command line in bash and zsh, as a person's Tab key asks
# for it: commands, options, values, files, and names in the configuration.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

export DAPK_BACKUP_CONFIG=$T/broken.conf # it must not be needed
echo 'what is this' >"$DAPK_BACKUP_CONFIG"
expect 0 "$BIN" completion bash
"$BIN" completion bash >"$T/dapk.bash"
"$BIN" completion zsh >"$T/_dapk-backup"
bash -n "$T/dapk.bash"
shellcheck "$T/dapk.bash"
zsh -n "$T/_dapk-backup"
expect 2 "$BIN" completion fish
assert_clear_error 'no completion for shell fish'
expect 2 "$BIN" completion
unset DAPK_BACKUP_CONFIG

mkdir -p "$T/dir/sub" "$T/dir/with space"
touch "$T/dir/my.conf"
cat >"$T/dir/my.conf" <<'END'
[cluster main]
[cluster other] # with a comment
 [repository offsite]
[repository local]
END
cd "$T/dir"
# shellcheck source=/dev/null
. "$T/dapk.bash"

# bash splits at "=" and hands over words; the answers are sorted, in one line.
compopt() { :; } # it works within a completion only
complete_bash() { # WORD...: the last is being typed
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	trap - ERR # a shell at which somebody types has none
	set +e
	_dapk_backup
	printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd ' '
}
asked() { # ANSWER WORD...
	local want=$1
	shift
	assert_eq "$(complete_bash "$@")" "$want" "bash: what follows '$*'"
}

note "bash: commands"
asked 'backup' dapk-backup ba
asked 'archive-get archive-push' dapk-backup arch
asked 'expire export' dapk-backup --quiet exp
asked 'restore' dapk-backup help rest
asked 'restore' dapk-backup --cluster main rest
assert_eq "$(complete_bash dapk-backup '' | wc -w)" \
	"$(("$("$BIN" --help | sed -n '/^Commands/,/^$/p' | grep -c '^  [a-z]')"))" "all commands"

note "bash: options are those of the command"
asked '--checkpoint' dapk-backup backup --check
asked '' dapk-backup info --check
asked '--target-time' dapk-backup restore -D /x --target-t
asked '--no-wal-header-check' dapk-backup archive-push --no-
asked '--region' dapk-backup backup --reg
assert_lacks "$(complete_bash dapk-backup backup --)" '--region' \
	"what is offered before a letter is typed"

note "bash: values"
asked 'fast spread' dapk-backup backup --checkpoint ''
asked 'spread' dapk-backup backup --checkpoint = s
asked 'fast spread' dapk-backup backup --checkpoint =
asked '--checkpoint=spread' dapk-backup backup --checkpoint=s
asked 'promote' dapk-backup restore --action pr
asked 'auto' dapk-backup dump -j ''
asked '' dapk-backup backup --max-rate ''
asked 'bash zsh' dapk-backup completion ''
asked 'sub with space' dapk-backup restore -D ''
asked 'my.conf' dapk-backup archive-push my
asked 'my.conf' dapk-backup --config m
asked 'main other' dapk-backup --config my.conf backup --cluster ''
asked 'offsite' dapk-backup --config = my.conf copy --to o
asked 'local offsite' dapk-backup --config=my.conf info --repository ''
asked '' dapk-backup info --cluster ''

note "every option of every command is offered by both shells"
for command in $("$BIN" --help | sed -n '/^Commands/,/^$/s/^  \([a-z-]*\) .*/\1/p'); do
	[ "$command" != help ] || continue
	"$BIN" "$command" --help |
		sed -n '/^Options/,/^How a repository/s/^  \(-., \)\?\(--[a-z0-9-]*\).*/\2/p' >"$T/wanted"
	[ -s "$T/wanted" ] || fail "no options in $command --help"
	_dapk_backup_options "$command" | tr ' ' '\n' >"$T/offered"
	assert_eq "$(comm -13 <(sort "$T/offered") <(sort "$T/wanted") | paste -sd ' ')" '' \
		"options of $command that bash does not offer"
	sed -n "/^	$command)/,/;;/p" "$T/_dapk-backup" >"$T/offered"
	while IFS= read -r option; do
		grep -qE -- "(^|[^a-z-])${option}[]={}['[]" "$T/offered" ||
			fail "zsh does not offer $option of $command"
	done <"$T/wanted"
done

# A real zsh on a terminal: the Tab key, and what stands there then.
complete_zsh() { # TYPED: the line as zsh has completed it
	python3 - "$T" "$1" <<-'END'
		import os, pty, re, select, sys, time
		home, typed = sys.argv[1:]
		pid, fd = pty.fork()
		if pid == 0:
		    os.environ.update(HOME=home, TERM="dumb", ZDOTDIR=home)
		    os.chdir(home + "/dir")
		    os.execvp("zsh", ["zsh", "-f", "-i"])
		seen = b""
		def until(what, seconds=20):
		    global seen
		    end = time.time() + seconds
		    while not re.search(what, seen):
		        if time.time() > end:
		            sys.exit("zsh: %r did not come: %r" % (what, seen))
		        if select.select([fd], [], [], 0.1)[0]:
		            seen += os.read(fd, 65536)
		os.write(fd, b"PS1=; unset zle_bracketed_paste; unsetopt beep; fpath=(%s $fpath); autoload -Uz compinit; "
		    b"compinit -u -D; show() { zle -I; print -r -- \"<$BUFFER>\"; zle kill-whole-line }; "
		    b"zle -N show; bindkey '^X^P' show; print rea''dy\n" % home.encode())
		until(b"ready\r?\n")
		os.write(fd, typed.encode() + b"\t\x18\x10")
		until(rb"<dapk[^>]*>")
		print(re.findall(rb"<(dapk[^>]*)>", seen)[-1].decode())
		os.write(fd, b"exit\n")
		os.close(fd)
		os.waitpid(pid, 0)
	END
}
asked_zsh() { # LINE TYPED
	assert_eq "$(complete_zsh "$2")" "$1" "zsh: '$2' completed"
}
note "zsh: the same by its Tab key"
asked_zsh 'dapk-backup backup ' 'dapk-backup back'
asked_zsh 'dapk-backup backup --checkpoint=' 'dapk-backup backup --checkp'
asked_zsh 'dapk-backup backup --checkpoint=spread ' 'dapk-backup backup --checkpoint=sp'
asked_zsh 'dapk-backup --config my.conf ' 'dapk-backup --config m'
asked_zsh 'dapk-backup completion zsh ' 'dapk-backup completion z'
