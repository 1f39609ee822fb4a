libdapk_a_SOURCES += \
	%D%/chart.c \
	%D%/html.c %D%/html.h \
	%D%/page.c %D%/page_style.c \
	%D%/report.h %D%/report_private.h \
	%D%/rows.c \
	%D%/scale.c %D%/scale.h \
	%D%/sets.c \
	%D%/timeline.c %D%/timeline_lanes.c
unit_tests += tests/unit/test_report
