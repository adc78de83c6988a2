/** Whether the parts of an image fit each other: what digests cannot tell, as the image may have been written wrong. */
import { UnsupportedError } from '../errors.js'
import { familyOf } from '../restore/family.js'
import { isEnding } from '../resources/ending.js'
import { verifyTimeLimit } from '../resources/call-limits.js'
import { verifyClocks } from '../resources/clocks.js'
import { verifyFileSystem } from '../resources/file-system.js'
import { isFileOfShm, type MemoryFile } from '../resources/memory-files.js'
import type { IoUring } from '../resources/io-uring/ring.js'
import { ioUring } from '../resources/io-uring.js'
import { verifyExtents } from '../resources/kept-file.js'
import { descriptionKinds, kindNamed } from '../resources/kinds.js'
import { damaged } from './manifest.js'
import type { ImageModel, ProcessModel, ThreadModel } from './model.js'
import { verifyMemory, verifyShared, verifyVdso } from './structure-memory.js'

/** Words of struct user_regs_struct, and the least that XSAVE stores: what FXSAVE does, and its own header. */
const REGISTERS = 27
const LEAST_EXTENDED_STATE = 576

/** Tells what in an image contradicts the rest of it. */
export type Require = (fits: boolean, otherwise: string) => void

/** @throws ImageError THAW_IMAGE_DAMAGED */
export function verifyStructure(image: ImageModel, pageBytes: bigint, path: string): void {
  const require: Require = (fits, otherwise) => {
    if (!fits) throw damaged(path, otherwise)
  }
  require(image.processes.length > 0, 'it has no process')
  verifyClocks(image.clocks, require)
  verifyDescriptions(image, pageBytes, require)
  verifyFamily(image, require)
  const shared = verifyShared(image, pageBytes, require)
  verifyMemoryFiles(image.memoryFiles, pageBytes, require)
  verifyVdso(image, require)
  const rings = image.descriptions.flatMap(({ kind, payload }) => (kind === ioUring.name ? (payload as IoUring).mappings : []))
  for (const process of image.processes) {
    verifyMemory(process, shared, rings, pageBytes, require)
    for (const thread of process.threads) verifyThread(thread, process, require)
    verifyFileSystem(process.fileSystem, (fits, otherwise) => require(fits, `process ${process.pid} ${otherwise}`))
  }
}

/** Descriptions have ids of their own, kinds that are known, and descriptors that lead to them; what they say of each other is true. */
function verifyDescriptions(image: ImageModel, pageBytes: bigint, require: Require): void {
  const kinds = new Set(descriptionKinds.map(({ name }) => name))
  const known = new Set<number>()
  for (const { id, kind } of image.descriptions) {
    require(kinds.has(kind), `description ${id} is of the unknown kind ${kind}`)
    require(!known.has(id), `there are two descriptions ${id}`)
    known.add(id)
  }
  for (const { pid, descriptors } of image.processes) {
    const taken = new Set<number>()
    for (const { fd, description } of descriptors) {
      require(fd >= 0 && !taken.has(fd), `process ${pid} has descriptor ${fd} twice, or cannot have it`)
      require(known.has(description), `descriptor ${fd} of process ${pid} refers to nothing`)
      taken.add(fd)
    }
  }
  for (const { id, kind, payload } of image.descriptions)
    kindNamed(kind).verify?.(payload, image, (fits, otherwise) => require(fits, `description ${id} ${otherwise}`), pageBytes)
}

/** Folders come before what is in them, a file before its other names. */
function verifyMemoryFiles(files: readonly MemoryFile[], pageBytes: bigint, require: Require): void {
  const modes = new Map<string, number>()
  for (const file of files) {
    const { path, mode, sameAs } = file
    require(isFileOfShm(path, mode, (folder) => modes.get(folder)), `there cannot be a file ${path} on /dev/shm`)
    require(!modes.has(path), `there is ${path} on /dev/shm twice`)
    require(sameAs === '' || modes.get(sameAs) === mode, `${path} on /dev/shm is to be the same as ${sameAs}, which it is not`)
    modes.set(path, mode)
    verifyExtents(file, pageBytes, (fits, otherwise) => require(fits, `${path} on /dev/shm ${otherwise}`))
  }
}

function verifyThread({ tid, registers, extendedState, timeLimit }: ThreadModel, { memory }: ProcessModel, require: Require): void {
  require(registers.length === REGISTERS, `thread ${tid} has ${registers.length} registers`)
  require(extendedState.length >= LEAST_EXTENDED_STATE, `the extended state of thread ${tid} is cut short`)
  if (timeLimit !== null)
    verifyTimeLimit(timeLimit, memory, (fits, otherwise) => require(fits, `the time limit of thread ${tid} ${otherwise}`))
}

/** Parents come before their children, and every process can be forked into its session. */
function verifyFamily(image: ImageModel, require: Require): void {
  const known = new Set<number>([0])
  const tids = new Set<number>()
  const verifyTid = (tid: number): void => {
    require(tid > 0 && !tids.has(tid), `two threads have the id ${tid}, or none can have it`)
    tids.add(tid)
  }
  for (const { pid, parentPid, threads } of image.processes) {
    require(threads[0]?.tid === pid, `process ${pid} has no leader`)
    require(known.has(parentPid), `process ${pid} is a child of ${parentPid}, which is not there`)
    known.add(pid)
    for (const { tid } of threads) verifyTid(tid)
  }
  // A zombie waits for a process that can reap it, which a zombie cannot.
  known.delete(0)
  for (const { pid, parentPid, status } of image.zombies) {
    require(known.has(parentPid), `zombie ${pid} is a child of ${parentPid}, which is no process of the tree`)
    require(isEnding(status), `zombie ${pid} cannot have ended with status 0x${status.toString(16)}`)
    verifyTid(pid)
  }
  try {
    familyOf(image)
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error
    require(false, error.message)
  }
}
