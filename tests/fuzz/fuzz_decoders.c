/* SPDX-License-Identifier: PostgreSQL */
/*
 * libFuzzer's entry to any of the decoders (scripts/fuzz): DAPK_FUZZ=NAME
 * says which. Every second input gets right check sums.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoders.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct fuzz_decoder *chosen;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *name = getenv("DAPK_FUZZ");
	size_t i;

	(void)argc;
	(void)argv;
	for (i = 0; name != NULL && i < n_fuzz_decoders; i++)
		if (strcmp(fuzz_decoders[i].name, name) == 0)
			chosen = &fuzz_decoders[i];
	if (chosen != NULL)
		return 0;
	fprintf(stderr, "DAPK_FUZZ names no decoder; there are");
	for (i = 0; i < n_fuzz_decoders; i++)
		fprintf(stderr, " %s", fuzz_decoders[i].name);
	fprintf(stderr, "\n");
	exit(2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *copy;

	chosen->run(data, len);
	if (chosen->mend == NULL || len == 0)
		return 0;
	copy = malloc(len);
	if (copy == NULL)
		return 0;
	memcpy(copy, data, len);
	chosen->mend(copy, len);
	chosen->run(copy, len);
	free(copy);
	return 0;
}
