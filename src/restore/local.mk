libdapk_a_SOURCES += \
	%D%/apply.c \
	%D%/copyback.c %D%/copyback.h \
	%D%/dest.c \
	%D%/plan.c %D%/plan.h \
	%D%/postmaster.c %D%/postmaster.h \
	%D%/recovery.c %D%/recovery.h \
	%D%/restore.h \
	%D%/show.c \
	%D%/start.c \
	%D%/startlog.c %D%/startlog.h \
	%D%/target.c \
	%D%/tree.c %D%/tree.h
