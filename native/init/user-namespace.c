#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>

#include "namespaces.h"
#include "report.h"

static long write_file(const char *path, const char *text)
{
	long file = sys(__NR_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
	if (is_error(file))
		return file;
	long result = sys(__NR_write, file, text, strlen(text));
	sys(__NR_close, file);
	return result;
}

/* "ID ID 1": the one line that needs no privilege in the parent namespace (user_namespaces(7)). */
static long write_map(const char *path, unsigned long id)
{
	char line[48];
	char *at = append_number(line, id);
	at = append_text(at, " ");
	at = append_number(at, id);
	append_text(at, " 1");
	return write_file(path, line);
}

struct capabilities {
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};

static long read_capabilities(struct capabilities *own)
{
	own->header.version = _LINUX_CAPABILITY_VERSION_3;
	own->header.pid = 0;
	return sys(__NR_capget, &own->header, own->data);
}

static int raise_ambient_capabilities(struct thaw_report *report)
{
	struct capabilities own;

	if (!done(report, "capget", read_capabilities(&own)))
		return 0;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		own.data[i].inheritable = own.data[i].permitted;
	if (!done(report, "capset", sys(__NR_capset, &own.header, own.data)))
		return 0;
	for (int capability = 0; capability < 64; capability++) {
		if (!(own.data[capability / 32].permitted & (1u << capability % 32)))
			continue;
		long result = sys(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability);
		if (!done(report, "prctl(PR_CAP_AMBIENT)", result))
			return 0;
	}
	return 1;
}

int enter_user_namespace(struct thaw_report *report)
{
	unsigned long uid = (unsigned long)sys(__NR_geteuid), gid = (unsigned long)sys(__NR_getegid);

	return done(report, "unshare(NEWUSER)", sys(__NR_unshare, CLONE_NEWUSER)) &&
	       done(report, "write(setgroups)", write_file("/proc/self/setgroups", "deny")) &&
	       done(report, "write(uid_map)", write_map("/proc/self/uid_map", uid)) &&
	       done(report, "write(gid_map)", write_map("/proc/self/gid_map", gid)) && raise_ambient_capabilities(report);
}

void drop_ambient_capabilities(void)
{
	struct capabilities own;

	if (sys(__NR_geteuid) == 0)
		return;
	sys(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
	if (is_error(read_capabilities(&own)))
		return;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		own.data[i].inheritable = 0;
	sys(__NR_capset, &own.header, own.data);
}
