/* SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int nb_fail(nb_error *e, nb_class class, int err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	e->class = class;
	e->err = err;
	e->status = NB_EXIT_FAILURE;
	e->source[0] = '\0';
	size_t used = n < 0 ? 0 : (size_t)n < sizeof(e->text) ? (size_t)n : sizeof(e->text) - 1;
	if (err != 0)
		snprintf(e->text + used, sizeof(e->text) - used, ": %s", strerror(err));
	return -1;
}

int nb_fail_from(nb_error *e, nb_class class, const char *source, const char *fmt, ...)
{
	char text[NB_ERROR_TEXT];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	nb_fail(e, class, 0, "%s", text);
	return nb_fail_source(e, source);
}

int nb_fail_add(nb_error *e, const char *fmt, ...)
{
	size_t used = strlen(e->text);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->text + used, sizeof(e->text) - used, fmt, ap);
	va_end(ap);
	return -1;
}

int nb_fail_source(nb_error *e, const char *source)
{
	if (e->source[0] == '\0')
		snprintf(e->source, sizeof(e->source), "%s", source);
	return -1;
}

const char *nb_class_name(nb_class class)
{
	static const char *const names[NB_CLASSES] = {
		[NB_NONE] = "none",     [NB_REQUEST] = "request", [NB_POLICY] = "policy", [NB_HOST] = "host",
		[NB_SECRET] = "secret", [NB_LIMIT] = "limit",     [NB_BUG] = "bug",
	};
	return class < NB_CLASSES ? names[class] : "unknown";
}

void nb_fd_closep(int *fd)
{
	if (*fd < 0)
		return;
	int kept = errno;
	close(*fd);
	errno = kept;
}

void nb_freep(void *p)
{
	void *memory;
	memcpy(&memory, p, sizeof(memory));
	free(memory);
}

int nb_say_error(const nb_error *e)
{
	char memory[2 * NB_ERROR_TEXT + 64];
	nb_text t = nb_text_over(memory, sizeof(memory));
	nb_text_add(&t, "nestbox: ");
	nb_text_add_visible(&t, e->text);
	nb_text_add(&t, "\n");
	nb_write_all(STDERR_FILENO, t.at, t.used);
	return e->status ? e->status : NB_EXIT_FAILURE;
}
