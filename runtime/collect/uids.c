/* SPDX-License-Identifier: Apache-2.0 */
/* How much each uid may ask for, so that none takes the others' share. */
#include "collect.h"

enum { SECONDS_SAVED = 10 };

static bool idle(const user_row *row)
{
	return row->conns == 0 && row->refused == 0;
}

user_row *users_of(users *u, uid_t uid, uint64_t now_ns)
{
	user_row *place = NULL;
	for (size_t i = 0; i < UIDS; i++) {
		user_row *row = &u->at[i];
		if (row->used && row->uid == uid)
			return row;
		if (!row->used ? place == NULL || place->used
			       : idle(row) && (place == NULL || (place->used && row->seen_ns < place->seen_ns)))
			place = row;
	}
	if (place != NULL)
		*place = (user_row){
			.used = true, .uid = uid, .credit_ns = SECONDS_SAVED * (uint64_t)1000000000u, .seen_ns = now_ns
		};
	return place;
}

bool users_pay(const users *u, user_row *row, uint64_t now_ns)
{
	const uint64_t most = SECONDS_SAVED * (uint64_t)1000000000u, price = 1000000000u / u->rate;
	uint64_t credit = row->credit_ns + (now_ns > row->seen_ns ? now_ns - row->seen_ns : 0);
	row->credit_ns = credit < most ? credit : most;
	row->seen_ns = now_ns;
	if (row->credit_ns < price)
		return false;
	row->credit_ns -= price;
	return true;
}

void users_refused(user_row *row, const char *why)
{
	nb_text t = nb_text_over(row->why, sizeof(row->why));
	if (row->refused++ == 0)
		row->since_ns = nb_now_realtime_ns();
	nb_text_add(&t, why);
}
