# SPDX-License-Identifier: PostgreSQL
# What a system needs beside the program: completion, units, examples.
#   make install zshcompdir=DIR systemdsystemunitdir=DIR
bashcompdir = $(datadir)/bash-completion/completions
zshcompdir = $(datadir)/zsh/site-functions

# Written by the program itself, so only where it runs as it was built.
if WRITE_COMPLETION
nodist_bashcomp_DATA = %D%/dapk-backup
nodist_zshcomp_DATA = %D%/_dapk-backup
%D%/dapk-backup: dapk-backup$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) %D% && ./dapk-backup$(EXEEXT) completion bash >$@.new && mv $@.new $@
%D%/_dapk-backup: dapk-backup$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) %D% && ./dapk-backup$(EXEEXT) completion zsh >$@.new && mv $@.new $@
CLEANFILES += $(nodist_bashcomp_DATA) $(nodist_zshcomp_DATA)
endif
