#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# The keys of an encrypted repository: init --encrypt in its three ways, keys
# list, add, rotate, revoke, generate and the sheet; kill -9 in the midst of a
# rotation; a wrong key, a lost state, two places; and no secret in any output.
# shellcheck source=tests/lib/base.sh
. "$(dirname "$0")/../lib/base.sh"

KEY=$T/dapk.key PASS='plain horse, written down' PASSFILE=$T/passphrase
CONF=$T/dapk.conf REPO=$T/repo STATE=$T/state
as_user bash -c "umask 077; printf '%s\n' '$PASS' >'$PASSFILE'"

conf() { # LINE...: of [repository local]
	{
		printf '[global]\nstate-directory = %s\n\n[cluster main]\n' "$STATE"
		printf 'repositories = local\n\n[repository local]\nurl = file://%s\n' "$REPO"
		[ $# = 0 ] || printf '%s\n' "$@"
	} >"$CONF"
	chmod 644 "$CONF"
}
# What was said goes into one file, which is searched for secrets at the end.
keys() { # CODE ARGUMENT...
	local code=$1
	shift
	expect "$code" dapk "$@"
	printf '%s\n%s\n' "$OUT" "$ERR" >>"$T/said"
}
fresh() {
	rm -rf "$REPO" "$STATE" "$T/far"
	conf "$@"
}
identity() { tail -n +2 "$REPO/dapk-repository" | jq -r ".$1"; }
pairs() { find "$REPO/keys" -name 'pair-*' | wc -l; }
id_of() { awk -v kind="$1" '/^recipient/ && index($0, kind) { print $2; exit }' <<<"$OUT"; } # KIND, of keys list

note "who is let in must be said"
fresh
keys 2 init --encrypt </dev/null
assert_clear_error 'nothing says who is let in'
[ ! -e "$REPO/dapk-repository" ] || fail "a repository was made that nobody opens"
keys 2 init --encryption-key-file "$KEY"
assert_clear_error 'would not be encrypted'
assert_hint -- '--encrypt'
[ ! -e "$REPO/dapk-repository" ] || fail "a repository in clear was made where a key is configured"

note "a key file is made, 0600, and opens the repository"
fresh "encryption-key-file = $KEY"
keys 0 init --encrypt
assert_match "$OUT" 'Without one of them nothing comes back' "what init says"
assert_match "$OUT" 'keys sheet' "what init says"
assert_eq "$(stat -c %a "$KEY")" 600 "mode of the key file"
assert_eq "$(identity cipher)" aes-256-gcm "cipher"
[ -d "$REPO/keys/$(identity ring)" ] || fail "no keys at keys/$(identity ring)"
assert_eq "$(identity fingerprint_seed)" null "the seed in clear"
grep -q -- --encryption-key-file "$REPO/README.recovery" || fail "README.recovery does not say that a key is needed"
digits=$(sed -n '2,3p' "$KEY" | tr -d ' \n')
assert_eq "${#digits}" 64 "digits of the key"
! grep -rqiF "$digits" "$REPO" "$STATE" || fail "the key lies in the repository or the state"
before=$(tree_sum "$REPO")
keys 0 init --encrypt
assert_match "$OUT" 'is there already' "a second init"
assert_eq "$(tree_sum "$REPO")" "$before" "the repository after a second init"
keys 0 keys list
assert_match "$OUT" 'authenticated, by the key given' "list with a key"
assert_match "$OUT" 'key file .* opens 1 of 1 pair ' "list with a key"

note "wrong keys and files of others' eyes are refused, by name"
as_user env "$BIN" keys generate "$T/other.key" >/dev/null
keys 2 keys list --encryption-key-file "$T/other.key"
assert_clear_error 'opens nothing'
as_user cp "$KEY" "$T/open.key"
as_user chmod 640 "$T/open.key"
keys 2 keys list --encryption-key-file "$T/open.key"
assert_clear_error 'mode 0640'
assert_hint 'chmod 600'
as_user bash -c "umask 077; sed '2s/^./x/' '$KEY' >'$T/bad.key'"
keys 2 keys list --encryption-key-file "$T/bad.key"
assert_clear_error 'bad\.key'
as_user bash -c "umask 077; echo 'another horse' >'$T/wrong'"
conf
keys 2 keys rotate
assert_clear_error 'no key is given'
assert_hint -- '--encryption-key-file'
keys 2 keys rotate --encryption-passphrase-file "$T/wrong"
assert_clear_error 'passphrase given opens nothing'
keys 2 keys list --encryption-passphrase=x
keys 0 keys list
assert_match "$OUT" 'what the store says' "list without a key"

note "on a bare host: no configuration, no state, --key-file"
expect 0 as_user env -i "$BIN" keys list --config /dev/null --state-directory "$T/none" \
	--repository-url "file://$REPO" --key-file "$KEY"
assert_match "$OUT" 'authenticated' "list on a bare host"

note "a store that shows a repository in clear does not get one"
fresh
keys 0 init
conf "encryption-key-file = $KEY"
keys 2 info
assert_clear_error 'is not encrypted, and a key is given'
keys 1,2 init --encrypt
assert_clear_error 'not encrypted'

note "a passphrase, typed twice at a terminal, unseen"
fresh
cat >"$T/type.py" <<'END'
import os, pty, select, sys, time
words, argv = sys.argv[1].split("|"), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(argv[0], argv)
seen = b""
def until(what):
    global seen
    end = time.time() + 20
    while what not in seen:
        if time.time() > end:
            sys.exit("%r did not come: %r" % (what, seen))
        if select.select([fd], [], [], 0.1)[0]:
            try:
                seen += os.read(fd, 4096)
            except OSError:
                sys.exit("ended before %r: %r" % (what, seen))
for word in words:
    until(b": ")
    shown = seen
    seen = b""
    sys.stdout.buffer.write(shown)
    os.write(fd, word.encode() + b"\n")
try:
    while True:
        more = os.read(fd, 4096)
        if not more:
            break
        seen += more
except OSError:
    pass
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
typed() { # CODE WORD|WORD... ARGUMENT...
	local code=$1 words=$2
	shift 2
	expect "$code" as_user python3 "$T/type.py" "$words" "$BIN" --config "$CONF" "$@"
	printf '%s\n%s\n' "$OUT" "$ERR" >>"$T/said"
}
typed 0 "$PASS|a typing error|$PASS|$PASS" init --encrypt
assert_match "$OUT" 'They differ' "what is asked when both differ"
assert_match "$OUT" 'created' "init at a terminal"
typed 2 'short|short' keys add --encryption-passphrase-file "$PASSFILE"
assert_match "$OUT" 'fewer than' "a short passphrase"
conf "encryption-passphrase-file = $PASSFILE"
keys 0 keys list
assert_match "$OUT" 'authenticated' "the typed passphrase opens it"
expect 0 as_user env DAPK_BACKUP_ENCRYPTION_PASSPHRASE="$PASS" "$BIN" keys list --repository-url "file://$REPO" \
	--state-directory "$T/none"
assert_match "$OUT" 'authenticated' "the passphrase in the environment opens it"
[ -z "$ERR" ] || fail "a warning about the variable: $ERR"

note "let in, rotate, shut out: seconds, and never nobody"
SECONDS_BEFORE=$SECONDS
keys 0 keys add --new-key-file "$T/vault.key" --name 'the vault'
assert_eq "$(stat -c %a "$T/vault.key")" 600 "mode of the key file"
keys 0 keys rotate
keys 0 keys list --encryption-key-file "$T/vault.key"
assert_match "$OUT" 'key file .* opens 2 of 2 pairs  the vault' "the new key, after a rotation"
passphrase_id=$(id_of passphrase)
vault_id=$(id_of 'key file')
keys 0 keys revoke "${passphrase_id:0:6}" --encryption-key-file "$T/vault.key"
assert_match "$OUT" 'keys rotate' "what revoke says"
keys 2 keys list
assert_clear_error 'opens nothing'
keys 1 keys revoke "$vault_id" --encryption-key-file "$T/vault.key"
assert_clear_error 'nobody but'
keys 1 keys revoke 0000000000000000 --encryption-key-file "$T/vault.key"
assert_clear_error 'no recipient'
[ "$((SECONDS - SECONDS_BEFORE))" -le 20 ] || fail "eight changes and looks took $((SECONDS - SECONDS_BEFORE)) s"
keys 0 keys add --encryption-key-file "$T/vault.key" --new-passphrase-file "$PASSFILE"
keys 0 keys list
assert_match "$OUT" 'passphrase .* opens 2 of 2 pairs' "let in again"

note "kill -9 at every sync of a rotation: the ring opens, and it can be done again"
conf "encryption-key-file = $T/vault.key"
points=0
for ((n = 1; n < 100; n++)); do
	was=$(pairs)
	run as_user strace -f -qq -o /dev/null -e trace=fsync -e "inject=fsync:signal=KILL:when=$n" \
		"$BIN" --config "$CONF" keys rotate
	[ "$RC" != 0 ] || break
	points=$((points + 1))
	expect 0 dapk keys list
	assert_match "$OUT" 'authenticated' "the ring after a kill at sync $n"
	assert_between "$(pairs)" "$was" "$((was + 1))" "pairs after a kill at sync $n"
done
[ "$points" -ge 8 ] || fail "only $points points were tried"
note "$points points, all held"
keys 0 keys list
total=$(grep -c '^pair' <<<"$OUT")
assert_match "$OUT" "key file .* opens $total of $total pairs" "the key file after all of it"
assert_match "$OUT" "passphrase .* opens $total of $total pairs" "the passphrase after all of it"
keys 0 keys rotate
keys 0 keys list --encryption-passphrase-file "$PASSFILE"

note "kill -9 at every sync of init: the same again makes one that opens"
points=0
for ((n = 1; n < 100; n++)); do
	fresh "encryption-key-file = $T/vault.key"
	run as_user strace -f -qq -o /dev/null -e trace=fsync -e "inject=fsync:signal=KILL:when=$n" \
		"$BIN" --config "$CONF" init --encrypt
	killed=$RC
	expect 0 dapk init --encrypt
	expect 0 dapk keys list
	assert_match "$OUT" 'authenticated' "the ring after a kill at sync $n"
	[ "$killed" != 0 ] || break
	points=$((points + 1))
done
[ "$points" -ge 8 ] || fail "only $points points were tried"
note "$points points, all held"

note "a public key alone: this host lets nobody in and reads no ring"
fresh "encryption-public-key-file = $T/off.pub"
as_user "$BIN" keys generate "$T/off" >/dev/null
keys 2 keys generate
keys 2 init --encrypt --encryption-public-key-file "$T/off"
assert_clear_error 'public key'
assert_hint '\.pub'
keys 0 init --encrypt
grep -rq . "$STATE/keys" || fail "nothing is remembered: this host could not write"
assert_eq "$(find "$STATE/keys" -type f -printf '%m\n' | sort -u)" 600 "mode of what is remembered"
keys 2 keys rotate
assert_clear_error 'no key is given'
rm -rf "$STATE"
keys 0 keys rotate --encryption-key-file "$T/off"
assert_lacks "$(dapk keys list --encryption-key-file "$T/off")" 'nobody vouches' "the list"
keys 0 keys list --encryption-key-file "$T/off"
assert_match "$OUT" 'public key .* opens 2 of 2 pairs' "its key, kept elsewhere"

note "two places have one ring"
fresh "encryption-key-file = $KEY"
sed -i 's/^repositories = .*/repositories = local, far/' "$CONF"
printf '\n[repository far]\nurl = file://%s\nencryption-key-file = %s\n' "$T/far" "$KEY" >>"$CONF"
keys 0 init --encrypt
same_ring() { diff -r "$REPO/keys" "$T/far/keys" >"$T/ring.diff" || fail "the rings differ: $(cat "$T/ring.diff")"; }
same_ring
keys 0 keys rotate
keys 0 keys add --new-passphrase-file "$PASSFILE"
same_ring
as_user mv "$T/far" "$T/away"
keys 3 keys rotate
assert_clear_error 'done in .*repo.*not in .*far'
assert_hint 'dapk-backup copy'
as_user mv "$T/away" "$T/far"
keys 0 copy
same_ring
keys 0 keys list --repository far
keys 0 keys revoke "$(id_of passphrase)"
same_ring
keys 0 keys list --repository far
assert_lacks "$OUT" passphrase "who opens the far place"
# Each rotated by itself: the same number is another pair.
expect 0 dapk --repository far keys rotate
expect 0 dapk --repository local keys rotate
keys 1 copy
assert_clear_error 'rotated, each by itself'
rm -rf "$T/far"
keys 0 init
same_ring

note "the sheet, and the key typed in from it"
conf "encryption-key-file = $KEY"
keys 0 keys sheet
assert_contains "$OUT" "$(identity id)" "the sheet"
assert_contains "$OUT" "file://$REPO" "the sheet"
keys 2 keys sheet --with-secret
assert_clear_error 'needs --output'
keys 0 keys sheet --with-secret --output "$T/sheet"
assert_eq "$(stat -c %a "$T/sheet")" 600 "mode of the sheet"
keys 3 keys sheet --with-secret --output "$T/sheet"
expect 0 as_user "$BIN" keys from-sheet "$T/typed.key" <"$T/sheet"
cmp "$KEY" "$T/typed.key" || fail "the key that was typed in is another one"
sed '/^ *3:/s/\([0-9a-f]\)\( *check\)/z\2/' "$T/sheet" >"$T/mistyped"
expect 2 as_user "$BIN" keys from-sheet "$T/typed2.key" <"$T/mistyped"
assert_clear_error 'line 3 of the key'
[ ! -e "$T/typed2.key" ] || fail "a key file was made of a mistyped sheet"
mapfile -t lines < <(grep -oE '[1-4]: .*' "$T/sheet")
typed 0 "$(printf '%s|%s|%s|%s' "${lines[@]}")" keys from-sheet "$T/typed3.key"
cmp "$KEY" "$T/typed3.key" || fail "the key that was typed in at a terminal is another one"

note "no secret in what was said"
[ "$(wc -l <"$T/said")" -gt 100 ] || fail "what was said was not kept"
! grep -qF "$PASS" "$T/said" || fail "a passphrase was shown: $(grep -F "$PASS" "$T/said")"
for file in "$KEY" "$T/vault.key" "$T/off" "$T/other.key"; do
	while IFS= read -r group; do
		! grep -qiE "$group|${group:0:4} ${group:4}" "$T/said" || fail "digits of $file were shown"
	done < <(sed -n '2,3p' "$file" | tr ' ' '\n')
done
! grep -rqF "$PASS" "$REPO" "$STATE" || fail "the passphrase lies in the repository or the state"
