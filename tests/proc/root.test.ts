import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { reachableRoot, rootHolder } from '../../dist/core/proc/root.js'
import { Target } from '../native/harness.ts'

test('files of a process in our mount namespace are where they say', () => {
  using target = new Target()
  expect(reachableRoot(target.pid)).toBe('')
  expect(rootHolder(target.pid)).toBe(target.pid)
})

test.skipIf(process.getuid?.() !== 0)('a mount namespace of its own is reached by way of its process (needs root)', () => {
  using target = new Target('/usr/bin/unshare', ['--mount', 'sh', '-c', 'mount -t tmpfs none /mnt && echo inside > /mnt/mark && exec cat'])
  expect(reachableRoot(target.pid)).toBe(`/proc/${target.pid}/root`)
  expect(readFileSync(`${reachableRoot(target.pid)}/mnt/mark`, 'utf8')).toBe('inside\n')
  expect(existsSync('/mnt/mark')).toBe(false)
})

test.skipIf(process.getuid?.() !== 0)('nobody shows the root of a namespace whose only process has another (needs root)', () => {
  using target = new Target('/usr/bin/unshare', ['--mount', 'sh', '-c', 'exec unshare --root=/proc/self/root/usr /bin/cat'])
  expect(rootHolder(target.pid)).toBeUndefined()
  expect(reachableRoot(target.pid)).toBeUndefined()
})
