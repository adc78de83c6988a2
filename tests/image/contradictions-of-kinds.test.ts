/**
 * What an image says of one resource and the rest of it does not: refused before anything of it is run, with its place. Most of it is written into
 * the image of a program that holds none of it, in a form that is in order, and then changed.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeImage, encodeImage } from '../../dist/core/image/codec.js'
import { MappingKind } from '../../dist/core/image/model.js'
import type { ImageModel, Mapping, ProcessModel } from '../../dist/core/image/model.js'
import { verifyStructure } from '../../dist/core/image/structure.js'
import { checkpoint, closeCheckpointPool } from '../../dist/core/index.js'
import { rehearse } from '../../dist/core/restore/rehearsal.js'
import { FixtureProgram } from '../fixtures/program.ts'

const PATH = '/images/x/metadata.bin'
const PAGE = 4096n

let program: FixtureProgram
let original: Uint8Array
let pageBytes: bigint

beforeAll(async () => {
  program = await FixtureProgram.start('idle')
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  const folder = join(program.folder, 'images')
  await image.write(folder)
  original = readFileSync(join(folder, 'metadata.bin'))
  pageBytes = BigInt(image.sizeBytes)
})

afterAll(async () => {
  await program[Symbol.asyncDispose]()
  await closeCheckpointPool()
})

const copy = (): ImageModel => decodeImage(original, PATH)

/** What `thaw verify` does behind the digests. */
function verify(model: ImageModel): void {
  const read = decodeImage(encodeImage(model), PATH)
  verifyStructure(read, pageBytes, PATH)
  rehearse(read)
}

const firstOf = ({ processes }: ImageModel): ProcessModel => processes[0]!

/** Another description, with a descriptor of the first process. @returns its payload, to be changed */
function add<P extends object>(model: ImageModel, kind: string, payload: P): P {
  const id = Math.max(0, ...model.descriptions.map((other) => other.id)) + 1
  const { descriptors } = firstOf(model)
  descriptors.push({ fd: Math.max(-1, ...descriptors.map(({ fd }) => fd)) + 1, description: id, closeOnExec: false })
  model.descriptions.push({ id, flags: 2, ownerType: 0, owner: 0, signal: 0, kind, payload })
  return payload
}

const idOf = (model: ImageModel, payload: object): number => model.descriptions.find((other) => other.payload === payload)!.id

function addMapping(model: ImageModel, start: bigint, kind: MappingKind, change: Partial<Mapping> = {}): Mapping {
  const mapping = {
    start,
    end: start + PAGE,
    protection: 3,
    kind,
    offset: 0n,
    file: null,
    flags: [],
    name: '',
    protectionKey: 0,
    sharedMemory: 0,
    ...change,
  }
  firstOf(model).memory.mappings.push(mapping)
  return mapping
}

const RINGS = 0x1000_0000n
const SQES = 0x1000_2000n

function addRing(model: ImageModel) {
  for (const start of [RINGS, SQES]) addMapping(model, start, MappingKind.ioUring)
  const mapping = (start: bigint) => ({ start, end: start + PAGE, sqes: start === SQES, protection: 3, dontFork: false })
  const offsets = { sqHead: 0, sqTail: 4, cqHead: 8, cqTail: 12, array: 512 }
  const contents = { rings: Uint8Array.of(1), sqes: Uint8Array.of(1) }
  const sizes = { fd: 9, sqEntries: 8, cqEntries: 16, count: 3, sqArray: true, emptyArray: true }
  return add(model, 'io_uring', { ...sizes, ...offsets, ...contents, mappings: [mapping(RINGS), mapping(SQES)] })
}

const addPacket = (model: ImageModel) =>
  add(model, 'packet_socket', {
    type: 3,
    protocol: 0,
    interface: 0,
    copyThreshold: 0,
    options: [],
    memberships: [{ interface: 1, type: 1, address: new Uint8Array(6), count: 2 }],
  })

const addFile = (model: ImageModel) =>
  add(model, 'regular_file', {
    path: '/tmp/x',
    device: 1n,
    inode: 2n,
    position: 0n,
    folder: false,
    goneName: '',
    deleted: null as ReturnType<typeof deletedFile> | null,
    deletedFolderMode: 0,
    locks: [{ type: 'POSIX', exclusive: true, start: 0n, length: 0n, pid: firstOf(model).pid }],
    task: 0,
    thread: false,
  })

const deletedFile = () => ({
  device: 1n,
  inode: 2n,
  mode: 0o100600,
  uid: 0,
  gid: 0,
  sizeBytes: 2n * PAGE,
  accessed: 0n,
  modified: 0n,
  extents: [{ offset: PAGE, sizeBytes: PAGE, keptAt: 0n }],
  memfd: null,
})

function addDeleted(model: ImageModel) {
  const file = addFile(model)
  file.locks = []
  return (file.deleted = deletedFile())
}

const addSet = (model: ImageModel) => add(model, 'epoll', { items: [] as ReturnType<typeof item>[], parameters: new Uint8Array() })

const item = (model: ImageModel, of: object) => {
  const events = { events: 1, data: 0n, disarmed: false, unready: false, told: 0, reach: 0, pending: 0n }
  return { fd: 3, description: idOf(model, of), ...events }
}

/** Sets each of which watches the next. */
function addChain(model: ImageModel, length: number): void {
  const sets = Array.from({ length }, () => addSet(model))
  sets.slice(1).forEach((set, i) => sets[i]!.items.push(item(model, set)))
}

const addUnix = (model: ImageModel, inode: number, state: string, peer: number) =>
  add(model, 'unix_socket', {
    type: 1,
    inode,
    state,
    peer,
    address: new Uint8Array(),
    file: null,
    mutual: state === 'connected',
    accepted: false,
    peerAddress: new Uint8Array(),
    peerFile: null,
    backlog: 5,
    waiting: [] as number[],
    shutdown: 0,
    reset: false,
    options: [],
    queue: [],
    listened: null,
    connected: null,
  })

const loopback = (port: number): Uint8Array => Uint8Array.of(2, 0, port >> 8, port & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)

const addTcp = (model: ImageModel, local: number, peer: number) =>
  add(model, 'tcp_connection', {
    family: 2,
    address: loopback(local),
    peer: loopback(peer),
    tcpState: 1,
    sendFrom: 1,
    receiveFrom: 1,
    received: new Uint8Array(),
    unsent: new Uint8Array(),
    window: new Uint8Array(20),
    largestSegment: 1000,
    negotiated: 0,
    sendScale: 0,
    receiveScale: 0,
    timestamp: 0,
    deaf: false,
    orphanedBy: null,
    options: [],
    sendBuffer: 0,
    receiveBuffer: 0,
  })

function addQueue(model: ImageModel) {
  const listener = add(model, 'tcp_listener', { family: 2, address: loopback(80), backlog: 5, options: [] })
  const client = (place: number) =>
    add(model, 'tcp_waiting', {
      family: 2,
      address: loopback(1000 + place),
      peer: loopback(80),
      listener: idOf(model, listener),
      place,
      places: 2,
      ended: false,
      options: [],
      sendBuffer: 0,
      receiveBuffer: 0,
    })
  return [client(0), client(1)] as const
}

function addTerminal(model: ImageModel) {
  const { pid, groupId } = firstOf(model)
  const pair = { number: 3, path: '/dev/ptmx', session: pid, foreground: groupId }
  const data = { lines: [], line: new Uint8Array(), literalNext: false, output: new Uint8Array() }
  const settings = {
    termios: new Uint8Array(44),
    size: new Uint8Array(8),
    packets: false,
    locked: false,
    mode: 0o620,
    uid: 0,
    gid: 0,
    data,
  }
  const end = { number: 3, exclusive: false, pairs: [pair], mount: 'mode=620' }
  const master = add(model, 'pty', { ...end, path: '', settings: settings as typeof settings | null })
  const slave = add(model, 'pty', { ...end, path: '/dev/pts/3', settings: null })
  return { pair, master, slave }
}

/** At two words of a page of the process's own, which it may write to. */
function addLimit(model: ImageModel) {
  const { start } = addMapping(model, RINGS, MappingKind.anonymous)
  const RDI = 14
  return (firstOf(model).threads[0]!.timeLimit = { register: RDI, address: start + 16n, fraction: 1, due: 5n })
}

function addTimer(model: ImageModel): void {
  const { taken } = model.clocks
  const times = { interval: 1_000_000_000n, value: taken + 1n, overrun: 0, waiting: 1n << 33n }
  firstOf(model).posixTimers.push({ id: 0, clock: 1, notify: 0, signal: 14, valuePointer: 0n, thread: 0, ...times })
}

describe('what is to be changed is in order', () => {
  test.each<[string, (model: ImageModel) => unknown]>([
    ['an io_uring', addRing],
    ['a packet socket', addPacket],
    ['a file', addFile],
    ['a deleted file', addDeleted],
    ['sets of sets', (model) => addChain(model, 5)],
    ['a pair of unix sockets', (model) => [addUnix(model, 1, 'connected', 2), addUnix(model, 2, 'connected', 1)]],
    ['a TCP connection', (model) => [addTcp(model, 1, 2), addTcp(model, 2, 1)]],
    ['a queue of TCP connections', addQueue],
    ['a pseudo-terminal', addTerminal],
    ['a time limit', addLimit],
  ])('%s', (_, change) => {
    const model = copy()
    change(model)
    expect(() => verify(model)).not.toThrow()
  })
})

/** An image is as good as it is, whoever looks at it where. */
test.each<[string, (model: ImageModel) => unknown]>([
  [
    'a vDSO of another size than that of this kernel',
    (model) => {
      for (const mapping of firstOf(model).memory.mappings) if (mapping.kind === MappingKind.vdso) mapping.end -= PAGE
    },
  ],
  ['a timer that has expired for longer than this machine is up', addTimer],
])('it is no damage to have %s', (_, change) => {
  const model = copy()
  change(model)
  expect(() => verify(model)).not.toThrow()
})

const nothing = null as never
const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(1)

describe.each<[string, (model: ImageModel) => unknown, RegExp]>([
  ['no machine', (model) => (model.machine = nothing), /it has no machine\./],
  ['no clocks', (model) => (model.clocks = nothing), /it has no clocks\./],
  ['a process without memory', (model) => (firstOf(model).memory = nothing), /it has no processes\[0\]\.memory\./],
  ['memory of no program', (model) => (firstOf(model).memory.executable = nothing), /it has no processes\[0\]\.memory\.executable\./],
  ['memory without its layout', (model) => (firstOf(model).memory.layout = nothing), /it has no processes\[0\]\.memory\.layout\./],
  ['a process without folders', (model) => (firstOf(model).fileSystem = nothing), /it has no processes\[0\]\.fileSystem\./],
  [
    'a thread of nobody',
    (model) => (firstOf(model).threads[0]!.credentials = nothing),
    /it has no processes\[0\]\.threads\[0\]\.credentials\./,
  ],
  ['a thread that is not scheduled', (model) => (firstOf(model).threads[0]!.scheduling = nothing), /it has no .*\.scheduling\./],
  ['a clock before its start', (model) => (model.clocks.monotonic = -1n), /its monotonic clock cannot stand at -1/],
  ['a clock that runs over', (model) => (model.clocks.boottime = 1n << 62n), /its boottime clock cannot stand at 4611686018427387904/],

  ['a ring without entries', (model) => (addRing(model).sqEntries = 0), /is an io_uring, which cannot have 0 and 16 entries/],
  ['a ring of three entries', (model) => (addRing(model).cqEntries = 3), /is an io_uring, which cannot have 8 and 3 entries/],
  ['a ring that counted for days', (model) => (addRing(model).count = 2 ** 32 - 1), /cannot be brought to 4294967295 requests/],
  ['a ring with more than fits', (model) => (addRing(model).rings = bytes(4097)), /with contents behind the end of its memory/],
  ['a ring with more entries than fit', (model) => (addRing(model).sqes = bytes(4097)), /with contents behind the end of its memory/],
  ['a ring whose entries do not fit', (model) => (addRing(model).sqEntries = 128), /with entries behind the end of its memory/],
  ['a ring whose counter is elsewhere', (model) => (addRing(model).sqTail = 4096), /with counters behind the end of its memory/],
  ['a ring whose other counter is elsewhere', (model) => (addRing(model).cqHead = 2 ** 31), /with counters behind the end of its memory/],
  ['a ring whose indices are elsewhere', (model) => (addRing(model).array = 4080), /with indices behind the end of its memory/],
  [
    'a ring over foreign memory',
    (model) => (addRing(model).mappings[0]!.start -= PAGE),
    /memory at 0xffff000, which its process has not mapped/,
  ],
  ['a packet socket that never ends', (model) => (addPacket(model).memberships[0]!.count = 2 ** 32 - 1), /asked for memberships too often/],
  ['a membership of nobody', (model) => (addPacket(model).memberships[0]!.address = bytes(99)), /of an address that there cannot be/],
  ['a working directory nowhere', (model) => (firstOf(model).fileSystem.workingDirectory = ''), /cannot have the working directory ''/],
  [
    'a removed working directory nowhere',
    (model) => {
      const removed = { device: 1n, inode: 2n, mode: 0o700, uid: 0, gid: 0, accessed: 0n, modified: 0n }
      Object.assign(firstOf(model).fileSystem, { removed, workingDirectory: 'a/b' })
    },
    /cannot have the working directory 'a\/b'/,
  ],
  ['a root folder nowhere', (model) => (firstOf(model).fileSystem.root = 'x'), /cannot have the root folder 'x'/],
  [
    'a removed folder nowhere',
    (model) => Object.assign(addFile(model), { path: 'x', folder: true, deletedFolderMode: 0o700, locks: [] }),
    /is 'x', which is no path of a file/,
  ],
  ['a file of a name nowhere', (model) => (addFile(model).goneName = 'x'), /is 'x', which is no path of a file/],
  [
    'sets that watch each other',
    (model) => {
      const [one, other] = [addSet(model), addSet(model)]
      one.items = [item(model, other), { ...item(model, other), fd: 4 }]
      other.items = [item(model, one), { ...item(model, one), fd: 4 }]
    },
    /deeper than there can be, or within itself/,
  ],
  ['sets of sets without an end', (model) => addChain(model, 40), /deeper than there can be/],
  [
    'a set that watches something twice',
    (model) => {
      const [set, other] = [addSet(model), addSet(model)]
      set.items = [item(model, other), item(model, other)]
    },
    /watches description \d+ by number 3 twice/,
  ],

  [
    'a deleted file whose content is elsewhere',
    (model) => (addDeleted(model).extents[0]!.keptAt = 1n << 40n),
    /behind the end of the page file/,
  ],
  [
    'a deleted file of more than it is long',
    (model) => (addDeleted(model).extents[0]!.sizeBytes = 3n * PAGE),
    /has content behind its end/,
  ],
  ['a deleted file with content of no length', (model) => (addDeleted(model).extents[0]!.sizeBytes = 0n), /has content behind its end/],
  [
    'a mapping of a deleted file whose content is elsewhere',
    (model) => {
      const file = { ...firstOf(model).memory.executable, deleted: true, contentOffset: 1n << 40n }
      addMapping(model, RINGS, MappingKind.filePrivate, { file })
    },
    /is of a deleted file that has content behind the end of the page file/,
  ],
  [
    'a shared mapping of a deleted file whose content is elsewhere',
    (model) => {
      const content = deletedFile()
      content.extents[0]!.keptAt = 1n << 40n
      const file = { ...firstOf(model).memory.executable, deleted: true, content }
      addMapping(model, RINGS, MappingKind.fileShared, { file })
    },
    /is of a deleted file that has content behind the end of the page file/,
  ],
  [
    'a shared mapping of a deleted file without content',
    (model) => addMapping(model, RINGS, MappingKind.fileShared, { file: { ...firstOf(model).memory.executable, deleted: true } }),
    /is of a deleted file, whose content is not there/,
  ],
  [
    'shared memory of 96 TiB',
    (model) => model.sharedMemory.push({ id: 77, sizeBytes: 96n << 40n, pages: [], segment: null }),
    /No hole of \d+ bytes is left/,
  ],

  ['a lock of somebody else', (model) => (addFile(model).locks[0]!.pid = 4_000_000), /a lock of process 4000000, which is not there/],
  ['a lock of another type', (model) => (addFile(model).locks[0]!.type = 'toString'), /a lock of the unknown type 'toString'/],
  ['a lock of less than nothing', (model) => (addFile(model).locks[0]!.length = -1n), /a lock from 0 for -1 bytes/],
  [
    'a unix socket whose peer has another one',
    (model) => [addUnix(model, 1, 'connected', 2), addUnix(model, 2, 'connected', 3), addUnix(model, 3, 'connected', 2)],
    /connected to one that is not connected to it/,
  ],
  [
    'a unix socket whose peer has none',
    (model) => [addUnix(model, 1, 'connected', 2), addUnix(model, 2, 'unconnected', 0)],
    /connected to one that is not connected to it/,
  ],
  ['a unix socket that waits in no queue', (model) => addUnix(model, 1, 'waiting', 0), /waits in no queue/],
  ['a unix socket in no state', (model) => addUnix(model, 1, 'confused', 0), /in the unknown state 'confused'/],
  ['an orphaned unix socket with a peer', (model) => addUnix(model, 1, 'orphaned', 2), /is orphaned and has a peer/],
  ['a client that is not there', (model) => (addUnix(model, 1, 'listening', 0).waiting = [9]), /a client that is not there/],
  ['a TCP queue with nobody in a place', (model) => (addQueue(model)[0].places = 9), /in place 0 of 9, in a queue of 2/],
  ['a TCP queue with two in one place', (model) => (addQueue(model)[0].place = 1), /in place 1 of 2, in a queue of 2/],
  ['a TCP client of nobody', (model) => (addQueue(model)[0].listener = 999), /waits for description 999, which does not listen/],
  ['a TCP connection to itself', (model) => addTcp(model, 1, 1), /is its own other end/],
  ['a TCP connection that is there twice', (model) => [addTcp(model, 1, 2), addTcp(model, 1, 2), addTcp(model, 2, 1)], /is there twice/],
  [
    'pages of the vDSO',
    (model) => {
      const { memory } = firstOf(model)
      memory.pages.push({ start: memory.mappings.find(({ kind }) => kind === MappingKind.vdso)!.start, pageCount: 1n, fileOffset: 0n })
    },
    /are of memory whose contents stand elsewhere, or nowhere/,
  ],
  [
    'pages of shared memory',
    (model) => {
      model.sharedMemory.push({ id: 77, sizeBytes: PAGE, pages: [], segment: null })
      addMapping(model, RINGS, MappingKind.anonymousShared, { sharedMemory: 77 })
      firstOf(model).memory.pages.push({ start: RINGS, pageCount: 1n, fileOffset: 0n })
    },
    /are of memory whose contents stand elsewhere, or nowhere/,
  ],
  [
    'a guard in the vDSO',
    (model) => {
      const { memory } = firstOf(model)
      memory.guards.push({ start: memory.mappings.find(({ kind }) => kind === MappingKind.vdso)!.start, pageCount: 1n, fileOffset: 0n })
    },
    /is in memory that can have none/,
  ],
  ['a terminal of no session', (model) => (addTerminal(model).pair.session = 4_000_000), /controls session 4000000 of nobody/],
  ['a terminal of no group', (model) => (addTerminal(model).pair.foreground = 4_000_000), /with group 4000000 of nobody in its foreground/],
  ['a terminal without its master', (model) => (addTerminal(model).master.settings = null), /whose master is not there/],

  ['a time limit in units of nothing', (model) => (addLimit(model).fraction = 2 ** 31), /cannot be in units of 2147483648 ns/],
  ['a time limit in foreign memory', (model) => (addLimit(model).address = SQES), /is at 0x10002000, where the process cannot write/],
  ['a time limit in no register', (model) => (addLimit(model).register = 99), /is in register 99, which cannot be/],
  ['a time limit in a register that no frame has', (model) => (addLimit(model).register = 15), /is in register 15, which cannot be/],
])('%s', (_, change, expected) => {
  test('is refused with its place', () => {
    const model = copy()
    change(model)
    expect(() => verify(model)).toThrow(
      expect.objectContaining({ name: 'ImageError', code: 'THAW_IMAGE_DAMAGED', message: expect.stringMatching(expected) }),
    )
  })
})
