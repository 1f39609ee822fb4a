# SPDX-License-Identifier: PostgreSQL
unit_tests += %D%/simulate
tests_simulate_simulate_SOURCES = %D%/simulate.c %D%/simulate.h \
	%D%/load.c %D%/night.c
tests_simulate_simulate_LDADD = $(LDADD) -lm
