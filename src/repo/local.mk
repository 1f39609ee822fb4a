libdapk_a_SOURCES += \
	%D%/dumpfolder.c %D%/dumpfolder.h \
	%D%/dumplobs.c %D%/dumplobs.h \
	%D%/catalogue.c \
	%D%/chunklist.c %D%/chunklist.h \
	%D%/claim.c %D%/claim.h \
	%D%/dumpparts.c %D%/dumpparts.h \
	%D%/dumpread.c %D%/dumpread.h \
	%D%/each.c %D%/each.h \
	%D%/commit.c %D%/commit.h \
	%D%/commits.c %D%/commits.h \
	%D%/contenthash.c %D%/contenthash.h \
	%D%/crypt.c %D%/crypt.h \
	%D%/cursor.h \
	%D%/notes.c %D%/notes.h %D%/notes_judge.c \
	%D%/notes_private.h %D%/notes_server.c %D%/notes_state.c \
	%D%/format.h \
	%D%/filemap.c %D%/filemap.h \
	%D%/fileread.c %D%/fileread.h \
	%D%/format_blocks.c \
	%D%/format_header.c \
	%D%/format_index.c %D%/format_packs.h \
	%D%/format_text.c \
	%D%/hash.c %D%/hash.h \
	%D%/intent.c %D%/intent.h \
	%D%/json.c %D%/json.h \
	%D%/keyfile.c %D%/keyfile.h \
	%D%/keyring.c %D%/keyring.h \
	%D%/keyring_change.c %D%/keyring_list.c \
	%D%/keyring_objects.c %D%/keyring_private.h \
	%D%/keyring_state.c %D%/keyring_unlock.c \
	%D%/keyring_write.c \
	%D%/lease.c %D%/lease.h %D%/lease_process.c \
	%D%/leaselist.c %D%/leaselist.h \
	%D%/manifest.h \
	%D%/linestore.c %D%/linestore.h \
	%D%/manifest_names.c %D%/manifest_names.h \
	%D%/manifest_reader.c \
	%D%/manifest_writer.c \
	%D%/frame.c %D%/frame.h \
	%D%/object.c %D%/object.h \
	%D%/objectkey.c %D%/objectkey.h \
	%D%/pack.c %D%/pack.h \
	%D%/pgmanifest.c %D%/pgmanifest.h \
	%D%/pack_cache.c \
	%D%/pathguard.c %D%/pathguard.h \
	%D%/prove.c %D%/prove.h \
	%D%/putter.c %D%/putter.h \
	%D%/queue.c %D%/queue.h \
	%D%/removed.c %D%/removed.h \
	%D%/renew.c %D%/renew.h \
	%D%/gap.c %D%/gap.h \
	%D%/hold.c %D%/hold.h \
	%D%/pin.c %D%/pin.h \
	%D%/textset.c %D%/textset.h \
	%D%/state.c %D%/state.h \
	%D%/packlist.c %D%/packlist.h \
	%D%/packset.c %D%/packset.h \
	%D%/packsums.c %D%/packsums.h \
	%D%/repo.c %D%/repo_init.c %D%/repo_private.h %D%/repo.h \
	%D%/setremove.c %D%/setremove.h \
	%D%/tombstone.c %D%/tombstone.h \
	%D%/walcache.c %D%/walcache.h \
	%D%/walcache_private.h %D%/walcache_save.c \
	%D%/walchain.c %D%/walchain.h \
	%D%/walpartial.c \
	%D%/walproof.c \
	%D%/walreach.c %D%/walreach.h \
	%D%/walstore.c %D%/walstore.h \
	%D%/walstore_read.c \
	%D%/walview.c %D%/walview.h \
	%D%/walview_list.c %D%/walview_load.c %D%/walview_private.h
unit_tests += \
	tests/unit/test_dumpfolder \
	tests/fuzz/test_decoders \
	tests/golden/test_golden \
	tests/unit/test_chunklist \
	tests/unit/test_commit \
	tests/unit/test_crypt \
	tests/unit/test_dumpread \
	tests/unit/test_filemap \
	tests/unit/test_fileread \
	tests/unit/test_format \
	tests/unit/test_encrypted \
	tests/unit/test_keyplaces tests/unit/test_keyring \
	tests/unit/test_manifest \
	tests/unit/test_object \
	tests/unit/test_pack \
	tests/unit/test_pgmanifest \
	tests/unit/test_packset \
	tests/unit/test_packsums \
	tests/unit/test_queue \
	tests/unit/test_repo \
	tests/unit/test_walstore
EXTRA_DIST += tests/unit/fixture_err.h tests/unit/fixture_repo.h tests/unit/fixture_dump.h \
	tests/golden/commit.hex \
	tests/golden/dump-commit.hex \
	tests/golden/dump-manifest.hex \
	tests/golden/dump-pack.hex \
	tests/golden/encrypted-history.hex tests/golden/encrypted-key.hex \
	tests/golden/encrypted-pair.hex tests/golden/encrypted-recipient.hex \
	tests/golden/encrypted-repository.hex tests/golden/encrypted-secrets.hex \
	tests/golden/encrypted-wrap.hex \
	tests/golden/incremental.hex \
	tests/golden/manifest.hex \
	tests/golden/pack.hex \
	tests/golden/gathered.hex \
	tests/golden/repository.hex \
	tests/golden/wal.hex
tests_fuzz_test_decoders_SOURCES = tests/fuzz/test_decoders.c \
	tests/fuzz/decoders.c tests/fuzz/decoders.h
EXTRA_DIST += tests/fuzz/fuzz_decoders.c
unit_tests += tests/unit/test_walfork tests/unit/test_walreach
tests_unit_test_walfork_SOURCES = tests/unit/test_walfork.c \
	tests/unit/fixture_reach.h tests/unit/fixture_wal.h
tests_unit_test_walreach_SOURCES = tests/unit/test_walreach.c \
	tests/unit/fixture_reach.h tests/unit/fixture_wal.h
unit_tests += tests/unit/test_claim tests/unit/test_gap tests/unit/test_lease

unit_tests += tests/unit/test_walcache
tests_unit_test_walcache_SOURCES = tests/unit/test_walcache.c \
	tests/unit/fixture_reach.h tests/unit/fixture_wal.h

unit_tests += tests/unit/test_notes

unit_tests += tests/unit/test_textset
