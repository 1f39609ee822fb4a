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

# systemd looks into /usr/local/lib and /usr/lib alike. What the services have
# in common is written once.
systemdsystemunitdir = $(prefix)/lib/systemd/system
services = %D%/systemd/dapk-backup-backup@.service \
	%D%/systemd/dapk-backup-dump@.service \
	%D%/systemd/dapk-backup-verify@.service \
	%D%/systemd/dapk-backup-copy@.service \
	%D%/systemd/dapk-backup-status@.service
nodist_systemdsystemunit_DATA = $(services)
dist_systemdsystemunit_DATA = \
	%D%/systemd/dapk-backup-backup@.timer \
	%D%/systemd/dapk-backup-dump@.timer \
	%D%/systemd/dapk-backup-verify@.timer \
	%D%/systemd/dapk-backup-copy@.timer \
	%D%/systemd/dapk-backup-status@.timer
service_parts = %D%/systemd/backup.in %D%/systemd/dump.in \
	%D%/systemd/verify.in %D%/systemd/copy.in %D%/systemd/status.in \
	%D%/systemd/common.in
$(services): $(service_parts) Makefile
	$(AM_V_GEN)$(MKDIR_P) %D%/systemd && \
	part=`echo $@ | sed 's,.*dapk-backup-\(.*\)@.*,\1,'` && \
	sed 's,[@]bindir[@],$(bindir),' $(srcdir)/%D%/systemd/$$part.in \
		$(srcdir)/%D%/systemd/common.in >$@.new && mv $@.new $@
CLEANFILES += $(services)

exampledir = $(docdir)/examples
dist_example_DATA = %D%/crontab.example %D%/dapk-backup.conf
EXTRA_DIST += $(service_parts) %D%/docker/Dockerfile \
	%D%/docker/Dockerfile.alpine %D%/docker/README.md \
	%D%/docker/dapk-backup.conf %D%/docker/docker-compose.yml \
	%D%/docker/nightly

# A Debian package in the build directory, made from what a release has.
EXTRA_DIST += debian/changelog debian/clean debian/control debian/copyright \
	debian/docs debian/postinst debian/postrm debian/rules \
	debian/source/format
.PHONY: deb
deb:
	@command -v dpkg-buildpackage >/dev/null && command -v dh >/dev/null || { \
		echo "make deb: on Debian type: apt-get install dpkg-dev debhelper" >&2; exit 1; }
	@v=`sed -n '1s/.*(\(.*\)).*/\1/p' $(srcdir)/debian/changelog`; \
	[ "$$v" = "$(PACKAGE_VERSION)" ] || { \
		echo "make deb: debian/changelog begins with $$v, configure.ac says $(PACKAGE_VERSION)" >&2; exit 1; }
	rm -rf deb
	$(MKDIR_P) deb
	$(MAKE) $(AM_MAKEFLAGS) distdir distdir=deb/$(PACKAGE)-$(PACKAGE_VERSION)
	cd deb/$(PACKAGE)-$(PACKAGE_VERSION) && \
		DEB_BUILD_OPTIONS="$${DEB_BUILD_OPTIONS-nocheck parallel=`nproc`}" \
		dpkg-buildpackage -b -us -uc
	rm -rf deb/$(PACKAGE)-$(PACKAGE_VERSION)
	@ls -l deb/*.deb

clean-local:
	rm -rf deb
