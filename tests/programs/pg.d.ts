/** As much of the types of pg as tests use. */
declare module 'pg' {
  import type { Socket } from 'node:net'

  export class Client {
    constructor(options: { user: string; database: string; stream: () => Socket })
    connect(): Promise<void>
    query(text: string): Promise<{ rows: unknown[] }>
    end(): Promise<void>
  }
}
