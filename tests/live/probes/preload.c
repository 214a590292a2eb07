/* SPDX-License-Identifier: Apache-2.0 */
/* What a job's LD_PRELOAD or LD_AUDIT would bring: code that runs wherever it is loaded, and leaves a mark there. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

unsigned la_version(unsigned version);

/* What makes it an LD_AUDIT module. */
unsigned la_version(unsigned version)
{
	return version;
}

__attribute__((constructor)) static void leave_mark(void)
{
	const char *path = getenv("NESTBOX_ATTACK_MARK");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666) : -1;
	if (fd >= 0)
		close(fd);
}
