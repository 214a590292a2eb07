/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first process of a test VM: static, in the initramfs beside the modules that it loads. It makes a writable root
 * over the host's / (9p, read-only), runs one command there, carries its output and status to the host over
 * virtio-serial ports, and powers the machine off. Real root throughout; the machine is thrown away, so nothing is
 * undone and any failure ends it.
 *
 * Files beside it in the initramfs, written by the runner:
 *   /conf     KEY=VALUE texts, each ended by a NUL: cgroup, cwd, debug, modules, sysctl (repeated), rw (repeated)
 *   /argv     the command, each argument ended by a NUL
 *   /env      its environment, likewise
 *   /stdin    its standard input, if any
 *   /modules  kernel modules in loading order, a name a line, found in /mod
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct guest {
	char *conf;
	size_t conf_size;
	char *argv, *env;
	size_t argv_size, env_size;
	bool debug;
	int stdin_fd; /* -1: none was sent */
	int status_fd, out_fd, err_fd; /* to the host: one line of status, and the command's output byte for byte */
} guest;

typedef struct outcome {
	int code; /* as a shell says it: 128 + the number of the signal that killed it */
	double seconds;
} outcome;

/* Says what failed, with errno's text, on the console and to the host; powers off. */
__attribute__((noreturn, format(printf, 2, 3))) void die(const guest *g, const char *fmt, ...);
__attribute__((noreturn)) void power_off(void);

/* Whole file in allocated memory with a NUL after it, or NULL. */
char *slurp(const char *path, size_t *ret_size);
/* One write(2); 0 or -1. */
int put(const char *path, const char *text);
/* The number'th value of key in conf, or NULL. */
const char *setting(const guest *g, const char *key, unsigned number);
/* Texts each ended by a NUL as a vector ended by NULL. */
char **vector(char *texts, size_t size);

void mount_at(const guest *g, const char *source, const char *target, const char *type, unsigned long flags,
	      const char *data);
void load_modules(const guest *g);
enum { PORT_PATH = 300 };
/* Waits until the kernel has found the virtio-serial port called name. */
void port_path(const guest *g, const char *name, char path[static PORT_PATH]);
int open_port(const guest *g, const char *name);
void make_root(const guest *g);
void mount_system(const guest *g);
/* The directories that the host shares read-write, at their own paths. After mount_system, which covers /tmp. */
void share_writable(const guest *g);
/* cgroups as the setting says: v2, v1 (controllers joined as systemd does), hybrid, none. */
void mount_cgroups(const guest *g, const char *layout);
outcome run_command(const guest *g);
