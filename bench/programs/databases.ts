/** Trees with a Postgres, and their files, which are the host's: copies run one after the other, and do not write until the last one. */
import { fileURLToPath } from 'node:url'
import { asOrdinary, missingServer, servers } from '../../tests/programs/database.ts'
import { missing, nodes } from '../../tests/programs/installed.ts'
import { Fixture } from './fixture.ts'
import type { Command, Connect, Place } from './program.ts'
import { Server } from './server.ts'

const bin = servers['Postgres 18'] ?? ''
const node = nodes['Node 24'] ?? ''
const pathOf = (name: string): string => fileURLToPath(new URL(`../../fixtures/programs/${name}`, import.meta.url))
const PORT = 3000
/** Each has a process of Postgres's: with them, the tree has about 20. */
const CONNECTIONS = 9

/** A Postgres and a client with three connections, in the middle of transactions. */
export class PostgresClients extends Fixture {
  readonly ownNetwork = true
  readonly missing: string | undefined = missingServer(bin)

  constructor(name: string, repeats: number) {
    super({
      name,
      repeats,
      command: ({ folder }) => asOrdinary({ path: folder }, [node, pathOf('postgres-clients.mjs')]),
      arguments: ({ folder }) => [bin, `${folder}/data`],
    })
  }

  override command(place: Place): Command {
    return { ...super.command(place), env: { PATH: process.env['PATH'] } }
  }
}

/** An API with a pool of connections to its Postgres, and its Redis. */
export class Api extends Server {
  readonly ownNetwork = true
  readonly missing: string | undefined = missingServer(bin) ?? missing('redis-server')

  constructor(name: string, repeats: number) {
    super({
      name,
      repeats,
      port: PORT,
      command: ({ folder }) => {
        const whole = [node, pathOf('api-with-databases.mjs'), bin, folder, `${CONNECTIONS}`] as const
        const [command, ...args] = asOrdinary({ path: folder }, whole)
        return { command, args, cwd: folder, env: { PATH: process.env['PATH'] } }
      },
      path: '/users/1',
      warmUp: [1, 2, 3].flatMap((id) => ['users', 'order', 'users'].map((what) => ({ method: 'GET', path: `/${what}/${id}` }))),
    })
  }

  override async verify(connect: Connect, place: Place): Promise<void> {
    const { errors, ended, connections, orders } = JSON.parse(await this.get(connect, place, '/state')) as Record<string, unknown>
    if (JSON.stringify([errors, ended, connections, orders]) !== JSON.stringify([[], [], CONNECTIONS, 3]))
      throw new Error(`${this.name} says of its copy: ${JSON.stringify({ errors, ended, connections, orders })}`)
  }
}
