/** eventfd(2). */
import { fdInfoField } from '../proc/fdinfo.js'
import { defineKind } from './description.js'
import type { DescriptionKind } from './description.js'
import { O_CLOEXEC, O_NONBLOCK } from './open-flags.js'

export interface EventFd {
  count: bigint
  semaphore: boolean
}

const EFD_SEMAPHORE = 1

export const eventFd: DescriptionKind<unknown> = defineKind<EventFd>({
  name: 'eventfd',
  support: { topic: 'descriptors', carried: 'eventfd' },

  recognises: ({ link }) => link === 'anon_inode:[eventfd]',

  collect: ({ info: { lines } }) => ({
    count: BigInt(`0x${fdInfoField(lines, 'eventfd-count') ?? '0'}`),
    semaphore: fdInfoField(lines, 'eventfd-semaphore') === '1',
  }),

  open({ count, semaphore }, emitter) {
    const { program } = emitter
    const small = count <= 0xffff_ffffn
    const flags = O_CLOEXEC | O_NONBLOCK | (semaphore ? EFD_SEMAPHORE : 0)
    const fd = emitter.raise(program.call('eventfd2', [small ? count : 0, flags]))
    // The call takes 32 bits only; the counter is 64 wide.
    if (!small) program.call('write', [fd, program.bundle.words(count), 8], { equal: 8 })
    return fd
  },
})
