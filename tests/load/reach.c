/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reach: what a payload tries on the processes outside its box.
 *   reach listen NAME       an abstract unix socket: "listening", then answers whoever connects, until killed
 *   reach connect NAME      connects to it: "connected" or "refused: WHY"
 *   reach signal PID        kill(PID, 0): "reached" or "refused: WHY"
 */
#include "load.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static socklen_t abstract(struct sockaddr_un *a, const char *name)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(a->sun_path + 1, sizeof a->sun_path - 1, "%s", name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(a->sun_path + 1));
}

static int refused(void)
{
	load_say("refused: %s\n", strerror(errno));
	return 1;
}

static int listen_on(const char *name)
{
	struct sockaddr_un a;
	socklen_t size = abstract(&a, name);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, size) || listen(fd, 8))
		return refused();
	load_say("listening\n");
	for (;;)
		close(accept(fd, NULL, NULL));
}

static int connect_to(const char *name)
{
	struct sockaddr_un a;
	socklen_t size = abstract(&a, name);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&a, size))
		return refused();
	load_say("connected\n");
	return 0;
}

static int signal_to(int argc, char **argv)
{
	if (kill((pid_t)load_number(argc, argv, 2, "signal PID"), 0))
		return refused();
	load_say("reached\n");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "listen"))
		return listen_on(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "connect"))
		return connect_to(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "signal"))
		return signal_to(argc, argv);
	dprintf(2, "usage: %s listen NAME | connect NAME | signal PID\n", argv[0]);
	return 2;
}
