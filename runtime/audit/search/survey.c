/* SPDX-License-Identifier: Apache-2.0 */
#include "survey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void survey_free(survey *s)
{
	db_list_free(&s->rows);
	free(s->by_path);
	free(s->by_inode);
	free(s->by_head);
	free(s->claimed);
	source_free(&s->found);
}

/* ---- matching ----------------------------------------------------------------------------------------------- */

static int path_order(const void *a, const void *b)
{
	return strcmp((*(db_file *const *)a)->path, (*(db_file *const *)b)->path);
}

static int inode_order(const void *a, const void *b)
{
	const db_file *x = *(db_file *const *)a, *y = *(db_file *const *)b;
	return x->ino != y->ino ? (x->ino < y->ino ? -1 : 1) : x->dev < y->dev ? -1 : x->dev > y->dev;
}

static int head_order(const void *a, const void *b)
{
	const db_file *x = *(db_file *const *)a, *y = *(db_file *const *)b;
	return x->head < y->head ? -1 : x->head > y->head;
}

static int sorted(survey *s, db_file ***ret, int (*order)(const void *, const void *), nb_error *e)
{
	*ret = malloc((s->rows.count + 1) * sizeof(**ret));
	if (*ret == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot compare the index with the logs");
	for (size_t i = 0; i < s->rows.count; i++)
		(*ret)[i] = &s->rows.at[i];
	qsort(*ret, s->rows.count, sizeof(**ret), order);
	return 0;
}

static db_file *among(survey *s, db_file **list, const db_file *like, int (*order)(const void *, const void *))
{
	const db_file *key = like;
	db_file **at = s->rows.count ? bsearch(&key, list, s->rows.count, sizeof(*list), order) : NULL;
	return at != NULL && !s->claimed[*at - s->rows.at] ? *at : NULL;
}

/* The row of a file: the same inode, whatever it is called now; or the same first line, under another codec or copied.
 * What it says must still be in the file. */
db_file *survey_row(survey *s, const source_file *file)
{
	db_file like = { .path = file->rel, .dev = file->dev, .ino = file->ino };
	db_file *row = among(s, s->by_inode, &like, inode_order);
	if (row != NULL && file->size == row->size && file->mtime_ns == row->mtime_ns)
		return row;
	if (row == NULL)
		row = among(s, s->by_path, &like, path_order);
	like.head = index_head(file->path);
	if (row != NULL && like.head == row->head && index_tail_fits(file->path, row))
		return row;
	row = like.head != 0 ? among(s, s->by_head, &like, head_order) : NULL;
	return row != NULL && index_tail_fits(file->path, row) ? row : NULL;
}

/* A live log comes after the rotated ones of its directory, so that starts are seen before their ends. */
int survey_order(const void *a, const void *b)
{
	const source_file *x = *(const source_file *const *)a, *y = *(const source_file *const *)b;
	size_t n = (size_t)(nb_basename(x->rel) - x->rel), m = (size_t)(nb_basename(y->rel) - y->rel);
	bool rx = source_is_rotated(x->rel), ry = source_is_rotated(y->rel);
	if (n == m && memcmp(x->rel, y->rel, n) == 0 && rx != ry)
		return rx ? -1 : 1;
	return strcmp(x->rel, y->rel);
}

int survey_compare(survey *s, nb_error *e)
{
	if (db_files(s->i->d, DB_ALL_FILES, db_keep, &s->rows, e) != 0)
		return -1;
	s->claimed = calloc(s->rows.count + 1, sizeof(*s->claimed));
	if (s->rows.no_memory || s->claimed == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot compare the index with the logs");
	return sorted(s, &s->by_path, path_order, e) != 0 || sorted(s, &s->by_inode, inode_order, e) != 0 ||
			       sorted(s, &s->by_head, head_order, e) != 0
		       ? -1
		       : 0;
}
