/* The kernel enters here with argc at the stack pointer, and argv, envp and the auxiliary vector above it. */
	.section .text, "ax"
	.globl _start
_start:
	xor	%ebp, %ebp
	mov	%rsp, %rdi
	and	$-16, %rsp
	call	thaw_main
	ud2

	.section .note.GNU-stack, "", @progbits
