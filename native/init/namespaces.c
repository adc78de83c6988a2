#include "namespaces.h"

#include <linux/mount.h>

#include "report.h"

#define AF_INET 2
#define SOCK_DGRAM 2
#define SOCK_CLOEXEC 02000000
#define SIOCSIFFLAGS 0x8914 /* linux/sockios.h */
#define IFF_UP 1

/* struct ifreq as far as flags are concerned; linux/if.h wants libc's headers. */
struct interface_flags {
	char name[16];
	int16_t flags;
	char rest[22];
};

/* Where the machine has no such folder, nobody has shared memory by name. */
static long mount_shm(void)
{
	long result = sys(__NR_mount, "shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");

	return result == -ENOENT ? 0 : result;
}

int set_up_mounts(int own_shm, struct thaw_report *report)
{
	return done(report, "mount --make-rprivate", sys(__NR_mount, 0, "/", 0, MS_REC | MS_PRIVATE, 0)) &&
	       done(report, "mount(/proc)", sys(__NR_mount, "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0)) &&
	       (!own_shm || done(report, "mount(/dev/shm)", mount_shm()));
}

int set_up_loopback(struct thaw_report *report)
{
	struct interface_flags request = {.name = "lo", .flags = IFF_UP};
	long socket = sys(__NR_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (!done(report, "socket", socket))
		return 0;
	long result = sys(__NR_ioctl, socket, SIOCSIFFLAGS, &request);
	sys(__NR_close, socket);
	return done(report, "ioctl(SIOCSIFFLAGS)", result);
}
