/**
 * Memory protection keys (pkeys(7)): which are allocated, and the mappings tagged with them. V8 has one for the code of WebAssembly. What
 * each thread may do with a key is in its PKRU register, a part of its extended state.
 */
import type { ParasiteResults } from '../checkpoint/parasite.js'
import { UnsupportedError } from '../errors.js'
import type { Mapping } from '../image/model.js'
import type { Program } from '../program/program.js'
import type { SeenProcess } from './description.js'
import type { Support } from './support.js'

export const support: Support = { topic: 'memory', carried: 'protection keys' }

const KEYS = Array.from({ length: 15 }, (_, i) => i + 1)
const PAGE_BYTES = 4096n
/** The last page below the end of any address space, with five levels of page tables too: nothing can be mapped there. */
const NOWHERE = (1n << 56n) - PAGE_BYTES
const PROT_READ = 1
const PROT_EXEC = 4
const ENOMEM = 12n

/** Nothing tells which keys are allocated, but a key is looked at before the memory that it is for: EINVAL or ENOMEM. */
export function askProtectionKeys(program: Program): (results: ParasiteResults) => number[] {
  const answers = KEYS.map((key) => program.call('pkey_mprotect', [NOWHERE, PAGE_BYTES, PROT_READ, key], 'any'))
  return (results) => KEYS.filter((_, i) => answers[i] !== undefined && results.cell(answers[i]) === -ENOMEM)
}

/** The kernel's own key, for memory that may only be executed, comes with the protection. @throws UnsupportedError */
export function withCarriedKeys(process: SeenProcess, mappings: readonly Mapping[], allocated: readonly number[]): Mapping[] {
  return mappings.map((mapping) => {
    const { start, protection, protectionKey } = mapping
    if (protectionKey === 0 || allocated.includes(protectionKey)) return mapping
    if (protection === PROT_EXEC) return { ...mapping, protectionKey: 0 }
    throw new UnsupportedError(
      'THAW_MAPPING',
      `Cannot checkpoint pid ${process.pid} (${process.name}): the mapping at 0x${start.toString(16)} is tagged with protection key ${protectionKey}, which was freed. Free keys when nothing is tagged with them any more.`,
      { pid: process.pid },
    )
  })
}

/** Before anything is mapped that may only be executed: the kernel takes the lowest key that is free, and so does `pkey_alloc`. */
export function emitProtectionKeys(program: Program, allocated: readonly number[]): void {
  const upTo = KEYS.slice(0, Math.max(0, ...allocated))
  program.for('protection keys', () => {
    for (const key of upTo) program.call('pkey_alloc', [0, 0], { equal: key })
    for (const key of upTo.filter((key) => !allocated.includes(key))) program.call('pkey_free', [key])
  })
}

/** In a process that was forked with the keys of the whole tree. */
export function emitFreedKeys(program: Program, all: readonly number[], own: readonly number[]): void {
  for (const key of all) if (!own.includes(key)) program.call('pkey_free', [key])
}

export function emitProtectionKey(program: Program, { start, end, protection, protectionKey }: Mapping): void {
  if (protectionKey !== 0) program.call('pkey_mprotect', [start, end - start, protection, protectionKey])
}
