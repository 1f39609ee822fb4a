#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# The program as it is built by default makes an attacker's work harder where
# a defect is found in it: a place in memory that nobody knows, tables that
# cannot be written, a stack that cannot be run, and checked copies.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

if grep -qa __asan_init "$BIN"; then
	note "a build for a sanitizer has none of it"
	exit 0
fi
readelf -hldW "$BIN" >"$T/elf"
readelf -sW "$BIN" >"$T/symbols"
has() { # REGEX WHAT
	grep -qE "$1" "$T/elf" "$T/symbols" || fail "the program has no $2"
}
has 'Type: +DYN' "place in memory of its own at each start (PIE)"
has 'GNU_RELRO' "read-only relocations (RELRO)"
has 'BIND_NOW|FLAGS_1.*NOW' "binding of all functions at its start"
has '__stack_chk_fail' "stack protection"
has '__(mem|str|snprintf|vsnprintf|read|pread)[a-z0-9_]*_chk' "checked copies (_FORTIFY_SOURCE)"
stack=$(grep GNU_STACK "$T/elf")
assert_ne "$stack" "" "the stack's segment"
assert_lacks "$stack" "RWE" "the stack's rights"
assert_lacks "$(cat "$T/elf")" "TEXTREL" "relocations in code"
! grep -qE '(RPATH|RUNPATH)' "$T/elf" || fail "the program looks for libraries where it was built"
