/** A counter that listens at a path, and in front of it a server on a port, which goes there for each request. */
import { unlinkSync } from 'node:fs'
import { createServer, get } from 'node:http'

const path = 'counter.sock'
let count = 0
try {
  unlinkSync(path)
} catch {
  // Nobody has been here before.
}
createServer((request, response) => {
  if (request.url === '/increment') count++
  response.end(`${process.env.COUNTER} ${count}`)
}).listen(path)
createServer((request, response) => {
  get({ socketPath: path, path: request.url, agent: false }, (answer) => answer.pipe(response)).on('error', (error) => {
    response.statusCode = 500
    response.end(String(error))
  })
}).listen(3000)
