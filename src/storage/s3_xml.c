/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/s3_xml.h"

#include <expat.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/dynlib.h"

#define PATH_MAX_BYTES 512

#define EXPAT_FUNCTIONS(X)              \
	X(XML_ErrorString)              \
	X(XML_GetErrorCode)             \
	X(XML_Parse)                    \
	X(XML_ParserCreate)             \
	X(XML_ParserFree)               \
	X(XML_SetCharacterDataHandler)  \
	X(XML_SetElementHandler)        \
	X(XML_SetStartDoctypeDeclHandler) \
	X(XML_SetUserData)              \
	X(XML_StopParser)

static struct expat {
#define EXPAT_POINTER(name) __typeof__(&name) name;
	EXPAT_FUNCTIONS(EXPAT_POINTER)
#undef EXPAT_POINTER
} expat;
static const struct dynlib_symbol symbols[] = {
#define EXPAT_SYMBOL(name) { #name, offsetof(struct expat, name) },
	EXPAT_FUNCTIONS(EXPAT_SYMBOL)
#undef EXPAT_SYMBOL
};
static struct dynlib library = { .names = { "libexpat.so.1" },
	.symbols = symbols, .n = sizeof(symbols) / sizeof(symbols[0]),
	.functions = &expat, .lock = PTHREAD_MUTEX_INITIALIZER };

struct reader {
	XML_Parser parser;
	s3_xml_fn found;
	void *arg;
	struct err *err;
	bool stopped; /* err is filled */
	unsigned depth;
	struct buf path;
	struct buf text; /* of the element at hand */
};

static void
stop(struct reader *r)
{
	r->stopped = true;
	(void)expat.XML_StopParser(r->parser, XML_FALSE); /* we are in it */
}

static void XMLCALL
element_begins(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct reader *r = arg;
	const char *colon = strrchr(name, ':');

	if (r->stopped)
		return;
	buf_printf(&r->path, "/%s", colon == NULL ? name : colon + 1);
	buf_clear(&r->text);
	if (++r->depth > S3_XML_DEPTH_MAX || r->path.overflow) {
		(void)err_set(r->err, ERR_DAMAGED,
		    "XML that is nested too deeply");
		stop(r);
	}
}

static void XMLCALL
element_ends(void *arg, const XML_Char *name)
{
	struct reader *r = arg;
	char *slash;

	if (r->stopped)
		return;
	if (r->found(r->arg, buf_str(&r->path), buf_str(&r->text),
		r->err) != 0) {
		stop(r);
		return;
	}
	slash = strrchr((char *)r->path.data, '/');
	r->path.len = (size_t)(slash - (char *)r->path.data);
	*slash = '\0';
	buf_clear(&r->text);
	r->depth--;
}

static void XMLCALL
text_comes(void *arg, const XML_Char *text, int len)
{
	struct reader *r = arg;

	if (r->stopped)
		return;
	buf_add(&r->text, text, (size_t)len);
	if (r->text.overflow) {
		(void)err_set(r->err, ERR_DAMAGED, "XML with too long a text");
		stop(r);
	}
}

static void XMLCALL
doctype_begins(void *arg, const XML_Char *name, const XML_Char *system_id,
    const XML_Char *public_id, int has_internal_subset)
{
	struct reader *r = arg;

	(void)err_set(r->err, ERR_DAMAGED, "XML with a document type");
	stop(r);
}

static int
parse(struct reader *r, const void *data, size_t len)
{
	if (len > INT_MAX)
		return err_set(r->err, ERR_DAMAGED, "XML of %zu bytes", len);
	expat.XML_SetUserData(r->parser, r);
	expat.XML_SetElementHandler(r->parser, element_begins, element_ends);
	expat.XML_SetCharacterDataHandler(r->parser, text_comes);
	expat.XML_SetStartDoctypeDeclHandler(r->parser, doctype_begins);
	if (expat.XML_Parse(r->parser, data, (int)len, 1) == XML_STATUS_OK &&
	    !r->stopped)
		return 0;
	if (r->stopped)
		return -1;
	return err_set(r->err, ERR_DAMAGED, "no XML: %s",
	    expat.XML_ErrorString(expat.XML_GetErrorCode(r->parser)));
}

int
s3_xml_read(const void *data, size_t len, s3_xml_fn found, void *arg,
    struct err *err)
{
	struct reader r = { .found = found, .arg = arg, .err = err };
	int ret;

	if (!dynlib_load(&library)) {
		(void)err_set(err, ERR_CONFIG, "libexpat, which reads the "
		    "answers of S3, cannot be loaded: %s", library.why);
		return err_hint(err, "apt-get install libexpat1");
	}
	r.parser = expat.XML_ParserCreate(NULL);
	if (r.parser == NULL)
		return err_set(err, ERR_BUG, "XML_ParserCreate() failed");
	buf_init(&r.path, PATH_MAX_BYTES);
	buf_init(&r.text, S3_XML_TEXT_MAX);
	ret = parse(&r, data, len);
	expat.XML_ParserFree(r.parser);
	buf_free(&r.path);
	buf_free(&r.text);
	return ret;
}

void
s3_xml_add(struct buf *out, const char *text)
{
	const unsigned char *p;

	for (p = (const unsigned char *)text; *p != '\0'; p++)
		if (*p < ' ' || strchr("&<>\"'", *p) != NULL)
			buf_printf(out, "&#%u;", *p);
		else
			buf_add_byte(out, *p);
}
