/**
 * By which path a watched inode is reached again. The kernel tells only the inode: who may, asks for its path by its handle; anybody else
 * looks where a program's files usually are.
 */
import { readlinkSync } from 'node:fs'
import { native } from '../../../native/index.js'
import { mountsOf } from '../../proc/mounts.js'
import type { Mount } from '../../proc/mounts.js'
import { homeOf } from '../description.js'
import type { SeenDescription, SeenProcess, SeenTree } from '../description.js'
import { refusal } from '../refusal.js'
import { handleOf, pathOfHandle } from './file-handle.js'
import { likelyPaths, listingTells } from './likely-paths.js'
import type { SeenWatch } from './watch-line.js'
import { walkOf } from './wide-walk.js'

/** Paths that were found before, each verified again: what was found out before the freeze need not be looked for in it. */
const known = new Map<string, string>()
const MOST_KNOWN = 100_000
const finders = new WeakMap<SeenTree, Map<SeenProcess, Finder>>()

/** @throws UnsupportedError THAW_INOTIFY_PATH */
export function watchedPath(watch: SeenWatch, seen: SeenDescription, tree: SeenTree): string {
  const home = homeOf(seen)
  const path = finderOf(home, tree).find(watch)
  const inside = path === undefined ? undefined : belowRoot(home, path)
  if (path === undefined || inside === undefined)
    throw refusal(
      seen,
      'THAW_INOTIFY_PATH',
      `is an inotify instance that watches inode ${watch.inode} (watch ${watch.descriptor}), and no path to that is found`,
      'Close the watch in the warm-up, or run thaw as root, who can ask for its path.',
    )
  if (known.size >= MOST_KNOWN) known.clear()
  known.set(keyOf(watch), path)
  return inside
}

function finderOf(home: SeenProcess, tree: SeenTree): Finder {
  const ofTree = finders.get(tree) ?? new Map<SeenProcess, Finder>()
  finders.set(tree, ofTree)
  const finder = ofTree.get(home) ?? new Finder(home, tree)
  ofTree.set(home, finder)
  return finder
}

/** By inode only on file systems without handles. */
const keyOf = ({ device, handle, inode }: Pick<SeenWatch, 'device' | 'handle' | 'inode'>): string =>
  `${device}:${handle === '' ? inode : handle}`

/** The files of a process. Its folders are gone through once, however many watches there are, and no further than needed. */
class Finder {
  readonly #home: SeenProcess
  readonly #mounts: readonly Mount[]
  readonly #devices: ReadonlyMap<number, number>
  readonly #found = new Map<string, string>()
  readonly #likely: Generator<string, void>
  readonly #mayList: boolean
  readonly #walks = new Map<number, Generator<string, void>>()

  constructor(home: SeenProcess, tree: SeenTree) {
    this.#home = home
    this.#mounts = mountsOf(home.pid)
    this.#devices = new Map(this.#mounts.map(({ id, device }) => [id, device]))
    this.#likely = likelyPaths(home, tree)
    this.#mayList = !tree.frozen && !listingTells(tree)
  }

  find(watch: SeenWatch): string | undefined {
    const wanted = keyOf(watch)
    const before = known.get(wanted)
    if (before !== undefined && this.#keys(before).includes(wanted)) return before
    return this.#byHandle(watch) ?? this.#searched(wanted, this.#likely) ?? this.#searched(wanted, this.#walkOf(watch.device))
  }

  /** A mount may show a part of its file system only. */
  #byHandle(watch: SeenWatch): string | undefined {
    const { rootPath } = this.#home
    if (watch.handle === '') return undefined
    for (const { point } of this.#mounts.filter(({ device }) => device === watch.device)) {
      const path = pathOfHandle(rootPath + point, watch.handle)
      if (path === undefined) continue
      const inside = path.startsWith(`${rootPath}/`) ? path.slice(rootPath.length) : path
      for (const candidate of [inside, path]) if (this.#keys(candidate).includes(keyOf(watch))) return candidate
    }
    return undefined
  }

  /** Nobody notices, and no tree stands still meanwhile. Once for all watches on a file system. */
  #walkOf(device: number): Generator<string, void> {
    const walk = this.#walks.get(device) ?? walkOf(this.#home, device, this.#mayList ? this.#mounts : [])
    this.#walks.set(device, walk)
    return walk
  }

  #searched(wanted: string, paths: Generator<string, void>): string | undefined {
    while (!this.#found.has(wanted)) {
      const { value: path, done } = paths.next()
      if (done === true) break
      for (const key of this.#keys(path)) if (!this.#found.has(key)) this.#found.set(key, path)
    }
    return this.#found.get(wanted)
  }

  /** Of what stands at a path, as /proc prints it for the process. */
  #keys(path: string): string[] {
    const reachable = this.#home.rootPath + path
    const handle = handleOf(reachable)
    const device = handle === undefined ? undefined : this.#devices.get(handle.mountId)
    const byHandle = handle === undefined || device === undefined ? [] : [keyOf({ device, handle: handle.handle, inode: 0n })]
    return [...byHandle, ...inodeKeys(reachable)]
  }
}

function inodeKeys(path: string): string[] {
  try {
    const { device, inode } = native.statPath(path, false)
    const [major, minor] = [Number((device >> 8n) & 0xfffn), Number((device & 0xffn) | ((device >> 12n) & 0xfff00n))]
    return [keyOf({ device: major * 2 ** 20 + minor, handle: '', inode })]
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
