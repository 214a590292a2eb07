/* SPDX-License-Identifier: Apache-2.0 */
/* The starter's Chirp proxy (HTCondor chirp_protocol.h, io_proxy_handler.cpp): lines of words over loopback TCP. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "condor.h"

/* The next word of *at, which moves on behind it. False when there is none or it does not fit. */
static bool next_word(const char **at, char *out, size_t size)
{
	const char *from = *at + strspn(*at, " ");
	size_t n = strcspn(from, " \r\n");
	if (n == 0 || n >= size)
		return false;
	memcpy(out, from, n);
	out[n] = '\0';
	*at = from + n;
	return true;
}

bool nb_chirp_parse(const char *text, nb_chirp *ret_c)
{
	nb_chirp c = { 0 };
	char host[32], port[8];
	struct in_addr address;
	uint64_t number;
	nb_error ignored;
	if (!next_word(&text, host, sizeof(host)) || !next_word(&text, port, sizeof(port)) ||
	    !next_word(&text, c.cookie, sizeof(c.cookie)))
		return false;
	if (inet_pton(AF_INET, host, &address) != 1 || ntohl(address.s_addr) >> 24 != 127 ||
	    nb_parse_u64(port, 65535, &number, &ignored) != 0 || number == 0)
		return false;
	for (const char *p = c.cookie; *p != '\0'; p++)
		if (*p < '!' || *p > '~' || *p == '\\')
			return false;
	c.address = address.s_addr;
	c.port = (uint16_t)number;
	*ret_c = c;
	return true;
}

bool nb_chirp_read(const char *path, nb_chirp *ret_c)
{
	char text[256];
	struct stat st;
	NB_OWN_FD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || nb_read_fd(fd, text, sizeof(text)) <= 0)
		return false;
	return nb_chirp_parse(text, ret_c);
}

/* Wait for `events` until the deadline. */
static bool ready(int fd, short events, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t now = nb_now_boottime_ns();
		struct pollfd p = { .fd = fd, .events = events };
		if (now >= deadline_ns)
			return false;
		int n = poll(&p, 1, (int)((deadline_ns - now) / 1000000u) + 1);
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

static int dial(const nb_chirp *c, uint64_t deadline_ns)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(c->port), .sin_addr.s_addr = c->address };
	int err = 0;
	socklen_t size = sizeof(err);
	NB_OWN_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0 &&
	    (errno != EINPROGRESS || !ready(fd, POLLOUT, deadline_ns) ||
	     getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) != 0 || err != 0))
		return -1;
	return nb_take_fd(&fd);
}

/* Lines that are "0": the only word for success (1 means that the name is not allowed). -1: none came in time. */
static int count_replies(int fd, int wanted, uint64_t deadline_ns)
{
	char line[16];
	size_t used = 0;
	int lines = 0, good = 0;
	while (lines < wanted) {
		char byte;
		if (!ready(fd, POLLIN, deadline_ns) || read(fd, &byte, 1) != 1)
			break;
		if (byte != '\n') {
			line[used] = byte;
			used += used < sizeof(line) - 1;
			continue;
		}
		line[used] = '\0';
		used = 0;
		lines++;
		good += nb_streq(line, "0");
	}
	return good;
}

int nb_chirp_tell(const nb_chirp *c, const nb_chirp_attribute *attributes, size_t count, uint64_t within_ns)
{
	uint64_t deadline = nb_now_boottime_ns() + within_ns;
	char memory[2048];
	nb_text t = nb_text_over(memory, sizeof(memory));
	nb_text_addf(&t, "cookie %s\n", c->cookie);
	for (size_t i = 0; i < count; i++) {
		nb_text_addf(&t, "set_job_attr_delayed %s ", attributes[i].name);
		for (const char *p = attributes[i].expression; *p != '\0'; p++) {
			if (*p == ' ' || *p == '\\')
				nb_text_add(&t, "\\");
			nb_text_add_bytes(&t, *p >= ' ' && *p <= '~' ? p : "?", 1);
		}
		nb_text_add(&t, "\n");
	}
	NB_OWN_FD int fd = t.full ? -1 : dial(c, deadline);
	if (fd < 0 || !ready(fd, POLLOUT, deadline) || send(fd, t.at, t.used, MSG_NOSIGNAL) != (ssize_t)t.used)
		return -1;
	int good = count_replies(fd, (int)count + 1, deadline);
	return good > 0 ? good - 1 : -1;
}
