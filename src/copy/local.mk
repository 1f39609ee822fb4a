libdapk_a_SOURCES += \
	%D%/copy.c %D%/copy.h \
	%D%/copy_object.c \
	%D%/copy_set.c \
	%D%/copy_wal.c \
	%D%/copy_work.h \
	%D%/mirror.c %D%/mirror.h
