/** signalfd(2): only a mask; what is pending belongs to the process. */
import { fdInfoField } from '../proc/fdinfo.js'
import { defineKind } from './description.js'
import type { DescriptionKind } from './description.js'
import { O_CLOEXEC } from './open-flags.js'

export interface SignalFd {
  /** Bit n-1 for signal n. */
  mask: bigint
}

export const signalFd: DescriptionKind<unknown> = defineKind<SignalFd>({
  name: 'signalfd',
  support: { topic: 'descriptors', carried: 'signalfd' },

  recognises: ({ link }) => link === 'anon_inode:[signalfd]',

  collect: ({ info: { lines } }) => ({ mask: BigInt(`0x${fdInfoField(lines, 'sigmask') ?? '0'}`) }),

  open({ mask }, emitter) {
    const { program } = emitter
    return emitter.raise(program.call('signalfd4', [-1, program.bundle.words(mask), 8, O_CLOEXEC]))
  },
})
