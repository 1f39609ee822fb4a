# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# One line in a test brings in all of tests/lib.
lib=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=tests/lib/base.sh
. "$lib/base.sh"
# shellcheck source=tests/lib/pg.sh
. "$TEST_TOP/tests/lib/pg.sh"
# shellcheck source=tests/lib/compare.sh
. "$TEST_TOP/tests/lib/compare.sh"
# shellcheck source=tests/lib/backups.sh
. "$TEST_TOP/tests/lib/backups.sh"
