/**
 * By which path a watched inode is reached again. The kernel tells only the inode: who may, asks for its path by its handle; anybody else
 * looks where a program's files usually are.
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { native } from '../../../native/index.js'
import type { SeenDescription, SeenProcess, SeenTree } from '../description.js'
import { homeOf } from '../description.js'
import { refusal } from '../refusal.js'
import { handleOf, mountsOf, pathOfHandle } from './file-handle.js'
import type { Mount } from './file-handle.js'
import { parseWatch } from './watch-line.js'
import type { SeenWatch } from './watch-line.js'

/** Paths that were found before, each verified again: what was found out before the freeze need not be looked for in it. */
const known = new Map<string, string>()
const MOST_KNOWN = 100_000
/** Folders whose entries are looked at before a search is given up. */
const MOST_FOLDERS = 10_000
/** Without files of a program's own, or without an end. */
const NOT_SEARCHED = new Set(['/', '/proc', '/sys', '/dev', '/run', '/usr', '/home', '/root', '/var', '/tmp'])
/** IN_ACCESS, IN_CLOSE_NOWRITE, IN_OPEN. */
const LISTING = 0x31

/** @throws UnsupportedError THAW_INOTIFY_PATH */
export function watchedPath(watch: SeenWatch, seen: SeenDescription, tree: SeenTree): string {
  const home = homeOf(seen)
  const leads = matcher(watch, home)
  const key = `${watch.device}:${watch.inode}:${watch.handle}`
  const path = [known.get(key)].find(leads) ?? byHandle(watch, home, leads) ?? searched(home, tree, leads)
  const inside = path === undefined ? undefined : belowRoot(home, path)
  if (path === undefined || inside === undefined)
    throw refusal(
      seen,
      'THAW_INOTIFY_PATH',
      `is an inotify instance that watches inode ${watch.inode} (watch ${watch.descriptor}), and no path to that is found`,
      'Close the watch in the warm-up, or run thaw as root, who can ask for its path.',
    )
  if (known.size >= MOST_KNOWN) known.clear()
  known.set(key, path)
  return inside
}

type Leads = (path: string | undefined) => path is string

/** Whether a path, as /proc prints it for the process, leads to the watched inode. */
function matcher({ device, inode, handle }: SeenWatch, { pid, rootPath }: SeenProcess): Leads {
  const devices = new Map(mountsOf(pid).map((mount) => [mount.id, mount.device]))
  return (path): path is string => {
    if (path === undefined) return false
    const found = handleOf(rootPath + path)
    if (found !== undefined && handle !== '') return found.handle === handle && devices.get(found.mountId) === device
    return hasInode(rootPath + path, inode, device)
  }
}

/** For file systems without handles. */
function hasInode(path: string, inode: bigint, device: number): boolean {
  try {
    const status = native.statPath(path, false)
    const major = Number((status.device >> 8n) & 0xfffn)
    const minor = Number((status.device & 0xffn) | ((status.device >> 12n) & 0xfff00n))
    return status.inode === inode && major * 2 ** 20 + minor === device
  } catch {
    return false
  }
}

/** A mount may show a part of its file system only. */
function byHandle({ device, handle }: SeenWatch, { pid, rootPath }: SeenProcess, leads: Leads): string | undefined {
  if (handle === '') return undefined
  for (const { point } of mountsOf(pid).filter((mount: Mount) => mount.device === device)) {
    const path = pathOfHandle(rootPath + point, handle)
    const seenInside = path?.startsWith(`${rootPath}/`) === true ? path.slice(rootPath.length) : path
    for (const candidate of [seenInside, path]) if (leads(candidate)) return candidate
  }
  return undefined
}

/** Files of the process, what stands beside them, and what is below its folders. */
function searched(home: SeenProcess, tree: SeenTree, leads: Leads): string | undefined {
  const near = [...new Set(candidates(home, tree).flatMap((path) => [path, dirname(path)]))]
  const direct = near.find(leads)
  if (direct !== undefined || tree.frozen || listingTells(tree)) return direct
  const folders = new Set(near.filter((path) => !NOT_SEARCHED.has(path)))
  for (const folder of folders) {
    if (folders.size > MOST_FOLDERS) break
    for (const entry of entriesOf(home.rootPath + folder)) {
      const path = join(folder, entry.name)
      if (leads(path)) return path
      // A set is gone through in the order of its growth: what is near comes first.
      if (entry.isDirectory()) folders.add(path)
    }
  }
  return undefined
}

/** Whether a folder that is listed makes an event for the tree, which must not be able to tell that it is looked at. */
export function listingTells({ descriptions }: SeenTree): boolean {
  return descriptions.some(({ info }) => info.lines.some((line) => ((parseWatch(line)?.mask ?? 0) & LISTING) !== 0))
}

function candidates({ pid }: SeenProcess, tree: SeenTree): string[] {
  const folder = readlinkSync(`/proc/${pid}/cwd`)
  const words = ['cmdline', 'environ'].flatMap((file) => readIfAllowed(`/proc/${pid}/${file}`).split(/[\0=:]/))
  const named = words.filter((word) => word !== '' && word.length < 4096).map((word) => resolve(folder, word))
  const links = tree.descriptions.map(({ link }) => link).filter((link) => link.startsWith('/'))
  const found = [...known.values()]
  return [folder, ...links, ...named, ...found, readlinkSync(`/proc/${pid}/exe`), readlinkSync(`/proc/${pid}/root`), '/etc', '/tmp']
}

function readIfAllowed(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function entriesOf(folder: string): { readonly name: string; isDirectory(): boolean }[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch {
    return []
  }
}

/** As the process sees it: below the root that chroot(2) gave it. Undefined for what is out of its reach. */
function belowRoot({ pid }: SeenProcess, path: string): string | undefined {
  const root = readlinkSync(`/proc/${pid}/root`)
  if (root === '/' || path === root) return root === '/' ? path : '/'
  return path.startsWith(`${root}/`) ? path.slice(root.length) : undefined
}
