/** Enough of Redis's protocol (RESP 2) to talk to a server over any socket. */

import type { Socket } from 'node:net'

export type Reply = string | number | null | Reply[]

export class RedisClient implements AsyncDisposable {
  readonly #socket: Socket
  readonly #replies: AsyncGenerator<Reply, void>

  constructor(socket: Socket) {
    this.#socket = socket
    this.#replies = replies(socket)
  }

  /** An error is answered with its text, such as `ERR unknown command`. */
  async call(...words: readonly (string | number)[]): Promise<Reply> {
    this.#socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(`${word}`)}\r\n${word}\r\n`).join('')}`)
    const { value, done } = await this.#replies.next()
    if (done === true) throw new Error('the server closed the connection')
    return value
  }

  /** Has the server close the connection, and waits until it has. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.call('QUIT')
    await this.#replies.next()
  }
}

async function* replies(socket: Socket): AsyncGenerator<Reply, void> {
  let text = ''
  for await (const chunk of socket) {
    text += String(chunk)
    for (let parsed = parse(text, 0); parsed !== undefined; parsed = parse(text, 0)) {
      text = text.slice(parsed.end)
      yield parsed.reply
    }
  }
}

/** The reply at a position, once all of it is there. */
function parse(text: string, at: number): { reply: Reply; end: number } | undefined {
  const lineEnd = text.indexOf('\r\n', at)
  if (lineEnd < 0) return undefined
  const [kind, line, next] = [text[at], text.slice(at + 1, lineEnd), lineEnd + 2]
  if (kind === ':') return { reply: Number(line), end: next }
  if (kind === '+' || kind === '-') return { reply: line, end: next }
  if (line === '-1') return { reply: null, end: next }
  return kind === '$' ? parseBulk(text, next, Number(line)) : parseArray(text, next, Number(line))
}

function parseBulk(text: string, at: number, length: number): { reply: Reply; end: number } | undefined {
  return text.length < at + length + 2 ? undefined : { reply: text.slice(at, at + length), end: at + length + 2 }
}

function parseArray(text: string, start: number, count: number): { reply: Reply; end: number } | undefined {
  const reply: Reply[] = []
  let at = start
  while (reply.length < count) {
    const item = parse(text, at)
    if (item === undefined) return undefined
    reply.push(item.reply)
    at = item.end
  }
  return { reply, end: at }
}
