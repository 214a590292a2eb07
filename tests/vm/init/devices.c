/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules, and the virtio-serial ports to the host. */
#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

void load_modules(const guest *g)
{
	char *rest = NULL, *list = slurp("/modules", NULL);
	if (!list)
		die(g, "/modules");
	for (char *name = strtok_r(list, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
		char path[256];
		snprintf(path, sizeof path, "/mod/%s", name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			die(g, "module %s", name);
		close(fd);
	}
	free(list);
}

/* The device of the port called name, when the kernel has found it already. */
static bool find_port(const char *name, char path[static PORT_PATH])
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	bool found = false;
	for (struct dirent *entry = NULL; dir && !found && (entry = readdir(dir));) {
		char file[PORT_PATH + 32];
		snprintf(file, sizeof file, "/sys/class/virtio-ports/%s/name", entry->d_name);
		char *text = slurp(file, NULL);
		if (text) {
			text[strcspn(text, "\n")] = '\0';
			found = !strcmp(text, name);
			snprintf(path, PORT_PATH, "/dev/%s", entry->d_name);
		}
		free(text);
	}
	if (dir)
		closedir(dir);
	return found;
}

void port_path(const guest *g, const char *name, char path[static PORT_PATH])
{
	for (int tries = 0; !find_port(name, path); tries++) {
		if (tries == 200)
			die(g, "virtio-serial port %s", name);
		usleep(5000);
	}
}

int open_port(const guest *g, const char *name)
{
	char path[PORT_PATH];
	port_path(g, name, path);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(g, "virtio-serial port %s", name);
	return fd;
}
