/* SPDX-License-Identifier: PostgreSQL */
#ifndef FIXTURE_ERR_H
#define FIXTURE_ERR_H

/* A call that must succeed, or fail with a code. After <cmocka.h>. */
#include "core/err.h"

static struct err err; /* of the call at hand */

#define OK(call)                                                              \
	do {                                                                  \
		err_clear(&err);                                              \
		if ((call) != 0)                                              \
			fail_msg("%s: %s (%s)", #call, err.msg, err.hint);    \
	} while (0)

#define FAILS(call, wanted)                                                   \
	do {                                                                  \
		err_clear(&err);                                              \
		if ((call) == 0)                                              \
			fail_msg("%s succeeded", #call);                      \
		if (err.code != (wanted))                                     \
			fail_msg("%s: %s: %s", #call,                         \
			    err_code_name(err.code), err.msg);                \
	} while (0)

#endif
