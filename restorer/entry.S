/*
 * Offset 0 of the flat binary. Called with the bundle in rdi, the program's index in rsi, and a stack of the bundle's in rsp.
 */
	.section .text.entry, "ax"
	.globl thaw_entry
	.hidden thaw_run
thaw_entry:
	xor	%ebp, %ebp
	and	$-16, %rsp
	call	thaw_run
	ud2
	.section .note.GNU-stack, "", @progbits
