/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/objectkey.h"

#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "repo/keyring.h"

#define OBJECT_INFO "dapk-backup object 1"
#define HEADER_INFO "dapk-backup header 1"
#define HEADER_MAX ((size_t)4096)

int
object_key_derive(struct object_key *out, const struct data_key *key,
    const struct object_header *h, struct err *err)
{
	struct crypt_hkdf hkdf = { .secret = key->key,
		.secret_len = sizeof(key->key), .salt = key->auth,
		.salt_len = sizeof(key->auth) };
	struct buf b;
	int rc;

	buf_init(&b, CRYPT_HKDF_INFO_MAX);
	buf_add(&b, OBJECT_INFO, sizeof(OBJECT_INFO)); /* with its 0 */
	buf_add(&b, h->repository_id, sizeof(h->repository_id));
	buf_add_le64(&b, h->system_id);
	buf_add_le16(&b, (uint16_t)h->type);
	buf_add_le32(&b, h->part);
	buf_add_le32(&b, h->attempt);
	buf_add_le32(&b, h->number);
	buf_add_str(&b, h->name);
	hkdf.info = b.data;
	hkdf.info_len = b.len;
	rc = buf_check(&b, "an object's name", err);
	if (rc == 0)
		rc = crypt_hkdf(&hkdf, out->key, sizeof(out->key), err);
	out->id = rc == 0 ? key->pair : 0;
	buf_free(&b);
	return rc;
}

/* HKDF as a keyed hash: the message is its info. */
static int
header_mac(const struct object_key *key, const uint8_t sum[OBJECT_KEY_SUM],
    uint8_t mac[FORMAT_MAC], struct err *err)
{
	uint8_t info[sizeof(HEADER_INFO) + OBJECT_KEY_SUM];
	struct crypt_hkdf hkdf = { .secret = key->key,
		.secret_len = sizeof(key->key), .info = info,
		.info_len = sizeof(info) };

	memcpy(info, HEADER_INFO, sizeof(HEADER_INFO));
	memcpy(info + sizeof(HEADER_INFO), sum, OBJECT_KEY_SUM);
	return crypt_hkdf(&hkdf, mac, FORMAT_MAC, err);
}

int
object_key_seal(const struct object_key *key, const struct data_key *data,
    struct object_header *h, struct err *err)
{
	uint8_t sum[OBJECT_KEY_SUM];
	struct buf b;
	int rc;

	h->cipher = 1;
	h->key_id = data->pair;
	h->has_data_key = true;
	memcpy(h->data_key, data->sealed, sizeof(h->data_key));
	h->has_mac = true;
	memset(h->mac, 0, sizeof(h->mac));
	buf_init(&b, HEADER_MAX);
	object_header_encode(h, &b);
	rc = buf_check(&b, "an object's header", err);
	if (rc == 0)
		rc = object_key_sum(b.data, b.len, sum, err);
	if (rc == 0)
		rc = header_mac(key, sum, h->mac, err);
	buf_free(&b);
	return rc;
}

int
object_key_sum(const uint8_t *header, size_t len, uint8_t sum[OBJECT_KEY_SUM],
    struct err *err)
{
	struct buf b;
	int rc;

	buf_init(&b, FORMAT_OBJECT_HEADER_MAX);
	buf_add(&b, header, len);
	rc = buf_check(&b, "an object's header", err);
	if (rc == 0)
		rc = object_header_for_mac(b.data, b.len, err);
	if (rc == 0)
		rc = sha256(b.data, b.len, sum, err);
	buf_free(&b);
	return rc;
}

int
object_key_check(const struct object_key *key,
    const uint8_t sum[OBJECT_KEY_SUM], const struct object_header *h,
    struct err *err)
{
	uint8_t mac[FORMAT_MAC];

	if (header_mac(key, sum, mac, err) != 0)
		return -1;
	if (!h->has_mac || !crypt_equal(mac, h->mac, sizeof(mac)))
		return err_set(err, ERR_DAMAGED, "its header is not as it was "
		    "written, or the object is another's");
	return 0;
}
