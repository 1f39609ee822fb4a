/* SPDX-License-Identifier: PostgreSQL */
#ifndef TESTS_FUZZ_DECODERS_H
#define TESTS_FUZZ_DECODERS_H

/*
 * Everything that takes bytes apart which another wrote: one entry a decoder.
 * run() must do no harm and come to an end, whatever the bytes are; it aborts
 * when what it got makes no sense.
 */
#include <stddef.h>
#include <stdint.h>

struct fuzz_decoder {
	const char *name;
	void (*run)(const uint8_t *data, size_t len);
	/* Make check sums right again, so that what they guard is reached. */
	void (*mend)(uint8_t *data, size_t len); /* or NULL */
	const char *golden; /* tests/golden/NAME.hex to begin with, or NULL */
	const char *text;   /* what to begin with else, or NULL */
};

extern const struct fuzz_decoder fuzz_decoders[];
extern const size_t n_fuzz_decoders;

#endif
