/** Sends back what it gets, and says which method it was. */
import { createServer } from 'node:http'

createServer((request, response) => {
  response.setHeader('content-type', request.headers['content-type'] ?? 'text/plain')
  response.setHeader('x-method', request.method)
  request.pipe(response)
}).listen(3000)
