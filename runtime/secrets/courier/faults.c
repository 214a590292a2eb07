/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "courier.h"

static const fault_row rows[FAULT_COUNT] = {
	[FAULT_NONE] = { "none", false, NB_NONE, "" },
	[FAULT_ABSENT] = { "absent", true, NB_SECRET,
		"the agent's socket {detail} is not there; the site must start the agent" },
	[FAULT_REFUSED] = { "refused", true, NB_SECRET,
		"nobody listens on the agent's socket {detail}; the site must start the agent" },
	[FAULT_BUSY] = { "busy", true, NB_SECRET,
		"the queue of connections of {detail} is full; the site must look at the agent" },
	[FAULT_UNTRUSTED] = { "untrusted", false, NB_HOST,
		"the agent's socket is not used: {detail}" },
	[FAULT_NO_ACCESS] = { "no-access", false, NB_HOST,
		"the courier may not connect to the agent's socket {detail}; the site must let the job's "
		"user in" },
	[FAULT_TIMEOUT] = { "timeout", true, NB_SECRET,
		"the agent gave no whole answer in time; the site must look at the agent" },
	[FAULT_CUT] = { "cut", true, NB_SECRET,
		"the agent closed the connection before its answer was whole; the site must look at "
		"the agent" },
	[FAULT_NOT_HTTP] = { "not-http", false, NB_SECRET,
		"the answer is not HTTP as it should be ({detail}); the site must look at the agent" },
	[FAULT_HEADERS] = { "headers", false, NB_SECRET,
		"the answer has more than 64 header lines or 16 KiB of them; the site must look at "
		"the agent" },
	[FAULT_TOO_LARGE] = { "too-large", false, NB_SECRET,
		"the answer is larger than 512 KiB, or needs more memory than the courier has; the "
		"vault's administrator must store less at {path}" },
	[FAULT_REDIRECT] = { "redirect", false, NB_SECRET,
		"the agent redirects {path} ({detail}), which is not followed; the site must look at "
		"the agent" },
	[FAULT_BAD_REQUEST] = { "bad-request", false, NB_SECRET,
		"the vault refuses the request for {path} (400: {detail}); the vault's administrator "
		"must look" },
	[FAULT_UPGRADING] = { "upgrading", true, NB_SECRET,
		"the vault is upgrading the key-value engine of {path}; wait" },
	[FAULT_DENIED] = { "denied", false, NB_SECRET,
		"the vault denies {path} (403: {detail}); the vault's administrator must allow it" },
	[FAULT_STARTING] = { "starting", true, NB_SECRET,
		"the vault denies {path} ({detail}) and the agent may not have logged in yet; "
		"the site must look at the agent" },
	[FAULT_NO_MOUNT] = { "no-mount", false, NB_SECRET,
		"the vault has no engine for {path} (404: {detail}); the site must correct the path "
		"or the vault's administrator must mount it" },
	[FAULT_MISSING] = { "missing", false, NB_SECRET,
		"the vault has nothing at {path}; the vault's administrator must store it, or the "
		"site correct the path" },
	[FAULT_NO_VERSION] = { "no-version", false, NB_SECRET,
		"{path} has no such version (the newest is there); the site must correct the version" },
	[FAULT_DELETED] = { "deleted", false, NB_SECRET,
		"the version at {path} was deleted ({detail}); the vault's administrator must "
		"undelete it or store it anew" },
	[FAULT_DESTROYED] = { "destroyed", false, NB_SECRET,
		"the version at {path} was destroyed for good; the vault's administrator must store "
		"it anew" },
	[FAULT_WRONG_PATH] = { "wrong-path", false, NB_POLICY,
		"{path} is on a versioned key-value engine and lacks data/ after the mount; the site "
		"must correct the path" },
	[FAULT_METHOD] = { "method", false, NB_POLICY,
		"the vault does not take this kind of request at {path} (405); the site must correct "
		"the path or its body" },
	[FAULT_HEADER_RULE] = { "header-rule", true, NB_SECRET,
		"the agent answers 412 for {path}: {detail}; the site must look at the agent" },
	[FAULT_QUOTA] = { "quota", true, NB_SECRET,
		"the vault's rate limit is reached (429); the vault's administrator must raise it" },
	[FAULT_STANDBY] = { "standby", true, NB_SECRET,
		"the vault is on standby ({detail}); the vault's administrator must look" },
	[FAULT_UNINITIALISED] = { "uninitialised", false, NB_SECRET,
		"the vault is not initialised (501); the vault's administrator must look" },
	[FAULT_SEALED] = { "sealed", true, NB_SECRET,
		"the vault is sealed or locked (503: {detail}); the vault's administrator must unseal "
		"it" },
	[FAULT_SERVER] = { "server", true, NB_SECRET,
		"the vault or the agent failed ({detail}); the site must look at the agent" },
	[FAULT_STATUS] = { "status", false, NB_SECRET,
		"the vault answers {path} with {detail}; the vault's administrator must look" },
	[FAULT_NOT_JSON] = { "not-json", false, NB_SECRET,
		"the answer for {path} is not JSON ({detail}); the site must see what listens there" },
	[FAULT_ODD_JSON] = { "odd-json", false, NB_SECRET,
		"the answer for {path} is JSON that is not taken ({detail}); the vault's "
		"administrator must look" },
	[FAULT_NO_DATA] = { "no-data", false, NB_SECRET,
		"the answer for {path} holds no data; the vault's administrator must look" },
	[FAULT_NO_FIELD] = { "no-field", false, NB_POLICY,
		"there is no field '{field}' at {path}; the site must correct the field or the "
		"vault's administrator store it" },
	[FAULT_EMPTY] = { "empty", false, NB_SECRET,
		"field '{field}' at {path} is empty; the vault's administrator must store a value" },
	[FAULT_LEASE] = { "lease", false, NB_SECRET,
		"the lease of {path} can't be kept ({detail}); the vault's administrator must look" },
	[FAULT_NOT_WRAPPED] = { "not-wrapped", false, NB_SECRET,
		"the policy wants the answer for {path} wrapped and it is not; the vault's "
		"administrator must look" },
	[FAULT_WRAP_ORIGIN] = { "wrap-origin", false, NB_SECRET,
		"the wrapped answer for {path} was made by another request ({detail}): treat it as "
		"stolen; the vault's administrator must look" },
	[FAULT_UNWRAPPED] = { "unwrapped", false, NB_SECRET,
		"the wrapped answer for {path} can't be opened ({detail}): somebody may have opened "
		"it first, treat the secret as stolen; the vault's administrator must look" },
	[FAULT_LOGIN] = { "login", false, NB_SECRET,
		"the vault does not let the job log in at {path} ({detail}); the vault's "
		"administrator must look at the role, the user at the token" },
	[FAULT_REVOKE] = { "revoke", false, NB_SECRET,
		"its lease can't be given back ({detail}) and lives until its end; the vault's "
		"administrator must allow {path}" },
};

const fault_row *fault_of(fault f)
{
	return &rows[f < FAULT_COUNT ? f : FAULT_STATUS];
}

void fault_say(fault f, const char *name, const char *path, const char *field, const char *detail,
	       char out[static NB_ERROR_TEXT])
{
	const struct {
		const char *mark, *text;
	} marks[] = { { "{path}", path }, { "{field}", field }, { "{detail}", detail } };
	nb_text t = nb_text_over(out, NB_ERROR_TEXT);
	nb_text_addf(&t, "secret '%s': ", name);
	for (const char *p = fault_of(f)->sentence; *p;) {
		size_t i = 0, n = strcspn(p, "{");
		nb_text_add_bytes(&t, p, n);
		p += n;
		while (i < NB_COUNT(marks) && !nb_starts_with(p, marks[i].mark))
			i++;
		if (i < NB_COUNT(marks)) {
			nb_text_add_visible(&t, marks[i].text[0] ? marks[i].text : "nothing more said");
			p += strlen(marks[i].mark);
		} else if (*p) {
			nb_text_add_bytes(&t, p++, 1);
		}
	}
}
