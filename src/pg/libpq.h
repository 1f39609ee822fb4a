/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_LIBPQ_H
#define PG_LIBPQ_H

/*
 * Internal to src/pg: libpq, opened with dlopen() when first needed, as
 * loading it and what it needs would take most of an archive-push. Thread
 * safe.
 */
#include <libpq-fe.h>

#include "core/err.h"

#define LIBPQ_FUNCTIONS(X)       \
	X(PQconninfoParse)       \
	X(PQconninfo)            \
	X(PQconninfoFree)        \
	X(PQfreemem)             \
	X(PQconnectStartParams)  \
	X(PQconnectPoll)         \
	X(PQstatus)              \
	X(PQsocket)              \
	X(PQfinish)              \
	X(PQerrorMessage)        \
	X(PQserverVersion)       \
	X(PQhost)                \
	X(PQhostaddr)            \
	X(PQport)                \
	X(PQuser)                \
	X(PQdb)                  \
	X(PQbackendPID)          \
	X(PQsetNoticeReceiver)   \
	X(PQsendQuery)           \
	X(PQsendQueryParams)     \
	X(PQconsumeInput)        \
	X(PQisBusy)              \
	X(PQgetResult)           \
	X(PQgetCancel)           \
	X(PQcancel)              \
	X(PQfreeCancel)          \
	X(PQresultStatus)        \
	X(PQresultErrorField)    \
	X(PQresultErrorMessage)  \
	X(PQntuples)             \
	X(PQnfields)             \
	X(PQgetvalue)            \
	X(PQgetisnull)           \
	X(PQgetCopyData)         \
	X(PQputCopyData)         \
	X(PQputCopyEnd)          \
	X(PQcmdTuples)           \
	X(PQtransactionStatus)   \
	X(PQsetnonblocking)      \
	X(PQflush)               \
	X(PQclear)

struct libpq {
#define LIBPQ_POINTER(name) __typeof__(&name) name;
	LIBPQ_FUNCTIONS(LIBPQ_POINTER)
#undef LIBPQ_POINTER
};

/* *out stays valid until the process ends. ERR_POSTGRES: not installed. */
int libpq_get(const struct libpq **out, struct err *err) ERR_USE;

#endif
