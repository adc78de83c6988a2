import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { thaw } from './harness.ts'

describe('what is wrong with a command line is said on standard error, with status 2', () => {
  test.each([
    ['no command', [], /Usage: thaw/],
    ['an unknown command', ['freeze'], /unknown command 'freeze'/],
    ['an unknown option', ['verify', 'd', '--fast'], /unknown option '--fast'/],
    ['a missing option', ['restore'], /required option '--images <dir>'/],
    ['a missing argument', ['dump', '--images', 'd'], /missing required argument 'pid'/],
    ['a pid that is none', ['dump', '12x', '--images', 'd'], /A pid is a number/],
    ['the pid 0', ['dump', '0', '--images', 'd'], /A pid is a number/],
    ['two fates at once', ['dump', '7', '--images', 'd', '--leave-running', '--leave-stopped'], /cannot be used with/],
    ['a choice that there is not', ['restore', '--images', 'd', '--network', 'none'], /Allowed choices are host, new/],
  ])('%s', async (_, args, message) => {
    const { status, stderr } = await thaw(args)
    expect(stderr).toMatch(message)
    expect(status).toBe(2)
  })

  test('with --json it is an object on standard output, too', async () => {
    const { status, stdout } = await thaw(['verify', '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ error: { name: 'UsageError', code: 'THAW_USAGE' } })
    expect(status).toBe(2)
  })
})

test('--help and --version are no errors', async () => {
  expect(await thaw(['--version'])).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  expect(await thaw(['dump', '--help'])).toMatchObject({ status: 0, stderr: '' })
})

test("--json in the foreground is for errors: standard output is the process's", async () => {
  const { status, stdout, stderr } = await thaw(['restore', '--images', '/nowhere', '--json'])
  expect(JSON.parse(stdout)).toMatchObject({ error: { name: 'ImageError', code: 'THAW_IMAGE_MISSING' } })
  expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
})

test('an error for people is one line with its class and code', async () => {
  const { status, stdout, stderr } = await thaw(['verify', '/nowhere'])
  expect(stderr).toMatch(/^ImageError \[THAW_IMAGE_MISSING\]: Cannot read an image from \/nowhere: .*\n$/)
  expect(stdout).toBe('')
  expect(status).toBe(1)
})

test('a Node that is too old is told so', async () => {
  const node20 = fileURLToPath(new URL('../../node_modules/node-20/bin/node', import.meta.url))
  const { status, stderr } = await thaw(['check'], { node: node20 })
  expect(stderr).toMatch(/^UnsupportedError \[THAW_OLD_NODE\]: thaw needs Node 22\.12 or newer; this is 20\./)
  expect(status).toBe(3)
})
