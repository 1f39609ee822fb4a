libdapk_a_SOURCES += \
	%D%/cli.c %D%/cli.h \
	%D%/cmd_archive_get.c \
	%D%/cmd_archive_push.c \
	%D%/cmd_backup.c \
	%D%/cmd_check.c \
	%D%/cmd_completion.c \
	%D%/cmd_copy.c \
	%D%/cmd_dump.c \
	%D%/cmd_expire.c \
	%D%/cmd_export.c \
	%D%/cmd_hold.c \
	%D%/cmd_info.c \
	%D%/cmd_init.c \
	%D%/cmd_keys.c \
	%D%/cmd_load.c \
	%D%/cmd_pin.c \
	%D%/cmd_restore.c \
	%D%/cmd_report.c \
	%D%/report_collect.h %D%/report_settings.c %D%/report_tables.c \
	%D%/cmd_status.c \
	%D%/cmd_verify.c \
	%D%/expire_after.c \
	%D%/expire_json.c \
	%D%/expire_show.h \
	%D%/expire_text.c \
	%D%/find.c \
	%D%/help.c \
	%D%/hook.c %D%/hook.h \
	%D%/info_dump.c \
	%D%/info_json.c \
	%D%/info_known.c %D%/info_known.h \
	%D%/info_show.h \
	%D%/info_text.c \
	%D%/jout.c %D%/jout.h \
	%D%/note.c \
	%D%/keys_sheet.c %D%/keys_sheet.h \
	%D%/parse.c \
	%D%/people.c %D%/people.h \
	%D%/prompt.c %D%/prompt.h \
	%D%/progress.c %D%/progress.h \
	%D%/status.c %D%/status.h \
	%D%/status_prometheus.c \
	%D%/verify_json.c \
	%D%/verify_show.h \
	%D%/verify_text.c
unit_tests += tests/unit/test_parse tests/unit/test_progress
