#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A site that burnt down comes back from S3 alone, at the second that is asked
# for, on a host without configuration and state; and lives with S3 alone.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/stores.sh
. "$TEST_TOP/tests/lib/stores.sh"
# shellcheck source=tests/lib/remote.sh
. "$TEST_TOP/tests/lib/remote.sh"

store_s3_start
REPO_S3=$(conf_set "$REPO_S3" endpoint "$S3_TLS_ENDPOINT")
BARE_ENV=("AWS_ACCESS_KEY_ID=$S3_ACCESS_KEY" "AWS_SECRET_ACCESS_KEY=$S3_SECRET_KEY")
remote_pitr s3 --repository-url s3://dapk/repo --endpoint "$S3_TLS_ENDPOINT" \
	--ca-file "$S3_CA" --region "$S3_REGION"
