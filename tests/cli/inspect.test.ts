import { beforeAll, describe, expect, test } from 'vitest'
import { Counter, Folder, thaw, tool } from './harness.ts'

describe('an image of a process that listens', () => {
  const folder = new Folder()
  const images = folder.file('images')
  let pid = 0
  let port = 0n

  beforeAll(async () => {
    await using listener = await Counter.start(folder, tool('listener'))
    pid = listener.pid
    port = listener.count
    expect((await thaw(['dump', String(pid), '--images', images])).status).toBe(0)
    return () => folder[Symbol.dispose]()
  })

  test('for people: program, threads, memory, descriptors', async () => {
    const { status, stdout } = await thaw(['inspect', images])
    expect(status).toBe(0)
    for (const line of [
      /^Taken \d{4}-\d\d-\d\dT[\d:.]+Z on kernel /,
      new RegExp(`^pid ${pid} \\(listener\\)$`, 'm'),
      /^ {2}program +\S+\/tools\/listener$/m,
      new RegExp(`^ {2}threads +${pid} listener$`, 'm'),
      /^ {2}memory +[\d.]+ MB in \d+ mappings, [\d.]+ kB kept$/m,
      /^ +0 {2}character device {2}\/dev\/null$/m,
      new RegExp(`^ +\\d {2}tcp listener {2}127\\.0\\.0\\.1:${port}$`, 'm'),
    ])
      expect(stdout).toMatch(line)
    expect(stdout).not.toContain('[heap]')
  })

  test('-v lists the mappings', async () => {
    const { stdout } = await thaw(['inspect', images, '-v'])
    expect(stdout).toMatch(/^ {4}[0-9a-f]+-[0-9a-f]+ r-x \S+\/tools\/listener$/m)
  })

  test('--json holds everything but the bytes', async () => {
    const { stdout } = await thaw(['inspect', images, '--json'])
    const image = JSON.parse(stdout) as {
      processes: { pid: number; threads: { tid: number; extendedState: unknown }[] }[]
      descriptions: { kind: string }[]
    }
    expect(image.processes).toMatchObject([{ pid, threads: [{ tid: pid, extendedState: { bytes: expect.any(Number) } }] }])
    expect(image.descriptions.map(({ kind }) => kind)).toContain('tcp_listener')
  })

  test('--program prints what a restore does, in the manner of strace', async () => {
    const { stdout } = await thaw(['inspect', images, '--program'])
    expect(stdout).toMatch(new RegExp(`^program \\d+ root ${pid} \\(\\d+ operations\\)$`, 'm'))
    expect(stdout).toMatch(/^ +\d+ {2}socket\(2, .*\) = <socket#\d+>$/m)
    expect(stdout).toMatch(/rt_sigreturn\(0x[0-9a-f]+\)/)
    const { programs } = JSON.parse((await thaw(['inspect', images, '--program', '--json'])).stdout) as {
      programs: { name: string; operations: unknown[] }[]
    }
    expect(programs.map(({ name }) => name)).toContain(`root ${pid}`)
  })
})
