/** Where the files of a program usually are: what it has open, its arguments and environment, what stands beside that, and what is below. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { SeenProcess, SeenTree } from '../description.js'
import { parseWatch } from './watch-line.js'

/** Folders whose entries are looked at before a search is given up. */
const MOST_FOLDERS = 10_000
const LONGEST_PATH = 4096
/** Without files of a program's own, or without an end. */
const NOT_SEARCHED = new Set(['/', '/proc', '/sys', '/dev', '/run', '/usr', '/home', '/root', '/var', '/tmp'])
/** What message buses and desktops watch, without that anything of theirs names it (XDG Base Directory Specification). */
const installed = ['/etc/dbus-1', '/usr/local/share/dbus-1', '/usr/share/dbus-1', '/usr/local/share', '/usr/share']
/** IN_ACCESS, IN_CLOSE_NOWRITE, IN_OPEN. */
const LISTING = 0x31

/** Folders are listed only while that is no event for the tree, which must not be able to tell that it is looked at. */
export function* likelyPaths(home: SeenProcess, tree: SeenTree): Generator<string, void> {
  const near = new Set(candidates(home, tree).flatMap((path) => [path, dirname(path)]))
  yield* near
  if (tree.frozen || listingTells(tree)) return
  const folders = new Set([...near].filter((path) => !NOT_SEARCHED.has(path)))
  for (const folder of folders) {
    if (folders.size > MOST_FOLDERS) return
    for (const entry of entriesOf(home.rootPath + folder)) {
      const path = join(folder, entry.name)
      yield path
      // A set is gone through in the order of its growth: what is near comes first.
      if (entry.isDirectory()) folders.add(path)
    }
  }
}

/** Whether a folder that is listed makes an event for the tree, which must not be able to tell that it is looked at. */
export function listingTells({ descriptions }: SeenTree): boolean {
  return descriptions.some(({ info }) => info.lines.some((line) => ((parseWatch(line)?.mask ?? 0) & LISTING) !== 0))
}

function candidates(home: SeenProcess, tree: SeenTree): string[] {
  const { pid } = home
  const folder = readlinkSync(`/proc/${pid}/cwd`)
  const words = ['cmdline', 'environ'].flatMap((file) => readIfAllowed(`/proc/${pid}/${file}`).split(/[\0=:]/))
  const named = words.filter((word) => word !== '' && word.length < LONGEST_PATH).map((word) => resolve(folder, word))
  const links = tree.descriptions.map(({ link }) => link).filter((link) => link.startsWith('/'))
  const mapped = tree.mappingsOf(home).flatMap(({ path }) => (path.startsWith('/') ? [path] : []))
  const own = [readlinkSync(`/proc/${pid}/exe`), readlinkSync(`/proc/${pid}/root`)]
  return [folder, ...links, ...named, ...own, '/etc', '/tmp', ...installed, ...new Set(mapped.map(dirname))]
}

function readIfAllowed(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

export function entriesOf(folder: string): { readonly name: string; isDirectory(): boolean }[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch {
    return []
  }
}
