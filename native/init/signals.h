/* Signal masks and actions, in the kernel's own layout. */
#ifndef THAW_INIT_SIGNALS_H
#define THAW_INIT_SIGNALS_H

void block_all_signals(void);
void unblock_all_signals(void);
/* Every action to its default, which an ignored signal does not get from execve. */
void reset_signal_actions(void);
/* From now on children of ours are never zombies: the kernel reaps them. */
void let_children_go(void);
/* From now on they are: what is ignored stays ignored over fork. */
void keep_dead_children(void);

#endif
