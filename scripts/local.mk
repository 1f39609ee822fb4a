# SPDX-License-Identifier: PostgreSQL
EXTRA_DIST += .shellcheckrc .clang-tidy \
	%D%/lib.sh %D%/quickstart %D%/test %D%/test-full %D%/fuzz %D%/lint %D%/lint-deep \
	%D%/check-layers
# Installed too, for the day when the program is not at hand.
dist_pkgdata_SCRIPTS = %D%/recover.py
