import { expect, test } from 'vitest'
import { native, type UnexpectedStopError } from '../../dist/native/index.js'
import { PTRACE_EVENT_STOP, refusal, Target } from './harness.ts'

const RAX = 10
const ORIG_RAX = 15
const RIP = 16
const ALL_SIGNALS = 2n ** 64n - 1n
const SIGTRAP = 5
const SIGUSR1 = 10
const SIGCONT = 18
const SIGSTOP = 19
const SIGRTMIN = 34

/** Registers for a call at the `syscall` instruction that the task stands behind. */
function callRegisters(registers: BigUint64Array, name: string): BigUint64Array {
  const call = registers.slice()
  call[RAX] = BigInt(native.syscalls[name] ?? -1)
  call[ORIG_RAX] = ALL_SIGNALS // no call that the kernel might restart
  call[RIP] = (registers[RIP] ?? 0n) - 2n
  return call
}

test('seize, interrupt, detach: the target does not notice', () => {
  using target = new Target()
  native.seize(target.pid)
  expect(target.state).toBe('S')
  expect(native.wait(target.pid, true)).toBeNull()
  native.interrupt(target.pid)
  expect(native.wait(target.pid)).toEqual({ kind: 'stopped', signal: SIGTRAP, event: PTRACE_EVENT_STOP })
  expect(target.state).toBe('t')
  native.detach(target.pid)
  expect(target.finish()).toEqual({ kind: 'exited', code: 0 })
})

test('resume lets it run on as a tracee', () => {
  using target = new Target()
  target.freeze()
  native.resume(target.pid)
  native.kill(target.pid, SIGUSR1)
  expect(native.wait(target.pid)).toEqual({ kind: 'stopped', signal: SIGUSR1, event: 0 })
  native.resume(target.pid, 0)
  native.interrupt(target.pid)
  native.wait(target.pid)
  native.detach(target.pid)
  expect(target.finish()).toEqual({ kind: 'exited', code: 0 })
})

test('listen keeps a group stop until SIGCONT', () => {
  using target = new Target()
  native.seize(target.pid)
  native.kill(target.pid, SIGSTOP)
  expect(native.wait(target.pid)).toEqual({ kind: 'stopped', signal: SIGSTOP, event: 0 })
  native.resume(target.pid, SIGSTOP)
  expect(native.wait(target.pid)).toEqual({ kind: 'stopped', signal: SIGSTOP, event: PTRACE_EVENT_STOP })
  native.listen(target.pid)
  expect(native.wait(target.pid, true)).toBeNull()
  native.kill(target.pid, SIGCONT)
  expect(native.wait(target.pid)).toEqual({ kind: 'stopped', signal: SIGTRAP, event: PTRACE_EVENT_STOP })
  native.detach(target.pid)
  native.kill(target.pid, SIGCONT)
  expect(target.finish()).toEqual({ kind: 'exited', code: 0 })
})

test('registers go both ways', () => {
  using target = new Target()
  target.freeze()
  const before = native.getRegisters(target.pid)
  expect(before).toHaveLength(27)
  expect(before[ORIG_RAX]).toBe(0n) // read
  const changed = before.slice()
  changed[0] = 0x1234n
  native.setRegisters(target.pid, changed)
  expect(native.getRegisters(target.pid)).toEqual(changed)
  native.setRegisters(target.pid, before)
  native.detach(target.pid)
  expect(target.finish()).toEqual({ kind: 'exited', code: 0 })
})

test('extended state goes both ways, whole', () => {
  using target = new Target()
  target.freeze()
  const before = native.getExtendedState(target.pid)
  expect(before.length).toBeGreaterThanOrEqual(512 + 64)
  const changed = before.slice()
  changed[512] = (changed[512] ?? 0) | 2 // XSTATE_BV: SSE is there
  changed.fill(0xa5, 160, 176) // xmm0
  native.setExtendedState(target.pid, changed)
  expect(native.getExtendedState(target.pid).subarray(160, 176)).toEqual(changed.subarray(160, 176))
  native.setExtendedState(target.pid, before)
  expect(refusal(() => native.setExtendedState(target.pid, before.subarray(0, 100)))).toMatchObject({
    syscall: 'ptrace(PTRACE_SETREGSET)',
    pid: target.pid,
  })
  native.detach(target.pid)
  expect(target.finish()).toEqual({ kind: 'exited', code: 0 })
})

test('signal mask, siginfo of the stop, queued signals', () => {
  using target = new Target()
  target.freeze()
  const mask = native.getSignalMask(target.pid)
  expect(mask).toBe(0n)
  native.setSignalMask(target.pid, 1n << BigInt(SIGUSR1 - 1))
  expect(native.getSignalMask(target.pid)).toBe(1n << BigInt(SIGUSR1 - 1))
  expect(native.getSignalInfo(target.pid)).toHaveLength(128)

  expect(native.peekSignals(target.pid, 'process')).toEqual([])
  native.kill(target.pid, SIGUSR1)
  for (let i = 0; i < 70; i++) native.kill(target.pid, SIGRTMIN + (i % 7))
  const queued = native.peekSignals(target.pid, 'process')
  expect(queued).toHaveLength(71)
  expect(queued.slice(0, 3).map((info) => Buffer.from(info).readInt32LE(0))).toEqual([SIGUSR1, SIGRTMIN, SIGRTMIN + 1])
  expect(Buffer.from(queued[0] ?? []).readInt32LE(16)).toBe(process.pid)
  expect(native.peekSignals(target.pid, 'thread')).toEqual([])
})

test('a seized task tells its group stop in siginfo', () => {
  using target = new Target()
  native.seize(target.pid)
  native.kill(target.pid, SIGSTOP)
  native.wait(target.pid)
  native.resume(target.pid, SIGSTOP)
  native.wait(target.pid)
  const info = Buffer.from(native.getSignalInfo(target.pid) ?? [])
  expect(info.readInt32LE(8)).toBe(SIGSTOP | (PTRACE_EVENT_STOP << 8)) // si_code
})

test('rseq as libc has registered it', () => {
  using target = new Target()
  target.freeze()
  const rseq = native.getRseq(target.pid)
  // glibc registers since 2.35, with this signature on x86.
  if (rseq.pointer === 0n) expect(rseq).toEqual({ pointer: 0n, sizeBytes: 0, signature: 0, flags: 0 })
  else expect(rseq).toMatchObject({ signature: 0x53053053, flags: 0 })
})

test('callRemote makes calls in the target and leaves nothing', () => {
  using target = new Target()
  target.freeze()
  const registers = native.getRegisters(target.pid)
  expect(native.callRemote(target.pid, callRegisters(registers, 'getpid'))).toBe(BigInt(target.pid))
  expect(native.callRemote(target.pid, callRegisters(registers, 'getppid'))).toBe(BigInt(process.pid))
  expect(native.callRemote(target.pid, callRegisters(registers, 'mseal'))).toBeLessThan(0n)
  native.setRegisters(target.pid, registers)
  native.detach(target.pid)
  expect(target.finish()).toEqual({ kind: 'exited', code: 0 })
})

test('a SIGSTOP during remote calls takes effect when the target is let go, and SIGCONT ends it', () => {
  using target = new Target()
  target.freeze()
  const registers = native.getRegisters(target.pid)
  native.kill(target.pid, SIGSTOP)
  for (let i = 0; i < 2; i++) expect(native.callRemote(target.pid, callRegisters(registers, 'getpid'))).toBe(BigInt(target.pid))
  native.setRegisters(target.pid, registers)
  native.detach(target.pid)
  target.waitForState('T')
  native.kill(target.pid, SIGCONT)
  expect(target.finish()).toEqual({ kind: 'exited', code: 0 })
})

test('callRemote says which other stop it met', () => {
  using target = new Target()
  target.freeze()
  native.kill(target.pid, SIGUSR1)
  const registers = callRegisters(native.getRegisters(target.pid), 'getpid')
  const error = refusal(() => native.callRemote(target.pid, registers)) as unknown as UnexpectedStopError
  expect(error).toMatchObject({
    code: 'ERR_UNEXPECTED_STOP',
    pid: target.pid,
    status: { kind: 'stopped', signal: SIGUSR1, event: 0 },
  })
  expect(error.message).toContain('stopped by SIGUSR1')
})

test('runUntilSyscall skips the call, stands in its exit stop and counts those before it', () => {
  using target = new Target()
  target.freeze()
  target.endInput()
  expect(native.runUntilSyscall(target.pid, native.syscalls['exit_group'] ?? -1)).toBeGreaterThan(0)
  expect(target.state).toBe('t')
  const registers = native.getRegisters(target.pid)
  expect(registers[ORIG_RAX]).toBe(ALL_SIGNALS)
  expect(BigInt.asIntN(64, registers[RAX] ?? 0n)).toBe(-38n) // ENOSYS
})

test('runUntilSignal passes over calls, and leaves the task before the signal, which it never hears of', () => {
  using target = new Target()
  target.freeze()
  native.kill(target.pid, SIGUSR1)
  native.runUntilSignal(target.pid, SIGUSR1)
  expect(target.state).toBe('t')
  native.resume(target.pid)
  expect(target.finish()).toEqual({ kind: 'exited', code: 0 })
})

test('runUntilSignal says what came instead', () => {
  using target = new Target()
  target.freeze()
  native.kill(target.pid, SIGUSR1)
  expect(refusal(() => native.runUntilSignal(target.pid, SIGCONT))).toMatchObject({
    code: 'ERR_UNEXPECTED_STOP',
    pid: target.pid,
    status: { kind: 'stopped', signal: SIGUSR1, event: 0 },
  })
})

test('step performs one instruction', () => {
  using target = new Target()
  target.freeze()
  target.endInput()
  // Behind a system call that libc has to look at the result of.
  native.runUntilSyscall(target.pid, native.syscalls['close'] ?? -1)
  const before = native.getRegisters(target.pid)[RIP] ?? 0n
  native.step(target.pid)
  const bytes = (native.getRegisters(target.pid)[RIP] ?? 0n) - before
  expect(bytes).toBeGreaterThan(0n)
  expect(bytes).toBeLessThan(16n)
  native.detach(target.pid)
})

test('runUntilSyscall says that the task is gone', () => {
  using target = new Target()
  target.freeze()
  target.endInput()
  expect(refusal(() => native.runUntilSyscall(target.pid, 0x7468))).toMatchObject({
    code: 'ERR_UNEXPECTED_STOP',
    status: { kind: 'exited', code: 0 },
  })
})

test('errors name request, task and reason', () => {
  using target = new Target()
  const absent = 0x3fffff
  expect(refusal(() => native.seize(absent))).toMatchObject({
    message: `ptrace(PTRACE_SEIZE) of ${absent}: ESRCH, No such process`,
    code: 'ESRCH',
    errno: 3,
    syscall: 'ptrace(PTRACE_SEIZE)',
    pid: absent,
  })
  expect(refusal(() => native.seize(2))).toMatchObject({ code: 'EPERM', pid: 2 }) // a kernel thread
  expect(refusal(() => native.wait(absent))).toMatchObject({ code: 'ECHILD', syscall: 'waitpid', pid: absent })
  const requests: Record<string, (pid: number) => unknown> = {
    INTERRUPT: (pid) => native.interrupt(pid),
    CONT: (pid) => native.resume(pid),
    LISTEN: (pid) => native.listen(pid),
    DETACH: (pid) => native.detach(pid),
    GETREGS: (pid) => native.getRegisters(pid),
    SETREGS: (pid) => native.setRegisters(pid, new BigUint64Array(27)),
    GETREGSET: (pid) => native.getExtendedState(pid),
    GETSIGMASK: (pid) => native.getSignalMask(pid),
    SETSIGMASK: (pid) => native.setSignalMask(pid, 0n),
    GETSIGINFO: (pid) => native.getSignalInfo(pid),
    PEEKSIGINFO: (pid) => native.peekSignals(pid, 'thread'),
    GET_RSEQ_CONFIGURATION: (pid) => native.getRseq(pid),
    SYSCALL: (pid) => native.runUntilSyscall(pid, 0),
    SINGLESTEP: (pid) => native.step(pid),
  }
  for (const [name, call] of Object.entries(requests)) {
    expect(refusal(() => call(target.pid))).toMatchObject({ code: 'ESRCH', syscall: `ptrace(PTRACE_${name})`, pid: target.pid })
  }
})
