import { closeSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, openHost } from '../../dist/core/index.js'
import { native } from '../../dist/native/index.js'

afterAll(closeCheckpointPool)

/** Answers each line with a count, on standard output; standard error is the same description, and a number of its own opens its pipe once more. */
const PROGRAM = `
import os, sys
os.setsid()
count = 0
extra = os.open('/proc/self/fd/1', os.O_WRONLY)
os.write(2, b'ready\\n')
for line in sys.stdin:
    count += 1
    os.write(1, b'%d ' % count + line.encode())
    os.write(2, b'err\\n')
    os.write(extra, b'extra\\n')
`

async function readAll(fd: number, bytes: number): Promise<string> {
  let text = ''
  for (let tries = 0; text.length < bytes && tries < 200; tries++) {
    if (native.poll(fd, 1, 20) === 0) await sleep(5)
    else text += Buffer.from(native.read(fd, 4096) ?? []).toString()
  }
  return text
}

test('streams that lead outside are connected to those that the restore is given', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'streams-'))
  writeFileSync(join(folder, 'program.py'), PROGRAM)
  const [input, toInput] = native.pipe(0)
  const [fromOutput, output] = native.pipe(0)
  const { pid, pidfd } = native.spawnProcess('/usr/bin/env', ['python3', '-u', join(folder, 'program.py')], [input, output, output])
  for (const fd of [input, output]) closeSync(fd)
  expect(await readAll(fromOutput, 6)).toBe('ready\n')
  native.syscall('write', [toInput, Buffer.from('one\n'), 4])
  expect(await readAll(fromOutput, 16)).toBe('1 one\nerr\nextra\n')

  await using image = (await checkpoint(pid, { then: 'kill' })).image
  for (const fd of [pidfd, toInput, fromOutput]) closeSync(fd)

  await using host = await openHost()
  await using template = await image.load(host, { network: 'host' })
  for (const word of ['first', 'second']) {
    const streams = [native.pipe(0), native.pipe(0), native.pipe(0)] as const
    {
      await using instance = await template.spawn({ stdio: [streams[0][0], streams[1][1], streams[2][1]] })
      closeSync(streams[1][1])
      closeSync(streams[2][1])
      native.syscall('write', [streams[0][1], Buffer.from(`${word}\n`), word.length + 1])
      expect(await readAll(streams[1][0], word.length + 13)).toBe(`2 ${word}\nerr\nextra\n`)
      closeSync(streams[0][1])
      expect(await instance.exited).toEqual({ code: 0, signal: null })
    }
    for (const fd of [streams[0][0], streams[1][0], streams[2][0]]) closeSync(fd)
  }
  rmSync(folder, { recursive: true })
})
