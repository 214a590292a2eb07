/* SPDX-License-Identifier: Apache-2.0 */
/* One request over the agent's socket. A connection serves one request: nothing of a reply stays in libcurl
 * afterwards. */
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "courier.h"

enum { HEADER_LINES_MAX = 64, HEADER_BYTES_MAX = 16 * 1024, BODY_MAX = NB_SECRET_VALUE_MAX, URL_MAX = 640 };

typedef struct exchange {
	const agent *agent;
	uint64_t deadline, interrupted; /* interrupted: since when, or 0 */
	reply *reply;
	size_t room, lines, header_bytes;
	bool has_length, chunked, headers_done;
	char error[CURL_ERROR_SIZE];
} exchange;

int http_start(nb_error *e)
{
	if (curl_global_init_mem(CURL_GLOBAL_NOTHING, arena_alloc, arena_free, arena_realloc, arena_strdup,
				 arena_calloc) == CURLE_OK)
		return 0;
	return nb_fail(e, NB_HOST, 0, "the courier of secrets cannot start libcurl");
}

static void fail(reply *r, fault f, const char *detail)
{
	if (r->fault != FAULT_NONE)
		return;
	r->fault = f;
	nb_text t = nb_text_over(r->detail, sizeof(r->detail));
	nb_text_add(&t, detail);
}

/* ---- connecting ---- */

static fault connect_fault(int err)
{
	static const struct {
		int err;
		fault f;
	} table[] = { { ENOENT, FAULT_ABSENT },    { ECONNREFUSED, FAULT_REFUSED }, { EAGAIN, FAULT_BUSY },
		      { EACCES, FAULT_NO_ACCESS }, { ENOTSOCK, FAULT_UNTRUSTED },   { EPROTOTYPE, FAULT_UNTRUSTED } };
	for (size_t i = 0; i < NB_COUNT(table); i++)
		if (table[i].err == err)
			return table[i].f;
	return FAULT_REFUSED;
}

/* Whoever called listen(2) on the socket: SO_PEERCRED of unix(7). */
static bool peer_trusted(const exchange *x, int fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && (peer.uid == 0 || peer.uid == x->agent->uid);
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *ignored)
{
	exchange *x = context;
	(void)purpose;
	(void)ignored;
	NB_OWN_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int failed = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)x->agent->address, x->agent->address_length);
	for (int wait_ms = 5; failed != 0 && errno == EAGAIN && nb_now_boottime_ns() < x->deadline;
	     wait_ms += wait_ms < 100 ? 5 : 0) {
		poll(NULL, 0, wait_ms);
		failed = connect(fd, (const struct sockaddr *)x->agent->address, x->agent->address_length);
	}
	if (failed != 0) {
		fault f = connect_fault(errno);
		fail(x->reply, f,
		     f == FAULT_UNTRUSTED ? "it is no stream socket; the site must correct it"
					  : x->agent->address->sun_path);
		return CURL_SOCKET_BAD;
	}
	if (!peer_trusted(x, fd)) {
		fail(x->reply, FAULT_UNTRUSTED,
		     "the process that listens there is neither root's nor the agent's; the site must find out why");
		return CURL_SOCKET_BAD;
	}
	return nb_take_fd(&fd);
}

static int already_connected(void *context, curl_socket_t fd, curlsocktype purpose)
{
	(void)context;
	(void)fd;
	(void)purpose;
	return CURL_SOCKOPT_ALREADY_CONNECTED;
}

/* ---- hearing ---- */

static bool header_is(const char *line, size_t n, const char *name)
{
	size_t len = strlen(name);
	return n > len && strncasecmp(line, name, len) == 0 && line[len] == ':';
}

/* RFC 9112 section 6.3: length and chunks together are how requests are smuggled; two different lengths likewise. */
static bool framing_good(exchange *x, const char *line, size_t n)
{
	bool length = header_is(line, n, "Content-Length"), coding = header_is(line, n, "Transfer-Encoding");
	if ((length && (x->has_length || x->chunked)) || (coding && (x->has_length || x->chunked)))
		return false;
	x->has_length = x->has_length || length;
	x->chunked = x->chunked || coding;
	return true;
}

/* "X-Cache: HIT" and "Age: 17" of a caching agent (OpenBao agentproxyshared/cache/handler.go, setHeaders). */
static void take_cache(reply *r, const char *line, size_t n)
{
	const uint64_t most = 10u * 365 * 86400;
	uint64_t seconds = 0;
	if (header_is(line, n, "X-Cache") && n >= 12 && strncasecmp(line + 9, "HIT", 3) == 0)
		r->cached = true;
	if (!header_is(line, n, "Age"))
		return;
	for (const char *p = line + 4; p < line + n && seconds < most; p++)
		seconds = *p >= '0' && *p <= '9' ? 10 * seconds + (uint64_t)(*p - '0') : seconds;
	r->age_ms = 1000 * seconds;
}

static size_t take_header(char *line, size_t size, size_t count, void *context)
{
	exchange *x = context;
	size_t n = size * count;
	x->header_bytes += n;
	if (++x->lines > HEADER_LINES_MAX || x->header_bytes > HEADER_BYTES_MAX) {
		fail(x->reply, FAULT_HEADERS, "");
		return 0;
	}
	/* a line that comes later belongs to a trailer (RFC 9112 section 7.1.2) */
	if (n > 5 && memcmp(line, "HTTP/", 5) == 0)
		x->has_length = x->chunked = x->headers_done = false;
	x->headers_done = x->headers_done || n <= 2;
	if (!framing_good(x, line, n)) {
		fail(x->reply, FAULT_NOT_HTTP, "more than one length, or length and chunks");
		return 0;
	}
	if (memchr(line, '\0', n) != NULL) {
		fail(x->reply, FAULT_NOT_HTTP, "NUL in a header");
		return 0;
	}
	take_cache(x->reply, line, n);
	return n;
}

/* The body, in the arena, doubled when it grows; over the limit the transfer ends here and now. */
static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
	exchange *x = context;
	reply *r = x->reply;
	size_t n = size * count, want = r->length + n + 1;
	if (want > BODY_MAX + 1u) {
		fail(r, FAULT_TOO_LARGE, "");
		return 0;
	}
	if (want > x->room) {
		size_t room = want > 2 * x->room ? want : 2 * x->room;
		char *p = arena_realloc(r->body, room);
		if (p == NULL) {
			fail(r, FAULT_TOO_LARGE, "");
			return 0;
		}
		r->body = p;
		x->room = room;
	}
	memcpy(r->body + r->length, bytes, n);
	r->length += n;
	r->body[r->length] = '\0';
	return n;
}

/* A token that was asked for waits until its turn comes; anything else, or that the keeper says nothing more after it,
 * ends what is under way. */
static bool is_token(void)
{
	uint8_t type = 0;
	return recv(NB_COURIER_FD, &type, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && type == NB_WIRE_TOKEN;
}

/* The keeper spoke, or is gone: what is under way is no longer wanted. It gets a moment all the same: a lease that is
 * on its way could not be given back. */
static int interrupted(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	exchange *x = context;
	struct pollfd p = { .fd = NB_COURIER_FD, .events = POLLIN | POLLRDHUP };
	(void)a, (void)b, (void)c, (void)d;
	if (!x->agent->interruptible || poll(&p, 1, 0) <= 0 || (p.revents == POLLIN && is_token()))
		return 0;
	uint64_t now = nb_now_boottime_ns();
	if (x->interrupted == 0)
		x->interrupted = now;
	return now - x->interrupted >= x->agent->grace_ns;
}

/* ---- asking ---- */

static bool set_transport(CURL *h, exchange *x)
{
	uint64_t now = nb_now_boottime_ns(), left = x->deadline > now ? (x->deadline - now) / MS_NS : 0;
	CURLcode bad = curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, x->agent->address->sun_path);
	bad |= curl_easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	bad |= curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, x);
	bad |= curl_easy_setopt(h, CURLOPT_SOCKOPTFUNCTION, already_connected);
	bad |= curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	bad |= curl_easy_setopt(h, CURLOPT_PROXY, "");
	bad |= curl_easy_setopt(h, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	bad |= curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
#if LIBCURL_VERSION_NUM >= 0x075500
	bad |= curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http");
#else
	bad |= curl_easy_setopt(h, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTP);
#endif
	bad |= curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	bad |= curl_easy_setopt(h, CURLOPT_HTTP09_ALLOWED, 0L);
	bad |= curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
	bad |= curl_easy_setopt(h, CURLOPT_FORBID_REUSE, 1L);
	bad |= curl_easy_setopt(h, CURLOPT_ERRORBUFFER, x->error);
	bad |= curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)(left > 0 ? left : 1));
	return bad == CURLE_OK;
}

static bool set_hearing(CURL *h, exchange *x)
{
	CURLcode bad = curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, take_header);
	bad |= curl_easy_setopt(h, CURLOPT_HEADERDATA, x);
	bad |= curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take_body);
	bad |= curl_easy_setopt(h, CURLOPT_WRITEDATA, x);
	bad |= curl_easy_setopt(h, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)BODY_MAX);
	bad |= curl_easy_setopt(h, CURLOPT_BUFFERSIZE, 16384L);
	bad |= curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, interrupted);
	bad |= curl_easy_setopt(h, CURLOPT_XFERINFODATA, x);
	bad |= curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
	return bad == CURLE_OK;
}

static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
	char line[VAULT_TOKEN_MAX + 64];
	nb_text t = nb_text_over(line, sizeof(line));
	nb_text_addf(&t, "%s: %s", name, value);
	struct curl_slist *grown = t.full ? NULL : curl_slist_append(*list, line);
	explicit_bzero(line, sizeof(line));
	if (grown == NULL)
		return false;
	*list = grown;
	return true;
}

static bool set_request(CURL *h, const agent *a, const request *q, struct curl_slist **list)
{
	char serial[16];
	snprintf(serial, sizeof(serial), "%u", q->serial);
	const struct {
		const char *name, *value;
	} headers[] = { { "X-Vault-Request", "true" },
			{ "X-Nestbox-Serial", serial },
			{ "X-Vault-Namespace", a->namespace },
			{ "X-Nestbox-Job", a->job },
			{ "X-Vault-Token", a->token },
			{ "X-Vault-Wrap-TTL", q->wrap ? "60s" : "" },
			{ "Content-Type", q->body ? "application/json" : "" } };
	char url[URL_MAX];
	nb_text t = nb_text_over(url, sizeof(url));
	nb_text_addf(&t, "http://localhost/v1/%s", q->path);
	bool good = !t.full && curl_easy_setopt(h, CURLOPT_URL, url) == CURLE_OK;
	for (size_t i = 0; good && i < NB_COUNT(headers); i++)
		if (headers[i].value[0] != '\0')
			good = add_header(list, headers[i].name, headers[i].value);
	if (good && q->body != NULL) {
		struct curl_slist *grown = curl_slist_append(*list, "Expect:");
		good = grown != NULL && curl_easy_setopt(h, CURLOPT_POSTFIELDS, q->body) == CURLE_OK;
		*list = grown != NULL ? grown : *list;
	}
	return good && curl_easy_setopt(h, CURLOPT_HTTPHEADER, *list) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_USERAGENT, "nestbox-courier/" NB_VERSION) == CURLE_OK;
}

/* What libcurl says with one code for several things is told apart by where the exchange was. */
static void judge(exchange *x, CURLcode code)
{
	static const struct {
		CURLcode code;
		fault f;
	} table[] = {
		{ CURLE_OPERATION_TIMEDOUT, FAULT_TIMEOUT },
		{ CURLE_GOT_NOTHING, FAULT_CUT },
		{ CURLE_PARTIAL_FILE, FAULT_CUT },
		{ CURLE_SEND_ERROR, FAULT_CUT },
		{ CURLE_FILESIZE_EXCEEDED, FAULT_TOO_LARGE },
		{ CURLE_OUT_OF_MEMORY, FAULT_TOO_LARGE },
		{ CURLE_COULDNT_CONNECT, FAULT_REFUSED },
		{ CURLE_ABORTED_BY_CALLBACK, FAULT_CUT },
	};
	reply *r = x->reply;
	bool in_headers = x->lines > 0 && !x->headers_done;
	if (in_headers && (code == CURLE_OUT_OF_MEMORY || (int)code == 100)) /* 100: CURLE_TOO_LARGE, libcurl 8.6 */
		fail(r, FAULT_HEADERS, "");
	if (in_headers && code == CURLE_OK)
		fail(r, FAULT_CUT, "");
	if (code == CURLE_RECV_ERROR)
		fail(r, nb_starts_with(x->error, "Recv failure") ? FAULT_CUT : FAULT_NOT_HTTP, "bad chunks");
	for (size_t i = 0; i < NB_COUNT(table); i++)
		if (table[i].code == code)
			fail(r, table[i].f, "");
	if (code != CURLE_OK)
		fail(r, FAULT_NOT_HTTP, curl_easy_strerror(code));
}

void http_ask(const agent *a, const request *q, uint64_t deadline, reply *r)
{
	exchange x = { .agent = a, .deadline = deadline, .reply = r };
	struct curl_slist *list = NULL;
	*r = (reply){ 0 };
	CURL *h = curl_easy_init();
	if (h == NULL || !set_transport(h, &x) || !set_hearing(h, &x) || !set_request(h, a, q, &list)) {
		fail(r, FAULT_TOO_LARGE, "");
	} else {
		judge(&x, curl_easy_perform(h));
		curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &r->status);
	}
	curl_easy_cleanup(h);
	curl_slist_free_all(list);
	if (r->fault == FAULT_NONE && r->body == NULL && (r->body = arena_strdup("")) == NULL)
		fail(r, FAULT_TOO_LARGE, "");
	if (r->fault != FAULT_NONE) {
		arena_free(r->body);
		r->body = NULL;
		r->length = 0;
	}
}
