/** The devices without state: null, zero, full, random, urandom (mem(4), random(4)). */
import { defineKind } from './description.js'
import type { DescriptionKind } from './description.js'
import { AT_FDCWD, O_ASYNC, O_CLOEXEC, O_NONBLOCK, O_PATH, S_IFCHR, S_IFMT } from './open-flags.js'

export interface CharacterDevice {
  path: string
}

const MEMORY_MAJOR = 1
const STATELESS_MINORS: ReadonlySet<number> = new Set([3, 5, 7, 8, 9])

/** Both numbers are small here: makedev(3) packs them as major << 8 | minor. */
const isStateless = (rdev: bigint): boolean => rdev >> 8n === BigInt(MEMORY_MAJOR) && STATELESS_MINORS.has(Number(rdev & 0xffn))

export const characterDevice: DescriptionKind<unknown> = defineKind<CharacterDevice>({
  name: 'character_device',
  support: { topic: 'descriptors', carried: 'null and its kin' },

  recognises: ({ status, info }) => (status.mode & S_IFMT) === S_IFCHR && (info.flags & O_PATH) === 0 && isStateless(status.rdev),

  collect: ({ link }) => ({ path: link }),

  open({ path }, emitter, flags) {
    const { program } = emitter
    return emitter.raise(program.call('openat', [AT_FDCWD, program.bundle.string(path), (flags & ~O_ASYNC) | O_NONBLOCK | O_CLOEXEC, 0]))
  },
})
