/** What makes two fixtures the same one: where stack frames say that they were defined. */
import { describe, expect, it } from 'vitest'
import { placesIn } from '../../dist/plugin/worker/frames.js'
import { identify } from '../../dist/plugin/worker/identity.js'

const OUTSIDE = 3000
const fixture = (definedAt: string) => ({ name: 'shop', warmUp: () => OUTSIDE, options: {}, definedAt })

describe.each([
  ['paths', (path: string) => path],
  ['file URLs', (path: string) => `file://${path.split('/').map(encodeURIComponent).join('/')}`],
])('%s in frames', (_, written) => {
  it.each([
    ['/home/u/app/shop.test.ts'],
    ['/home/u/app/(auth)/login.test.ts'],
    ['/home/u/app/(.)[slug]/(group)/@modal/page.test.ts'],
    ['/home/u/My App (copy)/shop.test.ts'],
    ['/home/u/x (node:20)/shop.test.ts'],
    ['/home/ü/приложение/100%/a%20b/shop.test.ts'],
    ['/(a)'],
  ])('%s', (path) => {
    const place = `${written(path)}:5:14`
    const named = [
      '<anonymous>',
      'Foo.bar',
      'Foo.bar [as baz]',
      'new Foo',
      'async named',
      'async Foo.bar [as baz]',
      'GET /users (/all) [as a]',
    ]
    for (const frame of [place, `async ${place}`, ...named.map((name) => `${name} (${place})`)])
      expect(placesIn(`    at ${frame}`), frame).toEqual([{ file: path, at: ':5:14' }])
  })

  it('of evaluated code are where it is evaluated, and in it', () => {
    const place = `${written('/home/u/(auth)/My App (copy)/é.ts')}:6:15`
    const file = '/home/u/(auth)/My App (copy)/é.ts'
    expect(placesIn(`    at eval (eval at <anonymous> (${place}), <anonymous>:1:1)`)).toEqual([{ file, at: ':6:15), <anonymous>:1:1' }])
    const twice = `    at eval (eval at <anonymous> (eval at run (${place})), <anonymous>:3:2)`
    expect(placesIn(twice)).toEqual([{ file, at: ':6:15)), <anonymous>:3:2' }])
  })
})

it('what a bundler asks for is no part of a file, and what is no URL is a path', () => {
  expect(placesIn('    at /home/u/(a)/shop.test.ts?v=1&t=2:5:14')).toEqual([{ file: '/home/u/(a)/shop.test.ts', at: ':5:14' }])
  expect(placesIn('    at f (file:///home/u/(a)/shop.ts?v=1:5:14)')).toEqual([{ file: '/home/u/(a)/shop.ts', at: ':5:14' }])
  expect(placesIn('    at f (file:///home/u/100%/shop.ts:5:14)')).toEqual([{ file: '/home/u/100%/shop.ts', at: ':5:14' }])
})

it.each([
  '    at node:internal/modules/run_main:107:5',
  '    at async node:internal/modules/esm/loader:577:25',
  '    at runMicrotasks (node:internal/process/task_queues:103:5)',
  '    at file:///home/u/node_modules/vitest/dist/chunk.js:1:2',
  '    at run (/home/u/(a)/node_modules/@vitest/runner/dist/index.js:1:2)',
])('the user has nothing to do with what is called from %s', (end) => {
  const frames = ['    at new Promise (<anonymous>)', '    at async Promise.all (index 0)', '    at /u/a.ts:1:2', end, '    at /u/b.ts:3:4']
  expect(placesIn(frames.join('\n'))).toEqual([{ file: '/u/a.ts', at: ':1:2' }])
})

it('fixtures of two files in route groups are two', () => {
  const one = identify(fixture('    at /home/u/app/(auth)/login.test.ts:5:14'), 'project')
  const other = identify(fixture('    at /home/u/app/(shop)/login.test.ts:5:14'), 'project')
  expect(one).toMatchObject({ file: '/home/u/app/(auth)/login.test.ts', dependsOn: ['/home/u/app/(auth)/login.test.ts'] })
  expect(other).toMatchObject({ file: '/home/u/app/(shop)/login.test.ts', dependsOn: ['/home/u/app/(shop)/login.test.ts'] })
  expect(one.scope).not.toBe(other.scope)
})

it('frames are as this Node writes them', () => {
  class Foo {
    bar(): string {
      return new Error('here').stack ?? ''
    }
  }
  const aliased = { baz: new Foo().bar }
  const file = expect.stringMatching(/\/tests\/plugin\/identity\.test\.ts$/) as string
  for (const stack of [new Foo().bar(), aliased.baz()]) expect(placesIn(stack.slice(stack.indexOf('\n') + 1))[0]).toMatchObject({ file })
})
