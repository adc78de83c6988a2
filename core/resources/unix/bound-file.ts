/**
 * Where the file is that a unix socket was bound to, and from where its name leads there. Neither shows in the name: a relative one starts where
 * its process was then, and files are renamed. Whoever may administer the network is given the file itself (SIOCUNIXFILE, linux/un.h); others
 * look where the name leads from where the process is now.
 */
import { accessSync, closeSync, constants, readdirSync, readlinkSync } from 'node:fs'
import { dirname, normalize, resolve } from 'node:path'
import { native } from '../../../native/index.js'
import type { FileStatus } from '../../../native/index.js'
import type { UnsupportedError } from '../../errors.js'
import { homeOf } from '../description.js'
import type { SeenDescription } from '../description.js'
import { DELETED, leadsTo, otherName } from '../file-path.js'
import { S_IFMT, S_IFSOCK } from '../open-flags.js'
import { refusal } from '../refusal.js'
import { readUnixDiag } from './diag.js'
import { isPath, printName } from './names.js'
import type { SocketFile } from './names.js'

const SIOCUNIXFILE = 0x89e0

interface Found {
  readonly path: string
  /** Undefined when it was deleted. */
  readonly status: FileStatus | undefined
}

interface Place {
  /** Where a relative name starts; empty for an absolute one. */
  readonly folder: string
  readonly path: string
}

/** @param owner whose file the name is: who was bound to it, or was accepted by who was; undefined when nobody in the tree is */
export function collectFile(seen: SeenDescription, address: Uint8Array, owner: SeenDescription | undefined): SocketFile | null {
  if (!isPath(address)) return null
  const name = printName(address)
  const { pid, rootPath: root } = homeOf(owner ?? seen)
  const folder = name.startsWith('/') ? '' : readlinkSync(`/proc/${pid}/cwd`)
  const found = owner === undefined ? undefined : (findByKernel(owner, name, root) ?? findByName(owner, name, root, folder))
  const places = foldersFor(name, folder, found).map((start) => placeIn(start, name))
  const same = places.find(({ path }) => found?.status !== undefined && leadsTo(root + path, found.status))
  const place = same ?? places.find(({ path }) => isFree(root, path, found))
  if (place === undefined) throw refuse(seen, name, root, places)
  const { mode, uid, gid } = found?.status ?? { mode: S_IFSOCK, uid: 0, gid: 0 }
  const current = same !== undefined ? same.path : found?.status === undefined ? '' : found.path
  return { ...place, current, mode, uid, gid }
}

/** As the kernel takes it: the folder above a link is not the one in which the link stands. */
function placeIn(folder: string, name: string): Place {
  if (!/(^|\/)\.\.(\/|$)/.test(name)) return { folder, path: resolve(folder, name) }
  return { folder, path: name.startsWith('/') ? name : `${folder === '/' ? '' : folder}/${name}` }
}

/** Undefined where that may not be asked. */
function findByKernel(owner: SeenDescription, name: string, root: string): Found | undefined {
  const fd = openFile(owner)
  if (fd === undefined) return undefined
  try {
    const link = readlinkSync(`/proc/self/fd/${fd}`)
    const status = native.statFd(fd)
    if (leadsTo(root + link, status)) return { path: link, status }
    // Of a tree that runs, it may have been moved or deleted just now.
    if (readlinkSync(`/proc/self/fd/${fd}`) !== link) return findByKernel(owner, name, root)
    if (!link.endsWith(DELETED)) throw refuseLost(owner, name)
    const path = link.slice(0, -DELETED.length)
    if (status.links === 0) return { path, status: undefined }
    const other = otherName(root, dirname(path), status)
    if (other === undefined) throw refuseLost(owner, name)
    return { path: other, status }
  } finally {
    closeSync(fd)
  }
}

function openFile(owner: SeenDescription): number | undefined {
  try {
    return native.ioctl(owner.duplicate(), SIOCUNIXFILE, new Uint8Array())
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPERM') return undefined
    throw error
  }
}

/** In the folder of the name. What is not there was deleted; but a relative name may have started elsewhere. */
function findByName(owner: SeenDescription, name: string, root: string, folder: string): Found {
  const { path } = placeIn(folder, name)
  const inode = readUnixDiag(owner).file?.inode
  const current = [path, ...namesIn(root, dirname(path))].find((candidate) => isSocketFile(root + candidate, inode))
  if (current !== undefined) return { path: current, status: native.statPath(root + current, false) }
  if (!name.startsWith('/')) throw refuseLost(owner, name)
  return { path, status: undefined }
}

function namesIn(root: string, folder: string): string[] {
  try {
    return readdirSync(root + folder).map((name) => resolve(folder, name))
  } catch {
    return []
  }
}

function statusOf(path: string, follow = false): FileStatus | undefined {
  try {
    return native.statPath(path, follow)
  } catch {
    return undefined
  }
}

/** sock_diag has 32 bits of the inode. */
function isSocketFile(path: string, inode: number | undefined): boolean {
  const status = statusOf(path)
  return status !== undefined && (status.mode & S_IFMT) === S_IFSOCK && Number(status.inode & 0xffff_ffffn) === inode
}

/** Where the name may start: in the folder from which it leads to that of the file, or, for a while only, anywhere. */
function foldersFor(name: string, folder: string, found: Found | undefined): string[] {
  if (name.startsWith('/')) return ['']
  if (found === undefined) return [folder]
  const [within, at] = [dirname(normalize(name)), dirname(found.path)]
  const isBelow = within !== '.' && `${at}/`.endsWith(`/${within}/`)
  return [isBelow ? at.slice(0, -within.length - 1) || '/' : at, folder, ...foldersAbove(at)]
}

const foldersAbove = (folder: string): string[] => (folder === '/' ? [] : [dirname(folder), ...foldersAbove(dirname(folder))])

/** Whether the name can be bound there once more, and its file, if there is one, be moved on to where it is. */
function isFree(root: string, path: string, found: Found | undefined): boolean {
  const folder = statusOf(root + dirname(path), true)
  // Nobody else can have the name while this one is bound to it, not even for a moment.
  if (folder === undefined || statusOf(root + path) !== undefined || !mayWrite(root + dirname(path))) return false
  return found?.status === undefined || statusOf(root + dirname(found.path), true)?.device === folder.device
}

function mayWrite(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}

function refuse(seen: SeenDescription, name: string, root: string, places: readonly Place[]): UnsupportedError {
  const taken = places.find(({ path }) => statusOf(root + path) !== undefined)
  if (taken === undefined) return refuseLost(seen, name)
  return refusal(
    seen,
    'THAW_UNIX_NAME_TAKEN',
    `is a unix socket with the name ${taken.path}, where another file stands by now`,
    'Close the socket in the warm-up, or leave its file where it is.',
  )
}

const refuseLost = (seen: SeenDescription, name: string): UnsupportedError =>
  refusal(
    seen,
    'THAW_UNIX_FILE',
    `is a unix socket with the name ${name}, whose file, or a folder for it, cannot be found`,
    name.startsWith('/')
      ? 'Close the socket in the warm-up, or leave its file and its folder where they are.'
      : 'Bind it by an absolute path, or stay in the folder that it was bound in.',
  )
