/** struct user_regs_struct by name, and what the kernel does to it when an interrupted system call goes on. */

/** Indexes into the 27 words (sys/user.h). */
export const reg = {
  r15: 0,
  r14: 1,
  r13: 2,
  r12: 3,
  rbp: 4,
  rbx: 5,
  r11: 6,
  r10: 7,
  r9: 8,
  r8: 9,
  rax: 10,
  rcx: 11,
  rdx: 12,
  rsi: 13,
  rdi: 14,
  origRax: 15,
  rip: 16,
  cs: 17,
  eflags: 18,
  rsp: 19,
  ss: 20,
  fsBase: 21,
  gsBase: 22,
  ds: 23,
  es: 24,
  fs: 25,
  gs: 26,
} as const

export type RegisterName = keyof typeof reg

export function get(registers: BigUint64Array, name: RegisterName): bigint {
  return registers[reg[name]] ?? 0n
}

export function withRegisters(registers: BigUint64Array, changes: Partial<Record<RegisterName, bigint | number>>): BigUint64Array {
  const changed = registers.slice()
  for (const [name, value] of Object.entries(changes)) changed[reg[name as RegisterName]] = BigInt.asUintN(64, BigInt(value))
  return changed
}

const EINTR = -4n
const ERESTARTSYS = -512n
const ERESTARTNOINTR = -513n
const ERESTARTNOHAND = -514n
const ERESTART_RESTARTBLOCK = -516n
const SYSCALL_INSTRUCTION_BYTES = 2n

/** Calls that take a relative time in rdi and have written what is left of it to where rsi (or r10) points: they go on with that. */
const NANOSLEEP = 35n
const CLOCK_NANOSLEEP = 230n
const TIMER_ABSTIME = 1n
const POLL = 7n
const FUTEX = 202n
const FUTEX_WAIT_BITSET = 9n
const FUTEX_COMMAND_MASK = 0x7fn
/** read, write, readv, writev, accept, sendto, recvfrom, sendmsg, recvmsg, accept4, recvmmsg, sendmmsg: of a socket with a time limit. */
const SOCKET_CALLS = new Set([0n, 1n, 19n, 20n, 43n, 44n, 45n, 46n, 47n, 288n, 299n, 307n])
const SEMOP = 65n
/** Calls whose limit stands in memory, none for a null pointer: epoll_pwait2, rt_sigtimedwait, semtimedop. */
const LIMIT_POINTER: ReadonlyMap<bigint, RegisterName> = new Map([
  [441n, 'r10'],
  [128n, 'rdx'],
  [220n, 'r10'],
])
const EPOLL_WAITS = new Set([232n, 281n])

/** What a pending signal does to the call that was interrupted: no handler runs; one with SA_RESTART runs; one without. */
export type Handling = 'none' | 'restarts' | 'interrupts'

/**
 * The registers with which a task that was frozen inside a system call goes on in user space, as arch_do_signal_or_restart() and handle_signal()
 * (arch/x86/kernel/signal.c) would leave them, for a task that does not come back through the kernel's own way.
 *
 * @param limited what is left of the call's time limit is known, and is put into the registers before they are used
 */
export function restartable(registers: BigUint64Array, handling: Handling, limited = false): BigUint64Array {
  const number = BigInt.asIntN(64, get(registers, 'origRax'))
  const result = BigInt.asIntN(64, get(registers, 'rax'))
  if (number < 0n) return registers
  const again = (changes: Partial<Record<RegisterName, bigint>> = {}): BigUint64Array =>
    withRegisters(registers, { rax: number, rip: get(registers, 'rip') - SYSCALL_INSTRUCTION_BYTES, origRax: -1n, ...changes })
  const interrupted = (): BigUint64Array => withRegisters(registers, { rax: EINTR, origRax: -1n })
  switch (result) {
    case ERESTARTNOINTR:
      return again()
    case ERESTARTSYS:
      return handling === 'interrupts' ? interrupted() : again()
    case ERESTARTNOHAND:
      return handling === 'none' ? again() : interrupted()
    case ERESTART_RESTARTBLOCK:
      if (handling !== 'none') return interrupted()
      return limited ? again() : (restartBlock(registers, number, again) ?? interrupted())
    case EINTR:
      // The kernel never restarts these (signal(7)); started again as they were, they do not see the freeze.
      return handling === 'none' && (limited || unchangedByFreeze(registers, number)) ? again() : registers
    default:
      return registers
  }
}

/**
 * The restart block itself cannot be read; what the call's own arguments tell is enough for sleeps, absolute futex waits and a poll without
 * an end.
 */
function restartBlock(
  registers: BigUint64Array,
  number: bigint,
  again: (changes?: Partial<Record<RegisterName, bigint>>) => BigUint64Array,
): BigUint64Array | undefined {
  if (number === NANOSLEEP && get(registers, 'rsi') !== 0n) return again({ rdi: get(registers, 'rsi') })
  if (number === CLOCK_NANOSLEEP) {
    if ((get(registers, 'rsi') & TIMER_ABSTIME) !== 0n) return again()
    if (get(registers, 'r10') !== 0n) return again({ rdx: get(registers, 'r10') })
  }
  if (number === POLL && BigInt.asIntN(32, get(registers, 'rdx')) < 0n) return again()
  if (number === FUTEX && (get(registers, 'rsi') & FUTEX_COMMAND_MASK) === FUTEX_WAIT_BITSET) return again()
  return undefined
}

/**
 * The same for a task that does come back through the kernel's own way: a call that the kernel would end with EINTR, though nothing but the freeze has
 * come between, is one that it starts again unless a handler runs.
 */
export function restartedByKernel(registers: BigUint64Array, limited: boolean): BigUint64Array {
  const number = BigInt.asIntN(64, get(registers, 'origRax'))
  if (number < 0n || BigInt.asIntN(64, get(registers, 'rax')) !== EINTR) return registers
  return limited || unchangedByFreeze(registers, number) ? withRegisters(registers, { rax: ERESTARTNOHAND }) : registers
}

/** Without a limit; or a socket's own (SO_RCVTIMEO, SO_SNDTIMEO), which begins anew: later than it would have been, but no error. */
function unchangedByFreeze(registers: BigUint64Array, number: bigint): boolean {
  if (SOCKET_CALLS.has(number) || number === SEMOP) return true
  if (EPOLL_WAITS.has(number)) return BigInt.asIntN(32, get(registers, 'r10')) < 0n
  const limit = LIMIT_POINTER.get(number)
  return limit !== undefined && get(registers, limit) === 0n
}
