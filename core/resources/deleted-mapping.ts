/**
 * Mappings of a file that was deleted or replaced since: its bytes are kept, and a nameless file stands in for it. Private mappings have
 * one that the template makes; shared ones have one per instance, which they share with the descriptors that lead to the file, or go on
 * with the file itself where another name leads to it.
 */
import { contradiction } from '../image/contradiction.js'
import { closeSync, readlinkSync } from 'node:fs'
import { native } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import type { PageFile } from '../checkpoint/page-file.js'
import type { FileIdentity } from '../image/model.js'
import type { MappingLine } from '../proc/maps.js'
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import { firstOf, makeDeleted, readDeleted, sealDeleted } from './deleted-file.js'
import type { Emitter, SeenDescription, SeenProcess, SeenTree } from './description.js'
import { reopen } from './emission.js'
import { identifyBeside, sameDevice, statusIfThere } from './file-identity.js'
import { emitKept } from './kept-content.js'
import { listingTells } from './inotify/likely-paths.js'
import { emitPrivateMemfd, mappedMemfd, memfdName } from './memfd.js'
import { readMapped } from './mapped-only.js'
import { emitNamelessFile } from './nameless-file.js'
import { O_ACCMODE, O_CLOEXEC, O_PATH, O_RDONLY, O_RDWR } from './open-flags.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'memory',
  carried: 'mappings of deleted files, private and shared',
  conditions: [
    "A shared mapping of a file that has lost the name it was opened by goes by the name that is left (named semaphores, as of Python's multiprocessing).",
  ],
  refused: {
    THAW_FILE_REPLACED:
      'shared mappings of a file that has lost the name it was opened by and has another in another folder, deleted files mapped both ways or written to beside a private mapping, open files whose path leads to another file',
  },
}

/** @throws UnsupportedError THAW_FILE_REPLACED when nothing leads to the file any more, or a mapping shares it with others */
export function identifyDeleted(process: SeenProcess, tree: SeenTree, line: MappingLine, path: string): FileIdentity {
  const source = sourceOf(process.pid, tree, line)
  const status = source === undefined ? undefined : native.statPath(source)
  if (isShared(line) && status?.links !== 0) {
    const beside = listingTells(tree) ? undefined : identifyBeside(process, line, path)
    if (beside !== undefined) return beside
  }
  const mapped = isShared(line) && source === undefined ? readMapped(process, tree, line, path) : undefined
  if (mapped !== undefined) {
    const { device, inode, sizeBytes } = mapped
    return { path, device, inode, sizeBytes, modified: 0n, deleted: true, contentOffset: 0n, content: mapped }
  }
  if (source === undefined || status === undefined)
    throw refused(
      process,
      line,
      `${path} is mapped, but ${memfdName(path) === undefined ? 'was deleted or replaced since' : 'has no name'}, and nothing leads to it any more without the right to follow map_files`,
      `${memfdName(path) === undefined ? 'Restart the process with the new file' : 'Leave a descriptor of it open'}, or run thaw as root.`,
    )
  const { device, inode, sizeBytes } = status
  const identity = { path, device, inode, sizeBytes, modified: 0n, deleted: true, contentOffset: 0n, content: null }
  if (!isShared(line)) {
    // What is written to the file shows in pages that the mapping has not changed: its stand-in is another file than the descriptor's.
    if (tree.descriptions.some((seen) => seen.status.device === device && seen.status.inode === inode && canWrite(seen)))
      throw refused(
        process,
        line,
        `${path} was deleted, and is mapped private while a descriptor can write to it`,
        'Close the descriptor in the warm-up.',
      )
    return identity
  }
  if (status.links !== 0)
    throw refused(
      process,
      line,
      `${path} is mapped shared, and the file has no name in that folder any more, but one elsewhere`,
      'Restart the process with the new file.',
    )
  const showing = tree.processes.map((one) => tree.mappingsOf(one).filter((other) => isSame(other, line)))
  if (!showing.every((lines) => lines.every(isShared)))
    throw refused(process, line, `${path} was deleted, and is mapped both shared and private`, 'Unmap one of both in the warm-up.')
  const isFirst = firstOf(status, tree) === undefined && showing.find((lines) => lines.length > 0)?.[0] === line
  const content = readDeleted(source, status, tree, isFirst)
  const name = memfdName(path)
  return { ...identity, content: name === undefined ? content : { ...content, memfd: mappedMemfd(name, source) } }
}

const isSame = (a: MappingLine, b: MappingLine): boolean => a.inode === b.inode && a.device === b.device && a.path === b.path

const canWrite = ({ info }: SeenDescription): boolean => (info.flags & O_PATH) === 0 && (info.flags & O_ACCMODE) !== O_RDONLY

const isShared = ({ permissions }: MappingLine): boolean => permissions.endsWith('s')

function refused({ pid, name }: SeenProcess, { start }: MappingLine, what: string, remedy: string): UnsupportedError {
  return new UnsupportedError(
    'THAW_FILE_REPLACED',
    `Cannot checkpoint pid ${pid} (${name}): at 0x${start.toString(16)}, ${what}. ${remedy}`,
    { pid },
  )
}

/**
 * A way to the bytes of a file without a name: the mapping itself (a privilege), the executable, or a descriptor of any process of the tree. File systems count
 * their inodes each for itself: the latter two may be another's with the same number, unless the device is the same, or where that is told in two ways (btrfs), the name.
 */
function sourceOf(pid: number, tree: SeenTree, { start, end, inode, device, path: name }: MappingLine): string | undefined {
  const itself = `/proc/${pid}/map_files/${start.toString(16)}-${end.toString(16)}`
  if (statusIfThere(itself)?.inode === inode) return itself
  const descriptors = tree.descriptions
    .filter(({ status }) => status.inode === inode)
    .map(({ process, fd }) => `/proc/${process.pid}/fd/${fd}`)
  return [`/proc/${pid}/exe`, ...descriptors].find((path) => {
    const status = statusIfThere(path)
    return status?.inode === inode && (sameDevice(status, device) || readlinkSync(path) === name)
  })
}

/**
 * Copies each deleted file that is mapped private once to the page file, from `offset` on, and tells the identities where. Returns the end.
 *
 * @param files with the mapping that each came from
 */
export function keepDeleted(
  pid: number,
  tree: SeenTree,
  pageFile: PageFile,
  files: readonly { readonly file: FileIdentity; readonly line: MappingLine }[],
  offset: bigint,
): bigint {
  const kept = new Map<string, bigint>()
  let end = offset
  for (const { file, line } of files) {
    const key = `${file.device}:${file.inode}`
    const there = kept.get(key)
    file.contentOffset = there ?? end
    if (there !== undefined) continue
    kept.set(key, end)
    pageFile.require(end + file.sizeBytes)
    copyFile(sourceOf(pid, tree, line) ?? '', pageFile.fd, end, file.sizeBytes)
    end += file.sizeBytes
  }
  return end
}

function copyFile(source: string, pageFd: number, offset: bigint, sizeBytes: bigint): void {
  const fd = native.open(source, O_RDONLY | O_CLOEXEC)
  try {
    native.copyRange(fd, 0n, pageFd, offset, sizeBytes)
  } finally {
    closeSync(fd)
  }
}

/** For private mappings. Open for reading and writing. */
export function emitDeletedFile(program: Program, { path, sizeBytes, contentOffset }: FileIdentity, pageFile: Cell): Cell {
  const name = memfdName(path)
  const fd = name === undefined ? emitNamelessFile(program, path, false) : emitPrivateMemfd(program, name)
  emitKept(program, fd, pageFile, contentOffset, sizeBytes)
  return fd
}

/** In the process that opens what is shared. */
export function makeSharedDeleted({ path, content }: FileIdentity, emitter: Emitter): void {
  if (content !== null) sealDeleted(content, makeDeleted(content, path, false, emitter), emitter)
}

/** For shared mappings. @param writable it was open for writing when it was mapped */
export function emitSharedDeleted({ path, content }: FileIdentity, emitter: Emitter, writable: boolean): Cell {
  if (content === null) throw contradiction(`the content of ${path} is not there`)
  return reopen(emitter, makeDeleted(content, path, false, emitter).fd, writable ? O_RDWR : O_RDONLY)
}
