/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flood - how many refusals of one uid go into its log: the first of each window as records of their own, of the rest
 * the number, so that a job that is refused over and over fills no disk.
 *
 * What is counted stands in .refusals-UID beside the log, locked while it is changed. It is the uid's own file, as the
 * log is: who may write the one may write the other. No daemon empties it: the number goes into the log when it has
 * grown tenfold, with the first refusal after the window, or with the uid's next box, whatever is first.
 */
#pragma once

#include "base/base.h"

enum { NB_FLOOD_WHOLE = 10 }; /* refusals that are written in full in one window */
#define NB_FLOOD_WINDOW_NS (600ull * 1000000000u)

/* The file. All zeros: nothing was refused. Times are realtime, ns. */
typedef struct nb_flood {
	uint64_t began;              /* of the window */
	uint64_t whole;              /* written in full in it */
	uint64_t tell_at;            /* so many untold are told */
	uint64_t first, last;        /* of the untold */
	uint64_t untold[NB_CLASSES]; /* by class */
	uint64_t checksum;           /* of what stands before it */
} nb_flood;

typedef struct nb_flood_advice {
	bool write;    /* this refusal, in full */
	bool tell;     /* the number of those that were not written: */
	nb_flood told; /* first, last, untold */
} nb_flood_advice;

/* One refusal more; NB_NONE: none, but tell what is untold. Pure. */
void nb_flood_count(nb_flood *f, nb_class class, uint64_t now, nb_flood_advice *ret_a);
uint64_t nb_flood_total(const nb_flood *f);
/* The same on the file in the directory. Where there can be no such file the answer is to write: rather a full log than
 * a silent one. With NB_NONE no file is made. */
void nb_flood_ask(int dirfd, nb_class class, nb_flood_advice *ret_a);
