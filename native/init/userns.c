/* userns COMMAND…: what thaw itself runs under when its user is nobody special. */
#include "modes.h"
#include "namespaces.h"
#include "report.h"

void user_namespace_mode(const struct invocation *self)
{
	struct thaw_report trouble = {0};
	char **command = self->argv + 2;

	if (!*command) {
		complain("userns: no command", 0);
		exit_now(2);
	}
	if (enter_user_namespace(&trouble))
		done(&trouble, "execve", sys(__NR_execve, *command, command, self->envp));
	complain(trouble.step, trouble.value);
	exit_now(3);
}
