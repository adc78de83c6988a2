/*
 * thaw-init: the processes of ours that stand between the engine and the fixtures. Freestanding, so that it is small to fork, and that
 * the kernel knows of no rseq area, robust list or signal handler in it.
 *
 *   thaw-init host                       makes sandboxes for the engine; each gets an init that is a fork of this process
 *   thaw-init supervise [--] COMMAND…    runs the engine in a pid namespace that dies with its lifeline
 *   thaw-init userns COMMAND…            runs COMMAND in a user namespace of its own
 *   thaw-init template BASE SIZE CODE    becomes a template
 *   thaw-init remover COUNT              removes what a restore leaves that comes to nothing
 */
#include "modes.h"

static const uint64_t *behind(char **strings)
{
	while (*strings)
		strings++;
	return (const uint64_t *)(strings + 1);
}

__attribute__((noreturn, used)) void thaw_main(uint64_t *stack)
{
	struct invocation self = {.argc = (int)stack[0], .argv = (char **)(stack + 1)};
	self.envp = self.argv + self.argc + 1;
	self.auxv = behind(self.envp);

	const char *mode = self.argc > 1 ? self.argv[1] : "";
	if (same_text(mode, "host"))
		host_mode(&self);
	if (same_text(mode, "supervise"))
		supervise_mode(&self);
	if (same_text(mode, "userns"))
		user_namespace_mode(&self);
	if (same_text(mode, "template"))
		template_mode(&self);
	if (same_text(mode, "remover"))
		remover_mode(&self);
	complain("usage: thaw-init host | supervise COMMAND… | userns COMMAND… | template BASE SIZE CODE_SIZE | remover COUNT", 0);
	exit_now(2);
}
