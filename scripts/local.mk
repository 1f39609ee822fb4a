# SPDX-License-Identifier: PostgreSQL
EXTRA_DIST += .shellcheckrc \
	%D%/lib.sh %D%/quickstart %D%/test %D%/test-full %D%/lint \
	%D%/check-layers
