/* SPDX-License-Identifier: Apache-2.0 */
/* A pseudo terminal of the box's own devpts (pts(4), ioctl_tty(2)): the slave is the payload's controlling terminal,
 * the master goes to whoever relays. Nothing is opened by a name that the payload could have made: /dev is the box's
 * own and sealed, and the slave comes from the master. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

int nb_terminal_open(const nb_shape *shape, int *ret_master, int *ret_slave, nb_error *e)
{
	struct statfs fs;
	int locked = 0;
	NB_OWN_FD int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || fstatfs(master, &fs) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make a pseudo terminal in the box");
	if (fs.f_type != DEVPTS_SUPER_MAGIC)
		return nb_fail(e, NB_BUG, 0, "/dev/pts of the box is not its own");
	if (ioctl(master, TIOCSPTLCK, &locked) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot unlock the pseudo terminal");
	NB_OWN_FD int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return nb_fail(e, NB_HOST, errno, "cannot open the pseudo terminal");
	/* As the caller's terminal is; a box works without that too. */
	if (shape->known) {
		tcsetattr(slave, TCSANOW, &shape->modes);
		ioctl(slave, TIOCSWINSZ, &shape->size);
	}
	*ret_master = nb_take_fd(&master);
	*ret_slave = nb_take_fd(&slave);
	return 0;
}

int nb_do_terminal(nb_made *m, const nb_row *row, nb_error *e)
{
	nb_box *b = m->box;
	int slave;
	(void)row;
	if (nb_terminal_open(&b->shape, &b->master, &slave, e) != 0)
		return -1;
	b->stdio[0] = b->stdio[1] = b->stdio[2] = slave;
	b->has_terminal = true;
	return 0;
}
