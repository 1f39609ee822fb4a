/* SPDX-License-Identifier: PostgreSQL */
/*
 * Encryption's parts, by what their authors published: RFC 7748 section 6.1,
 * RFC 5869 appendix A, RFC 7914 section 12, and "The Galois/Counter Mode of
 * Operation" by McGrew and Viega, appendix B.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/text.h"
#include "repo/crypt.h"
#include "fixture_err.h"

/* How many bytes there are in that text. */
static size_t
bytes(const char *hex, uint8_t *out)
{
	size_t len = strlen(hex) / 2;

	assert_true(text_unhex(hex, out, len));
	return len;
}

static void
assert_hex(const uint8_t *got, const char *wanted)
{
	char text[256];

	assert_true(strlen(wanted) < sizeof(text));
	text_hex(got, strlen(wanted) / 2, text);
	assert_string_equal(text, wanted);
}

#define ALICE "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
#define ALICE_PUBLIC \
	"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
#define BOB "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"
#define BOB_PUBLIC \
	"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"

static void
two_halves_agree_as_rfc_7748_says(void **state)
{
	static const char shared[] =
	    "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
	uint8_t alice[32], bob[32], pub[32], out[32];

	(void)bytes(ALICE, alice);
	(void)bytes(BOB, bob);
	OK(crypt_public(alice, pub, &err));
	assert_hex(pub, ALICE_PUBLIC);
	OK(crypt_shared(bob, pub, out, &err));
	assert_hex(out, shared);
	OK(crypt_public(bob, pub, &err));
	assert_hex(pub, BOB_PUBLIC);
	OK(crypt_shared(alice, pub, out, &err));
	assert_hex(out, shared);
}

/* With it whoever forged a pair would know what every secret is sealed by. */
static void
a_public_half_of_low_order_is_refused(void **state)
{
	static const char *const points[] = {
		"00000000000000000000000000000000"
		"00000000000000000000000000000000",
		"01000000000000000000000000000000"
		"00000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46a"
		"da098deb9c32b1fd866205165f49b800",
	};
	uint8_t alice[32], point[32], out[CRYPT_SEALED], secret[32] = { 1 };
	size_t i;

	(void)bytes(ALICE, alice);
	for (i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		(void)bytes(points[i], point);
		FAILS(crypt_shared(alice, point, out, &err), ERR_DAMAGED);
		FAILS(crypt_seal(point, "x", secret, out, &err), ERR_DAMAGED);
	}
}

struct hkdf_vector {
	const char *secret, *salt, *info, *out;
};

static void
keys_are_derived_as_rfc_5869_says(void **state)
{
	static const struct hkdf_vector vectors[] = {
		{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
		    "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
		    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db0"
		    "2d56ecc4c5bf34007208d5b887185865" },
		{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
		    "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec345"
		    "4e5f3c738d2d9d201395faa4b61a96c8" },
	};
	uint8_t secret[64], salt[64], info[64], out[64];
	size_t i;

	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct hkdf_vector *v = &vectors[i];
		struct crypt_hkdf h = { .secret = secret, .salt = salt,
			.info = info };

		h.secret_len = bytes(v->secret, secret);
		h.salt_len = bytes(v->salt, salt);
		h.info_len = bytes(v->info, info);
		OK(crypt_hkdf(&h, out, strlen(v->out) / 2, &err));
		assert_hex(out, v->out);
	}
}

static void
passphrases_are_stretched_as_rfc_7914_says(void **state)
{
	struct crypt_scrypt s = { .passphrase = "", .salt = "", .n = 16,
		.r = 1, .p = 1 };
	uint8_t out[64];

	OK(crypt_scrypt(&s, out, sizeof(out), &err));
	assert_hex(out,
	    "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
	    "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906");
	s = (struct crypt_scrypt){ .passphrase = "password", .salt = "NaCl",
		.salt_len = 4, .n = 1024, .r = 8, .p = 16 };
	OK(crypt_scrypt(&s, out, sizeof(out), &err));
	assert_hex(out,
	    "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
	    "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640");
}

static void
a_store_cannot_name_any_cost_of_a_passphrase(void **state)
{
	static const struct crypt_scrypt bad[] = {
		{ "x", "", 0, UINT64_C(1) << 40, 8, 1 },
		{ "x", "", 0, 3, 8, 1 },
		{ "x", "", 0, 0, 8, 1 },
		{ "x", "", 0, 1024, 0, 1 },
		{ "x", "", 0, 1024, UINT32_MAX, 1 },
		{ "x", "", 0, 1024, 8, UINT32_MAX },
	};
	uint8_t out[64];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		FAILS(crypt_scrypt(&bad[i], out, sizeof(out), &err),
		    ERR_REFUSED);
}

#define GCM_KEY "feffe9928665731c6d6a8f9467308308"
#define GCM_PLAIN \
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" \
	"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define GCM_AAD "feedfacedeadbeeffeedfacedeadbeefabaddad2"

static void
messages_are_encrypted_as_gcm_s_authors_say(void **state)
{
	uint8_t key[32], nonce[12], plain[64], aad_bytes[32], out[96];
	uint8_t back[96];
	struct crypt_aad aad = { aad_bytes, 0 };
	struct crypt_cipher *c;
	size_t len = bytes(GCM_PLAIN, plain);

	(void)bytes(GCM_KEY GCM_KEY, key);
	(void)bytes("cafebabefacedbaddecaf888", nonce);
	aad.len = bytes(GCM_AAD, aad_bytes);
	OK(crypt_cipher_new(&c, key, &err));
	OK(crypt_encrypt(c, nonce, &aad, plain, len, out, &err));
	assert_hex(out,
	    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	    "76fc6ece0f4e1768cddf8853bb2d551b");
	/* The same cipher again, in the other direction and in place. */
	memcpy(back, out, len + CRYPT_TAG);
	OK(crypt_decrypt(c, nonce, &aad, back, len + CRYPT_TAG, back, &err));
	assert_memory_equal(back, plain, len);
	OK(crypt_encrypt(c, nonce, &aad, plain, len, back, &err));
	assert_memory_equal(back, out, len + CRYPT_TAG);
	crypt_cipher_free(c);
}

static void
nothing_has_a_tag_too(void **state)
{
	static const uint8_t key[32], nonce[12];
	struct crypt_cipher *c;
	uint8_t out[16], back[1];

	OK(crypt_cipher_new(&c, key, &err));
	OK(crypt_encrypt(c, nonce, NULL, NULL, 0, out, &err));
	assert_hex(out, "530f8afbc74536b9a963b4f1c4cb738b");
	OK(crypt_decrypt(c, nonce, NULL, out, sizeof(out), back, &err));
	FAILS(crypt_decrypt(c, nonce, NULL, out, 15, back, &err),
	    ERR_DAMAGED);
	crypt_cipher_free(c);
}

static void
any_bit_that_changes_is_found_and_nothing_comes_out(void **state)
{
	static const uint8_t key[32] = { 7 }, zeros[40];
	uint8_t nonce[12] = { 1 }, aad_bytes[5] = "aad4", in[56], out[40];
	struct crypt_aad aad = { aad_bytes, sizeof(aad_bytes) };
	uint8_t plain[40];
	struct crypt_cipher *c;
	uint8_t *where[] = { in, nonce, aad_bytes };
	size_t sizes[] = { sizeof(in), sizeof(nonce), sizeof(aad_bytes) };
	size_t i, bit;

	memset(plain, 0x5a, sizeof(plain));
	OK(crypt_cipher_new(&c, key, &err));
	OK(crypt_encrypt(c, nonce, &aad, plain, sizeof(plain), in, &err));
	for (i = 0; i < 3; i++)
		for (bit = 0; bit < sizes[i] * 8; bit++) {
			where[i][bit / 8] ^= (uint8_t)(1 << bit % 8);
			memset(out, 1, sizeof(out));
			FAILS(crypt_decrypt(c, nonce, &aad, in, sizeof(in),
			    out, &err), ERR_DAMAGED);
			assert_memory_equal(out, zeros, sizeof(out));
			where[i][bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	OK(crypt_decrypt(c, nonce, &aad, in, sizeof(in), out, &err));
	assert_memory_equal(out, plain, sizeof(out));
	crypt_cipher_free(c);
}

static void
a_seal_opens_for_its_recipient_and_context_alone(void **state)
{
	static const uint8_t secret[32] = "thirty-two bytes of a secret...";
	uint8_t alice[32], bob[32], pub[32], sealed[CRYPT_SEALED];
	uint8_t again[CRYPT_SEALED], out[32];
	size_t bit;

	(void)bytes(ALICE, alice);
	(void)bytes(BOB, bob);
	(void)bytes(BOB_PUBLIC, pub);
	OK(crypt_seal(pub, "data key", secret, sealed, &err));
	OK(crypt_open(bob, "data key", sealed, out, &err));
	assert_memory_equal(out, secret, 32);
	FAILS(crypt_open(alice, "data key", sealed, out, &err), ERR_DAMAGED);
	FAILS(crypt_open(bob, "data kez", sealed, out, &err), ERR_DAMAGED);
	FAILS(crypt_open(bob, "", sealed, out, &err), ERR_DAMAGED);
	for (bit = 0; bit < CRYPT_SEALED * 8; bit++) {
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		FAILS(crypt_open(bob, "data key", sealed, out, &err),
		    ERR_DAMAGED);
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* Not the same twice: who sees both learns nothing. */
	OK(crypt_seal(pub, "data key", secret, again, &err));
	assert_memory_not_equal(again, sealed, 32);
	assert_memory_not_equal(again + 32, sealed + 32, 48);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_halves_agree_as_rfc_7748_says),
		cmocka_unit_test(a_public_half_of_low_order_is_refused),
		cmocka_unit_test(keys_are_derived_as_rfc_5869_says),
		cmocka_unit_test(passphrases_are_stretched_as_rfc_7914_says),
		cmocka_unit_test(a_store_cannot_name_any_cost_of_a_passphrase),
		cmocka_unit_test(messages_are_encrypted_as_gcm_s_authors_say),
		cmocka_unit_test(nothing_has_a_tag_too),
		cmocka_unit_test(
		    any_bit_that_changes_is_found_and_nothing_comes_out),
		cmocka_unit_test(
		    a_seal_opens_for_its_recipient_and_context_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
