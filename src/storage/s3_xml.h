/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_S3_XML_H
#define STORAGE_S3_XML_H

/*
 * The small XML documents that S3 servers send, read with expat (opened with
 * dlopen() when first needed). They come from a network: document types,
 * entities of their own, deep nesting, and long texts are refused.
 *
 *	s3_xml_read(data, len, found, arg, err)
 *
 * calls found() at each element's end, with its path from the root
 * ("/ListBucketResult/Contents/Key"; names without namespace) and the text
 * that stood in it, outside of other elements. Thread safe.
 */
#include <stddef.h>

#include "core/buf.h"
#include "core/err.h"

#define S3_XML_DEPTH_MAX 16
#define S3_XML_TEXT_MAX 16384

/* Return 0 to go on, -1 (err filled) to stop with that error. */
typedef int (*s3_xml_fn)(void *arg, const char *path, const char *text,
    struct err *err);

/*
 * ERR_DAMAGED: it is no such document, or one that was cut; what was called
 * until then is not to be believed. ERR_CONFIG: expat is not installed.
 */
int s3_xml_read(const void *data, size_t len, s3_xml_fn found, void *arg,
    struct err *err) ERR_USE;

/* Text with & < > " ' and control characters as XML wants them. */
void s3_xml_add(struct buf *out, const char *text);

#endif
