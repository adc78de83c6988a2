/** What this process can see of the kernel by itself. */
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import { native } from '../../native/index.js'
import { watchesGetNumbers } from '../resources/inotify.js'
import { prctl, withMemory } from './call.js'
import type { Feature } from './feature.js'

const KCMP_FILE = 0
const PR_SET_MM = 35
const PR_SET_MM_MAP_SIZE = 15
const PR_SET_VMA = 0x53564d41
const PR_TIMER_CREATE_RESTORE_IDS = 77
const PR_TIMER_CREATE_RESTORE_IDS_GET = 2
const HUGE_BYTES = 2 << 20
const MADV_COLLAPSE = 25
const MADV_GUARD_INSTALL = 102
const PAGE_BYTES = 4096

const machine: Feature = {
  name: 'Linux on x86-64',
  neededFor: 'everything',
  probe() {
    if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error(`this is ${process.platform} on ${process.arch}`)
    return release()
  },
}

const kcmp: Feature = {
  name: 'telling what processes share (kcmp)',
  neededFor: 'checkpoint',
  probe: () => void native.kcmp(process.pid, process.pid, KCMP_FILE, 1, 1),
  reasons: { ENOSYS: 'the kernel was built without CONFIG_KCMP', '': 'kcmp is refused' },
}

const children: Feature = {
  name: 'finding child processes',
  neededFor: 'checkpoint',
  probe: () => void readFileSync(`/proc/self/task/${process.pid}/children`),
  reasons: { ENOENT: 'the kernel was built without CONFIG_PROC_CHILDREN' },
}

const layout: Feature = {
  name: 'memory layout (PR_SET_MM_MAP)',
  neededFor: 'restore',
  probe: () => void prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, new Uint8Array(4)),
  reasons: { EINVAL: 'the kernel was built without CONFIG_CHECKPOINT_RESTORE' },
}

const timeNamespaces: Feature = {
  name: 'clocks that go on (time namespaces)',
  neededFor: 'restore',
  probe() {
    if (!existsSync('/proc/self/ns/time')) throw new Error('the kernel was built without CONFIG_TIME_NS, or is older than Linux 5.6')
  },
}

/** One page of a range is touched, so that there is something to collapse. */
const hugePages: Feature = {
  name: 'huge pages (MADV_COLLAPSE)',
  neededFor: 'speed',
  probe: () =>
    withMemory(HUGE_BYTES, (address) => {
      const memory = openSync('/proc/self/mem', 'r+')
      try {
        native.writeAt(memory, address, Uint8Array.of(1))
      } finally {
        closeSync(memory)
      }
      native.syscall('madvise', [address, HUGE_BYTES, MADV_COLLAPSE])
    }),
  reasons: { EINVAL: 'it needs Linux 6.1 and CONFIG_TRANSPARENT_HUGEPAGE', ENOMEM: 'no huge page is free', EAGAIN: 'no huge page is free' },
}

const guardRegions: Feature = {
  name: 'guard regions (MADV_GUARD_INSTALL)',
  neededFor: 'some processes',
  probe: () => withMemory(PAGE_BYTES, (address) => void native.syscall('madvise', [address, PAGE_BYTES, MADV_GUARD_INSTALL])),
  reasons: { EINVAL: 'it needs Linux 6.13; processes cannot have any here' },
}

const mappingNames: Feature = {
  name: 'names of anonymous memory',
  neededFor: 'some processes',
  probe: () => withMemory(PAGE_BYTES, (address) => void prctl(PR_SET_VMA, 0, address, PAGE_BYTES, Buffer.from('thaw\0'))),
  reasons: { EINVAL: 'the kernel was built without CONFIG_ANON_VMA_NAME; processes cannot have any here' },
}

const timerIds: Feature = {
  name: 'timers with their numbers',
  neededFor: 'some processes',
  probe: () => void prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET),
  reasons: { EINVAL: 'it needs Linux 6.16; until then timers are made until the number comes up' },
}

const watchNumbers: Feature = {
  name: 'file watches with their numbers (inotify)',
  neededFor: 'some processes',
  probe() {
    if (!watchesGetNumbers()) throw new Error('the kernel was built without CONFIG_CHECKPOINT_RESTORE, or without inotify')
  },
}

const sharedMemory: Feature = {
  name: 'System V shared memory',
  neededFor: 'some processes',
  probe() {
    if (!existsSync('/proc/sysvipc/shm')) throw new Error('the kernel was built without CONFIG_SYSVIPC')
  },
}

export const kernelFeatures: readonly Feature[] = [
  machine,
  kcmp,
  children,
  layout,
  timeNamespaces,
  hugePages,
  guardRegions,
  mappingNames,
  timerIds,
  watchNumbers,
  sharedMemory,
]
