/** Passes requests on to the back server and to a child process, over what it opened when it started. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'

const back = createInterface({ input: connect(4000).on('connect', ask) })
const child = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] })
const echoed = createInterface({ input: child.stdout })
let state

function ask() {
  back.input.write('more\n')
}
back.on('line', (line) => (state = JSON.parse(line)))

createServer(async (request, response) => {
  if (request.url === '/increment') {
    const answer = once(back, 'line')
    ask()
    await answer
  }
  const echo = once(echoed, 'line')
  child.stdin.write(`${request.url}\n`)
  const [line] = await echo
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ ...state, echo: line, child: child.pid, front: process.pid }))
}).listen(3000)
