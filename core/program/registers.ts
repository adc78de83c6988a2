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
const EPOLL_WAITS = new Set([232n, 281n, 441n])

/**
 * The registers with which a task that was frozen inside a system call goes on in user space, as arch_do_signal_or_restart() (arch/x86/kernel/signal.c)
 * would leave them, for a task that does not come back through the kernel's own way.
 *
 * @param signalPending a signal is going to be delivered first: calls that are not restarted after a handler return EINTR
 */
export function restartable(registers: BigUint64Array, signalPending: boolean): BigUint64Array {
  const number = BigInt.asIntN(64, get(registers, 'origRax'))
  const result = BigInt.asIntN(64, get(registers, 'rax'))
  if (number < 0n) return registers
  const again = (changes: Partial<Record<RegisterName, bigint>> = {}): BigUint64Array =>
    withRegisters(registers, { rax: number, rip: get(registers, 'rip') - SYSCALL_INSTRUCTION_BYTES, origRax: -1n, ...changes })
  const interrupted = (): BigUint64Array => withRegisters(registers, { rax: EINTR, origRax: -1n })
  switch (result) {
    case ERESTARTSYS:
    case ERESTARTNOINTR:
      return again()
    case ERESTARTNOHAND:
      return signalPending ? interrupted() : again()
    case ERESTART_RESTARTBLOCK:
      return signalPending ? interrupted() : (restartBlock(registers, number, again) ?? interrupted())
    case EINTR:
      // The kernel never restarts epoll_wait; without an end to wait for, starting it again is exact and the freeze stays unseen.
      return !signalPending && waitsForever(registers, number) ? again() : registers
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

function waitsForever(registers: BigUint64Array, number: bigint): boolean {
  if (!EPOLL_WAITS.has(number)) return false
  // epoll_pwait2 takes a pointer: null waits for ever.
  if (number === 441n) return get(registers, 'r10') === 0n
  return BigInt.asIntN(32, get(registers, 'r10')) < 0n
}
