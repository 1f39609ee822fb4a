/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/keys_sheet.h"

#include "cli/people.h"
#include "core/time.h"
#include "repo/keyfile.h"

void
keys_show_name(struct buf *out, const char *name)
{
	for (; *name != '\0'; name++)
		buf_add_byte(out, *name >= 0x20 && *name < 0x7f ?
		    (uint8_t)*name : '?');
}

static void
add_places(const struct config *cfg, struct buf *out)
{
	const struct config_repository *r;
	unsigned i;

	for (i = 0; (r = config_repository(cfg, i)) != NULL; i++) {
		buf_printf(out, "%s%s", i == 0 ? "Where it is:   " :
						 "          and: ", r->url);
		if (r->endpoint != NULL)
			buf_printf(out, "  --endpoint %s", r->endpoint);
		if (r->region != NULL)
			buf_printf(out, "  --region %s", r->region);
		if (r->path_style == PATH_STYLE_YES)
			buf_add_str(out, "  --path-style yes");
		if (r->ca_file != NULL)
			buf_printf(out, "  --ca-file %s", r->ca_file);
		buf_add_byte(out, '\n');
	}
}

static void
add_people(const struct keyring_entry *e, size_t n, struct buf *out)
{
	char when[TIME_TEXT_MAX];
	size_t i;

	buf_add_str(out, "\nWhat opens it (any one of these):\n");
	for (i = 0; i < n; i++) {
		if (e[i].pair > 0)
			continue;
		buf_printf(out, "    %s  %-10s  ", e[i].id,
		    people_kind(e[i].kind));
		keys_show_name(out, e[i].name);
		buf_printf(out, "\n        of %s, fingerprint %s\n",
		    time_format_local(e[i].created, when), e[i].fingerprint);
	}
	buf_add_str(out, "\nPairs of keys, the last is written to:\n");
	for (i = 0; i < n; i++)
		if (e[i].pair > 0)
			buf_printf(out, "    %u  of %s, fingerprint %s\n",
			    e[i].pair, time_format_local(e[i].created, when),
			    e[i].fingerprint);
}

static int
add_secret(const uint8_t *secret, struct buf *out, struct err *err)
{
	uint8_t public_half[CRYPT_KEY];
	char print[KEYRING_ID_TEXT];

	if (keyring_public_of(secret, public_half, err) != 0 ||
	    keyring_fingerprint(public_half, print, err) != 0)
		return -1;
	buf_printf(out, "\nTHE KEY (fingerprint %s). Whoever reads these four "
	    "lines and the\nrepository reads every database in it: keep this "
	    "sheet as you would keep them.\n\n", print);
	if (keyfile_to_sheet(secret, out, err) != 0)
		return -1;
	buf_add_str(out, "\n    To make a key file of them, type, and then the "
	    "four lines as they stand:\n"
	    "    dapk-backup keys from-sheet dapk.key\n");
	return 0;
}

int
keys_sheet(const struct config *cfg, const struct repo *repo,
    const struct keyring_entry *entries, size_t n, const uint8_t *secret,
    struct buf *out, struct err *err)
{
	const char *url = cfg->repo.url;
	char when[TIME_TEXT_MAX];

	buf_printf(out, "DAPK-BACKUP RECOVERY SHEET, printed %s\n\n"
	    "Repository id: %s\nKey ring:      %s\n",
	    time_format_local(time_now(), when), repo->id_text,
	    keyring_name(repo->ring));
	add_places(cfg, out);
	add_people(entries, n, out);
	if (secret != NULL && add_secret(secret, out, err) != 0)
		return -1;
	if (secret == NULL)
		buf_add_str(out, "\nThe key itself is not on this sheet. Where "
		    "it is kept:\n\n    _________________________________"
		    "_________________________________\n");
	buf_printf(out, "\nTo recover on an empty machine: install dapk-backup "
	    "and the same major version of\nPostgreSQL, and type as the user "
	    "that is to run it\n\n"
	    "    dapk-backup info --repository-url %s \\\n"
	    "        --key-file dapk.key\n"
	    "    dapk-backup restore --repository-url %s \\\n"
	    "        --key-file dapk.key -D DIRECTORY\n\n"
	    "With a passphrase it is --encryption-passphrase-file FILE instead "
	    "of --key-file; over\nSFTP, where --key-file may be SSH's, "
	    "--encryption-key-file. Files of keys have mode\n0600. The store's "
	    "own keys or passwords are not on this sheet.\n", url, url);
	return buf_check(out, "the sheet", err);
}
