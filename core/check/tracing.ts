/** What can be done to a child of this process that would be done to a target. */
import { closeSync, openSync, readFileSync } from 'node:fs'
import { initProgramPath, native } from '../../native/index.js'
import type { Feature } from './feature.js'

const AF_UNIX = 1
const SOCK_SEQPACKET = 5
const PAGE_IS_PRESENT = 1n << 3n
const PTRACE_SECCOMP_GET_FILTER = 0x420c

interface Child {
  readonly pid: number
  readonly pidfd: number
}

/** Our smallest program, waiting for requests that never come. */
function withChild<T>(use: (child: Child) => T): T {
  const [ours, theirs] = native.socketpair(AF_UNIX, SOCK_SEQPACKET, 0)
  const nothing = openSync('/dev/null', 'r+')
  const child = native.spawnProcess(initProgramPath(), ['host'], [nothing, nothing, nothing, theirs])
  for (const fd of [theirs, nothing]) closeSync(fd)
  try {
    return use(child)
  } finally {
    closeSync(ours)
    native.poll(child.pidfd, 1, -1)
    native.reap(child.pid)
    closeSync(child.pidfd)
  }
}

function withTraced<T>(use: (pid: number) => T): T {
  return withChild(({ pid }) => {
    native.seize(pid)
    native.interrupt(pid)
    native.wait(pid)
    try {
      return use(pid)
    } finally {
      native.detach(pid)
    }
  })
}

/** kernel.yama.ptrace_scope: 1 lets a process trace only its descendants. */
function ptraceScope(): string | undefined {
  try {
    const scope = readFileSync('/proc/sys/kernel/yama/ptrace_scope', 'utf8').trim()
    return scope === '0' ? undefined : `kernel.yama.ptrace_scope is ${scope}: only ${scope === '1' ? 'descendants, or as root' : 'as root'}`
  } catch {
    return undefined
  }
}

const tracing: Feature = {
  name: 'tracing processes (ptrace)',
  neededFor: 'checkpoint',
  probe: () =>
    withTraced((pid) => {
      native.getExtendedState(pid)
      native.peekSignals(pid, 'process')
      return ptraceScope()
    }),
  reasons: { EPERM: 'ptrace is refused: by a seccomp profile (Docker: --cap-add SYS_PTRACE), or by kernel.yama.ptrace_scope' },
}

const rseq: Feature = {
  name: 'restartable sequences',
  neededFor: 'checkpoint',
  probe: () => withTraced((pid) => void native.getRseq(pid)),
  reasons: { EIO: 'PTRACE_GET_RSEQ_CONFIGURATION needs Linux 5.13', EINVAL: 'PTRACE_GET_RSEQ_CONFIGURATION needs Linux 5.13' },
}

const pageTables: Feature = {
  name: 'page tables (PAGEMAP_SCAN)',
  neededFor: 'checkpoint',
  probe: () =>
    withChild(({ pid }) => {
      const pagemap = openSync(`/proc/${pid}/pagemap`, 'r')
      try {
        native.scanPagemap(pagemap, 0n, 4096n, { inverted: 0n, required: 0n, anyOf: PAGE_IS_PRESENT, returned: PAGE_IS_PRESENT })
      } finally {
        closeSync(pagemap)
      }
    }),
  reasons: { ENOTTY: 'it needs Linux 6.7' },
}

const descriptors: Feature = {
  name: 'descriptors of others (pidfd_getfd)',
  neededFor: 'checkpoint',
  probe: () => withChild(({ pidfd }) => closeSync(native.pidfdGetfd(pidfd, 0))),
  reasons: { ENOSYS: 'it needs Linux 5.6', EPERM: 'it is refused, as ptrace is' },
}

/** For a process without filters it is EINVAL, once the caller is found worthy (kernel/seccomp.c). */
const seccomp: Feature = {
  name: 'reading seccomp filters',
  neededFor: 'some processes',
  probe: () =>
    withTraced((pid) => {
      try {
        native.syscall('ptrace', [PTRACE_SECCOMP_GET_FILTER, pid, 0, 0])
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error
      }
    }),
  reasons: { EACCES: 'only root may read them', EIO: 'the kernel was built without CONFIG_CHECKPOINT_RESTORE' },
}

export const tracingFeatures: readonly Feature[] = [tracing, rseq, pageTables, descriptors, seccomp]
