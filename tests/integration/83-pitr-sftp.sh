#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A site that burnt down comes back from SFTP alone, at the second that is asked
# for, on a host without configuration and state; and lives with SFTP alone.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/stores.sh
. "$TEST_TOP/tests/lib/stores.sh"
# shellcheck source=tests/lib/remote.sh
. "$TEST_TOP/tests/lib/remote.sh"

store_sftp_start
BARE_ENV=()
remote_pitr sftp --repository-url "$SFTP_URL/repo" --key-file "$SFTP_KEY" \
	--known-hosts "$SFTP_KNOWN_HOSTS"
