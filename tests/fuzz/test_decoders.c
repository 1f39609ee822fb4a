/* SPDX-License-Identifier: PostgreSQL */
/*
 * The fuzzed decoders (decoders.h) over what they begin with, some thousand
 * mutations of it and as much noise, the same ones each time. Sanitizers and
 * the asserts in decoders.c say what is wrong; scripts/fuzz looks for more.
 */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/text.h"
#include "decoders.h"

#define ROUNDS 1500
#define NOISE_MAX 4096

static uint32_t state;

static uint32_t
draw(uint32_t below)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % below;
}

static void
load_golden(const char *name, struct buf *b)
{
	const char *src = getenv("DAPK_SRCDIR");
	char *path = xasprintf("%s/tests/golden/%s.hex",
	    src == NULL ? "." : src, name);
	FILE *f = fopen(path, "r");
	char pair[3] = "";
	uint8_t byte;
	size_t n = 0;
	int c;

	if (f == NULL) {
		fprintf(stderr, "cannot open %s (is DAPK_SRCDIR set?)\n",
		    path);
		exit(1);
	}
	while ((c = fgetc(f)) != EOF) {
		if (isspace(c))
			continue;
		pair[n++] = (char)c;
		if (n == 2 && text_unhex(pair, &byte, 1))
			buf_add_byte(b, byte);
		n %= 2;
	}
	(void)fclose(f);
	free(path);
}

static void
begin_with(const struct fuzz_decoder *d, struct buf *b)
{
	uint32_t i, len;

	buf_clear(b);
	if (d->golden != NULL)
		load_golden(d->golden, b);
	else if (d->text != NULL)
		buf_add_str(b, d->text);
	else {
		len = draw(NOISE_MAX);
		for (i = 0; i < len; i++) /* small numbers are the likely ones */
			buf_add_byte(b, (uint8_t)(draw(3) == 0 ? draw(256) :
								 draw(4)));
	}
}

/* Bits, bytes, words of interest, a cut, a piece doubled. */
static void
mutate(struct buf *b)
{
	static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff };
	uint32_t n = 1 + draw(4), at;

	while (n-- > 0 && b->len > 0) {
		at = draw((uint32_t)b->len);
		switch (draw(6)) {
		case 0:
			b->data[at] ^= (uint8_t)(1u << draw(8));
			break;
		case 1:
			b->data[at] = (uint8_t)draw(256);
			break;
		case 2:
			memset(b->data + at, odd[draw(sizeof(odd))],
			    b->len - at < 4 ? b->len - at : 4);
			break;
		case 3:
			b->len = at;
			break;
		case 4:
			b->data[at] = odd[draw(sizeof(odd))];
			break;
		default:
			memmove(b->data + draw((uint32_t)b->len), b->data + at,
			    1);
			break;
		}
	}
}

static void
try_one(const struct fuzz_decoder *d, const struct buf *b, bool mend)
{
	/* Of its own size: reading one byte too many is seen. */
	uint8_t *copy = malloc(b->len == 0 ? 1 : b->len);

	if (copy == NULL)
		abort();
	if (b->len > 0)
		memcpy(copy, b->data, b->len);
	if (mend && d->mend != NULL)
		d->mend(copy, b->len);
	d->run(copy, b->len);
	free(copy);
}

static void
replay(const struct fuzz_decoder *d)
{
	struct buf b;
	unsigned i;

	state = 20261124;
	buf_init(&b, 1 << 20);
	begin_with(d, &b);
	try_one(d, &b, false);
	for (i = 0; i < ROUNDS; i++) {
		begin_with(d, &b);
		mutate(&b);
		try_one(d, &b, i % 2 == 0);
	}
	buf_free(&b);
	printf("%s: %d rounds\n", d->name, ROUNDS);
}

int
main(void)
{
	size_t i;

	for (i = 0; i < n_fuzz_decoders; i++)
		replay(&fuzz_decoders[i]);
	return 0;
}
