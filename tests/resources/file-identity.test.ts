/** Which file a mapping shows, where stat and maps tell its device differently: on an overlay over two file systems, as on btrfs. */
import { execaSync } from 'execa'
import { expect, test } from 'vitest'
import { readMappings } from '../../dist/core/proc/maps.js'
import { identify } from '../../dist/core/resources/file-identity.js'
import { native } from '../../dist/native/index.js'
import { Target } from '../native/harness.ts'

/** At /mnt/merged: an overlay whose files are those of two memory file systems. */
const MAKE = `
set -e
mount -t tmpfs none /mnt && cd /mnt && mkdir lower upper merged
mount -t tmpfs none lower && mount -t tmpfs none upper
mkdir lower/files upper/files upper/work upper/others upper/more && cp /bin/cat lower/files/below
mount -t overlay -o xino=off,lowerdir=lower/files,upperdir=upper/files,workdir=upper/work none merged
`

/** The program that it runs, by the first of its mappings. */
function programOf({ pid }: Target, path: string): ReturnType<typeof identify> {
  const line = readMappings(pid).find((candidate) => candidate.path === path)
  expect(line).toBeDefined()
  if (line === undefined) return undefined
  const rootPath = `/proc/${pid}/root`
  return identify({ pid, innerPid: pid, name: 'cat', rootPath, pidfd: -1, parentPid: 0 }, line, path)
}

test.skipIf(process.getuid?.() !== 0)('the same as long as its mount is of the file system that maps tells (needs root)', () => {
  using target = new Target('/usr/bin/unshare', ['--mount', 'sh', '-c', `${MAKE} exec /mnt/merged/below`])
  const status = native.statPath(`/proc/${target.pid}/root/mnt/merged/below`)
  expect(status.device).not.toBe(native.statPath(`/proc/${target.pid}/root/mnt/merged`).device)
  expect(programOf(target, '/mnt/merged/below')).toMatchObject({ inode: status.inode, deleted: false })
})

test.skipIf(process.getuid?.() !== 0)('another one, with the same number, in what was mounted over it (needs root)', () => {
  using target = new Target('/usr/bin/unshare', ['--mount', 'sh', '-c', `${MAKE} exec /mnt/merged/below`])
  const { inode } = native.statPath(`/proc/${target.pid}/root/mnt/merged/below`)
  const options = 'xino=off,lowerdir=/mnt/lower/files,upperdir=/mnt/upper/others,workdir=/mnt/upper/more'
  execaSync('nsenter', [`--target=${target.pid}`, '--mount', 'mount', '-t', 'overlay', '-o', options, 'none', '/mnt/merged'])
  expect(native.statPath(`/proc/${target.pid}/root/mnt/merged/below`).inode).toBe(inode)
  expect(programOf(target, '/mnt/merged/below')).toBeUndefined()
})
