import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Connect } from './program.ts'

export interface Answer {
  readonly status: number
  readonly body: string
}

/** One request over a connection of its own, which is closed when this resolves. */
export async function fetchFrom(connect: Connect, port: number, path: string, method = 'GET'): Promise<Answer> {
  const socket = await connect(port)
  const closed = new Promise((resolve) => socket.once('close', resolve))
  try {
    return await new Promise<Answer>((resolve, reject) => {
      request({ path, method, headers: { connection: 'close' }, createConnection: () => socket }, (response) => {
        text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject)
      })
        .on('error', reject)
        .end()
    })
  } finally {
    socket.destroy()
    await closed
  }
}
