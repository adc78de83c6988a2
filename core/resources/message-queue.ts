/**
 * Descriptors of POSIX message queues (mq_overview(7)) that are empty. A queue is a file of its IPC namespace's, by whose name it is made
 * again, where it is not there already: in the dumper's namespace it stays when the tree ends.
 */
import { native } from '../../native/index.js'
import type { Cell } from '../program/bundle.js'
import { defineKind } from './description.js'
import type { DescriptionKind, Emitter } from './description.js'
import { DELETED, isMessageQueue, nameOf } from './mqueue/recognition.js'
import { refuseOthers, refuseSameName, refuseWhatIsThere } from './mqueue/refusals.js'
import { O_ACCMODE, O_CLOEXEC, O_CREAT, O_EXCL, O_NONBLOCK } from './open-flags.js'
import { hasOwnNamespace } from './sysv/table.js'

export interface MessageQueue {
  /** Without the slash. */
  name: string
  deleted: boolean
  inode: bigint
  mode: number
  uid: number
  gid: number
  mostMessages: number
  messageBytes: number
  position: bigint
  /** It was opened with O_CLOEXEC, which F_GETFL shows for good, whatever its numbers are by now. */
  openedCloseOnExec: boolean
}

/** struct mq_attr: flags, maxmsg, msgsize, curmsgs. */
const ATTRIBUTES_BYTES = 64
const MODE_BITS = 0o7777
const SEEK_SET = 0
const F_GETFL = 3

export const messageQueue: DescriptionKind<unknown> = defineKind<MessageQueue>({
  name: 'message_queue',
  support: {
    topic: 'around the tree',
    carried: 'POSIX message queues that are open and empty',
    conditions: [
      'POSIX message queues that no process of the tree has open are not seen, and not in the IPC namespace of a copy. Of one that was opened with O_CLOEXEC, the kernel shows all numbers as closed on exec, and in a copy they are.',
    ],
    refused: {
      THAW_MQUEUE_DATA: 'POSIX message queues with messages',
      THAW_MQUEUE_NOTIFY: 'POSIX message queues that somebody is to be notified of (mq_notify)',
      THAW_MQUEUE_SHARED: 'POSIX message queues that others have open, too',
      THAW_MQUEUE_NAME: 'POSIX message queues that were removed and whose name another one has',
    },
  },

  recognises: isMessageQueue,

  collect(seen, tree) {
    const [, mostMessages = 0n, messageBytes = 0n, waiting = 0n] = attributesOf(seen.duplicate())
    refuseWhatIsThere(seen, Number(waiting))
    if (!hasOwnNamespace(tree)) refuseOthers(seen, tree)
    refuseSameName(seen, tree)
    const { mode, uid, gid, inode } = seen.status
    return {
      name: nameOf(seen),
      deleted: DELETED.test(seen.link),
      inode,
      mode: mode & MODE_BITS,
      uid,
      gid,
      mostMessages: Number(mostMessages),
      messageBytes: Number(messageBytes),
      position: seen.info.position,
      openedCloseOnExec: (native.fcntl(seen.duplicate(), F_GETFL) & O_CLOEXEC) !== 0,
    }
  },

  open(queue, emitter, flags) {
    const { program, bundle } = emitter
    const known = emitter.shared<Known>('message queue', queue.inode, () => ({ made: false, gone: false }))
    const name = bundle.string(queue.name)
    const attributes = bundle.words(0, queue.mostMessages, queue.messageBytes, 0, 0, 0, 0, 0)
    const creating = known.made ? 0 : O_CREAT | (queue.deleted ? O_EXCL : 0)
    const access = (flags & O_ACCMODE) | O_NONBLOCK | (queue.openedCloseOnExec ? O_CLOEXEC : 0)
    const fd = emitter.raise(program.call('mq_open', [name, access | creating, queue.mode, attributes]))
    if (!known.made) emitSame(emitter, fd, queue)
    known.made = true
    if (queue.position !== 0n) program.call('lseek', [fd, queue.position, SEEK_SET])
    return fd
  },

  /** When all have it open. */
  connect({ name, deleted, inode }, emitter) {
    const known = emitter.shared<Known>('message queue', inode, () => ({ made: false, gone: false }))
    if (deleted && !known.gone) emitter.program.call('mq_unlink', [emitter.bundle.string(name)])
    known.gone = true
  },
})

interface Known {
  made: boolean
  gone: boolean
}

function attributesOf(fd: number): BigInt64Array {
  const attributes = new Uint8Array(ATTRIBUTES_BYTES)
  native.syscall('mq_getsetattr', [fd, 0, attributes])
  return new BigInt64Array(attributes.buffer)
}

/** One that is there already must be as it was: empty, and of the same size. */
function emitSame({ program, bundle }: Emitter, fd: Cell, { name, mode, uid, gid, mostMessages, messageBytes }: MessageQueue): void {
  const attributes = bundle.allocate(ATTRIBUTES_BYTES)
  program.call('mq_getsetattr', [fd, 0, attributes])
  const others = [mostMessages, messageBytes, 0].map((expected, i) =>
    program.jump(0, 'not-equal', program.load(attributes + BigInt(8 + i * 8), 8), expected),
  )
  program.call('fchown', [fd, uid, gid])
  program.call('fchmod', [fd, mode])
  const same = program.jump(0)
  for (const jump of others) jump.target = program.here
  // Fails, as it is there.
  program.call('mq_open', [bundle.string(name), O_CREAT | O_EXCL, mode, attributes])
  same.target = program.here
}
