/** A server with users, which takes a second to start. Any server will do; nothing here knows of snapshots. */
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

const users = new Map()

function answer(method, path) {
  const id = Number(path.match(/^\/users\/(\d+)$/)?.[1])
  if (path === '/health') return { status: 200 }
  if (method === 'POST' && path === '/admin/seed') {
    for (const [index, name] of ['ada', 'grace'].entries()) users.set(index + 1, { id: index + 1, name })
    return { status: 204 }
  }
  if (!users.has(id)) return { status: 404 }
  if (method === 'DELETE') return { status: users.delete(id) ? 204 : 404 }
  return { status: 200, body: users.get(id) }
}

await sleep(1000)
createServer((request, response) => {
  const { status, body } = answer(request.method, request.url)
  console.log(request.method, request.url, status)
  response.writeHead(status, { 'content-type': 'application/json' }).end(body && JSON.stringify(body))
}).listen(3000)
