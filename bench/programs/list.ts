/** The rows, in the order of the table. */
import { fileURLToPath } from 'node:url'
import { Api, PostgresClients } from './databases.ts'
import { built, Fixture } from './fixture.ts'
import type { Program } from './program.ts'
import { Server } from './server.ts'

const REPEATS = 50
const REPEATS_OF_BIG = 25
const REPEATS_OF_HUGE = 10
const SHOP = fileURLToPath(new URL('../../fixtures/shop-server', import.meta.url))
const inModules = (path: string): string => fileURLToPath(new URL(`../../node_modules/${path}`, import.meta.url))

const get = (path: string): { method: string; path: string } => ({ method: 'GET', path })

function shop(name: string, node: string): Program {
  return new Server({
    name,
    repeats: REPEATS,
    command: ({ port }) => ({ command: node, args: ['server.js'], cwd: SHOP, env: { PORT: String(port), HOST: '127.0.0.1' } }),
    path: '/health',
    warmUp: [{ method: 'POST', path: '/admin/seed' }, get('/users'), get('/products?category=garden'), get('/search?q=oak%20chair')],
  })
}

const heap = (megabytes: number, repeats: number): Program =>
  new Fixture({ name: `c-${megabytes}mb`, repeats, command: () => built('heap'), arguments: () => [`${megabytes}`] })

/** One with so many children: a megabyte that all inherited, and 100 KB each of their own. */
const processes = (count: number, options: { repeats: number; onlyIfNamed?: true }): Program =>
  new Fixture({ name: `processes-${count}`, command: () => built('processes'), arguments: () => [`${count}`], ...options })

const python = new Server({
  name: 'python',
  repeats: REPEATS,
  command: ({ folder, port }) => ({
    command: 'python3',
    args: ['-m', 'http.server', String(port), '--bind', '127.0.0.1', '--directory', folder],
    cwd: folder,
    env: { PATH: process.env['PATH'] },
  }),
  path: '/',
  warmUp: Array.from({ length: 20 }, () => get('/')),
})

export const programs: readonly Program[] = [
  shop('node-20', inModules('node-20/bin/node')),
  shop('node-24', inModules('node/bin/node')),
  python,
  heap(10, REPEATS),
  heap(100, REPEATS),
  heap(500, REPEATS_OF_BIG),
  heap(1000, REPEATS_OF_BIG),
  new Fixture({ name: 'threads-200', repeats: REPEATS, command: () => built('many-threads'), arguments: () => ['199'] }),
  processes(10, { repeats: REPEATS }),
  processes(100, { repeats: REPEATS_OF_BIG }),
  processes(1000, { repeats: REPEATS_OF_HUGE, onlyIfNamed: true }),
  new PostgresClients('postgres-18', REPEATS),
  new Api('api-20', REPEATS),
]
