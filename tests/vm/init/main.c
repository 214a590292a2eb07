/* SPDX-License-Identifier: Apache-2.0 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { QUIET = MS_NOSUID | MS_NODEV | MS_NOEXEC };

void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

void die(const guest *g, const char *fmt, ...)
{
	int why = errno;
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	dprintf(2, "test VM: %s: %s\n", text, strerror(why));
	if (g->status_fd >= 0)
		dprintf(g->status_fd, "fail %s: %s\n", text, strerror(why));
	power_off();
}

static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR);
	for (int i = 0; fd >= 0 && i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

static void read_orders(guest *g)
{
	g->conf = slurp("/conf", &g->conf_size);
	g->argv = slurp("/argv", &g->argv_size);
	g->env = slurp("/env", &g->env_size);
	if (!g->conf || !g->argv || !g->env)
		die(g, "conf, argv, env");
	g->stdin_fd = open("/stdin", O_RDONLY | O_CLOEXEC);
	g->debug = setting(g, "debug", 0) != NULL;
}

static void loopback_up(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = { .ifr_name = "lo" };
	lo.ifr_flags = IFF_UP | IFF_RUNNING;
	if (fd >= 0) {
		ioctl(fd, SIOCSIFFLAGS, &lo);
		close(fd);
	}
}

/* each sysctl setting is "path/below/proc/sys=value" */
static void set_sysctls(const guest *g)
{
	const char *row = NULL;
	for (unsigned i = 0; (row = setting(g, "sysctl", i)); i++) {
		char path[256];
		const char *value = strchr(row, '=');
		if (!value)
			die(g, "sysctl %s", row);
		snprintf(path, sizeof path, "/proc/sys/%.*s", (int)(value - row), row);
		if (put(path, value + 1))
			die(g, "sysctl %s", row);
	}
}

/* Whoever writes to /dev/power-cut has the machine's power cut at that instant. */
static void offer_power_cut(const guest *g)
{
	char path[PORT_PATH];
	port_path(g, "cut", path);
	if (symlink(path, "/dev/power-cut"))
		die(g, "/dev/power-cut");
}

int main(void)
{
	guest g = { .stdin_fd = -1, .status_fd = -1, .out_fd = -1, .err_fd = -1 };
	mkdir("/dev", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	open_console();
	mount_at(&g, "proc", "/proc", "proc", QUIET, NULL);
	mount_at(&g, "sysfs", "/sys", "sysfs", QUIET, NULL);
	read_orders(&g);
	load_modules(&g);
	g.status_fd = open_port(&g, "status");
	g.out_fd = open_port(&g, "out");
	g.err_fd = open_port(&g, "err");
	make_root(&g);
	mount_system(&g);
	share_writable(&g);
	offer_power_cut(&g);
	const char *layout = setting(&g, "cgroup", 0);
	mount_cgroups(&g, layout ? layout : "v2");
	sethostname("test-vm", 7);
	loopback_up();
	if (!g.debug)
		put("/proc/sys/kernel/printk", "1");
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 1048576, 1048576 });
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, RLIM_INFINITY });
	set_sysctls(&g);
	umask(022);
	dprintf(g.status_fd, "start\n");
	outcome o = run_command(&g);
	dprintf(g.status_fd, "exit %d %.3f\n", o.code, o.seconds);
	power_off();
}
