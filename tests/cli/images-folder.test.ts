/** Folders that an image cannot go to, or cannot come from. */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openImage } from '../../dist/core/image/image.js'
import { rewrite } from '../image/rewrite.ts'
import { Counter, expectNothingLeft, failing, Folder, ordinary, thaw } from './harness.ts'

afterEach(expectNothingLeft)

const FILES = ['manifest.json', 'metadata.bin', 'pages.bin'] as const

describe('to dump to: refused, and the process goes on', () => {
  test('a folder with something in it', async () => {
    using folder = new Folder()
    await using counter = await Counter.start(folder)
    mkdirSync(folder.file('images'))
    writeFileSync(folder.file('images/mine'), 'precious')
    const failure = await failing(['dump', String(counter.pid), '--images', folder.file('images')])
    expect(failure).toMatchObject({ status: 1, name: 'ImageError', code: 'THAW_IMAGES_EXIST' })
    expect(readdirSync(folder.file('images'))).toEqual(['mine'])
    await counter.expectToGoOn()
  })

  test('a file', async () => {
    using folder = new Folder()
    await using counter = await Counter.start(folder)
    writeFileSync(folder.file('images'), 'precious')
    expect(await failing(['dump', String(counter.pid), '--images', folder.file('images')])).toMatchObject({
      status: 1,
      code: 'THAW_IMAGES_NOT_WRITABLE',
    })
    expect(readFileSync(folder.file('images'), 'utf8')).toBe('precious')
    await counter.expectToGoOn()
  })

  test('a folder in none', async () => {
    using folder = new Folder()
    await using counter = await Counter.start(folder)
    const failure = await failing(['dump', String(counter.pid), '--images', folder.file('no/images')])
    expect(failure).toMatchObject({ status: 1, code: 'THAW_IMAGES_NOT_WRITABLE', syscall: 'mkdir', errno: 2 })
    expect(folder.names).toEqual(['count', 'output'])
    await counter.expectToGoOn()
  })

  test('what killed dumpers left of an image for the same place goes, nothing else', async () => {
    using folder = new Folder()
    await using counter = await Counter.start(folder)
    for (const name of ['.images.4194304.partial', `.images.${process.pid}.partial`, '.images.mine.partial', '.other.4194304.partial'])
      mkdirSync(folder.file(name))
    expect((await thaw(['dump', String(counter.pid), '--images', folder.file('images'), '--leave-running'])).status).toBe(0)
    expect(folder.names).toEqual([
      `.images.${process.pid}.partial`,
      '.images.mine.partial',
      '.other.4194304.partial',
      'count',
      'images',
      'output',
    ])
  })

  test('a folder where this user may not write', async () => {
    using folder = new Folder()
    await using counter = await Counter.start(folder, undefined, { wrapper: ordinary })
    mkdirSync(folder.file('closed'), { mode: 0o555 })
    const failure = await failing(['dump', String(counter.pid), '--images', folder.file('closed/images')], { wrapper: ordinary })
    expect(failure).toMatchObject({ status: 1, code: 'THAW_IMAGES_NOT_WRITABLE', errno: 13 })
    expect(readdirSync(folder.file('closed'))).toEqual([])
    await counter.expectToGoOn()
  })

  describe.each(['--leave-running', '--leave-stopped', undefined])('a file system without room (%s)', (fate) => {
    test.skipIf(ordinary.length === 0).each(['small/images', 'small'])('%s', async (images) => {
      using folder = new Folder()
      await using counter = await Counter.start(folder)
      mkdirSync(folder.file('small'))
      const failure = await failing(['dump', String(counter.pid), '--images', folder.file(images), ...(fate === undefined ? [] : [fate])], {
        wrapper: inSmall(folder),
      })
      expect(failure).toMatchObject({ status: 1, name: 'ImageError', code: 'THAW_IMAGES_NOT_WRITABLE', errno: 28 })
      expect(failure.message).toMatch(/no space is left/)
      expect(readFileSync(folder.file('left'), 'utf8')).toBe('')
      await counter.expectToGoOn()
    })
  })

  test('a link to an empty folder is good, and stays one', async () => {
    using folder = new Folder()
    await using counter = await Counter.start(folder)
    mkdirSync(folder.file('real'))
    symlinkSync(folder.file('real'), folder.file('images'))
    expect(await thaw(['dump', String(counter.pid), '--images', folder.file('images'), '--leave-running'])).toMatchObject({ status: 0 })
    expect(readlinkSync(folder.file('images'))).toBe(folder.file('real'))
    expect(await thaw(['verify', folder.file('real')])).toMatchObject({ status: 0 })
    await counter.expectToGoOn()
  })

  test('a link to nowhere', async () => {
    using folder = new Folder()
    await using counter = await Counter.start(folder)
    symlinkSync(folder.file('nowhere'), folder.file('images'))
    const failure = await failing(['dump', String(counter.pid), '--images', folder.file('images')])
    expect(failure).toMatchObject({ status: 1, code: 'THAW_IMAGES_NOT_WRITABLE', errno: 2 })
    await counter.expectToGoOn()
  })

  // As in /tmp: who may write to it may not replace it.
  test.skipIf(ordinary.length === 0)("another user's empty folder in a sticky one is good", async () => {
    using folder = new Folder()
    await using counter = await Counter.start(folder, undefined, { wrapper: ordinary })
    mkdirSync(folder.file('sticky/images'), { recursive: true })
    chmodSync(folder.file('sticky/images'), 0o777)
    chmodSync(folder.file('sticky'), 0o1777)
    expect(await thaw(['dump', String(counter.pid), '--images', folder.file('sticky/images')], { wrapper: ordinary })).toMatchObject({
      status: 0,
      stderr: '',
    })
    expect(readdirSync(folder.file('sticky'))).toEqual(['images'])
    expect(await thaw(['verify', folder.file('sticky/images')])).toMatchObject({ status: 0 })
  })

  test.skipIf(ordinary.length === 0).each(['-t tmpfs none', '--bind .'])('an empty mount point is good: %s', async (mount) => {
    using folder = new Folder()
    await using counter = await Counter.start(folder)
    for (const name of ['point', 'other']) mkdirSync(folder.file(name))
    const wrapper = [
      'unshare',
      '--mount',
      'sh',
      '-c',
      `cd '${folder.file('other')}' && mount ${mount} '${folder.file('point')}' && "$@" && "$1" "$2" verify '${folder.file('point')}'`,
      'sh',
    ]
    expect(await thaw(['dump', String(counter.pid), '--images', folder.file('point'), '--leave-running'], { wrapper })).toMatchObject({
      status: 0,
      stderr: '',
    })
    await counter.expectToGoOn()
  })
})

describe('to restore from', () => {
  const original = new Folder()
  beforeAll(async () => {
    await using counter = await Counter.start(original)
    expect((await thaw(['dump', String(counter.pid), '--images', original.file('images')])).status).toBe(0)
    return () => original[Symbol.dispose]()
  })

  /** A copy to do harm to. */
  function copy(folder: Folder): string {
    cpSync(original.file('images'), folder.file('images'), { recursive: true })
    return folder.file('images')
  }

  test('none', async () => {
    using folder = new Folder()
    await allRefuse(folder.file('images'), { code: 'THAW_IMAGE_MISSING' })
    mkdirSync(folder.file('images'))
    await allRefuse(folder.file('images'), { code: 'THAW_IMAGE_MISSING' })
  })

  test.each(FILES)('without %s', async (name) => {
    using folder = new Folder()
    rmSync(join(copy(folder), name))
    await allRefuse(folder.file('images'), { code: name === 'manifest.json' ? 'THAW_IMAGE_MISSING' : 'THAW_IMAGE_DAMAGED' })
  })

  test.each(FILES)('with %s truncated', async (name) => {
    using folder = new Folder()
    const path = join(copy(folder), name)
    truncateSync(path, statSync(path).size - 1)
    await allRefuse(folder.file('images'), { code: 'THAW_IMAGE_DAMAGED' }, ['restore', 'verify'])
    truncateSync(path, 0)
    await allRefuse(folder.file('images'), { code: 'THAW_IMAGE_DAMAGED' }, ['verify', 'inspect'])
  })

  /** With one bit changed; the file is as it was afterwards. */
  async function withFlipped(path: string, bytes: Uint8Array, bit: number, look: () => Promise<void>): Promise<void> {
    const changed = Uint8Array.from(bytes)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    writeFileSync(path, changed)
    await look()
    writeFileSync(path, bytes)
  }

  test.each(FILES)('with a bit of %s changed', async (name) => {
    using folder = new Folder()
    const path = join(copy(folder), name)
    const bytes = readFileSync(path)
    await withFlipped(path, bytes, bytes.length * 5, async () =>
      allRefuse(folder.file('images'), { code: /^THAW_IMAGE_(DAMAGED|VERSION)$/ }, ['restore', 'verify']),
    )
  })

  test('with any bit of the manifest changed, and many of the others', async () => {
    using folder = new Folder()
    const images = copy(folder)
    const passed: string[] = []
    for (const [name, everyBits] of [
      ['manifest.json', 1],
      ['metadata.bin', 997],
      ['pages.bin', 9973],
    ] as const) {
      const path = join(images, name)
      const bytes = readFileSync(path)
      for (let bit = 0; bit < bytes.length * 8; bit += everyBits)
        await withFlipped(path, bytes, bit, async () => {
          const opened = await openImage(images, 'everything').catch((error: { code: string }) => error.code)
          if (typeof opened === 'string' && /^THAW_IMAGE_(DAMAGED|VERSION)$/.test(opened)) return
          passed.push(`${name}, bit ${bit}: ${typeof opened === 'string' ? opened : 'opened'}`)
        })
    }
    expect(passed).toEqual([])
  })

  test('that this user may not read', async () => {
    using folder = new Folder()
    const images = copy(folder)
    chmodSync(images, 0o700)
    const failure = await failing(['verify', images], { wrapper: ordinary })
    expect(failure).toMatchObject({ status: 1, code: 'THAW_IMAGE_NOT_READABLE', errno: 13 })
  })

  test.skipIf(ordinary.length === 0).each(['metadata.bin', 'pages.bin'])('of which this user may not read %s', async (name) => {
    using folder = new Folder()
    const images = copy(folder)
    chmodSync(images, 0o755)
    for (const file of FILES) chmodSync(join(images, file), file === name ? 0o600 : 0o644)
    for (const command of [['restore', '--detach', '--images'], ['verify'], ['inspect']])
      expect(await failing([...command, images], { wrapper: ordinary })).toMatchObject({
        status: 1,
        name: 'ImageError',
        code: 'THAW_IMAGE_NOT_READABLE',
        errno: 13,
        message: expect.stringContaining(`EACCES, of ${name}.`),
      })
  })

  test.each(['metadata.bin', 'pages.bin'])('of which %s is a folder', async (name) => {
    using folder = new Folder()
    const images = copy(folder)
    const path = join(images, name)
    rmSync(path)
    mkdirSync(path)
    const text = readFileSync(join(images, 'manifest.json'), 'utf8')
    const manifest = JSON.parse(text) as { files: Record<string, { sizeBytes: number }> }
    writeFileSync(join(images, 'manifest.json'), text.replace(`: ${manifest.files[name]!.sizeBytes},`, `: ${statSync(path).size},`))
    await allRefuse(images, { code: 'THAW_IMAGE_NOT_READABLE' }, ['verify'])
  })

  test('whose parts do not fit each other', async () => {
    using folder = new Folder()
    rewrite(copy(folder), (model) => ({ ...model, descriptions: model.descriptions.slice(1) }))
    await allRefuse(folder.file('images'), { code: 'THAW_IMAGE_DAMAGED' })
  })

  test('of another kernel', async () => {
    using folder = new Folder()
    rewrite(copy(folder), (model) => ({ ...model, machine: { ...model.machine, kernelRelease: '5.4.0-other' } }))
    await allRefuse(folder.file('images'), { code: 'THAW_OTHER_KERNEL', status: 3 }, ['restore'])
    expect((await thaw(['verify', folder.file('images')])).status).toBe(0)
  })

  test('of another processor', async () => {
    using folder = new Folder()
    rewrite(copy(folder), (model) => ({ ...model, machine: { ...model.machine, cpuFlags: `${model.machine.cpuFlags} avx2048` } }))
    await allRefuse(folder.file('images'), { code: 'THAW_OTHER_CPU', status: 3 }, ['restore'])
  })
})

// In a mount namespace of its own, so that nothing is mounted here.
const inSmall = (folder: Folder): string[] => [
  'unshare',
  '--mount',
  'sh',
  '-c',
  `mount -t tmpfs -o size=64k small '${folder.file('small')}' && "$@"; status=$?; ls -A '${folder.file('small')}' > '${folder.file('left')}'; exit $status`,
  'sh',
]

/** All commands that read an image refuse it alike; `inspect` does not read the pages. */
async function allRefuse(
  images: string,
  expected: { code: string | RegExp; status?: number },
  commands = ['restore', 'verify', 'inspect'],
): Promise<void> {
  for (const command of commands) {
    const failure = await failing(command === 'restore' ? ['restore', '--detach', '--images', images] : [command, images])
    expect(failure).toMatchObject({
      name: 'ImageError',
      status: expected.status ?? 1,
      code: typeof expected.code === 'string' ? expected.code : expect.stringMatching(expected.code),
    })
  }
}

/** Mounts of this process are none of a test's business. */
test('nothing is mounted here', () => {
  expect(spawnSync('findmnt', ['--noheadings', '--output', 'TARGET'], { encoding: 'utf8' }).stdout).not.toContain('thaw-cli-')
})
