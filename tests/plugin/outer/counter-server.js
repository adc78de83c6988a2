/** A server that counts: the least state that a test can leave behind. Says what it does on stdout and stderr. */
import { createServer } from 'node:http'

let count = 0
const server = createServer((request, response) => {
  console.log(`request ${request.url}`)
  if (request.url === '/increment') count++
  if (request.url === '/complain') console.error('something is wrong')
  if (request.url === '/exit') process.exit(3)
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ count, pid: process.pid }))
})
server.listen(Number(process.env.PORT ?? 3000), () => console.log('listening'))
