/** Of a tree that runs, who was forked since it was listed is of the tree; whoever is below nobody of it is outside. */
import { closeSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { loopbackAddress } from '../../dist/core/resources/socket/address.js'
import { mayBeInFlight } from '../../dist/core/resources/unix/queue.js'
import { OwnDescriptors, OwnTree } from './own-tree.ts'

const O_RDWR = 2
const O_NOCTTY = 0o400
const O_CREAT = 0o100
const AF_UNIX = 1
const AF_INET = 2
const SOCK_STREAM = 1
const TIOCSPTLCK = 0x4004_5431
const TIOCGPTN = 0x8004_5430

/** What the tree looks at, what somebody else has, and whether only they do. */
interface Shared {
  readonly kept: number
  readonly given: number
  readonly alone: boolean
}

const shared: readonly (readonly [code: string, make: (own: OwnDescriptors) => Shared])[] = [
  ['THAW_PTY_OUTSIDE', terminal],
  ['THAW_MQUEUE_SHARED', queue],
  ['THAW_PIPE_OUTSIDE', pipe],
  ['THAW_UNIX_OUTSIDE', pair],
  ['THAW_TCP_OUTSIDE', connection],
]

test.each(shared)('%s: not for a child that is not listed yet', async (_, make) => {
  using own = new OwnDescriptors()
  const { kept, given, alone } = make(own)
  const { pid, pidfd } = native.spawnProcess('/bin/sleep', ['60'], [given])
  try {
    if (alone) own.close(given)
    using tree = await quietTree()
    expect(() => tree.collect(kept)).not.toThrow()
  } finally {
    native.pidfdSendSignal(pidfd, 9)
    while (native.reap(pid) === null) native.poll(pidfd, 1, 100)
    closeSync(pidfd)
  }
})

test.each(shared)('%s: for an orphan, which is of no tree', async (code, make) => {
  const folder = mkdtempSync(join(tmpdir(), 'orphan-'))
  using own = new OwnDescriptors()
  const { kept, given, alone } = make(own)
  const { pid, pidfd } = native.spawnProcess('/bin/sh', ['-c', 'exec 3<&0; sleep 60 & echo $! >"$0"', join(folder, 'pid')], [given])
  while (native.reap(pid) === null) native.poll(pidfd, 1, 100)
  closeSync(pidfd)
  const orphan = Number(readFileSync(join(folder, 'pid'), 'utf8'))
  try {
    if (alone) own.close(given)
    await expect(collectInQuiet(kept)).rejects.toMatchObject({ code })
  } finally {
    native.kill(orphan, 9)
    rmSync(folder, { recursive: true })
  }
})

/** What is found out while nothing is sent to it, either. */
async function collectInQuiet(fd: number): Promise<void> {
  for (;;) {
    using tree = await quietTree()
    tree.collect(fd)
    if (!mayBeInFlight(tree.tree)) return
  }
}

/** Once it has read what Vitest has sent to it, which might bring descriptors along. */
async function quietTree(): Promise<OwnTree> {
  for (;;) {
    const tree = new OwnTree({ frozen: false })
    if (!mayBeInFlight(tree.tree)) return tree
    tree[Symbol.dispose]()
    await sleep(1)
  }
}

function terminal(own: OwnDescriptors): Shared {
  const master = own.keep(native.open('/dev/ptmx', O_RDWR | O_NOCTTY))
  native.ioctl(master, TIOCSPTLCK, new Uint8Array(4))
  const number = new Uint8Array(4)
  native.ioctl(master, TIOCGPTN, number)
  const slave = own.keep(native.open(`/dev/pts/${new Int32Array(number.buffer)[0]}`, O_RDWR | O_NOCTTY))
  return { kept: master, given: slave, alone: false }
}

function queue(own: OwnDescriptors): Shared {
  const name = Buffer.from(`thaw-test-${process.pid}\0`)
  const fd = own.keep(Number(native.syscall('mq_open', [name, O_RDWR | O_CREAT, 0o600, 0])))
  native.syscall('mq_unlink', [name])
  return { kept: fd, given: fd, alone: false }
}

function pipe(own: OwnDescriptors): Shared {
  const [reader, writer] = own.keep(native.pipe(0))
  return { kept: writer, given: reader, alone: true }
}

function pair(own: OwnDescriptors): Shared {
  const [kept, given] = own.keep(native.socketpair(AF_UNIX, SOCK_STREAM, 0))
  return { kept, given, alone: true }
}

function connection(own: OwnDescriptors): Shared {
  const listener = own.keep(native.socket(AF_INET, SOCK_STREAM, 0))
  native.bindSocket(listener, loopbackAddress(AF_INET))
  native.listenSocket(listener, 7)
  const client = own.keep(native.socket(AF_INET, SOCK_STREAM, 0))
  native.connectSocket(client, native.getsockname(listener))
  const accepted = own.keep(Number(native.syscall('accept4', [listener, 0, 0, 0])))
  own.close(listener)
  return { kept: client, given: accepted, alone: true }
}
