/** Private mappings of a file that was deleted or replaced since: its bytes are kept, and a nameless file stands in for it. */
import { closeSync, readdirSync } from 'node:fs'
import { native } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import type { PageFile } from '../checkpoint/page-file.js'
import type { FileIdentity } from '../image/model.js'
import type { MappingLine } from '../proc/maps.js'
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import type { SeenProcess } from './description.js'
import { statusIfThere } from './file-identity.js'
import { emitNamelessFile } from './nameless-file.js'
import { O_CLOEXEC, O_RDONLY } from './open-flags.js'

/** @throws UnsupportedError THAW_FILE_REPLACED for a shared mapping, or when nothing leads to the file any more */
export function identifyDeleted(process: SeenProcess, line: MappingLine, path: string): FileIdentity {
  const shared = line.permissions.endsWith('s')
  const source = shared ? undefined : sourceOf(process.pid, line.inode, [line])
  const status = source === undefined ? undefined : native.statPath(source)
  if (status === undefined)
    throw new UnsupportedError(
      'THAW_FILE_REPLACED',
      `Cannot checkpoint pid ${process.pid} (${process.name}): ${path} is mapped at 0x${line.start.toString(16)}, but was deleted or replaced since${shared ? '' : ', and nothing leads to it any more without the right to follow map_files'}. Restart the process with the new file${shared ? '' : ', or run thaw as root'}.`,
      { pid: process.pid, path },
    )
  return { path, device: status.device, inode: status.inode, sizeBytes: status.sizeBytes, modified: 0n, deleted: true, contentOffset: 0n }
}

/** A way to the bytes of a file without a name: the mapping itself (a privilege), the executable, or a descriptor. */
function sourceOf(pid: number, inode: bigint, lines: readonly MappingLine[]): string | undefined {
  const ranges = lines.map(({ start, end }) => `/proc/${pid}/map_files/${start.toString(16)}-${end.toString(16)}`)
  const descriptors = readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`)
  return [...ranges, `/proc/${pid}/exe`, ...descriptors].find((path) => statusIfThere(path)?.inode === inode)
}

/**
 * Copies each deleted file once to the page file, from `offset` on, and tells the identities where. Returns the end.
 *
 * @param files with the mapping that each came from
 */
export function keepDeleted(
  pid: number,
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
    copyFile(sourceOf(pid, file.inode, [line]) ?? '', pageFile.fd, end, file.sizeBytes)
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

/** Open for reading and writing. */
export function emitDeletedFile(program: Program, { path, sizeBytes, contentOffset }: FileIdentity, pageFile: Cell): Cell {
  const fd = emitNamelessFile(program, path, false)
  if (sizeBytes > 0n) program.call('sendfile', [fd, pageFile, program.bundle.words(contentOffset), sizeBytes], { equal: sizeBytes })
  return fd
}
