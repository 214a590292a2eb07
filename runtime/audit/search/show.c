/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox audit show: one payload's story. What the kernel and root said beside what the job said, and where they
 * differ. */
#include "search.h"
#include "story.h"

#include <stdlib.h>
#include <string.h>

/* Members of a record as "a.b.c" and text, in the order of the line. */
typedef bool member_visit(void *ctx, const char *path, slice value);

typedef struct walker {
	char path[1024];
	member_visit *visit;
	void *ctx;
} walker;

static void walk_value(walker *w, slice value, size_t depth);

static void trim(slice *s)
{
	while (s->n > 0 && strchr(" \t,", s->at[0]) != NULL) {
		s->at++;
		s->n--;
	}
}

static void walk_object(walker *w, slice object, size_t depth)
{
	slice at = { object.at + 1, object.n - 2 };
	size_t used = strlen(w->path);
	for (trim(&at); at.n > 0; trim(&at)) {
		slice name, value;
		if (!pick_skip(&at, &name) || name.n < 2 || at.n == 0 || at.at[0] != ':')
			return;
		at = (slice){ at.at + 1, at.n - 1 };
		if (!pick_skip(&at, &value))
			return;
		nb_text t = { .at = w->path, .size = sizeof(w->path), .used = used };
		nb_text_add(&t, used > 0 ? "." : "");
		nb_text_add_bytes(&t, name.at + 1, name.n - 2);
		if (!t.full)
			walk_value(w, value, depth + 1);
		w->path[used] = '\0';
	}
}

static void walk_value(walker *w, slice value, size_t depth)
{
	if (value.at[0] == '{' && depth < PICK_DEPTH)
		walk_object(w, value, depth);
	else
		w->visit(w->ctx, w->path, value);
}

/* ---- attested and claimed ----------------------------------------------------------------------------------- */

enum { sides = 2, facts_max = 96, text_max = 512 };

typedef struct fact {
	char name[96];
	char text[sides][text_max]; /* attested, claimed */
} fact;

typedef struct facts {
	fact at[facts_max];
	size_t count;
} facts;

static void set_fact(facts *all, const char *name, int side, const char *text)
{
	size_t i = 0;
	while (i < all->count && !nb_streq(all->at[i].name, name))
		i++;
	if (i == facts_max || strlen(name) >= sizeof(all->at[i].name))
		return;
	if (i == all->count)
		all->at[all->count++] = (fact){ 0 };
	nb_text n = nb_text_over(all->at[i].name, sizeof(all->at[i].name));
	nb_text t = nb_text_over(all->at[i].text[side], text_max);
	nb_text_add(&n, name);
	nb_text_add(&t, text);
}

static void text_of(slice value, char *out, size_t size)
{
	if (value.n >= 2 && value.at[0] == '"')
		pick_text((slice){ value.at + 1, value.n - 2 }, out, size);
	else
		pick_text(value, out, size);
}

static bool sort_out(void *ctx, const char *path, slice value)
{
	static const char *const prefixes[sides] = { "nestbox.attested.", "nestbox.claimed." };
	char text[text_max];
	for (int side = 0; side < sides; side++)
		if (nb_starts_with(path, prefixes[side])) {
			text_of(value, text, sizeof(text));
			set_fact(ctx, path + strlen(prefixes[side]), side, text);
		}
	return true;
}

static bool differs(const fact *f)
{
	return f->text[0][0] != '\0' && f->text[1][0] != '\0' && !nb_streq(f->text[0], f->text[1]);
}

static size_t print_sides(const facts *all)
{
	size_t mismatches = 0;
	if (all->count == 0)
		return 0;
	printf("\n%-24s %-44s %s\n", "", "ATTESTED (kernel, root)", "CLAIMED (by the job)");
	for (size_t i = 0; i < all->count; i++) {
		const fact *f = &all->at[i];
		printf("%-24s ", f->name);
		output_visible(stdout, f->text[0][0] ? f->text[0] : "-");
		printf("%*s", strlen(f->text[0]) < 44 ? (int)(45 - (f->text[0][0] ? strlen(f->text[0]) : 1)) : 1, "");
		output_visible(stdout, f->text[1][0] ? f->text[1] : "-");
		printf("%s\n", differs(f) ? "   <-- DIFFERS" : "");
		mismatches += differs(f);
	}
	return mismatches;
}

/* ---- the story ---------------------------------------------------------------------------------------------- */

static void print_cells(const output_cells *cells)
{
	for (int c = 0; c < COLUMNS; c++) {
		if (c == COLUMN_ACTION)
			continue;
		printf("%-12s ", output_title((output_column)c));
		output_visible(stdout, cells->at[c][0] ? cells->at[c] : "-");
		putchar('\n');
	}
}

static bool print_member(void *ctx, const char *path, slice value)
{
	char text[2 * OUTPUT_CELL];
	(void)ctx;
	if (nb_starts_with(path, "nestbox.attested.") || nb_starts_with(path, "nestbox.claimed.") ||
	    nb_streq(path, "@timestamp") || nb_streq(path, "nestbox.id"))
		return true;
	text_of(value, text, sizeof(text));
	printf("  %-36s ", path);
	output_visible(stdout, text);
	putchar('\n');
	return true;
}

static void print_record(const record *r, const source_list *sources)
{
	walker w = { .visit = print_member };
	char when[NB_TIME_TEXT];
	nb_time_text(r->time, when);
	printf("\n%s  in ", when);
	output_visible(stdout, sources->files[r->file].path);
	printf(" at byte %llu\n", (unsigned long long)r->offset);
	walk_value(&w, slice_of(r->line), 0);
}

static void print_doubts(const found *f, const box *b, const source_list *sources)
{
	pick_paths paths;
	nb_error ignored;
	unsigned doubts = story_paths(&paths, &ignored) == 0 ? story_of(f, b, sources, &paths, true) : 0;
	for (unsigned bit = 1; bit <= doubts; bit *= 2)
		if ((doubts & bit) != 0)
			printf("\nWARNING: %s.\n", story_words((story_doubt)bit));
}

static void print_story(const found *f, const box *b, const options *o)
{
	output_cells cells;
	facts all = { .count = 0 };
	const record **sorted;
	size_t n = output_sorted(f, b, &sorted);
	walker w = { .visit = sort_out, .ctx = &all };
	output_cells_of(f, b, &o->q, &cells);
	print_cells(&cells);
	for (size_t i = 0; i < n; i++) {
		w.path[0] = '\0';
		walk_value(&w, slice_of(sorted[i]->line), 0);
	}
	size_t mismatches = print_sides(&all);
	if (mismatches > 0)
		printf("\nWARNING: the job claimed %zu thing%s that the worker's own evidence contradicts.\n",
		       mismatches, mismatches == 1 ? "" : "s");
	print_doubts(f, b, &o->sources);
	for (size_t i = 0; i < n; i++)
		print_record(sorted[i], &o->sources);
	free(sorted);
}

static int ask_for(options *o, nb_error *e)
{
	size_t count;
	const search_key *keys = search_keys(&count);
	if (o->argument == NULL)
		return nb_fail(e, NB_REQUEST, 0, "nestbox audit show needs the id of a box; find tells it");
	while (!nb_streq(keys->option, "id"))
		keys++;
	return query_add_key(&o->q, keys, o->argument, e);
}

static int print_found(const options *o, const found *f, nb_error *e)
{
	if (o->format != OUTPUT_TABLE)
		return output_found(stdout, o->format, f, &o->q, e);
	for (size_t i = 0; i < f->box_count; i++)
		if (f->boxes[i].chosen)
			print_story(f, &f->boxes[i], o);
	return output_done(stdout, e);
}

int run_show(options *o, nb_error *e)
{
	found f = { 0 };
	nb_error printing;
	size_t n = 0;
	if (ask_for(o, e) != 0)
		return -1;
	int result = search_run(o, &o->q, &o->sources, true, &f, &n, e);
	if ((n > 0 || o->format == OUTPUT_JSON) && print_found(o, &f, &printing) != 0 && result == 0) {
		*e = printing;
		result = -1;
	}
	found_free(&f);
	return result != 0 ? -1 : n == 0 ? 1 : 0;
}
